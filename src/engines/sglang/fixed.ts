import type { Part } from '../../memory/parts.ts'
import { GiB, gibText, grouped, MiB } from '../../units/bytes.ts'
import { exactPart, rangePart } from '../answer.ts'
import type { EngineInput } from '../engine.ts'
import { prefillGraphCount } from './arguments.ts'
import type { Resolved } from './resolve.ts'

const step = (ranks: number): 0 | 1 | 2 | 3 => (ranks <= 1 ? 0 : ranks <= 3 ? 1 : ranks <= 7 ? 2 : 3)

/**
 * GiB that are gone before SGLang first reads its free memory (CUDA context, NCCL), and what loading takes beside the
 * weights, by TP 1, 2, 4, 8. Logs: 0.69 and 0.75 on one H100, about 0.5 on four 24 GB cards, 1.0 on eight RTX PRO 6000,
 * 1.9 on eight H200; loading 0.06 on one rank, 0.2 on four; pools of Qwen3-235B on four H100 and of DeepSeek-R1 on eight
 * H200 were as if 2.2 in all were gone.
 */
const BEFORE = [
  [0.4, 0.75, 1],
  [0.4, 1.2, 1.8],
  [0.4, 1.6, 2.3],
  [0.9, 2, 2.6],
] as const

/**
 * Bytes of a forward pass over B tokens, in units of 2 B x B x (heads x head size), by TP 1, 2, 4, 8 (aiconfigurator,
 * backend sglang), 15 % added. At least 90 MiB.
 */
const FORWARD = { dense: [13.5, 8.25, 6.5, 6.5], experts: [28, 17, 13, 13] } as const

/** What every stage holds beside weights and cache; activations and graphs live in what the fraction leaves. */
export function fixedParts(input: EngineInput, r: Resolved): Part[] {
  const { given, server } = r
  const [low, expected, high] = BEFORE[step(given.tensor)]
  const share = Math.max(0, server.fraction) * GiB
  const parts = [
    rangePart(
      'context',
      { low: low * share, expected: expected * share, high: high * share },
      'measured',
      `${server.fraction.toFixed(3)} x ${expected.toFixed(2)} GiB taken before the free memory is read (TP ${given.tensor})`,
      'free memory before weights in SGLang logs; the fraction is of what is free then',
    ),
  ]
  const media = mediaBytes(r)
  if (media > 0)
    parts.push(
      exactPart(
        'buffers',
        media,
        'derived',
        `${grouped(media / MiB)} MiB for images, taken from the pool`,
        'SGLang: reserve for feature transport and the embedding cache',
      ),
    )
  return [...parts, forward(input, r), graphs(r)]
}

/** Taken from the pool of multimodal models: 100 MiB, 1 GiB more where features travel over the GPU. */
export function mediaBytes(r: Resolved): number {
  if (!r.given.multimodal || !r.rules.middleBand) return 0
  if (r.traits.modelType.startsWith('qwen3_vl') && r.card.capability === 90 && (r.card.mib ?? 0) >= 61440)
    return 1024 * MiB
  return /^cuda_(?:ipc|vmm)$/.test(r.option.text('mm-feature-transport') ?? '') ? 1124 * MiB : 100 * MiB
}

function forward(input: EngineInput, r: Resolved): Part {
  const { facts } = input.shape
  const width = (facts.heads ?? 1) * (facts.headDim ?? facts.hidden)
  const tokens = r.server.chunk > 0 ? r.server.chunk : r.given.maxPrefillTokens
  const factor = FORWARD[facts.experts === null ? 'dense' : 'experts'][step(r.given.tensor)]
  const expected = Math.max(90 * MiB, 1.15 * 2 * tokens * width * factor)
  return rangePart(
    'activations',
    { low: 0.4 * expected, expected, high: 1.5 * expected + 0.3 * GiB },
    'modelled',
    `1.15 x ${factor} x ${grouped(tokens)} tokens x ${grouped(width)} x 2 B`,
    'factors of a forward pass by TP; taken from what the fraction leaves',
    false,
  )
}

/** Graphs by the reserve that SGLang itself makes for them: 2 MiB a decode batch, 8 MiB a prefill size. */
function graphs(r: Resolved): Part {
  const { decodeBatch, prefillTokens } = r.server
  const prefill = prefillTokens > 0 ? prefillGraphCount(prefillTokens) : 0
  const expected = (2 * decodeBatch + 8 * prefill) * MiB
  return rangePart(
    'cudaGraphs',
    { low: 0.15 * expected, expected, high: 2 * expected },
    'modelled',
    expected === 0 ? 'none' : `2 MiB x ${decodeBatch} + 8 MiB x ${prefill} sizes = ${gibText(expected)} GiB`,
    'the reserve of SGLang for its graphs',
    false,
  )
}
