import { MiB } from '../../units/bytes.ts'
import { computeDtype } from '../answer.ts'
import type { EngineInput } from '../engine.ts'
import { readSettings, type SettingsReader } from '../settings-reader.ts'
import { releaseFor } from '../versions.ts'
import { contextOf } from '../vllm/context.ts'
import { type OptionReader, readOptions } from '../vllm/options.ts'
import { type Card, type Given, type ServerArguments, serverArguments } from './arguments.ts'
import { newestSglang, releaseName, type SglangRules, sglangRules } from './release.ts'
import { type Traits, traitsOf, visionFactor } from './traits.ts'

/** Every setting resolved to what SGLang makes of it. */
export interface Resolved {
  readonly reader: SettingsReader
  readonly option: OptionReader
  readonly traits: Traits
  readonly given: Given
  readonly card: Card
  readonly rules: SglangRules
  readonly server: ServerArguments
  /** GPUs of one replica x replicas. */
  readonly gpus: number
  readonly dataParallel: number
  readonly expertParallel: number
  readonly dtype: string
  readonly quantization: string | null
  readonly kvDtype: string
  readonly maxModelLen: number
  /** The most the model takes; null without a limit. */
  readonly context: number | null
  readonly offloadBytes: number
  readonly loras: { readonly slots: number; readonly rank: number } | null
  readonly assumptions: string[]
}

export function resolve(input: EngineInput): Resolved {
  const reader = readSettings(input)
  const option = readOptions(input.options, reader.findings)
  const assumptions: string[] = []
  const traits = traitsOf(input.shape)
  const rules = sglangRules(releaseFor('SGLang', input.version, newestSglang, releaseName, reader, assumptions))
  const card = cardOf(input)

  const tensor = reader.countOr('tensorParallel', 1, 'SGLang default')
  const pipeline = Math.min(reader.count('pipelineParallel') ?? 1, Math.max(1, input.shape.layers.order.length))
  const attentionData = Math.min(tensor, reader.count('attentionDataParallel') ?? option.count('attn-dp-size') ?? 1)
  const dataParallel = attentionData > 1 ? 1 : (reader.count('dataParallel') ?? 1)
  const context = contextOf(input.shape, input.facts.config)
  const length = reader.length('maxModelLen')
  if (length === null || length === 'auto')
    reader.fill(
      'maxModelLen',
      context ?? 2048,
      context === null ? 'the model states no length' : "the model's context",
      context === null ? 'engine-default' : 'model-config',
    )
  const maxModelLen = typeof length === 'number' ? length : (context ?? 2048)

  const given = givenOf(input, reader, option, traits, card, { tensor, pipeline, attentionData, maxModelLen })
  const server = serverArguments(given, traits, card, rules)
  if (option.flag('enable-hierarchical-cache') === true)
    assumptions.push('the hierarchical cache keeps its pages in host memory: nothing more on the GPU')
  reader.fill('memoryFraction', server.fraction, server.note)
  reader.fill('maxNumBatchedTokens', server.chunk > 0 ? server.chunk : (offValue(option) ?? -1), chunkNote(given, card))
  const dtype = computeDtype(reader.text('dtype'), input.shape)
  reader.fill('dtype', dtype, "the checkpoint's dtype", 'model-config')
  return {
    reader,
    option,
    traits,
    given,
    card,
    rules,
    server,
    gpus: tensor * pipeline * dataParallel,
    dataParallel,
    expertParallel: expertRanks(input, reader),
    dtype,
    quantization: reader.text('quantization'),
    kvDtype: reader.text('kvCacheDtype') ?? 'auto',
    maxModelLen,
    context,
    offloadBytes: reader.size('cpuOffloadBytes') ?? 0,
    loras:
      option.flag('enable-lora') === true || option.has('lora-paths')
        ? { slots: reader.count('maxLoras') ?? 8, rank: reader.count('maxLoraRank') ?? 16 }
        : null,
    assumptions,
  }
}

/** A chunk size of 0 or less as it was written; null when chunks are on. */
function offValue(option: OptionReader): number | null {
  const text = option.text('chunked-prefill-size')?.trim() ?? ''
  return /^-?\d{1,9}$/.test(text) && Number(text) <= 0 ? Number(text) : null
}

function chunkNote(given: Given, card: Card): string {
  if (given.chunk !== null)
    return given.chunk === 0 ? 'chunked prefill off' : `each of ${given.attentionData} attention ranks takes its part`
  return card.mib === null ? 'SGLang default; the card is not known' : 'SGLang default for this card'
}

function expertRanks(input: EngineInput, reader: SettingsReader): number {
  const value = input.settings.expertParallel?.value
  if (value === undefined || typeof value === 'boolean') return 1
  return reader.count('expertParallel') ?? 1
}

function cardOf(input: EngineInput): Card {
  const { gpu } = input
  const capability =
    gpu?.maker === 'NVIDIA' && gpu.computeCapability !== null ? Math.round(Number(gpu.computeCapability) * 10) : null
  const bytes = gpu === null ? 0 : gpu.driverBytes > 0 ? gpu.driverBytes : gpu.memoryBytes
  return { mib: bytes > 0 ? Math.round(bytes / MiB) : null, capability, amd: gpu?.maker === 'AMD' }
}

interface Ranks {
  readonly tensor: number
  readonly pipeline: number
  readonly attentionData: number
  readonly maxModelLen: number
}

function givenOf(
  input: EngineInput,
  reader: SettingsReader,
  option: OptionReader,
  traits: Traits,
  card: Card,
  ranks: Ranks,
): Given {
  const off = (name: string): boolean => option.flag(name) === true
  const languageOnly = off('language-only') || off('language-model-only')
  const multimodal =
    traits.multimodal && (!traits.multimodalByRequest || off('enable-multimodal')) && !off('language-model-only')
  const chunkOff = offValue(option) !== null
  const maxRunning = reader.count('maxNumSeqs')
  const prefillBackend = option.text('cuda-graph-backend-prefill')
  const speculation = option.text('speculative-algorithm')?.toUpperCase() ?? null
  const disaggregation = option.text('disaggregation-mode')
  const backend = option.text('attention-backend')
  return {
    tensor: ranks.tensor,
    pipeline: ranks.pipeline,
    attentionData: ranks.attentionData,
    chunk: chunkOff ? 0 : reader.count('maxNumBatchedTokens'),
    fraction: reader.fraction('memoryFraction', 'mem-fraction-static'),
    maxRunning,
    maxPrefillTokens: option.count('max-prefill-tokens') ?? 16384,
    maxTotalTokens: option.count('max-total-tokens'),
    decodeBatch:
      largestOf(input, 'cuda-graph-bs-decode') ??
      largestOf(input, 'cuda-graph-bs') ??
      option.count('cuda-graph-max-bs-decode') ??
      option.count('cuda-graph-max-bs'),
    prefillBatch: largestOf(input, 'cuda-graph-bs-prefill') ?? option.count('cuda-graph-max-bs-prefill'),
    eager: off('disable-cuda-graph') || input.settings.enforceEager?.value === true,
    decodeGraphs: !off('disable-decode-cuda-graph'),
    prefillGraphs:
      off('disable-prefill-cuda-graph') || prefillBackend === 'disabled'
        ? false
        : prefillBackend === null
          ? null
          : true,
    speculation: speculation === 'NONE' ? null : speculation,
    draftTokens: reader.count('speculativeTokens') ?? draftTokensOf(speculation, traits.modelType),
    deepep: option.text('moe-a2a-backend') === 'deepep' || off('enable-deepep-moe'),
    twoBatchOverlap: off('enable-two-batch-overlap'),
    decodeContextRanks: option.count('dcp-size') ?? 1,
    disaggregation: disaggregation === 'prefill' || disaggregation === 'decode' ? disaggregation : null,
    multimodal,
    languageOnly,
    contextLength: ranks.maxModelLen,
    aiter: card.amd && (backend === null || backend === 'aiter'),
    aiterHonorsExplicit: isSet(input.environment['SGLANG_AITER_HONOR_EXPLICIT_MEM_FRACTION']),
    postCapture: isSet(input.environment['SGLANG_ENABLE_POST_CAPTURE_KV_SIZING']) && !card.amd && !traits.latent,
    visionFactor: visionFactor(input.facts.config),
    llama2: input.facts.id.toLowerCase().includes('llama-2'),
  }
}

/** Draft tokens where they are not given: 12 for n-grams, 8 for EAGLE on Llama, else 4. */
function draftTokensOf(speculation: string | null, modelType: string): number {
  if (speculation === null || speculation === 'NONE') return 1
  return speculation === 'NGRAM' ? 12 : speculation === 'EAGLE' && modelType === 'llama' ? 8 : 4
}

const isSet = (value: string | undefined): boolean => value === '1' || value?.toLowerCase() === 'true'

/** The largest of a list of batch sizes; null when it is not given. Its words may hold several. */
function largestOf(input: EngineInput, name: string): number | null {
  const value = input.options[name]?.value
  const words = typeof value === 'string' ? value.split(/[\s,]+/) : typeof value === 'object' ? value : []
  const numbers = words.map(Number).filter(n => Number.isSafeInteger(n) && n > 0)
  return numbers.length === 0 ? null : Math.max(...numbers)
}
