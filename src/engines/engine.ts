import type { EngineName, Finding, Option, Settings } from '../deployments/deployment.ts'
import type { Gpu } from '../hardware/gpu.ts'
import type { Part, Range } from '../memory/parts.ts'
import type { ModelFacts } from '../models/facts.ts'
import type { ModelShape } from '../models/shape.ts'

/** Everything an engine needs to account for one deployment on one kind of GPU. Pure data. */
export interface EngineInput {
  readonly shape: ModelShape
  readonly facts: ModelFacts
  /** What the files, the policy and the command line say; no engine defaults yet. */
  readonly settings: Settings
  readonly options: Readonly<Record<string, Option>>
  readonly environment: Readonly<Record<string, string>>
  /** Release as written in the image tag or requirement pin ("0.11.0"); null: unknown, newest defaults apply. */
  readonly version: string | null
  /** Null when no hardware is known: parts are still estimated, budget and verdict are not. */
  readonly gpu: Gpu | null
  readonly gpusPerReplica: number | null
  /** Requests of full length that must fit at once (policy min-concurrency); 1 unless asked. */
  readonly concurrency: number
  readonly draft: { readonly shape: ModelShape; readonly facts: ModelFacts } | null
}

/** KV cache figures in the report's form (design section 5); null = the engine has no such thing or it is unknown. */
export interface KvCacheFigures {
  readonly bytesPerToken: number | null
  /** KV plus recurrent state of one request at the declared length, as the engine charges it, on the fullest GPU. */
  readonly bytesPerMaxLengthRequest: number | null
  readonly availableBytes: number | null
  readonly capacityTokens: number | null
  readonly maxConcurrency: number | null
  readonly fitsOneRequest: boolean | null
  readonly maxModelLenThatFits: number | null
}

export interface Estimate {
  readonly method: 'engine' | 'rule-of-thumb'
  readonly perGpu: {
    readonly rank: string
    readonly parts: readonly Part[]
    /** Sum of the parts in the budget. */
    readonly totalBytes: Range
    readonly budgetBytes: number | null
    readonly headroomBytes: Range | null
  }
  readonly kvCache: KvCacheFigures | null
  readonly assumptions: readonly string[]
}

export interface EngineAnswer {
  /** The given settings with the engine's defaults and effective values filled in. */
  readonly settings: Settings
  readonly estimate: Estimate
  /** Refusals and notices the engine itself would give (heads not divisible, context too long, flag without effect). */
  readonly findings: readonly Finding[]
}

/** One row of `list engines`: a default by version, with its source. */
export interface EngineDefault {
  readonly setting: string
  readonly value: string
  readonly versions: string
  readonly source: string
}

/** An inference engine's accounting. Add one: a file in engines/, a line in engines/index.ts. */
export interface Engine {
  readonly name: EngineName
  readonly title: string
  readonly defaults: readonly EngineDefault[]
  /** Never throws for any settings; malformed ones become findings with severity error. */
  readonly estimate: (input: EngineInput) => EngineAnswer
}
