import { partOf, stagesOf } from '../../memory/shares.ts'
import type { ModelShape } from '../../models/shape.ts'
import { grouped } from '../../units/bytes.ts'
import type { Modelled } from './peak.ts'
import type { Resolved } from './settings.ts'

/**
 * LoRA slots: for each adapted matrix and slot an A of rank x inputs and a B of outputs x rank in 16 bits; A is kept
 * whole, B is divided like its matrix (vLLM lora/layers). Matrices of routed experts are adapted by newer releases only,
 * hence the range.
 */
export function adapterBytes(shape: ModelShape, r: Pick<Resolved, 'loras' | 'tensor' | 'pipeline'>): Modelled {
  const { slots, rank } = r.loras ?? { slots: 0, rank: 0 }
  const parallel = { tensor: r.tensor, pipeline: 1, expert: 1 }
  const perKind = shape.layers.kinds.map(kind => {
    const widths = { dense: 0, experts: 0 }
    for (const weight of kind.weights) {
      if (weight.kind !== 'linear') continue
      const part = partOf(weight, parallel)
      const width = part.copies * (part.in + part.out)
      if (weight.split === 'expert-column' || weight.split === 'expert-row') widths.experts += width
      else widths.dense += width
    }
    return widths
  })
  let most = { dense: 0, experts: 0 }
  for (const { first, count } of stagesOf(shape, r.pipeline)) {
    const sums = { dense: 0, experts: 0 }
    for (let layer = first; layer < first + count; layer++) {
      const widths = perKind[shape.layers.order[layer]!]!
      sums.dense += widths.dense
      sums.experts += widths.experts
    }
    if (sums.dense + sums.experts > most.dense + most.experts) most = sums
  }
  const unit = 2 * slots * rank
  return {
    bytes: { low: most.dense * unit, expected: most.dense * unit, high: (most.dense + most.experts) * unit },
    formula: `${grouped(slots)} slots x rank ${grouped(rank)} x ${grouped(most.dense)} inputs and outputs x 2 B`,
    source: 'vLLM lora/layers: buffers for max_loras slots',
  }
}
