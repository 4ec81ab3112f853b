import { stagesOf } from '../../memory/shares.ts'
import type { CacheSpec, LayerStack, ModelShape } from '../../models/shape.ts'
import { stateBytes } from '../vllm/kv/state.ts'
import { isState, type Traits } from './traits.ts'

/** What decides the pool beside the memory. */
export interface PoolSettings {
  /** Ranks that divide attention: tensor ranks over attention data ranks. */
  readonly attentionRanks: number
  readonly attentionData: number
  readonly pipeline: number
  /** Bytes of an element of the KV cache. */
  readonly elementBytes: number
  readonly page: number
  /** Latent attention with a sparse indexer in fp8: 656 B a token and layer (Hopper's layout), else the plain width. */
  readonly packedLatent: boolean
  readonly windowRatio: number
  readonly hybridWindows: boolean
  readonly radixCache: boolean
  readonly overlap: boolean
  readonly maxRunning: number | null
  readonly maxTotalTokens: number | null
  readonly chunk: number
  readonly contextLength: number
  readonly draftTokens: number
  readonly draftLayers: number
  /** Without speculation of another method: 48 requests at once. */
  readonly runningDefault: number | null
  readonly stateRatio: number
  readonly stateSlots: number | null
  readonly ssmBytes: number
  /** Slots a request takes; see `slotsPerRequest`. */
  readonly slotsPerRequest: number
}

/** Per-token bytes of one pipeline stage on one rank. */
export interface TokenBytes {
  /** Of all layers that keep every token. */
  readonly full: number
  /** Of all layers that keep a window; 0 when they have no pool of their own. */
  readonly window: number
  readonly windowTokens: number
  /** Of one token in the pool, windows by their ratio and draft layers included. */
  readonly perToken: number
  /** Recurrent state of one slot. */
  readonly state: number
  /** Kept beside the pool for the requests that may run at once. */
  readonly fixed: number
}

/** The pool a rank makes, and what it serves. */
export interface Pool {
  /** Tokens that full-attention layers keep. */
  readonly tokens: number
  readonly slots: number | null
  readonly maxRunning: number
  readonly problem: 'no-memory' | 'no-tokens' | 'no-slots' | 'window-too-small' | null
}

/** Slots a request takes (SGLang 0.5.23, its memory pool): 5 by default, 4 without overlap or lazily, 3 without the buffer, 1 without prefix cache. */
export function slotsPerRequest(
  strategy: string | null,
  switchedOff: boolean,
  overlap: boolean,
  radixCache: boolean,
): number {
  if (!radixCache) return 1
  if (strategy === 'no_buffer' || (switchedOff && !strategy?.startsWith('extra_buffer'))) return 3
  return strategy === 'extra_buffer_lazy' || !overlap ? 4 : 5
}

/** Bytes of a token and of a state slot, by pipeline stage. */
export function tokenBytes(shape: ModelShape, traits: Traits, s: PoolSettings): TokenBytes[] {
  const kinds = shape.layers.kinds.map(kind => kindBytes(kind.cache, traits, s))
  if (traits.windowPool && !s.hybridWindows) asFullLayers(shape, kinds, s)
  const stages = stagesOf(shape, s.pipeline).map(({ first, count }) => {
    const sum = { full: 0, window: 0, windowTokens: 0, fullLayers: 0, layers: 0, state: 0, request: 0 }
    for (let layer = first; layer < first + count; layer++) {
      const kind = kinds[shape.layers.order[layer]!]!
      sum.full += kind.full
      sum.window += kind.window
      sum.windowTokens = Math.max(sum.windowTokens, kind.windowTokens)
      sum.state += kind.state
      sum.request += kind.request
      if (kind.full > 0) sum.fullLayers++
      if (kind.full + kind.window > 0) sum.layers++
    }
    return sum
  })
  const state = Math.max(0, ...stages.map(stage => stage.state))
  const running = Math.floor((s.maxRunning ?? s.runningDefault ?? 0) / s.attentionData)
  return stages.map(({ full, window, windowTokens, fullLayers, layers, request }) => {
    const own = full + s.windowRatio * window
    // draft layers are as wide as the model's full ones
    const [bytes, of] = window > 0 ? [full, fullLayers] : [own, layers]
    const draft = s.draftLayers > 0 && of > 0 ? Math.floor((bytes * s.draftLayers) / of) : 0
    return {
      full: full + draft,
      window,
      windowTokens,
      perToken: own + draft,
      state,
      fixed: request > 0 ? (running + SPARE) * request : 0,
    }
  })
}

/** Without a pool of their own, window layers are kept as wide as the full ones. */
function asFullLayers(shape: ModelShape, kinds: KindBytes[], s: PoolSettings): void {
  const full = shape.layers.kinds.flatMap(kind => kind.cache).find(spec => spec.kind === 'full')
  if (full === undefined) return
  const bytes = specBytes(full, s)
  for (const kind of kinds) if (kind.full > 0) kind.full = bytes
}

interface KindBytes {
  full: number
  window: number
  windowTokens: number
  state: number
  request: number
}

function kindBytes(cache: readonly CacheSpec[], traits: Traits, s: PoolSettings): KindBytes {
  const sum: KindBytes = { full: 0, window: 0, windowTokens: 0, state: 0, request: 0 }
  const exclusive = EXCLUSIVE_WINDOW.test(traits.modelType) ? 1 : 0
  const pooled = traits.windowPool && s.hybridWindows
  for (const spec of cache) {
    if (isState(spec)) {
      sum.state += slotBytes(spec, s)
      continue
    }
    const bytes = specBytes(spec, s)
    if (spec.kind === 'compressed-mla') sum.request += compressorBytes(spec)
    const reach = spec.kind === 'sliding' ? spec.window - exclusive : spec.kind === 'chunked' ? spec.chunk : null
    if (pooled && reach !== null) {
      sum.window += bytes
      sum.windowTokens = Math.max(sum.windowTokens, reach)
    } else sum.full += bytes
  }
  return sum
}

/** Models whose window does not count the token itself: SGLang keeps one token fewer than their config says. */
const EXCLUSIVE_WINDOW = /^(?:gpt_oss|gemma)/

/** State of one slot in one layer: the convolution in 16 bits, the recurrent part in fp32 unless asked otherwise. */
function slotBytes(spec: CacheSpec, s: PoolSettings): number {
  const settings = { tensor: s.attentionRanks, convBytes: 2, ssmBytes: s.ssmBytes, extraTokens: 0 }
  const bytes = stateBytes(spec, settings)
  if (spec.kind !== 'kda') return bytes
  // the shared rule has fp32 here
  return bytes - Math.ceil(spec.heads / s.attentionRanks) * spec.headDim ** 2 * (4 - s.ssmBytes)
}

/** Bytes of one token in one layer on one rank. */
function specBytes(spec: CacheSpec, s: PoolSettings): number {
  switch (spec.kind) {
    case 'full':
    case 'sliding':
    case 'chunked':
      return Math.max(1, Math.floor(spec.kvHeads / s.attentionRanks)) * (spec.keyDim + spec.valueDim) * s.elementBytes
    case 'mla':
      return s.packedLatent
        ? spec.latent + 4 * Math.ceil(spec.latent / 128) + 2 * spec.rope
        : (spec.latent + spec.rope) * s.elementBytes
    case 'indexer':
      return spec.dim + 4 * Math.ceil(spec.dim / 128)
    case 'compressed-mla':
      return compressedBytes(spec, s)
    default:
      return 0
  }
}

/** Pages of DeepSeek-V4 hold 256 tokens and are rounded up to 576 B. */
const COMPRESSED_PAGE = 256

/**
 * DeepSeek-V4 by its own pool: every layer keeps a window of latents (fp8, rotary part in 16 bits, scales) by the ratio of
 * windows; layers with a compression ratio keep one latent for `ratio` tokens. At ratio 4 an indexer key lies beside it,
 * and 8 slots a window page hold the compressor's fp32 inputs: keys and scores, twice for the overlap.
 */
function compressedBytes(spec: Extract<CacheSpec, { kind: 'compressed-mla' }>, s: PoolSettings): number {
  const latent = spec.headDim - spec.rope + 2 * spec.rope + 8
  const padded = (tokens: number): number => (Math.ceil((tokens * latent) / 576) * 576) / tokens
  const window = s.windowRatio * padded(COMPRESSED_PAGE)
  if (spec.ratio <= 0) return window
  const kept = padded(Math.max(1, COMPRESSED_PAGE / spec.ratio)) / spec.ratio
  if (spec.ratio !== 4) return window + kept
  const index = (spec.indexDim + 4 * Math.ceil(spec.indexDim / 128)) / spec.ratio
  const inputs = (8 / COMPRESSED_PAGE) * 2 * 2 * (spec.headDim + spec.indexDim) * 4
  return window + kept + index + s.windowRatio * inputs
}

/** A layer of high ratio keeps the compressor's inputs of a whole group, keys and scores in fp32, for each request. */
const compressorBytes = (spec: Extract<CacheSpec, { kind: 'compressed-mla' }>): number =>
  spec.ratio > 4 ? spec.ratio * 2 * spec.headDim * 4 : 0

/** Requests for which that is kept beyond those that may run (the rows' pools fit with three). */
const SPARE = 3

/** Layers of a draft model that keep keys and values. */
export function draftLayersOf(stack: LayerStack): number {
  return stack.order.filter(kind => stack.kinds[kind]!.cache.length > 0).length
}

const wholePages = (tokens: number, page: number): number => Math.floor(tokens / page) * page

/** The pool that one rank makes of a budget in bytes (SGLang 0.5.23, its memory pool). */
export function poolOf(budget: number, t: TokenBytes, s: PoolSettings): Pool {
  const empty = (problem: Pool['problem'], slots: number | null = null): Pool => ({
    tokens: 0,
    slots,
    maxRunning: 0,
    problem,
  })
  let left = budget - t.fixed
  let slots: number | null = null
  if (t.state > 0) {
    const states = statePool(budget, t.state, s)
    if (states.slots <= 0) return empty('no-slots')
    slots = states.slots
    left -= states.bytes
  }
  if (left <= 0) return empty('no-memory', slots)
  const { tokens, problem } = tokensOf(left, t, s)
  if (problem !== null) return empty(problem, slots)
  if (slots !== null && slots < s.slotsPerRequest) return { tokens, slots, maxRunning: 0, problem: 'no-slots' }
  return { tokens, slots, maxRunning: runningOf(tokens, slots, s), problem: null }
}

function statePool(budget: number, state: number, s: PoolSettings): { readonly slots: number; readonly bytes: number } {
  const share = (budget * s.stateRatio) / (1 + s.stateRatio)
  const { draftTokens: d, slotsPerRequest: h } = s
  const drafts = s.draftLayers > 0 || d > 1 ? d : 0
  const asked = s.stateSlots !== null ? Math.floor(s.stateSlots / s.attentionData) : null
  const fixed = !s.radixCache && s.maxRunning !== null ? Math.floor(s.maxRunning / s.attentionData) : null
  const solved =
    drafts > 0
      ? Math.floor((share - state * (1 + drafts)) / (state * (1 + drafts / h)))
      : Math.floor((share - state) / state)
  const slots = asked ?? fixed ?? solved
  const running = s.maxRunning ?? s.runningDefault ?? Number.POSITIVE_INFINITY
  const requests = Math.min(Math.floor(running / s.attentionData), Math.floor(slots / h))
  return { slots, bytes: (slots + 1) * state + (drafts > 0 ? state * drafts * (requests + 1) : 0) }
}

function tokensOf(
  budget: number,
  t: TokenBytes,
  s: PoolSettings,
): { readonly tokens: number; readonly problem: Pool['problem'] } {
  let tokens: number
  if (t.window > 0 && !s.radixCache && s.maxRunning !== null && s.chunk > 0) {
    const need = windowNeed(t.windowTokens, s)
    const rest = budget - need * t.window
    if (rest <= 0) return { tokens: 0, problem: 'no-memory' }
    tokens = t.full > 0 ? wholePages(Math.floor(rest / t.full), s.page) : need
  } else tokens = t.perToken > 0 ? wholePages(Math.floor(budget / t.perToken), s.page) : s.contextLength * 4096
  if (s.maxTotalTokens !== null) tokens = Math.min(tokens, wholePages(s.maxTotalTokens, s.page))
  if (tokens <= 0) return { tokens: 0, problem: 'no-tokens' }
  if (
    t.window > 0 &&
    (s.radixCache || s.maxRunning === null) &&
    wholePages(Math.floor(tokens * s.windowRatio), s.page) <= t.windowTokens + s.page
  )
    return { tokens: 0, problem: 'window-too-small' }
  return { tokens, problem: null }
}

/** Tokens of the window pool where it is a fixed need: without prefix cache and with a given number of requests. */
function windowNeed(window: number, s: PoolSettings): number {
  const requests = Math.max(1, Math.floor((s.maxRunning ?? 1) / s.attentionData))
  const drafted = s.draftTokens > 1
  const each = window + 128 * Math.max(1, s.draftTokens) + s.page + (drafted ? 2 * s.draftTokens : s.page)
  return requests * each + (s.overlap ? 2 : 1) * s.chunk + s.page
}

/** Requests that run at once on one data rank. */
function runningOf(tokens: number, slots: number | null, s: PoolSettings): number {
  const half = Math.floor(tokens / 2)
  const given = s.maxRunning ?? s.runningDefault
  const byLength = Math.min(4096, Math.max(2048, Math.floor((tokens / s.contextLength) * 512)))
  const running =
    given === null ? Math.min(byLength, half) : Math.min(Math.max(1, Math.floor(given / s.attentionData)), half)
  return slots === null ? running : Math.min(running, Math.floor(slots / s.slotsPerRequest))
}
