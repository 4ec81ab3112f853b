import type { Weight } from '../shape.ts'
import { column, replicated, row } from './weights.ts'

/** Gated feed-forward (gate, up, down): 3hf elements. */
export function gatedFeedForward(hidden: number, width: number, bias = false, prefix = 'mlp'): Weight[] {
  return [
    column(`${prefix}.gate_proj`, width, hidden, { bias }),
    column(`${prefix}.up_proj`, width, hidden, { bias }),
    row(`${prefix}.down_proj`, hidden, width, { bias }),
  ]
}

/** Plain feed-forward of two matrices: 2hf elements (+ f + h with biases). */
export function plainFeedForward(
  hidden: number,
  width: number,
  bias: boolean,
  names: readonly [string, string] = ['mlp.up_proj', 'mlp.down_proj'],
): Weight[] {
  return [column(names[0], width, hidden, { bias }), row(names[1], hidden, width, { bias })]
}

/** Gated feed-forward with gate and up stored as one matrix: 3hf elements. */
export function fusedGatedFeedForward(
  hidden: number,
  width: number,
  bias = false,
  names: readonly [string, string] = ['mlp.gate_up_proj', 'mlp.down_proj'],
): Weight[] {
  return [column(names[0], 2 * width, hidden, { bias }), row(names[1], hidden, width, { bias })]
}

export interface Experts {
  readonly hidden: number
  /** Inner width of one routed expert. */
  readonly width: number
  readonly experts: number
  readonly perToken: number
  readonly bias?: boolean
  readonly prefix?: string
  /** Router named `<prefix>.gate` unless said; null: none counted here. */
  readonly router?: string | null
}

/** Routed gated experts and their router: E x 3hm + Eh elements. */
export function routedExperts(e: Experts): Weight[] {
  const prefix = e.prefix ?? 'mlp'
  const shared = { copies: e.experts, active: e.perToken, bias: e.bias ?? false }
  const expert = (name: string, out: number, input: number, split: 'expert-column' | 'expert-row'): Weight => ({
    name: `${prefix === '' ? '' : `${prefix}.`}experts.${name}`,
    out,
    in: input,
    kind: 'linear',
    split,
    ...shared,
  })
  const router = e.router === undefined ? `${prefix}.gate` : e.router
  return [
    ...(router === null ? [] : [replicated(router, e.experts, e.hidden)]),
    expert('gate_proj', e.width, e.hidden, 'expert-column'),
    expert('up_proj', e.width, e.hidden, 'expert-column'),
    expert('down_proj', e.hidden, e.width, 'expert-row'),
  ]
}
