import type { Part } from '../../memory/parts.ts'
import { exactly, whole } from '../../memory/parts.ts'
import { type Parallelism, partOf, stagesOf } from '../../memory/shares.ts'
import { predictionWeights, type StageWeights, stageWeights } from '../../memory/weights.ts'
import { storageOf, type WeightStorage } from '../../models/checkpoint/storage.ts'
import type { LayerStack, ModelShape } from '../../models/shape.ts'
import { grouped, sizeText } from '../../units/bytes.ts'
import type { EngineInput } from '../engine.ts'
import type { Modelled } from './peak.ts'
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
  const exact = input.shape.count === 'exact' && storage.basis === 'exact'
  return {
    bytes,
    part: stage => ({
      name: 'weights',
      inBudget: true,
      bytes: exactly(bytes[stage]!),
      basis: exact ? 'exact' : storage.basis === 'exact' ? 'derived' : storage.basis,
      formula:
        `${grouped(sums.elements[stage]!)} elements of a rank (TP ${p.tensor}, PP ${p.pipeline}${p.expert > 1 ? `, EP ${p.expert}` : ''}) as ${storage.scheme}` +
        (r.offloadBytes > 0 ? ` - ${sizeText(r.offloadBytes)} offloaded` : ''),
      source: `config.json, ${storage.scheme}`,
    }),
  }
}

export interface Draft {
  readonly bytes: number
  readonly part: Part
  /** Layers whose KV is kept beside the model's. */
  readonly stacks: readonly LayerStack[]
}

/** What speculation loads: a draft model, or the checkpoint's own prediction layers; n-gram loads nothing. */
export function draftOf(input: EngineInput, r: Resolved, storage: WeightStorage): Draft {
  const p: Parallelism = { tensor: r.tensor, pipeline: 1, expert: r.expertParallel ? r.tensor * r.data : 1 }
  const { draft, shape } = input
  const made = (bytes: number, stacks: readonly LayerStack[], formula: string): Draft => ({
    bytes,
    stacks,
    part: {
      name: 'draftWeights',
      inBudget: true,
      bytes: exactly(bytes),
      basis: 'derived',
      formula,
      source: 'speculative-config',
    },
  })
  if (r.speculative === null || r.speculative.method === 'ngram') return made(0, [], '')
  if (draft !== null) {
    const own = storageOf(draft.shape, draft.facts.config, { dtype: r.dtype, quantization: null })
    const bytes = own.ok ? Math.round(stageWeights(draft.shape, own.value, p).bytes[0]!) : 0
    return made(bytes, [draft.shape.layers], `draft model ${draft.facts.id}, TP ${r.tensor}`)
  }
  if (shape.mtp === null) return made(0, [], '')
  return made(
    Math.round(predictionWeights(shape, storage, p)),
    [shape.mtp],
    `${shape.mtp.order.length} prediction layers, TP ${r.tensor}`,
  )
}

/**
 * LoRA slots: for each adapted matrix and slot an A of rank x inputs and a B of outputs x rank in the model's dtype; A
 * is kept whole, B is divided like its matrix (vLLM lora/layers). Experts and the head are adapted by newer releases
 * only, hence the range.
 */
export function adapterBytes(input: EngineInput, r: Resolved): Modelled {
  const { slots, rank } = r.loras!
  const p: Parallelism = { tensor: r.tensor, pipeline: 1, expert: 1 }
  let dense = 0
  let experts = 0
  const stage = stagesOf(input.shape, r.pipeline)[0]!
  const perKind = input.shape.layers.kinds.map(kind => {
    const sums = { dense: 0, experts: 0 }
    for (const weight of kind.weights) {
      if (weight.kind !== 'linear') continue
      const part = partOf(weight, p)
      const each = part.copies * rank * (part.in + part.out)
      if (weight.split.startsWith('expert')) sums.experts += each
      else sums.dense += each
    }
    return sums
  })
  for (let layer = stage.first; layer < stage.first + stage.count; layer++) {
    const sums = perKind[input.shape.layers.order[layer]!]!
    dense += sums.dense
    experts += sums.experts
  }
  const unit = 2 * slots
  const bytes = { low: dense * unit, expected: dense * unit, high: (dense + experts) * unit }
  return {
    bytes: whole(bytes),
    formula: `${slots} slots x rank ${rank} x (inputs + outputs) x 2 B over the adapted matrices`,
    source: 'vLLM lora/layers: buffers for max_loras slots',
  }
}
