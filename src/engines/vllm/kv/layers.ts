import { stagesOf } from '../../../memory/shares.ts'
import type { CacheSpec, LayerStack, ModelShape } from '../../../models/shape.ts'
import { type KvFormat, tokenBytes } from './format.ts'
import { stateBytes } from './state.ts'

/** How many tokens of a request a layer keeps, which decides its blocks. */
export type Reach =
  | { readonly kind: 'full' }
  | { readonly kind: 'sliding'; readonly window: number }
  | { readonly kind: 'chunked'; readonly chunk: number }
  | { readonly kind: 'cross'; readonly encoderTokens: number }
  | { readonly kind: 'state' }

/** One kind of cache of a layer, on one tensor rank, with the layers of every pipeline stage that have it. */
export interface CacheLayer {
  readonly reach: Reach
  /** Latent attention cannot be padded, nor its block grow, where a plain one can. */
  readonly latent: boolean
  /** Bytes a token for attention; bytes of the whole state for recurrent layers. */
  readonly bytes: number
  /** Tokens of one block, where the kind has its own; null: the model's block. */
  readonly ownBlock: number | null
  /** Bytes of a block where they are no multiple of the token's (packed formats round up). */
  readonly ownPage: number | null
  /** Recurrent layers: state blocks for prefill checkpoints beside the running ones. */
  readonly checkpoints: number
  /** Layers that keep this, by pipeline stage. */
  readonly counts: readonly number[]
}

/** What of the settings decides a layer's cache. */
export interface LayerSettings {
  readonly tensor: number
  readonly pipeline: number
  readonly format: KvFormat
  /** Format of layers that keep the model's dtype (skip lists, the ends under turboquant). */
  readonly plain: KvFormat
  /** Attention layers, by index among all layers, that keep the model's dtype; empty for most. */
  readonly skipped: ReadonlySet<number>
  readonly skipWindows: boolean
  readonly convBytes: number
  readonly ssmBytes: number
  readonly speculativeTokens: number
  /** Compute capability times ten: 90 for Hopper; null unknown. */
  readonly capability: number | null
  readonly stateCheckpoints: boolean
  /** Prediction or draft layers that the last stage keeps besides, each with its number. */
  readonly drafts: readonly LayerStack[]
}

/** The caches of all layers, equal ones together. */
export function cacheLayers(shape: ModelShape, s: LayerSettings): CacheLayer[] {
  const found = new Map<string, { layer: CacheLayer; counts: number[] }>()
  const add = (spec: CacheSpec, layer: number, stage: number): void => {
    for (const made of describe(spec, s, s.skipped.has(layer) || (s.skipWindows && spec.kind === 'sliding'))) {
      const key = keyOf(made)
      let entry = found.get(key)
      if (entry === undefined) {
        const counts = new Array<number>(s.pipeline).fill(0)
        entry = { layer: { ...made, counts }, counts }
        found.set(key, entry)
      }
      entry.counts[stage]!++
    }
  }
  if (s.skipped.size === 0) addKinds(shape, s, found)
  else
    stagesOf(shape, s.pipeline).forEach(({ first, count }, stage) => {
      for (let layer = first; layer < first + count; layer++)
        for (const spec of shape.layers.kinds[shape.layers.order[layer]!]!.cache) add(spec, layer, stage)
    })
  for (const stack of s.drafts)
    for (const kind of stack.order) for (const spec of stack.kinds[kind]!.cache) add(spec, -1, s.pipeline - 1)
  return [...found.values()].map(entry => entry.layer)
}

/** The usual case: equal kinds of layers are described once and counted by stage. */
function addKinds(
  shape: ModelShape,
  s: LayerSettings,
  found: Map<string, { layer: CacheLayer; counts: number[] }>,
): void {
  const counts = shape.layers.kinds.map(() => new Array<number>(s.pipeline).fill(0))
  stagesOf(shape, s.pipeline).forEach(({ first, count }, stage) => {
    for (let layer = first; layer < first + count; layer++) counts[shape.layers.order[layer]!]![stage]!++
  })
  const seen = new Set<number>()
  for (const kind of shape.layers.order) {
    if (seen.has(kind)) continue
    seen.add(kind)
    for (const spec of shape.layers.kinds[kind]!.cache)
      for (const made of describe(spec, s, s.skipWindows && spec.kind === 'sliding')) {
        const key = keyOf(made)
        const entry = found.get(key)
        if (entry === undefined) {
          const own = [...counts[kind]!]
          found.set(key, { layer: { ...made, counts: own }, counts: own })
        } else for (let stage = 0; stage < s.pipeline; stage++) entry.counts[stage]! += counts[kind]![stage]!
      }
  }
}

type Described = Omit<CacheLayer, 'counts'>

function keyOf(d: Described): string {
  const { reach } = d
  const extent =
    reach.kind === 'sliding'
      ? reach.window
      : reach.kind === 'chunked'
        ? reach.chunk
        : reach.kind === 'cross'
          ? reach.encoderTokens
          : 0
  return `${reach.kind} ${extent} ${d.latent} ${d.bytes} ${d.ownBlock} ${d.ownPage} ${d.checkpoints}`
}

const common = { latent: false, ownBlock: null, ownPage: null, checkpoints: 0 }
const full: Reach = { kind: 'full' }

function describe(spec: CacheSpec, s: LayerSettings, skip: boolean): Described[] {
  const format = skip ? s.plain : s.format
  switch (spec.kind) {
    case 'full':
      return [{ ...common, reach: full, bytes: headBytes(spec, s, format) }]
    case 'sliding':
      return [{ ...common, reach: { kind: 'sliding', window: spec.window }, bytes: headBytes(spec, s, format) }]
    case 'chunked':
      return [{ ...common, reach: { kind: 'chunked', chunk: spec.chunk }, bytes: headBytes(spec, s, format) }]
    case 'cross':
      return [
        { ...common, reach: { kind: 'cross', encoderTokens: spec.encoderTokens }, bytes: headBytes(spec, s, format) },
      ]
    case 'mla':
      return [
        {
          ...common,
          latent: true,
          reach: spec.window === undefined ? full : { kind: 'sliding', window: spec.window },
          bytes: tokenBytes.latent(spec.latent + spec.rope, format),
        },
      ]
    case 'indexer':
      return [{ ...common, latent: true, reach: full, bytes: indexerBytes(spec.dim) }]
    case 'compressed-mla':
      return compressed(spec)
    default:
      return [state(spec, s)]
  }
}

/** Keys and values of one token on one rank: KV heads divided, at least one of them a rank. */
function headBytes(
  spec: { readonly kvHeads: number; readonly keyDim: number; readonly valueDim: number },
  s: LayerSettings,
  format: KvFormat,
): number {
  return Math.max(1, Math.floor(spec.kvHeads / s.tensor)) * tokenBytes.heads(spec.keyDim, spec.valueDim, format)
}

/** fp8 key of the sparse indexer, with an fp32 scale for each 128 elements: 132 B for 128 (vLLM 0.33, v1/kv_cache_interface.py). */
function indexerBytes(dim: number): number {
  return dim + Math.ceil(dim / 128) * 4
}

/**
 * DeepSeek-V4 (vLLM 0.33, v1/kv_cache_interface.py): every layer keeps a window of latents in blocks of 64; layers with a compression ratio
 * keep one latent for `ratio` tokens in blocks of 256 tokens, and the fp32 inputs of the compressor for a window. Ratio 4
 * overlaps its windows (twice the width, window 8) and has an indexer with a compressor of its own. Pages are rounded
 * up to 576 B.
 */
function compressed(spec: Extract<CacheSpec, { kind: 'compressed-mla' }>): Described[] {
  const latentBytes = spec.headDim - spec.rope + 2 * spec.rope + 8
  const page = (bytes: number): number => Math.ceil(bytes / 576) * 576
  const made = (reach: Reach, block: number, pageBytes: number): Described => ({
    reach,
    latent: true,
    bytes: pageBytes / block,
    ownBlock: block,
    ownPage: page(pageBytes),
    checkpoints: 0,
  })
  const window = (tokens: number): Reach => ({ kind: 'sliding', window: tokens })
  const list = [made(window(spec.window), 64, 64 * latentBytes)]
  if (spec.ratio <= 0) return list
  const overlap = spec.ratio === 4 ? 2 : 1
  list.push(made(full, 256, Math.floor(256 / spec.ratio) * latentBytes))
  const block = overlap === 2 ? 4 : 8
  const inputs = (dim: number): number => block * 2 * overlap * dim * 4
  list.push(made(window(spec.ratio * overlap), block, inputs(spec.headDim)))
  if (overlap === 2) {
    list.push(made(full, 256, Math.floor(256 / spec.ratio) * indexerBytes(spec.indexDim)))
    list.push(made(window(spec.ratio * overlap), block, inputs(spec.indexDim)))
  }
  return list
}

function state(spec: CacheSpec, s: LayerSettings): Described {
  const made = stateBytes(spec, {
    tensor: s.tensor,
    convBytes: s.convBytes,
    ssmBytes: s.ssmBytes,
    extraTokens: s.speculativeTokens,
  })
  const checkpoints = s.stateCheckpoints && takesCheckpoints(spec, s.capability) ? 1 : 0
  return { ...common, reach: { kind: 'state' }, bytes: made, checkpoints }
}

/**
 * Mamba-2 kernels can hand out a state in the middle of a prefill, and so can the gated-delta kernel of Hopper and newer
 * for heads of 128; Mamba-1, Kimi delta attention and short convolutions cannot (vLLM 0.33, hybrid models).
 */
function takesCheckpoints(spec: CacheSpec, capability: number | null): boolean {
  if (spec.kind === 'mamba2') return true
  return spec.kind === 'gated-delta' && spec.keyDim === 128 && spec.valueDim === 128 && (capability ?? 90) >= 90
}

/** Does the checkpoint kernel of these layers ask for attention blocks that are multiples of its chunk of 64 tokens? */
export function checkpointAlignment(shape: ModelShape, s: LayerSettings): number {
  if (!s.stateCheckpoints) return 1
  for (const kind of shape.layers.kinds)
    for (const spec of kind.cache) if (spec.kind === 'gated-delta' && takesCheckpoints(spec, s.capability)) return 64
  return 1
}
