import type { Range } from '../../memory/parts.ts'
import type { ModelShape } from '../../models/shape.ts'
import { GiB, MiB } from '../../units/bytes.ts'
import type { Resolved } from './settings.ts'

/** A modelled part: its range and how it was reckoned. */
export interface Modelled {
  readonly bytes: Range
  readonly formula: string
  readonly source: string
}

/** Forward arm's factor by TP 1, 2, 4, 8 (aiconfigurator's vllm backend): dense models, and mixtures of experts. */
const FORWARD = { dense: [11, 6.5, 5, 5], experts: [22, 13, 10, 10] } as const
const FORWARD_FLOOR = 70 * MiB

const step = (ranks: number): 0 | 1 | 2 | 3 => (ranks <= 1 ? 0 : ranks <= 3 ? 1 : ranks <= 7 ? 2 : 3)

/** Transient peak of the profile run: the larger of the forward pass and the sampler (engines.md 2.7). */
export function peak(shape: ModelShape, r: Resolved): Modelled {
  const { facts } = shape
  const width = (facts.heads ?? 1) * (facts.headDim ?? facts.hidden)
  const factor = FORWARD[facts.experts === null ? 'dense' : 'experts'][step(r.tensor)]
  const forward = Math.max(2 * r.batchTokens * width * factor, FORWARD_FLOOR)
  const rows = r.sequences * facts.vocabulary * 4
  const c = samplerFactor(r)
  const sampler = facts.task === 'embed' ? 0 : c * rows
  const expected = Math.max(forward, sampler)
  return {
    bytes: { low: Math.min(forward, expected), expected, high: expected * 1.15 + 0.3 * GiB },
    formula:
      sampler >= forward
        ? `sampler ${c} x ${r.sequences} sequences x ${facts.vocabulary} x 4 B`
        : `forward 2 B x ${r.batchTokens} tokens x ${width} x ${factor}`,
    source: 'profile run: sampler and forward pass, by release',
  }
}

function samplerFactor(r: Resolved): number {
  if (r.release < 16_000) return 9.73
  return r.release < 30_000 ? 7 : 5
}

/** NCCL, cuBLAS and other memory beside torch's, by tensor ranks (engines.md 2.8). */
export function communication(r: Resolved): Modelled {
  const [low, expected, high] = (
    [
      [0.1, 0.14, 0.2],
      [0.4, 0.54, 0.7],
      [0.6, 1.1, 1.6],
      [1, 2.2, 2.8],
    ] as const
  )[step(r.tensor)]
  return {
    bytes: { low: low * GiB, expected: expected * GiB, high: high * GiB },
    formula: `non-torch memory at TP ${r.tensor}`,
    source: 'printed by vLLM 0.10 to 0.12 on H100',
  }
}

/** Graphs as captured after the pool (before 0.20), or as estimated in the budget (from 0.20). */
export function graphs(r: Resolved): Modelled {
  if (r.eager) return { bytes: { low: 0, expected: 0, high: 0 }, formula: 'none: eager', source: 'enforce-eager' }
  return {
    bytes: { low: 0.1 * GiB, expected: 0.5 * GiB, high: 1.2 * GiB },
    formula: 'median 0.54 GiB of 93 public logs',
    source: 'public logs',
  }
}
