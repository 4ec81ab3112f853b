import type { CacheSpec, Weight } from '../shape.ts'
import { column, conv, norm, replicated, row, vector } from './weights.ts'

/** Gated delta net of Qwen3-Next and Qwen3.5. */
export interface GatedDelta {
  readonly hidden: number
  readonly keyHeads: number
  readonly valueHeads: number
  readonly keyDim: number
  readonly valueDim: number
  readonly kernel: number
}

/**
 * h(2 Hk dk + 2 Hv dv) + 2 h Hv + conv + 2 Hv + dv + Hv dv h. The input projection is stored as
 * two matrices (`fused`, Qwen3-Next), as four (`apart`, Qwen3.5) or as six (`separate`, OLMo hybrid).
 */
export function gatedDeltaWeights(
  g: GatedDelta,
  input: 'fused' | 'apart' | 'separate',
  prefix = 'linear_attn',
): Weight[] {
  const keys = 2 * g.keyHeads * g.keyDim
  const values = g.valueHeads * g.valueDim
  const inputs = {
    fused: [
      ['in_proj_qkvz', keys + 2 * values],
      ['in_proj_ba', 2 * g.valueHeads],
    ],
    apart: [
      ['in_proj_qkv', keys + values],
      ['in_proj_z', values],
      ['in_proj_b', g.valueHeads],
      ['in_proj_a', g.valueHeads],
    ],
    separate: [
      ['q_proj', keys / 2],
      ['k_proj', keys / 2],
      ['v_proj', values],
      ['g_proj', values],
      ['b_proj', g.valueHeads],
      ['a_proj', g.valueHeads],
    ],
  } as const
  const [normName, outName] = input === 'separate' ? ['o_norm', 'o_proj'] : ['norm', 'out_proj']
  return [
    ...inputs[input].map(([name, out]) => column(`${prefix}.${name}`, out, g.hidden)),
    conv(`${prefix}.conv1d`, keys + values, g.kernel, false, 'column'),
    vector(`${prefix}.A_log`, g.valueHeads, 'column'),
    vector(`${prefix}.dt_bias`, g.valueHeads, 'column'),
    norm(`${prefix}.${normName}`, g.valueDim),
    row(`${prefix}.${outName}`, g.hidden, values),
  ]
}

export function gatedDeltaCache(g: GatedDelta): CacheSpec {
  const { keyHeads, valueHeads, keyDim, valueDim, kernel } = g
  return { kind: 'gated-delta', keyHeads, valueHeads, keyDim, valueDim, kernel }
}

/** Mamba-2 mixer: inner width I, G groups of N states, H heads of P. */
export interface Mamba2 {
  readonly hidden: number
  readonly inner: number
  readonly groups: number
  readonly state: number
  readonly heads: number
  readonly headDim: number
  readonly kernel: number
  readonly convBias: boolean
  /** Bias of the input projection. */
  readonly inBias: boolean
  readonly outBias: boolean
  /** The gated norm before the output projection, which Falcon-H1 can leave out. */
  readonly norm: boolean
}

/** h(2I + 2GN + H) + (I + 2GN)K + 3H + I + I h, with the biases asked for. */
export function mamba2Weights(m: Mamba2, prefix = 'mamba'): Weight[] {
  const convWidth = m.inner + 2 * m.groups * m.state
  return [
    column(`${prefix}.in_proj`, m.inner + convWidth + m.heads, m.hidden, { bias: m.inBias }),
    conv(`${prefix}.conv1d`, convWidth, m.kernel, m.convBias, 'column'),
    vector(`${prefix}.A_log`, m.heads, 'column'),
    vector(`${prefix}.D`, m.heads, 'column'),
    vector(`${prefix}.dt_bias`, m.heads, 'column'),
    ...(m.norm ? [vector(`${prefix}.norm`, m.inner, 'column')] : []),
    row(`${prefix}.out_proj`, m.hidden, m.inner, { bias: m.outBias }),
  ]
}

export function mamba2Cache(m: Mamba2): CacheSpec {
  const { inner, kernel, groups, state, heads, headDim } = m
  return { kind: 'mamba2', inner, kernel, groups, state, heads, headDim }
}

/** Mamba-1 mixer with inner width I, R time-step ranks and N states. */
export interface Mamba1 {
  readonly hidden: number
  readonly inner: number
  readonly state: number
  readonly rank: number
  readonly kernel: number
  readonly convBias: boolean
  readonly projBias: boolean
  /** Norms on the time step and both state projections (Jamba). */
  readonly innerNorms: boolean
}

/** h 2I + I K + I(R + 2N) + R I + I + I N + I + I h with the biases asked for. */
export function mamba1Weights(m: Mamba1, prefix = 'mamba'): Weight[] {
  return [
    column(`${prefix}.in_proj`, 2 * m.inner, m.hidden, { bias: m.projBias }),
    conv(`${prefix}.conv1d`, m.inner, m.kernel, m.convBias, 'column'),
    row(`${prefix}.x_proj`, m.rank + 2 * m.state, m.inner),
    column(`${prefix}.dt_proj`, m.inner, m.rank, { bias: true }),
    { ...conv(`${prefix}.A_log`, m.inner, m.state, false, 'column'), kind: 'other' },
    vector(`${prefix}.D`, m.inner, 'column'),
    row(`${prefix}.out_proj`, m.hidden, m.inner, { bias: m.projBias }),
    ...(m.innerNorms
      ? [
          norm(`${prefix}.dt_layernorm`, m.rank),
          norm(`${prefix}.b_layernorm`, m.state),
          norm(`${prefix}.c_layernorm`, m.state),
        ]
      : []),
  ]
}

export function mamba1Cache(m: Mamba1): CacheSpec {
  return { kind: 'mamba1', inner: m.inner, kernel: m.kernel, state: m.state }
}

/** Gated short convolution of LFM2: 3hh in, h x kernel, hh out. */
export function shortConvWeights(hidden: number, kernel: number, bias: boolean, prefix = 'conv'): Weight[] {
  return [
    column(`${prefix}.in_proj`, 3 * hidden, hidden, { bias }),
    conv(`${prefix}.conv`, hidden, kernel, bias, 'column'),
    row(`${prefix}.out_proj`, hidden, hidden, { bias }),
  ]
}

/** Lightning attention of MiniMax-01: fused q, k, v, an output gate and a norm over all heads. */
export function lightningWeights(
  l: { readonly hidden: number; readonly heads: number; readonly headDim: number },
  prefix = 'self_attn',
): Weight[] {
  const width = l.heads * l.headDim
  return [
    column(`${prefix}.qkv_proj`, 3 * width, l.hidden),
    column(`${prefix}.output_gate`, width, l.hidden),
    vector(`${prefix}.norm`, width, 'column'),
    row(`${prefix}.out_proj`, l.hidden, width),
  ]
}

/** Kimi delta attention: q, k, v with convolutions, low-rank forget and output gates, one beta a head. */
export function kimiDeltaWeights(
  k: { readonly hidden: number; readonly heads: number; readonly headDim: number; readonly kernel: number },
  prefix = 'self_attn',
): Weight[] {
  const width = k.heads * k.headDim
  return [
    column(`${prefix}.q_proj`, width, k.hidden),
    column(`${prefix}.k_proj`, width, k.hidden),
    column(`${prefix}.v_proj`, width, k.hidden),
    conv(`${prefix}.conv1d`, 3 * width, k.kernel, false, 'column'),
    replicated(`${prefix}.f_a_proj`, k.headDim, k.hidden),
    column(`${prefix}.f_b_proj`, width, k.headDim),
    vector(`${prefix}.dt_bias`, width, 'column'),
    vector(`${prefix}.A_log`, k.heads, 'column'),
    column(`${prefix}.b_proj`, k.heads, k.hidden),
    replicated(`${prefix}.g_a_proj`, k.headDim, k.hidden),
    column(`${prefix}.g_b_proj`, width, k.headDim),
    norm(`${prefix}.o_norm`, k.headDim),
    row(`${prefix}.o_proj`, k.hidden, width),
  ]
}
