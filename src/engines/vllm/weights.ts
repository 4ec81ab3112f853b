import type { Part } from '../../memory/parts.ts'
import type { Parallelism } from '../../memory/shares.ts'
import { type StageWeights, stageWeights } from '../../memory/weights.ts'
import { dtypeBytes, type WeightStorage } from '../../models/checkpoint/storage.ts'
import type { ModelShape } from '../../models/shape.ts'
import { grouped, sizeText } from '../../units/bytes.ts'
import { storedRatio } from '../division.ts'
import type { EngineInput } from '../engine.ts'
import { allocatorRests, rotaryTables } from './loaded.ts'
import type { Resolved } from './settings.ts'

export interface Weights {
  /** By stage, after offloading. */
  readonly bytes: readonly number[]
  readonly part: (stage: number) => Part
}

const shares = new WeakMap<ModelShape, Map<string, StageWeights>>()

const fullKey = (storage: WeightStorage, p: Parallelism, key: string): string =>
  `${key} ${storage.scheme} ${storage.dtype} ${p.tensor} ${p.pipeline} ${p.expert} ${p.expertTensor}`

/** Sums of a shape under one storage and division, kept with the shape: remedies ask for the same ones again. */
function remembered(shape: ModelShape, storage: WeightStorage, p: Parallelism, key: string): StageWeights {
  const known = shares.get(shape) ?? new Map<string, StageWeights>()
  shares.set(shape, known)
  const whole = fullKey(storage, p, key)
  const sums = known.get(whole) ?? stageWeights(shape, storage, p)
  known.set(whole, sums)
  return sums
}

const WHOLE: Parallelism = { tensor: 1, pipeline: 1, expert: 1 }

const allRests = new WeakMap<ModelShape, Map<string, readonly number[]>>()

/**
 * The allocator's rests by stage, kept with the shape; never less than their share of an undivided model, as tensors only
 * get smaller.
 */
function restsBeside(shape: ModelShape, storage: WeightStorage, p: Parallelism, key: string): readonly number[] {
  const known = allRests.get(shape) ?? new Map<string, readonly number[]>()
  allRests.set(shape, known)
  const rests = known.get(key) ?? wholeShare(shape, storage, p)
  known.set(key, rests)
  return rests
}

function wholeShare(shape: ModelShape, storage: WeightStorage, p: Parallelism): number[] {
  const own = allocatorRests(shape, storage, p)
  const whole = allocatorRests(shape, storage, { tensor: 1, pipeline: p.pipeline, expert: 1 })
  return own.map((rest, stage) => Math.round(Math.max(rest, whole[stage]! / p.tensor)))
}

const besideText = (tables: number, rests: number): string =>
  `${tables > 0 ? ` + ${sizeText(tables)} rotary tables` : ''}${rests > 0 ? ` + ${sizeText(rests)} allocator rounding` : ''}`

/** Weights by stage on the fullest tensor rank, less what is offloaded to the CPU. */
export function weightsOf(input: EngineInput, r: Resolved, storage: WeightStorage, p: Parallelism): Weights {
  const key = r.quantization ?? ''
  const sums = remembered(input.shape, storage, p, key)
  const measured = storedRatio(input, storage, () => remembered(input.shape, storage, WHOLE, key).bytes[0]!)
  const tables = rotaryTables(input.shape, input.facts.config, r.context, dtypeBytes(storage.dtype) ?? 2)
  const rests = restsBeside(input.shape, storage, p, fullKey(storage, p, key))
  const held = (stage: number, extra: number): number =>
    Math.max(0, Math.round(sums.bytes[stage]! * measured + extra) - r.offloadBytes)
  const bytes = sums.bytes.map((_, stage) => held(stage, tables + rests[stage]!))
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
      bytes: { low: held(stage, 0), expected: bytes[stage]!, high: bytes[stage]! },
      // tables and rests are by rule: with them the part is no longer counted alone
      basis: derived || (storage.basis === 'exact' && held(stage, 0) !== bytes[stage]) ? 'derived' : storage.basis,
      formula: `${grouped(sums.elements[stage]!)} parameters of one rank (${divided.join(', ')}) as ${storage.scheme}${measured === 1 ? '' : ` x ${measured.toFixed(4)} (stored size)`}${besideText(tables, rests[stage]!)}${offloaded}`,
      source: 'config.json',
    }),
  }
}
