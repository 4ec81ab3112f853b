import type { Part } from '../memory/parts.ts'
import { predictionWeights, type StageWeights, stageWeights } from '../memory/weights.ts'
import type { WeightStorage } from '../models/checkpoint/storage.ts'
import type { ModelShape, Weight } from '../models/shape.ts'
import { grouped, sizeText } from '../units/bytes.ts'
import { exactPart } from './answer.ts'
import type { EngineInput } from './engine.ts'

/** How an engine spreads a model's weights. Sizes >= 1. */
export interface Division {
  readonly tensor: number
  readonly pipeline: number
  /** Data ranks that share the tensor ranks for attention; 1: none. */
  readonly attentionData: number
  /** Are whole experts spread over the tensor ranks, in place of their widths? */
  readonly wholeExperts: boolean
}

const ATTENTION = /attn|attention/

/** Attention and the embedding are divided by fewer ranks where data ranks share the tensor ranks. */
const byAttention = (weight: Weight): boolean => weight.kind === 'embedding' || ATTENTION.test(weight.name)

const only = (storage: WeightStorage, test: (weight: Weight) => boolean): WeightStorage => ({
  ...storage,
  bytes: (weight, part, path) => (test(weight) ? storage.bytes(weight, part, path) : 0),
})

const known = new WeakMap<ModelShape, Map<string, StageWeights>>()

/** Weights by stage, kept with the shape: remedies ask for the same ones again. */
function divided(shape: ModelShape, storage: WeightStorage, quantization: string, d: Division): StageWeights {
  const sums = known.get(shape) ?? new Map<string, StageWeights>()
  known.set(shape, sums)
  const key = `${quantization} ${storage.scheme} ${storage.dtype} ${d.tensor} ${d.pipeline} ${d.attentionData} ${d.wholeExperts}`
  const found = sums.get(key) ?? sumsOf(shape, storage, d)
  sums.set(key, found)
  return found
}

function sumsOf(shape: ModelShape, storage: WeightStorage, d: Division): StageWeights {
  const { tensor, pipeline } = d
  const parallel = { tensor, pipeline, expert: d.wholeExperts ? tensor : 1, expertTensor: tensor }
  if (d.attentionData <= 1) return stageWeights(shape, storage, parallel)
  const ranks = Math.max(1, Math.floor(tensor / d.attentionData))
  const attention = stageWeights(shape, only(storage, byAttention), { ...parallel, tensor: ranks })
  const rest = stageWeights(
    shape,
    only(storage, weight => !byAttention(weight)),
    parallel,
  )
  const count = (test: (weight: Weight) => boolean): WeightStorage => ({
    ...storage,
    bytes: (weight, part) => (test(weight) ? part.copies * (part.out * part.in + part.bias) : 0),
  })
  const own = stageWeights(shape, count(byAttention), { ...parallel, tensor: ranks }).bytes
  const others = stageWeights(
    shape,
    count(weight => !byAttention(weight)),
    parallel,
  ).bytes
  return {
    bytes: attention.bytes.map((bytes, at) => bytes + rest.bytes[at]!),
    elements: own.map((elements, at) => elements + others[at]!),
  }
}

/** A stored size that differs by more than this from the rule's holds something else: a copy, another format. */
const LARGEST_CORRECTION = 0.02

/**
 * Stored bytes over those of the rule (`onOneGpu`, without prediction layers), where a quantised layout is known by rule
 * only and the checkpoint's size is known: 1 unless they agree within 2 %. Prediction layers lie in the checkpoint too.
 */
export function storedRatio(input: EngineInput, storage: WeightStorage, onOneGpu: () => number): number {
  const stored = input.facts.checkpoint.totalBytes
  if (stored === null || storage.basis === 'exact') return 1
  const ratio = stored / (onOneGpu() + predictionWeights(input.shape, storage, { tensor: 1, pipeline: 1, expert: 1 }))
  return Math.abs(ratio - 1) <= LARGEST_CORRECTION ? ratio : 1
}

/** The weights of every pipeline stage on its fullest rank, less what is offloaded to the CPU. */
export function weightParts(
  input: EngineInput,
  storage: WeightStorage,
  d: Division,
  more: { readonly quantization: string | null; readonly offloadBytes?: number },
): Part[] {
  const sums = divided(input.shape, storage, more.quantization ?? '', d)
  const one = { tensor: 1, pipeline: 1, attentionData: 1, wholeExperts: false }
  const measured = storedRatio(
    input,
    storage,
    () => divided(input.shape, storage, more.quantization ?? '', one).bytes[0]!,
  )
  const off = more.offloadBytes ?? 0
  const derived = input.shape.count !== 'exact' && storage.basis === 'exact'
  const sizes = [
    `TP ${d.tensor}`,
    ...(d.pipeline > 1 ? [`PP ${d.pipeline}`] : []),
    ...(d.attentionData > 1 ? [`attention DP ${d.attentionData}`] : []),
    ...(d.wholeExperts ? ['whole experts'] : []),
  ]
  const stored = measured === 1 ? '' : ` x ${measured.toFixed(4)} (stored size)`
  const offloaded = off > 0 ? ` - ${sizeText(off)} offloaded to the CPU` : ''
  return sums.bytes.map((bytes, at) =>
    exactPart(
      'weights',
      Math.max(0, bytes * measured - off),
      derived ? 'derived' : storage.basis,
      `${grouped(sums.elements[at]!)} parameters of one rank (${sizes.join(', ')}) as ${storage.scheme}${stored}${offloaded}`,
      'config.json',
    ),
  )
}
