import type { KeyValueHeads, Weight } from '../shape.ts'
import { column, linear, norm, row } from './weights.ts'

/** Grouped-query attention (also multi-head and multi-query): h wide, `heads` query heads, `kvHeads` KV heads. */
export interface Attention {
  readonly hidden: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  /** Width of a value head when it differs from the key head's. */
  readonly valueDim?: number
  readonly qkvBias?: boolean
  readonly outBias?: boolean
  readonly prefix?: string
  /** Name of the output projection, `o_proj` unless said. */
  readonly out?: string
}

/** q, k, v, o projections: 2hnd + 2hkd elements without biases. */
export function attentionWeights(a: Attention): Weight[] {
  const prefix = a.prefix ?? 'self_attn'
  const valueDim = a.valueDim ?? a.headDim
  const bias = a.qkvBias ?? false
  return [
    column(`${prefix}.q_proj`, a.heads * a.headDim, a.hidden, { bias }),
    linear(`${prefix}.k_proj`, a.kvHeads * a.headDim, a.hidden, 'kv', { bias, kvHeads: a.kvHeads }),
    linear(`${prefix}.v_proj`, a.kvHeads * valueDim, a.hidden, 'kv', { bias, kvHeads: a.kvHeads }),
    row(`${prefix}.${a.out ?? 'o_proj'}`, a.hidden, a.heads * valueDim, { bias: a.outBias ?? false }),
  ]
}

/** The same projections with q, k and v stored as one matrix; `names` are the modules of qkv and of the output. */
export function fusedAttentionWeights(a: Attention, names: readonly [string, string]): Weight[] {
  const valueDim = a.valueDim ?? a.headDim
  const kvWidth = a.kvHeads * (a.headDim + valueDim)
  return [
    linear(names[0], a.heads * a.headDim + kvWidth, a.hidden, 'qkv', {
      bias: a.qkvBias ?? false,
      kvHeads: a.kvHeads,
      kvWidth,
    }),
    row(names[1], a.hidden, a.heads * valueDim, { bias: a.outBias ?? false }),
  ]
}

/** Norms on queries and keys: one head wide and shared by the heads (`head`), or over all heads (`wide`). */
export function queryKeyNorms(a: Attention, width: 'head' | 'wide', prefix = a.prefix ?? 'self_attn'): Weight[] {
  const heads = width === 'head' ? [1, 1] : [a.heads, a.kvHeads]
  return [norm(`${prefix}.q_norm`, heads[0]! * a.headDim), norm(`${prefix}.k_norm`, heads[1]! * a.headDim)]
}

/** The heads part of a cache entry of this attention. */
export function keyValueHeads(a: Attention): KeyValueHeads {
  return { kvHeads: a.kvHeads, keyDim: a.headDim, valueDim: a.valueDim ?? a.headDim }
}
