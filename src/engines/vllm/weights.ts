import { exactly, type Part } from '../../memory/parts.ts'
import type { Parallelism } from '../../memory/shares.ts'
import { type StageWeights, stageWeights } from '../../memory/weights.ts'
import type { WeightStorage } from '../../models/checkpoint/storage.ts'
import type { ModelShape } from '../../models/shape.ts'
import { grouped, sizeText } from '../../units/bytes.ts'
import type { EngineInput } from '../engine.ts'
import type { Resolved } from './settings.ts'

export interface Weights {
  /** By stage, after offloading. */
  readonly bytes: readonly number[]
  readonly part: (stage: number) => Part
}

const shares = new WeakMap<ModelShape, Map<string, StageWeights>>()

/** Sums of a shape under one storage and division, kept with the shape: remedies ask for the same ones again. */
function remembered(shape: ModelShape, storage: WeightStorage, p: Parallelism, key: string): StageWeights {
  const known = shares.get(shape) ?? new Map<string, StageWeights>()
  shares.set(shape, known)
  const whole = `${key} ${storage.scheme} ${storage.dtype} ${p.tensor} ${p.pipeline} ${p.expert} ${p.expertTensor}`
  const sums = known.get(whole) ?? stageWeights(shape, storage, p)
  known.set(whole, sums)
  return sums
}

/** Weights by stage on the fullest tensor rank, less what is offloaded to the CPU. */
export function weightsOf(input: EngineInput, r: Resolved, storage: WeightStorage, p: Parallelism): Weights {
  const sums = remembered(input.shape, storage, p, r.quantization ?? '')
  const bytes = sums.bytes.map(stage => Math.max(0, Math.round(stage) - r.offloadBytes))
  const derived = input.shape.count !== 'exact' && storage.basis === 'exact'
  const divided = [
    `TP ${p.tensor}`,
    ...(p.pipeline > 1 ? [`PP ${p.pipeline}`] : []),
    ...(p.expert > 1 ? [`EP ${p.expert}`] : []),
  ]
  const offloaded = r.offloadBytes > 0 ? ` - ${sizeText(r.offloadBytes)} offloaded to the CPU` : ''
  return {
    bytes,
    part: stage => ({
      name: 'weights',
      inBudget: true,
      bytes: exactly(bytes[stage]!),
      basis: derived ? 'derived' : storage.basis,
      formula: `${grouped(sums.elements[stage]!)} parameters of one rank (${divided.join(', ')}) as ${storage.scheme}${offloaded}`,
      source: 'config.json',
    }),
  }
}
