import type { KeyValueHeads, Weight } from '../shape.ts'
import { column, linear, row } from './weights.ts'

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
}

/** q, k, v, o projections: 2hnd + 2hkd elements without biases (architectures.md, symbols: A). */
export function attentionWeights(a: Attention): Weight[] {
  const prefix = a.prefix ?? 'self_attn'
  const valueDim = a.valueDim ?? a.headDim
  const bias = a.qkvBias ?? false
  return [
    column(`${prefix}.q_proj`, a.heads * a.headDim, a.hidden, { bias }),
    linear(`${prefix}.k_proj`, a.kvHeads * a.headDim, a.hidden, 'kv', { bias, kvHeads: a.kvHeads }),
    linear(`${prefix}.v_proj`, a.kvHeads * valueDim, a.hidden, 'kv', { bias, kvHeads: a.kvHeads }),
    row(`${prefix}.o_proj`, a.hidden, a.heads * valueDim, { bias: a.outBias ?? false }),
  ]
}

/** The heads part of a cache entry of this attention. */
export function keyValueHeads(a: Attention): KeyValueHeads {
  return { kvHeads: a.kvHeads, keyDim: a.headDim, valueDim: a.valueDim ?? a.headDim }
}
