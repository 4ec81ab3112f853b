import type { Finding, Settings } from '../../deployments/deployment.ts'
import type { Parallelism } from '../../memory/shares.ts'
import { computeDtype } from '../answer.ts'
import type { EngineInput } from '../engine.ts'
import { readSettings, type SettingsReader } from '../settings-reader.ts'
import { releaseFor } from '../versions.ts'
import { type Batch, batchOf } from './batch.ts'
import { contextOf } from './context.ts'
import { type OptionReader, readOptions } from './options.ts'
import { newestRelease, type Release, type Rules, releaseText, rulesOf } from './release.ts'
import { type Speculative, speculativeOf } from './speculative.ts'

/** All that the accounting reads: every setting resolved to what the engine makes of it. */
export interface Resolved {
  readonly release: Release
  readonly rules: Rules
  readonly tensor: number
  readonly pipeline: number
  readonly data: number
  readonly expertParallel: boolean
  /** Ranks that share a request's tokens: decode x prefill context parallel; the latter need GPUs of their own. */
  readonly contextRanks: number
  readonly prefillRanks: number
  /** Null: the largest that fits (`--max-model-len auto`). */
  readonly maxModelLen: number | null
  /** The most the model takes; null without a limit. */
  readonly context: number | null
  readonly batch: Batch
  readonly fraction: number
  readonly dtype: string
  readonly quantization: string | null
  /** As asked; `auto` is resolved with the checkpoint. */
  readonly kvDtype: string
  readonly blockSize: number | null
  readonly eager: boolean
  /** Embeds, classifies or scores: no sampler, no async scheduling. */
  readonly pooling: boolean
  readonly asyncScheduling: boolean
  readonly v2Runner: boolean
  readonly prefixCaching: boolean
  readonly hybridManager: boolean
  readonly offloadBytes: number
  /** Size of the cache pool, where it is given in bytes or blocks. */
  readonly poolBytes: number | null
  readonly poolBlocks: number | null
  readonly loras: { readonly slots: number; readonly rank: number } | null
  readonly speculative: Speculative | null
  readonly option: OptionReader
  readonly environment: EngineInput['environment']
  /** The given settings with defaults and effective values. */
  readonly settings: Settings
  readonly findings: Finding[]
  readonly say: SettingsReader['say']
  readonly assumptions: readonly string[]
}

/** vLLM's length for models that state none (config/model.py). */
export const UNSTATED_LENGTH = 2048

/** Reads settings and options, adds vLLM's defaults, and notes what is malformed as findings. */
export function resolve(input: EngineInput): Resolved {
  const assumptions: string[] = []
  const reader = readSettings(input)
  const { count, countOr, findings } = reader
  const option = readOptions(input.options, findings)
  const release = releaseFor('vLLM', input.version, newestRelease, releaseText, reader, assumptions)
  const rules = rulesOf(release, input.environment)
  const context = contextOf(input.shape, input.facts.config)
  const maxModelLen = lengthOf(reader, context)
  const pooling = isPooling(input, option)
  const prefillRanks = option.count('prefill-context-parallel-size') ?? 1
  const batch = batchOf(input, rules, option, reader, maxModelLen ?? context ?? UNSTATED_LENGTH)
  return {
    release,
    rules,
    tensor: countOr('tensorParallel', 1, 'vLLM default'),
    pipeline: Math.min(count('pipelineParallel') ?? 1, Math.max(1, input.shape.layers.order.length)),
    data: count('dataParallel') ?? 1,
    expertParallel: option.flag('enable-expert-parallel') ?? (input.settings.expertParallel?.value ?? false) !== false,
    contextRanks: (count('contextParallel') ?? option.count('decode-context-parallel-size') ?? 1) * prefillRanks,
    prefillRanks,
    maxModelLen,
    context,
    batch,
    fraction: fractionOf(reader, rules),
    dtype: dtypeOf(input, reader),
    quantization: reader.text('quantization'),
    kvDtype: kvDtypeOf(reader),
    blockSize: count('blockSize'),
    eager: reader.flag('enforceEager') ?? option.flag('enforce-eager') ?? false,
    pooling,
    asyncScheduling: option.flag('async-scheduling') ?? (rules.asyncDefault && !pooling),
    v2Runner: input.environment['VLLM_USE_V2_MODEL_RUNNER'] !== '0',
    prefixCaching: option.flag('enable-prefix-caching') ?? true,
    hybridManager: option.flag('disable-hybrid-kv-cache-manager') !== true,
    offloadBytes: reader.size('cpuOffloadBytes') ?? 0,
    poolBytes: reader.size('kvCacheMemoryBytes'),
    poolBlocks: option.count('num-gpu-blocks-override'),
    loras:
      option.flag('enable-lora') === true
        ? { slots: countOr('maxLoras', 1, 'vLLM default'), rank: countOr('maxLoraRank', 16, 'vLLM default') }
        : null,
    speculative: speculativeOf(input, option, findings),
    option,
    environment: input.environment,
    settings: reader.settings(),
    say: reader.say,
    findings,
    assumptions,
  }
}

/** How the settings divide the weights: experts whole over tensor x data ranks, or their width over as many. */
export function parallelismOf(r: Resolved): Parallelism {
  const ranks = r.tensor * r.data
  return { tensor: r.tensor, pipeline: r.pipeline, expert: r.expertParallel ? ranks : 1, expertTensor: ranks }
}

function lengthOf(reader: SettingsReader, context: number | null): number | null {
  const asked = reader.length('maxModelLen')
  if (asked === 'auto') return null
  if (asked !== null) return asked
  if (context === null)
    reader.fill('maxModelLen', UNSTATED_LENGTH, `the model states no length: vLLM takes ${UNSTATED_LENGTH}`)
  else reader.fill('maxModelLen', context, "the model's context", 'model-config')
  return context ?? UNSTATED_LENGTH
}

function fractionOf(reader: SettingsReader, rules: Rules): number {
  const asked = reader.fraction('memoryFraction', 'gpu-memory-utilization')
  const { memoryFraction } = rules
  if (asked === null)
    reader.fill('memoryFraction', memoryFraction, memoryFraction === 0.9 ? 'vLLM up to 0.19' : 'vLLM from 0.20')
  return asked ?? memoryFraction
}

function kvDtypeOf(reader: SettingsReader): string {
  const asked = reader.text('kvCacheDtype')
  if (asked === null) reader.fill('kvCacheDtype', 'auto', 'vLLM default')
  return asked ?? 'auto'
}

const POOLING = /^(?:pooling|embed|embedding|classify|score|scoring|reward)$/

function isPooling(input: EngineInput, option: OptionReader): boolean {
  if (input.shape.facts.task === 'embed') return true
  return ['runner', 'task', 'convert'].some(name => POOLING.test(option.text(name) ?? ''))
}

/** `auto` is the checkpoint's, in 16 bits; cards before Ampere have no bfloat16. */
function dtypeOf(input: EngineInput, reader: SettingsReader): string {
  const asked = reader.text('dtype')
  const named = computeDtype(asked, input.shape)
  const old = Number(input.gpu?.computeCapability ?? '9.0') < 8
  const dtype = old && (asked ?? 'auto') === 'auto' ? 'float16' : named
  reader.fill('dtype', dtype, "the checkpoint's dtype; 32-bit is run in 16 bits", 'model-config')
  return dtype
}
