import type { Weight } from '../shape.ts'
import { column, row } from './weights.ts'

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
