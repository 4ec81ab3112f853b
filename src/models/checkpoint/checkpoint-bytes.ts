import type { Basis } from '../../memory/parts.ts'
import type { JsonObject } from '../config.ts'
import { allWeights } from '../count.ts'
import type { LayerStack, ModelShape, Weight } from '../shape.ts'
import { dtypeBytes, storageOf, type WeightStorage } from './storage.ts'

/** Families whose published files (Falcon 7B, 40B, 180B) hold the head beside the embedding that it is tied to. */
const STORES_HEAD = new Set(['falcon'])

/**
 * Bytes of a checkpoint's tensors as stored, from its config alone: weights with scales and zero points, the prediction
 * layers (MTP) that the config declares, a tied head where the class's files have it. Null when the dtype or the quantisation cannot be told.
 */
export function checkpointBytes(shape: ModelShape, config: JsonObject): { bytes: number; basis: Basis } | null {
  const dtype = shape.facts.dtype ?? 'bfloat16'
  if (dtypeBytes(dtype) === null) return null
  const storage = storageOf(shape, config, { dtype, quantization: null, where: 'file' })
  if (!storage.ok) return null
  let bytes = 0
  for (const { weight, times } of allWeights(shape)) bytes += times * whole(storage.value, weight)
  if (shape.tied && STORES_HEAD.has(shape.family))
    for (const weight of shape.embedding) if (weight.split === 'vocab') bytes += whole(storage.value, weight)
  if (shape.mtp !== null) bytes += stackBytes(storage.value, shape.mtp)
  const basis = shape.facts.dtype === null ? 'assumed' : shape.count === 'derived' ? 'derived' : storage.value.basis
  return { bytes: Math.round(bytes), basis }
}

function stackBytes(storage: WeightStorage, stack: LayerStack): number {
  const kinds = stack.kinds.map(kind => kind.weights.reduce((sum, weight) => sum + whole(storage, weight), 0))
  return stack.order.reduce((sum, kind) => sum + kinds[kind]!, 0)
}

function whole(storage: WeightStorage, weight: Weight): number {
  if (weight.unbuilt === 'loaded') return 0
  const part = { out: weight.out, in: weight.in, copies: weight.copies, bias: weight.bias ? weight.out : 0 }
  return storage.bytes(weight, part, weight.name)
}
