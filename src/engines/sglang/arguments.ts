import { rounded } from '../../units/rounding.ts'
import type { SglangRules } from './release.ts'
import type { Traits } from './traits.ts'

/** What the command line says; null where it says nothing. */
export interface Given {
  readonly tensor: number
  readonly pipeline: number
  /** Ranks that share the tensor ranks for attention; 1: none. */
  readonly attentionData: number
  /** 0: switched off. */
  readonly chunk: number | null
  readonly fraction: number | null
  readonly maxRunning: number | null
  readonly maxPrefillTokens: number
  readonly maxTotalTokens: number | null
  readonly decodeBatch: number | null
  readonly prefillBatch: number | null
  /** --disable-cuda-graph, which early releases leave out of the sum. */
  readonly eager: boolean
  readonly decodeGraphs: boolean
  /** Null: as the release and the model have it. */
  readonly prefillGraphs: boolean | null
  readonly speculation: string | null
  readonly draftTokens: number
  readonly deepep: boolean
  readonly twoBatchOverlap: boolean
  readonly decodeContextRanks: number
  readonly disaggregation: 'prefill' | 'decode' | null
  readonly multimodal: boolean
  readonly languageOnly: boolean
  readonly contextLength: number | null
  /** The AMD backend, on cards that have it. */
  readonly aiter: boolean
  readonly aiterHonorsExplicit: boolean
  readonly postCapture: boolean
  readonly visionFactor: number | null
  /** "meta-llama/Llama-2-7b": caps the prefill graphs. */
  readonly llama2: boolean
}

export interface Card {
  /** Driver memory in MiB; null unknown. */
  readonly mib: number | null
  /** Compute capability times ten; null for other makers. */
  readonly capability: number | null
  readonly amd: boolean
}

/** What SGLang makes of it. */
export interface ServerArguments {
  /** Tokens of one prefill chunk of one attention rank; 0: off. */
  readonly chunk: number
  /** Largest batch of the decode graphs; 0: none. */
  readonly decodeBatch: number
  /** Largest token count of the prefill graphs; 0: none. */
  readonly prefillTokens: number
  readonly fraction: number
  /** How the fraction came about. */
  readonly note: string
}

interface CardClass {
  readonly below: number
  readonly chunk: number
  readonly batch: number
  readonly wide: number
}

const CLASSES: readonly CardClass[] = [
  { below: 20480, chunk: 2048, batch: 8, wide: 8 },
  { below: 35840, chunk: 4096, batch: 48, wide: 160 },
  { below: 61440, chunk: 4096, batch: 32, wide: 160 },
  { below: 92160, chunk: 8192, batch: 256, wide: 512 },
  { below: 163840, chunk: 8192, batch: 256, wide: 512 },
  { below: Number.POSITIVE_INFINITY, chunk: 16384, batch: 512, wide: 512 },
]
const OLD_MIDDLE: CardClass = { below: 35840, chunk: 2048, batch: 24, wide: 80 }
const UNKNOWN: CardClass = { below: Number.NaN, chunk: 4096, batch: 160, wide: 160 }

/** Resolves chunk, graphs and fraction as the release does (SGLang 0.4.3 to 0.5.23, server_args.py). */
export function serverArguments(given: Given, traits: Traits, card: Card, rules: SglangRules): ServerArguments {
  const size = classOf(card.mib, rules)
  const whole = given.chunk ?? defaultChunk(card.mib, size, rules)
  const batch = decodeBatchOf(given, traits, card, size)
  const prefillTokens = prefillTokensOf(given, traits, card, rules, whole)
  const { fraction, note } = fractionOf(given, traits, card, rules, { chunk: whole, batch, prefillTokens })
  const chunk = dividedChunk(whole, given, rules)
  return { chunk, decodeBatch: given.decodeGraphs && !given.eager ? batch : 0, prefillTokens, fraction, note }
}

function classOf(mib: number | null, rules: SglangRules): CardClass {
  if (mib === null) return UNKNOWN
  const found = CLASSES.find(one => mib < one.below)!
  return found.below === 35840 && !rules.middleBand ? OLD_MIDDLE : found
}

function defaultChunk(mib: number | null, size: CardClass, rules: SglangRules): number {
  if (mib === null || rules.chunks === 'by-class') return size.chunk
  if (rules.chunks === 'by-25000-mib') return mib < 25000 ? 2048 : 8192
  return mib < 35840 ? 2048 : mib < 163840 ? 8192 : 16384
}

/** Attention ranks share the chunk. */
function dividedChunk(chunk: number, given: Given, rules: SglangRules): number {
  if (given.attentionData <= 1 || chunk <= 0) return chunk
  return rules.halvesChunk ? Math.floor(chunk / 2) : Math.floor(chunk / given.attentionData)
}

function decodeBatchOf(given: Given, traits: Traits, card: Card, size: CardClass): number {
  if (given.decodeBatch !== null) return given.decodeBatch
  const batch = given.tensor < 4 ? size.batch : size.wide
  if (given.maxRunning === null) return batch
  const qwenVision = traits.modelType.startsWith('qwen3_vl') && card.capability === 90 && (card.mib ?? 0) >= 61440
  if (qwenVision && given.maxRunning <= 512) return given.maxRunning
  return Math.min(batch, given.maxRunning)
}

function prefillTokensOf(given: Given, traits: Traits, card: Card, rules: SglangRules, chunk: number): number {
  if (!rules.prefillGraphs || given.prefillGraphs === false || (given.eager && rules.eagerCounts)) return 0
  // without chunks a plain model has nothing to capture, latent attention captures its own largest count
  if (chunk <= 0 && !traits.latent) return 0
  if (given.attentionData > 1 && !rules.prefillGraphsWithAttentionData) return 0
  if (given.speculation !== null && !rules.prefillGraphsWithSpeculation) return 0
  const off =
    given.pipeline > 1 ||
    (given.multimodal && !traits.keepsPrefillGraphs) ||
    traits.delta ||
    traits.compressed ||
    given.decodeContextRanks > 1 ||
    given.twoBatchOverlap ||
    given.disaggregation === 'decode' ||
    card.amd
  if (off && given.prefillGraphs !== true) return 0
  let tokens = given.prefillBatch ?? (traits.latent ? Math.min(8192, chunk > 0 ? chunk : 8192) : chunk)
  if (given.pipeline > 1) tokens = Math.min(tokens, 8192)
  if (given.maxTotalTokens !== null) tokens = Math.min(tokens, given.maxTotalTokens)
  if (given.deepep) tokens = Math.min(tokens, 2048)
  return given.llama2 ? Math.min(tokens, 4096) : tokens
}

/** Ends and steps of the token counts that prefill graphs are captured for. */
const PREFILL_STEPS = [
  [32, 4],
  [256, 16],
  [512, 32],
  [1024, 64],
  [4096, 256],
] as const

/** How many prefill graphs are captured for counts up to `tokens`. */
export function prefillGraphCount(tokens: number): number {
  let graphs = 0
  let start = 0
  for (const [end, step] of PREFILL_STEPS) {
    const upTo = Math.min(tokens, end)
    if (upTo > start) graphs += Math.floor((upTo - start) / step)
    start = end
  }
  return tokens > start ? graphs + Math.floor((tokens - start) / 512) : graphs
}

interface Sizes {
  readonly chunk: number
  readonly batch: number
  readonly prefillTokens: number
}

function fractionOf(
  given: Given,
  traits: Traits,
  card: Card,
  rules: SglangRules,
  sizes: Sizes,
): { readonly fraction: number; readonly note: string } {
  const aiter = given.aiter && (given.contextLength ?? 0) > 8192
  if (given.fraction !== null) {
    const lowered = aiter && !given.aiterHonorsExplicit
    return { fraction: given.fraction * (lowered ? 0.85 : 1), note: lowered ? 'as given, x 0.85 on AMD' : 'as given' }
  }
  const { mib } = card
  const plain = mib === null ? { fraction: 0.95, note: 'card not known' } : byCard(given, traits, mib, rules, sizes)
  let { fraction, note } = plain
  if (given.multimodal && !given.languageOnly && given.disaggregation !== 'decode' && !given.postCapture) {
    if (rules.vision === 'flat') return { fraction: 0.9, note: 'flat for vision models' }
    if (rules.vision === 'factor' && given.visionFactor !== null) {
      fraction *= given.visionFactor
      note += `, x ${given.visionFactor.toFixed(4)} for the vision tower`
    }
  }
  return aiter ? { fraction: fraction * 0.85, note: `${note}, x 0.85 on AMD` } : { fraction, note }
}

const BY_RANKS = [
  [16, 0.79],
  [8, 0.81],
  [4, 0.85],
  [2, 0.87],
] as const

function byCard(
  given: Given,
  traits: Traits,
  mib: number,
  rules: SglangRules,
  sizes: Sizes,
): { readonly fraction: number; readonly note: string } {
  const byRanks = BY_RANKS.find(([ranks]) => given.tensor >= ranks)?.[1] ?? 0.88
  if (rules.fraction === 'by-ranks' || (rules.fraction === 'by-ranks-or-13-gib' && mib <= 81920))
    return { fraction: byRanks, note: `for ${given.tensor} tensor ranks` }
  if (rules.fraction === 'by-ranks-or-13-gib')
    return { fraction: (mib - 13312) / mib, note: `(${mib} - 13312) / ${mib} MiB` }
  const reserve =
    rules.fraction === 'by-class' ? classReserve(given, mib, rules) : sumReserve(given, traits, mib, rules, sizes)
  return { fraction: rounded((mib - reserve) / mib, 3), note: `(${mib} - ${reserve}) / ${mib} MiB` }
}

function draftReserve(given: Given, rules: SglangRules): number {
  if (given.speculation === null) return 0
  const { standalone, other, ngram } = rules.draftReserve
  if (given.speculation === 'STANDALONE') return standalone
  return given.speculation === 'NGRAM' && !ngram ? 0 : other
}

function classReserve(given: Given, mib: number, rules: SglangRules): number {
  const ranks = given.tensor * given.pipeline
  const gib = mib < 35840 ? 2.8 + ranks / 10 : mib < 92160 ? 9.5 + ranks / 2 : mib < 163840 ? 12 + ranks / 2 : 32
  return (gib + (given.attentionData > 1 ? 4 : 0)) * 1024 + draftReserve(given, rules)
}

function sumReserve(given: Given, traits: Traits, mib: number, rules: SglangRules, sizes: Sizes): number {
  const ranks = given.tensor * given.pipeline
  if (given.postCapture) return 1536 + 128 * ranks
  const { chunk, batch, prefillTokens } = sizes
  const decode = given.disaggregation === 'decode'
  const tokens = decode ? (given.maxRunning ?? batch) * given.draftTokens : chunk > 0 ? chunk : given.maxPrefillTokens
  let reserve = 512 + 1.5 * Math.max(tokens, 2048) + 128 * ranks
  const graphs = given.decodeGraphs && !(given.eager && rules.eagerCounts)
  const width = given.attentionData
  if (given.disaggregation !== 'prefill') {
    if (graphs) reserve += 2 * batch
    if (width > 1) reserve += 3 * batch * width + (batch > 300 ? 1.5 * batch * width : 0)
  }
  if (prefillTokens > 0 && !decode) {
    // the all-to-all of deepep captures only the counts that are multiples of 8: four fewer
    const graphsMade = prefillGraphCount(prefillTokens) - (given.deepep && rules.deepep ? 4 : 0)
    reserve += traits.latent ? 1536 : 8 * graphsMade
    if (given.deepep && rules.deepep) reserve += 1024
  }
  if (mib > 61440) reserve = Math.max(reserve, 10240)
  if (given.deepep && rules.deepep && graphs) reserve += 2048
  return reserve + draftReserve(given, rules)
}
