import type { Finding, Setting, Settings } from '../../deployments/deployment.ts'
import type { Parallelism } from '../../memory/shares.ts'
import type { EngineInput } from '../engine.ts'
import { type Batch, batchOf } from './batch.ts'
import { contextOf } from './context.ts'
import { type Given, givenSettings, isFlag, isLength, isNumber, isSize, isText, placed } from './given.ts'
import { type OptionReader, readOptions } from './options.ts'
import { newestRelease, type Release, type Rules, releaseOf, releaseText, rulesOf } from './release.ts'
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
  /** The given settings with defaults and effective values. */
  readonly settings: Settings
  readonly findings: Finding[]
  readonly assumptions: readonly string[]
}

/** vLLM's length for models that state none (config/model.py). */
export const UNSTATED_LENGTH = 2048

/** Reads settings and options, adds vLLM's defaults, and notes what is malformed as findings. */
export function resolve(input: EngineInput): Resolved {
  const findings: Finding[] = []
  const assumptions: string[] = []
  const option = readOptions(input.options, findings)
  const given = givenSettings(input, findings)
  const { count, valid } = given
  const release = releaseFor(input, findings, assumptions)
  const rules = rulesOf(release, input.environment['VLLM_USE_V1'] === '0')
  const context = contextOf(input.shape, input.facts.config)
  const maxModelLen = lengthOf(given, context)
  const pooling = isPooling(input, option)
  const prefillRanks = option.count('prefill-context-parallel-size') ?? 1
  const batch = batchOf(input, rules, option, given, maxModelLen ?? context ?? UNSTATED_LENGTH)
  return {
    release,
    rules,
    tensor: count('tensorParallel') ?? given.fallback('tensorParallel', 1, 'vLLM default'),
    pipeline: Math.min(count('pipelineParallel') ?? 1, Math.max(1, input.shape.layers.order.length)),
    data: count('dataParallel') ?? 1,
    expertParallel: option.flag('enable-expert-parallel') ?? (input.settings.expertParallel?.value ?? false) !== false,
    contextRanks: (count('contextParallel') ?? option.count('decode-context-parallel-size') ?? 1) * prefillRanks,
    prefillRanks,
    maxModelLen,
    context,
    batch,
    fraction: fractionOf(input, given, rules, findings),
    dtype: dtypeOf(input, given),
    quantization: valid('quantization', isText, 'a method'),
    kvDtype: valid('kvCacheDtype', isText, 'a dtype') ?? given.fallback('kvCacheDtype', 'auto', 'vLLM default'),
    blockSize: count('blockSize'),
    eager: valid('enforceEager', isFlag, 'true or false') ?? option.flag('enforce-eager') ?? false,
    pooling,
    asyncScheduling: option.flag('async-scheduling') ?? (rules.asyncDefault && !pooling),
    v2Runner: input.environment['VLLM_USE_V2_MODEL_RUNNER'] !== '0',
    prefixCaching: option.flag('enable-prefix-caching') ?? true,
    hybridManager: option.flag('disable-hybrid-kv-cache-manager') !== true,
    offloadBytes: valid('cpuOffloadBytes', isSize, 'bytes of at least 0') ?? 0,
    poolBytes: valid('kvCacheMemoryBytes', isSize, 'bytes of at least 0'),
    poolBlocks: option.count('num-gpu-blocks-override'),
    loras: option.flag('enable-lora') === true ? loraSlots(given) : null,
    speculative: speculativeOf(input, option, findings),
    option,
    settings: given.filled,
    findings,
    assumptions,
  }
}

/** How the settings divide the weights: experts whole over tensor x data ranks, or their width over as many. */
export function parallelismOf(r: Resolved): Parallelism {
  const ranks = r.tensor * r.data
  return { tensor: r.tensor, pipeline: r.pipeline, expert: r.expertParallel ? ranks : 1, expertTensor: ranks }
}

/** Notes a finding, at a setting's place where one is given. */
export type Say = (code: string, severity: Finding['severity'], message: string, at?: Setting) => void

function releaseFor(input: EngineInput, findings: Finding[], assumptions: string[]): Release {
  const newest = releaseText(newestRelease)
  if (input.version === null) {
    assumptions.push(`vLLM version unknown: the rules of ${newest} are used`)
    return newestRelease
  }
  const read = releaseOf(input.version)
  if (read === null)
    findings.push({
      code: 'version-unknown',
      severity: 'warning',
      message: `vLLM version ${JSON.stringify(input.version)} is not known: the rules of ${newest} are used`,
    })
  else if (releaseText(read) !== newest && read > newestRelease)
    assumptions.push(`vLLM ${input.version} is newer than the rules known here: those of ${newest} are used`)
  return read ?? newestRelease
}

function lengthOf(given: Given, context: number | null): number | null {
  const asked = given.valid('maxModelLen', isLength, 'a whole number of at least 1, or auto')
  if (asked === 'auto') return null
  if (asked !== null) return asked
  return context === null
    ? given.fallback('maxModelLen', UNSTATED_LENGTH, `the model states no length: vLLM takes ${UNSTATED_LENGTH}`)
    : given.fallback('maxModelLen', context, "the model's context", 'model-config')
}

function fractionOf(input: EngineInput, given: Given, rules: Rules, findings: Finding[]): number {
  const asked = given.valid('memoryFraction', isNumber, 'a number above 0 and at most 1')
  if (asked !== null && asked > 0 && asked <= 1) return asked
  if (asked !== null)
    findings.push({
      ...placed(input.settings.memoryFraction),
      code: 'fraction-out-of-range',
      severity: 'error',
      message: `gpu-memory-utilization is ${asked}: vLLM takes more than 0 and at most 1`,
    })
  const { memoryFraction } = rules
  return given.fallback('memoryFraction', memoryFraction, memoryFraction === 0.9 ? 'vLLM up to 0.19' : 'vLLM from 0.20')
}

const POOLING = /^(?:pooling|embed|embedding|classify|score|scoring|reward)$/

function isPooling(input: EngineInput, option: OptionReader): boolean {
  if (input.shape.facts.task === 'embed') return true
  return ['runner', 'task', 'convert'].some(name => POOLING.test(option.text(name) ?? ''))
}

const DTYPES: Readonly<Record<string, string>> = {
  half: 'float16',
  fp16: 'float16',
  bf16: 'bfloat16',
  float: 'float32',
  fp32: 'float32',
}

/** `auto` is 16 bits: float16 for float16 checkpoints and on cards before Ampere, else bfloat16. */
function dtypeOf(input: EngineInput, given: Given): string {
  const asked = given.valid('dtype', isText, 'a dtype')
  if (asked !== null && asked !== 'auto') {
    const dtype = DTYPES[asked] ?? asked
    given.effective('dtype', dtype)
    return dtype
  }
  const own = input.shape.facts.dtype
  const capability = Number(input.gpu?.computeCapability ?? '9.0')
  const dtype = own === 'float16' || own === 'half' || capability < 8 ? 'float16' : 'bfloat16'
  if (asked === null) given.fallback('dtype', dtype, "the checkpoint's dtype; 32-bit is run in 16 bits", 'model-config')
  else given.effective('dtype', dtype)
  return dtype
}

function loraSlots(given: Given): { slots: number; rank: number } {
  return {
    slots: given.count('maxLoras') ?? given.fallback('maxLoras', 1, 'vLLM default'),
    rank: given.count('maxLoraRank') ?? given.fallback('maxLoraRank', 16, 'vLLM default'),
  }
}
