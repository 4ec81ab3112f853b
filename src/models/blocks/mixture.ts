import type { Weight } from '../shape.ts'
import { gatedFeedForward } from './feed-forward.ts'
import { replicated, vector } from './weights.ts'

/** Routed experts with their router, and what runs beside them for every token. */
export interface Mixture {
  readonly hidden: number
  /** Inner width of one routed expert. */
  readonly width: number
  readonly experts: number
  /** Experts a token is sent to; null when the config does not say. */
  readonly perToken: number | null
  readonly prefix?: string
  /** Router's module, `<prefix>.gate` unless said. */
  readonly router?: string
  readonly routerBias?: boolean
  /** Router kept in float32 by files and engines (MiniMax). */
  readonly routerFloat32?: boolean
  /** Experts beyond the real ones that the router also scores (identity experts of LongCat). */
  readonly routerExtra?: number
  /** Biases on the experts' matrices. */
  readonly bias?: boolean
  /** Experts without gate: up and down only. */
  readonly plain?: boolean
  /** Module names of gate, up and down inside an expert. */
  readonly names?: readonly [gate: string, up: string, down: string]
  /** Width the experts work at where it is not the hidden size (latent experts of Nemotron-3). */
  readonly expertHidden?: number
}

/** Router E x h and experts E x 3hm (2hm without gate). */
export function mixtureWeights(m: Mixture): Weight[] {
  const prefix = m.prefix ?? 'mlp'
  const [gate, up, down] = m.names ?? ['gate_proj', 'up_proj', 'down_proj']
  const input = m.expertHidden ?? m.hidden
  const expert = (name: string, out: number, inner: number, split: 'expert-column' | 'expert-row'): Weight => ({
    name: `${prefix === '' ? '' : `${prefix}.`}experts.${name}`,
    out,
    in: inner,
    copies: m.experts,
    bias: m.bias ?? false,
    kind: 'linear',
    split,
    ...(m.perToken === null ? {} : { active: Math.min(m.perToken, m.experts) }),
  })
  return [
    replicated(m.router ?? `${prefix}.gate`, m.experts + (m.routerExtra ?? 0), m.hidden, {
      bias: m.routerBias ?? false,
      ...(m.routerFloat32 ? { elementBytes: 4 } : {}),
    }),
    ...(m.plain ? [] : [expert(gate, m.width, input, 'expert-column')]),
    expert(up, m.width, input, 'expert-column'),
    expert(down, input, m.width, 'expert-row'),
  ]
}

/** Bias that only chooses among experts: a buffer of the class, so not counted, in files and memory in float32. */
export function correctionBias(experts: number, module: string): Weight {
  return { ...vector(`${module}.e_score_correction_bias`, experts), elementBytes: 4, unbuilt: 'stored' }
}

/** A gated expert that every token passes, and where the class has one its scalar gate (h weights). */
export function sharedExpert(
  hidden: number,
  width: number,
  options: { readonly prefix?: string; readonly gate?: string; readonly bias?: boolean } = {},
): Weight[] {
  return [
    ...gatedFeedForward(hidden, width, options.bias ?? false, options.prefix ?? 'mlp.shared_experts'),
    ...(options.gate ? [replicated(options.gate, 1, hidden)] : []),
  ]
}
