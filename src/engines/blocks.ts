import { stagesOf } from '../memory/shares.ts'
import type { CacheSpec, ModelShape } from '../models/shape.ts'
import { stateBytes } from './vllm/kv/state.ts'

/** What decides a cache kept in blocks of tokens. */
export interface BlockSettings {
  /** Ranks that divide the KV heads. */
  readonly ranks: number
  readonly pipeline: number
  /** Bytes of an element. */
  readonly elementBytes: number
  /** Bytes a head and token more on either side, for scales of quantised keys and values. */
  readonly scaleBytes: number
  /** Tokens of a block. */
  readonly block: number
  /** Windows of the layers, repeated over them, where the engine is told; else whether the model's own are kept to. */
  readonly windows: boolean | readonly number[]
  /** Beams of a request, each with a cache of its own. */
  readonly beams: number
}

/** A stage's cache on one rank: bytes of a token by how far layers look back, and of the recurrent state. */
export interface StageCache {
  readonly full: number
  readonly windows: readonly { readonly tokens: number; readonly bytes: number }[]
  readonly state: number
}

/** The caches of every pipeline stage, equal layers together. */
export function stageCaches(shape: ModelShape, s: BlockSettings): StageCache[] {
  const kinds = shape.layers.kinds.map(kind => kind.cache.map(spec => cacheOf(spec, s)))
  return stagesOf(shape, s.pipeline).map(({ first, count }) => {
    let full = 0
    let state = 0
    const windows = new Map<number, number>()
    for (let layer = first; layer < first + count; layer++)
      for (const cache of kinds[shape.layers.order[layer]!]!) {
        state += cache.state
        const window = typeof s.windows === 'boolean' ? cache.window : s.windows[layer % s.windows.length]!
        if (window === null) full += cache.bytes
        else windows.set(window, (windows.get(window) ?? 0) + cache.bytes)
      }
    return { full, state, windows: [...windows].map(([tokens, bytes]) => ({ tokens, bytes })) }
  })
}

interface Cache {
  readonly bytes: number
  readonly window: number | null
  readonly state: number
}

function cacheOf(spec: CacheSpec, s: BlockSettings): Cache {
  const attention = (bytes: number, window: number | null = null): Cache => ({
    bytes: bytes * s.beams,
    window: s.windows === true ? window : null,
    state: 0,
  })
  switch (spec.kind) {
    case 'full':
    case 'sliding':
    case 'chunked':
    case 'cross': {
      const heads = Math.max(1, Math.floor(spec.kvHeads / s.ranks))
      const bytes = heads * ((spec.keyDim + spec.valueDim) * s.elementBytes + 2 * s.scaleBytes)
      // cross attention keeps as many tokens as the encoder gives, whatever the request
      if (spec.kind === 'cross') return { bytes: 0, window: null, state: bytes * spec.encoderTokens }
      return attention(bytes, spec.kind === 'sliding' ? spec.window : spec.kind === 'chunked' ? spec.chunk : null)
    }
    case 'mla':
      return attention((spec.latent + spec.rope) * s.elementBytes, spec.window ?? null)
    case 'indexer':
      return attention(spec.dim + 4 * Math.ceil(spec.dim / 128))
    case 'compressed-mla':
      return attention((spec.headDim + spec.rope + 8) / Math.max(1, spec.ratio))
    default:
      return {
        bytes: 0,
        window: null,
        state: s.beams * stateBytes(spec, { tensor: s.ranks, convBytes: 2, ssmBytes: 4, extraTokens: 0 }),
      }
  }
}

/** KV bytes of one request of `length` tokens, in whole blocks. */
export function kvBytes(cache: StageCache, length: number, block: number): number {
  const tokens = Math.ceil(length / block) * block
  let bytes = tokens * cache.full
  for (const window of cache.windows)
    bytes += Math.min(tokens, (Math.ceil(window.tokens / block) + 1) * block) * window.bytes
  return Math.ceil(bytes)
}

/** The longest request up to `limit` whose cache fits into `room` bytes; 0 when not one token does. */
export function longestIn(cache: StageCache, limit: number, room: number, block: number): number {
  const fits = (length: number): boolean => kvBytes(cache, length, block) + cache.state <= room
  if (fits(limit)) return limit
  let low = 0
  let high = limit
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (fits(middle)) low = middle
    else high = middle
  }
  return low
}
