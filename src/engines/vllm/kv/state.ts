import type { CacheSpec } from '../../../models/shape.ts'

export interface StateSettings {
  readonly tensor: number
  /** Bytes of an element of the convolution part, and of the recurrent part. */
  readonly convBytes: number
  readonly ssmBytes: number
  /** Tokens by which a convolution's memory grows under speculation. */
  readonly extraTokens: number
}

/**
 * Bytes of the recurrent state of one layer on one tensor rank (vLLM 0.33, mamba_utils.py): a convolution's last inputs and the
 * recurrent matrix. Divisions that leave a remainder round up. 0 for layers without state.
 */
export function stateBytes(spec: CacheSpec, s: StateSettings): number {
  const t = s.tensor
  const share = (n: number): number => Math.ceil(n / t)
  const past = (kernel: number): number => kernel - 1 + s.extraTokens
  switch (spec.kind) {
    case 'mamba1':
      return share(spec.inner) * (past(spec.kernel) * s.convBytes + spec.state * s.ssmBytes)
    case 'mamba2': {
      // groups that the ranks do not divide are repeated until there is one a rank
      const groups = spec.groups % t === 0 ? spec.groups : t
      const channels = share(spec.inner + 2 * groups * spec.state)
      return channels * past(spec.kernel) * s.convBytes + share(spec.heads) * spec.headDim * spec.state * s.ssmBytes
    }
    case 'gated-delta': {
      const channels = share(2 * spec.keyHeads * spec.keyDim + spec.valueHeads * spec.valueDim)
      const matrix = share(spec.valueHeads) * spec.keyDim * spec.valueDim
      return channels * past(spec.kernel) * s.convBytes + matrix * s.ssmBytes
    }
    case 'kda': // the recurrent part is always fp32
      return (
        share(3 * spec.heads * spec.headDim) * past(spec.kernel) * s.convBytes +
        share(spec.heads) * spec.headDim * spec.headDim * 4
      )
    case 'short-conv':
      return share(spec.width) * past(spec.kernel) * s.convBytes
    case 'lightning':
      return share(spec.heads) * spec.headDim * spec.headDim * s.convBytes
    case 'rwkv': // two shifted tokens and a matrix a head
      return 2 * spec.hidden * s.convBytes + share(spec.heads) * spec.headDim * spec.headDim * s.ssmBytes
    default:
      return 0
  }
}
