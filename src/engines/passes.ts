import type { Part } from '../memory/parts.ts'
import type { ModelShape } from '../models/shape.ts'
import { GiB, gibText, grouped, MiB } from '../units/bytes.ts'
import { rangePart } from './answer.ts'

const step = (ranks: number): 0 | 1 | 2 | 3 => (ranks <= 1 ? 0 : ranks <= 3 ? 1 : ranks <= 7 ? 2 : 3)

/**
 * Bytes of a forward pass over B tokens, in units of 2 B x B x (heads x head size), by TP 1, 2, 4, 8: dense models and
 * mixtures of experts (aiconfigurator). At least 70 MiB.
 */
const FORWARD = { dense: [11, 6.5, 5, 5], experts: [22, 13, 10, 10] } as const

/** Transient memory of one forward pass over `tokens` tokens. */
export function forwardPart(
  shape: ModelShape,
  tokens: number,
  tensor: number,
  more: { readonly high?: number } = {},
): Part {
  const { facts } = shape
  const width = (facts.heads ?? 1) * (facts.headDim ?? facts.hidden)
  const factor = FORWARD[facts.experts === null ? 'dense' : 'experts'][step(tensor)]
  const expected = Math.max(70 * MiB, 2 * tokens * width * factor)
  return rangePart(
    'activations',
    { low: 0.5 * expected, expected, high: (more.high ?? 2) * expected + 0.3 * GiB },
    'modelled',
    `forward pass ${factor} x ${grouped(tokens)} tokens x ${grouped(width)} x 2 B`,
    'factors of a forward pass by TP',
  )
}

/** NCCL and all-reduce buffers by TP 1, 2, 4, 8 (aiconfigurator: 0, 342, 392, 392 MiB), and the CUDA context. */
export function contextPart(
  tensor: number,
  context: { readonly low: number; readonly expected: number; readonly high: number },
): Part {
  const nccl = ([0, 342, 392, 392] as const)[step(tensor)] * MiB
  return rangePart(
    'context',
    {
      low: context.low * GiB + 0.5 * nccl,
      expected: context.expected * GiB + nccl,
      high: context.high * GiB + 2 * nccl,
    },
    'measured',
    `${gibText(context.expected * GiB)} GiB + ${grouped(nccl / MiB)} MiB of NCCL at TP ${tensor}`,
    'CUDA context and libraries in engine logs; NCCL buffers by ranks',
  )
}
