import type { KvFormat } from './format.ts'
import type { CacheLayer } from './layers.ts'

export interface BlockSettings {
  /** `--block-size`, null when not given. */
  readonly asked: number | null
  readonly format: KvFormat
  /** Compute capability times ten: 90 for Hopper; null unknown (taken as Hopper). */
  readonly capability: number | null
  readonly stateMode: 'align' | 'none'
  readonly checkpointAlignment: number
  readonly platformMlaBlocks: boolean
}

export interface Blocks {
  readonly block: number
  readonly statePage: number | null
}

/**
 * Tokens of a block and, for models with recurrent state, the page their states are padded to (vLLM 0.33: default
 * block sizes and 3). The attention block grows until one of its pages holds a state.
 */
export function blocksFor(layers: readonly CacheLayer[], headDim: number | null, s: BlockSettings): Blocks {
  const preferred = s.asked ?? preferredBlock(layers, headDim, s)
  const states = layers.filter(layer => layer.reach.kind === 'state')
  const attention = layers.filter(layer => layer.reach.kind !== 'state' && layer.ownBlock === null)
  if (states.length === 0 || attention.length === 0) return { block: preferred, statePage: null }
  const state = Math.max(...states.map(layer => layer.bytes))
  const token = Math.max(...attention.map(layer => layer.bytes))
  const latent = attention.some(layer => layer.latent)
  const kernel = Math.max(preferred, latent ? 128 : 16)
  const step = s.stateMode === 'align' ? leastCommonMultiple(kernel, s.checkpointAlignment) : kernel
  const grown = step * Math.ceil(state / (step * token))
  const block = Math.max(preferred, grown)
  return { block, statePage: block * token }
}

function preferredBlock(layers: readonly CacheLayer[], headDim: number | null, s: BlockSettings): number {
  const capability = s.capability ?? 90
  const latent = layers.some(layer => layer.latent && layer.ownBlock === null && layer.reach.kind === 'full')
  if (layers.some(layer => layer.ownBlock !== null)) return 256 // DeepSeek-V4
  if (latent) {
    if (hasIndexer(layers)) return 64
    if (s.platformMlaBlocks) return capability >= 100 ? 128 : capability >= 90 ? 64 : 16
    if (capability >= 100) return 32 // FlashInfer MLA
    return capability >= 90 && s.format.elementBytes === 1 ? 64 : 16 // FlashMLA for fp8, FlashAttention MLA else
  }
  if (s.format.kind === 'turboquant') return 32
  // FlashAttention on Hopper takes heads wider than 256 with an fp8 cache only in blocks of 64
  const wide = (headDim ?? 0) > 256 && s.format.kind === 'plain' && s.format.elementBytes === 1
  return wide && capability >= 90 && capability < 100 ? 64 : 16
}

/** A model with a sparse indexer has two kinds of full latent caches. */
function hasIndexer(layers: readonly CacheLayer[]): boolean {
  return layers.filter(layer => layer.latent && layer.reach.kind === 'full').length > 1
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b]
  while (y !== 0) [x, y] = [y, x % y]
  return (a / x) * b
}
