import type { Finding, Setting, SettingName, Settings } from '../../deployments/deployment.ts'
import type { Parallelism } from '../../memory/shares.ts'
import { GiB } from '../../units/bytes.ts'
import type { EngineInput } from '../engine.ts'
import { contextOf } from './context.ts'
import { type OptionReader, readOptions } from './options.ts'
import { newestRelease, type Release, type Rules, releaseOf, releaseText, rulesOf } from './release.ts'

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
  readonly batchTokens: number
  readonly sequences: number
  readonly fraction: number
  readonly dtype: string
  readonly quantization: string | null
  readonly kvDtype: string
  readonly blockSize: number | null
  readonly eager: boolean
  readonly asyncScheduling: boolean
  readonly v2Runner: boolean
  readonly prefixCaching: boolean
  readonly hybridManager: boolean
  readonly offloadBytes: number
  readonly poolBytes: number | null
  readonly poolBlocks: number | null
  readonly loras: { readonly slots: number; readonly rank: number } | null
  readonly speculative: Speculative | null
  readonly option: OptionReader
  readonly settings: Settings
  readonly findings: Finding[]
  readonly assumptions: string[]
}

/** How the settings divide the weights: experts whole over tensor x data ranks, or their width over as many. */
export function parallelismOf(r: Resolved): Parallelism {
  const ranks = r.tensor * r.data
  return { tensor: r.tensor, pipeline: r.pipeline, expert: r.expertParallel ? ranks : 1, expertTensor: ranks }
}

export interface Speculative {
  readonly method: string
  readonly tokens: number
}

type Mutable = { -readonly [K in SettingName]?: Settings[K] }

/** Reads settings and options, adds vLLM's defaults, and notes what is malformed as findings. */
export function resolve(input: EngineInput): Resolved {
  const findings: Finding[] = []
  const assumptions: string[] = []
  const settings: Mutable = { ...input.settings }
  const option = readOptions(input.options, findings)
  const { release, rules } = versionOf(input, findings, assumptions)

  const valid = <T>(name: SettingName, test: (value: unknown) => value is T, what: string): T | null => {
    const setting = input.settings[name] as Setting | undefined
    if (setting === undefined) return null
    if (test(setting.value)) return setting.value
    findings.push(invalid(setting, `${name} is ${shown(setting.value)}, expected ${what}`))
    return null
  }
  const count = (name: SettingName): number | null => valid(name, isCount, 'a whole number of at least 1')
  const fallback = <T>(name: SettingName, value: T, note: string, from: Setting['from'] = 'engine-default'): T => {
    // a malformed value stays in the report as it was written, with what is used instead
    const given = input.settings[name]
    const filled = given === undefined ? { value, from, note } : { ...given, effective: value, note }
    Object.assign(settings, { [name]: filled })
    return value
  }
  const effective = (name: SettingName, value: unknown, note?: string): void => {
    const given = settings[name]
    if (given !== undefined && given.value !== value)
      Object.assign(settings, { [name]: { ...given, effective: value, ...(note === undefined ? {} : { note }) } })
  }

  const tensor = count('tensorParallel') ?? fallback('tensorParallel', 1, 'vLLM default')
  const pipeline = Math.min(count('pipelineParallel') ?? 1, Math.max(1, input.shape.layers.order.length))
  const data = count('dataParallel') ?? 1
  const expertParallel = option.expertParallel ?? (input.settings.expertParallel?.value ?? false) !== false
  const prefillRanks = option.count('prefill-context-parallel-size') ?? 1
  const contextRanks = (count('contextParallel') ?? option.count('decode-context-parallel-size') ?? 1) * prefillRanks

  const fractionGiven = valid('memoryFraction', isNumber, 'a number above 0 and at most 1')
  const fractionRight = fractionGiven !== null && fractionGiven > 0 && fractionGiven <= 1
  if (fractionGiven !== null && !fractionRight)
    findings.push({
      ...placed(input.settings.memoryFraction),
      code: 'fraction-out-of-range',
      severity: 'error',
      message: `gpu-memory-utilization is ${fractionGiven}: vLLM takes more than 0 and at most 1`,
    })
  const fraction = fractionRight
    ? fractionGiven
    : fallback(
        'memoryFraction',
        rules.memoryFraction,
        rules.memoryFraction === 0.9 ? 'vLLM up to 0.19' : 'vLLM from 0.20',
      )

  const dtypeGiven = valid('dtype', isText, 'a dtype')
  const dtype = computeDtype(dtypeGiven ?? 'auto', input)
  if (dtypeGiven === null) fallback('dtype', dtype, "the checkpoint's dtype; 32-bit is run in 16 bits", 'model-config')
  else effective('dtype', dtype)

  const context = contextOf(input.shape, input.facts.config)
  const lengthGiven = valid('maxModelLen', isLength, 'a whole number of at least 1, or auto')
  const maxModelLen =
    lengthGiven === 'auto'
      ? null
      : (lengthGiven ??
        fallback(
          'maxModelLen',
          context ?? 2048,
          context === null ? 'the model states no length: vLLM takes 2048' : "the model's context",
          context === null ? 'engine-default' : 'model-config',
        ))

  const speculative = readSpeculative(input, option, findings)
  const batch = batchDefaults(input, rules)
  const length = maxModelLen ?? context ?? 2048
  const chunked = option.flag('enable-chunked-prefill') ?? (!rules.v0 || length > 32768)
  const sequencesGiven = count('maxNumSeqs')
  const throughput = option.text('performance-mode') === 'throughput' ? 2 : 1
  const tokensGiven = count('maxNumBatchedTokens')
  const tokensDefault = (sequences: number): number => {
    const plain = (rules.v0 && !chunked ? Math.max(length, 2048) : batch.tokens) * throughput
    const whole = chunked ? plain : Math.max(plain, length)
    return rules.v0 ? whole : Math.min(whole, sequences * length)
  }
  const sequencesDefault = batch.sequences * throughput
  const batchTokens =
    tokensGiven ?? fallback('maxNumBatchedTokens', tokensDefault(sequencesGiven ?? sequencesDefault), batch.note)
  const sequences = sequencesGiven ?? fallback('maxNumSeqs', Math.min(sequencesDefault, batchTokens), batch.note)

  const kvGiven = valid('kvCacheDtype', isText, 'a dtype') ?? 'auto'
  const eager = valid('enforceEager', isFlag, 'true or false') ?? option.eager ?? false
  const asyncScheduling = option.flag('async-scheduling') ?? rules.asyncDefault
  return {
    release,
    rules,
    tensor,
    pipeline,
    data,
    expertParallel,
    contextRanks,
    prefillRanks,
    maxModelLen,
    context,
    batchTokens,
    sequences,
    fraction,
    dtype,
    quantization: valid('quantization', isText, 'a method'),
    kvDtype: kvGiven,
    blockSize: count('blockSize'),
    eager,
    asyncScheduling,
    v2Runner: input.environment['VLLM_USE_V2_MODEL_RUNNER'] !== '0',
    prefixCaching: option.flag('enable-prefix-caching') ?? true,
    hybridManager: option.flag('disable-hybrid-kv-cache-manager') !== true,
    offloadBytes: valid('cpuOffloadBytes', isSize, 'bytes of at least 0') ?? 0,
    poolBytes: valid('kvCacheMemoryBytes', isSize, 'bytes of at least 0'),
    poolBlocks: option.count('num-gpu-blocks-override'),
    loras:
      option.flag('enable-lora') === true
        ? {
            slots: count('maxLoras') ?? fallback('maxLoras', 1, 'vLLM default'),
            rank: count('maxLoraRank') ?? fallback('maxLoraRank', 16, 'vLLM default'),
          }
        : null,
    speculative,
    option,
    settings,
    findings,
    assumptions,
  }
}

function versionOf(input: EngineInput, findings: Finding[], assumptions: string[]): { release: Release; rules: Rules } {
  const read = input.version === null ? null : releaseOf(input.version)
  if (input.version === null)
    assumptions.push(`vLLM version unknown: the rules of ${releaseText(newestRelease)} are used`)
  else if (read === null)
    findings.push({
      code: 'version-unknown',
      severity: 'warning',
      message: `vLLM version ${JSON.stringify(input.version)} is not known: the rules of ${releaseText(newestRelease)} are used`,
    })
  else if (read >= newestRelease + 1000)
    assumptions.push(
      `vLLM ${input.version} is newer than the rules known here: those of ${releaseText(newestRelease)} are used`,
    )
  const release = read ?? newestRelease
  return { release, rules: rulesOf(release) }
}

/** dtype `auto`: 16 bits; bfloat16 checkpoints stay so, except on cards without it (before Ampere). */
function computeDtype(asked: string, input: EngineInput): string {
  const named: Readonly<Record<string, string>> = {
    half: 'float16',
    float: 'float32',
    bf16: 'bfloat16',
    fp16: 'float16',
    fp32: 'float32',
  }
  if (asked !== 'auto') return named[asked] ?? asked
  const own = input.shape.facts.dtype
  const capability = Number(input.gpu?.computeCapability ?? '9.0')
  if (own === 'float16' || own === 'half') return 'float16'
  return capability < 8 ? 'float16' : 'bfloat16'
}

/** Batch tokens and sequences by card class: memory as the driver reports it (engines.md 2.2). */
function batchDefaults(input: EngineInput, rules: Rules): { tokens: number; sequences: number; note: string } {
  if (rules.v0) return { tokens: 2048, sequences: 256, note: 'vLLM V0 default' }
  const { gpu } = input
  const memory = gpu === null ? 0 : gpu.driverBytes
  const large = memory >= 70 * GiB && !/a100|a800/i.test(gpu?.name ?? '') && !/gb10/i.test(gpu?.name ?? '')
  if (rules.hugeTier && memory >= 160 * GiB)
    return { tokens: 16384, sequences: 1024, note: 'vLLM default for cards of at least 160 GiB' }
  if (large) return { tokens: 8192, sequences: 1024, note: 'vLLM default for cards of at least 70 GiB, A100 aside' }
  return {
    tokens: 2048,
    sequences: 256,
    note: gpu === null ? 'vLLM default for small cards; the card is not known' : 'vLLM default for this card',
  }
}

function readSpeculative(input: EngineInput, option: OptionReader, findings: Finding[]): Speculative | null {
  const given = option.text('speculative-config')
  let json: Record<string, unknown> = {}
  if (given !== null) {
    try {
      const parsed: unknown = JSON.parse(given)
      if (typeof parsed === 'object' && parsed !== null) json = parsed as Record<string, unknown>
    } catch {
      findings.push({
        code: 'setting-invalid',
        severity: 'error',
        message: `speculative-config is not JSON: ${given.slice(0, 60)}`,
      })
    }
  }
  const asked = input.settings.speculativeTokens?.value ?? json['num_speculative_tokens']
  if (given === null && input.draft === null && asked === undefined) return null
  const method = typeof json['method'] === 'string' ? json['method'] : input.draft !== null ? 'draft_model' : 'ngram'
  return { method, tokens: isCount(asked) ? asked : 1 }
}

export const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 1
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)
const isSize = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''
const isFlag = (value: unknown): value is boolean => typeof value === 'boolean'
const isLength = (value: unknown): value is number | 'auto' => value === 'auto' || isCount(value)

const shown = (value: unknown): string => (JSON.stringify(value) ?? String(value)).slice(0, 60)

/** Notes a finding, at a setting's place where one is given. */
export type Say = (code: string, severity: Finding['severity'], message: string, at?: Setting) => void

/** File and line of a setting, for a finding about it. */
export function placed(setting: Setting | undefined): { readonly file?: string; readonly line?: number } {
  return {
    ...(setting?.file === undefined ? {} : { file: setting.file }),
    ...(setting?.line === undefined ? {} : { line: setting.line }),
  }
}

function invalid(setting: Setting, message: string): Finding {
  return { ...placed(setting), code: 'setting-invalid', severity: 'error', message }
}
