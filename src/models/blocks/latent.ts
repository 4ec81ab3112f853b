import type { CacheSpec, Weight } from '../shape.ts'
import { column, norm, replicated, row } from './weights.ts'

/** Multi-head latent attention of DeepSeek-V2 and its followers. */
export interface LatentAttention {
  readonly hidden: number
  readonly heads: number
  /** Rank of the query's down-projection; null when queries are projected in one step. */
  readonly queryRank: number | null
  /** Rank of the shared key-value latent. */
  readonly latent: number
  readonly nope: number
  readonly rope: number
  /** Width of a query head where the config may set it apart from the sum of its two parts. */
  readonly queryDim?: number | null
  readonly valueDim: number
  /** Biases of the two down-projections and of the output. */
  readonly bias?: boolean
  readonly prefix?: string
}

/** Projections and norms of latent attention; the down-projections stand on every rank. */
export function latentAttentionWeights(a: LatentAttention): Weight[] {
  const prefix = a.prefix ?? 'self_attn'
  const bias = a.bias ?? false
  const queryWidth = a.heads * (a.queryDim ?? a.nope + a.rope)
  const query =
    a.queryRank === null
      ? [column(`${prefix}.q_proj`, queryWidth, a.hidden)]
      : [
          replicated(`${prefix}.q_a_proj`, a.queryRank, a.hidden, { bias }),
          norm(`${prefix}.q_a_layernorm`, a.queryRank),
          column(`${prefix}.q_b_proj`, queryWidth, a.queryRank),
        ]
  return [
    ...query,
    replicated(`${prefix}.kv_a_proj_with_mqa`, a.latent + a.rope, a.hidden, { bias }),
    norm(`${prefix}.kv_a_layernorm`, a.latent),
    column(`${prefix}.kv_b_proj`, a.heads * (a.nope + a.valueDim), a.latent),
    row(`${prefix}.o_proj`, a.hidden, a.heads * a.valueDim, { bias }),
  ]
}

/** One latent and one rotary key a token. */
export function latentCache(a: Pick<LatentAttention, 'latent' | 'rope'>): CacheSpec {
  return { kind: 'mla', latent: a.latent, rope: a.rope }
}

/** Sparse-attention indexer: q*n*d + h*d + 2d + h*n, on every rank. */
export function indexerWeights(
  i: { readonly hidden: number; readonly queryRank: number; readonly heads: number; readonly dim: number },
  prefix = 'self_attn.indexer',
): Weight[] {
  return [
    replicated(`${prefix}.wq_b`, i.heads * i.dim, i.queryRank),
    replicated(`${prefix}.wk`, i.dim, i.hidden),
    norm(`${prefix}.k_norm`, i.dim, true),
    replicated(`${prefix}.weights_proj`, i.heads, i.hidden),
  ]
}
