import { storageOf, type WeightStorage } from '../models/checkpoint/storage.ts'
import type { JsonObject } from '../models/config.ts'
import type { ModelShape, Weight } from '../models/shape.ts'
import type { Result } from '../problem.ts'
import { type Parallelism, partOf, stagesOf } from './shares.ts'

/** Bytes of the weights on one rank of every pipeline stage, the fullest tensor rank of each. */
export interface StageWeights {
  /** Bytes by stage, first to last. */
  readonly bytes: readonly number[]
  /** Elements by stage, as divided (replicated tensors count on every rank). */
  readonly elements: readonly number[]
}

type Asked = Parameters<typeof storageOf>[2]
const storages = new WeakMap<ModelShape, { config: JsonObject; byAsked: Map<string, Result<WeightStorage>> }>()

/** `storageOf`, kept with the shape: an engine asks again for every change that a remedy tries. */
export function rememberedStorage(shape: ModelShape, config: JsonObject, asked: Asked): Result<WeightStorage> {
  let known = storages.get(shape)
  if (known?.config !== config) known = { config, byAsked: new Map() }
  storages.set(shape, known)
  const key = `${asked.dtype} ${asked.quantization ?? ''} ${asked.where ?? ''}`
  const result = known.byAsked.get(key) ?? storageOf(shape, config, asked)
  known.byAsked.set(key, result)
  return result
}

interface Sum {
  bytes: number
  elements: number
}

/**
 * Weights of each pipeline stage on its fullest tensor rank: embedding and towers on the first stage, final norm and
 * head on the last; a tied head is the embedding itself, so with several stages the last holds a copy of it
 *. Prediction layers (MTP) are not counted. Expert and tensor division as `partOf` says.
 */
export function stageWeights(shape: ModelShape, storage: WeightStorage, p: Parallelism): StageWeights {
  const sums: Sum[] = Array.from({ length: p.pipeline }, () => ({ bytes: 0, elements: 0 }))
  const first = sums[0]!
  const last = sums[sums.length - 1]!
  for (const weight of shape.embedding) add(first, weight, storage, p, weight.name)
  for (const tower of shape.towers) {
    for (const weight of tower.weights) add(first, weight, storage, p, weight.name)
    const kinds = kindSums(tower.stack.kinds, storage, p)
    for (const kind of tower.stack.order) plus(first, kinds[kind]!)
  }
  const kinds = kindSums(shape.layers.kinds, storage, p)
  stagesOf(shape, p.pipeline).forEach(({ first: start, count }, stage) => {
    for (let layer = start; layer < start + count; layer++) plus(sums[stage]!, kinds[shape.layers.order[layer]!]!)
  })
  for (const weight of shape.final) add(last, weight, storage, p, weight.name)
  if (shape.tied && p.pipeline > 1)
    for (const weight of shape.embedding) if (weight.split === 'vocab') add(last, weight, storage, p, weight.name)
  return { bytes: sums.map(sum => sum.bytes), elements: sums.map(sum => sum.elements) }
}

/** Bytes of the prediction layers (MTP) on the fullest tensor rank; 0 when the checkpoint has none. */
export function predictionWeights(shape: ModelShape, storage: WeightStorage, p: Parallelism): number {
  if (shape.mtp === null) return 0
  const kinds = kindSums(shape.mtp.kinds, storage, p)
  return shape.mtp.order.reduce((sum, kind) => sum + kinds[kind]!.bytes, 0)
}

function kindSums(
  kinds: readonly { readonly weights: readonly Weight[] }[],
  storage: WeightStorage,
  p: Parallelism,
): Sum[] {
  return kinds.map(kind => {
    const sum: Sum = { bytes: 0, elements: 0 }
    for (const weight of kind.weights) add(sum, weight, storage, p, weight.name)
    return sum
  })
}

function add(sum: Sum, weight: Weight, storage: WeightStorage, p: Parallelism, path: string): void {
  const part = partOf(weight, p)
  sum.bytes += storage.bytes(weight, part, path)
  sum.elements += part.copies * (part.out * part.in + part.bias)
}

function plus(sum: Sum, other: Sum): void {
  sum.bytes += other.bytes
  sum.elements += other.elements
}
