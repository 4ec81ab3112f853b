import type { Part } from '../../memory/parts.ts'
import { predictionWeights, stageWeights } from '../../memory/weights.ts'
import type { WeightStorage } from '../../models/checkpoint/storage.ts'
import type { Weight } from '../../models/shape.ts'
import { grouped, sizeText } from '../../units/bytes.ts'
import { exactPart, storageFor } from '../answer.ts'
import { adapterBytes } from '../vllm/adapters.ts'
import type { Case } from './case.ts'

const ATTENTION = /attn|attention/

/** Attention and the embedding are divided by fewer ranks where data ranks share the tensor ranks. */
const byAttention = (weight: Weight): boolean => weight.kind === 'embedding' || ATTENTION.test(weight.name)

const only = (storage: WeightStorage, test: (weight: Weight) => boolean): WeightStorage => ({
  ...storage,
  bytes: (weight, part, path) => (test(weight) ? storage.bytes(weight, part, path) : 0),
})

/** Weights, draft weights and adapter slots of every pipeline stage on its fullest rank. */
export function stageParts(about: Case): Part[][] {
  const { input, r, storage } = about
  const { tensor, pipeline, attentionData } = r.given
  // ranks that do not hold whole experts divide their widths: together the same as experts over all tensor ranks
  const parallel = { tensor, pipeline, expert: r.expertParallel > 1 ? tensor : 1, expertTensor: tensor }
  const attention = { ...parallel, tensor: Math.max(1, Math.floor(tensor / attentionData)) }
  const sums =
    attentionData > 1
      ? merged(
          stageWeights(input.shape, only(storage, byAttention), attention),
          stageWeights(
            input.shape,
            only(storage, weight => !byAttention(weight)),
            parallel,
          ),
        )
      : stageWeights(input.shape, storage, parallel)
  const draft = draftPart(about)
  const lora = r.loras === null ? [] : [adapterPart(about)]
  const derived = input.shape.count !== 'exact' && storage.basis === 'exact'
  const offloaded = r.offloadBytes > 0 ? ` - ${sizeText(r.offloadBytes)} offloaded to the CPU` : ''
  const sizes = [
    `TP ${tensor}`,
    ...(pipeline > 1 ? [`PP ${pipeline}`] : []),
    ...(attentionData > 1 ? [`attention DP ${attentionData}`] : []),
    ...(r.expertParallel > 1 ? [`EP ${r.expertParallel}`] : []),
  ]
  return sums.bytes.map((bytes, at) => [
    exactPart(
      'weights',
      Math.max(0, bytes - r.offloadBytes),
      derived ? 'derived' : storage.basis,
      `${grouped(sums.elements[at]!)} parameters of one rank (${sizes.join(', ')}) as ${storage.scheme}${offloaded}`,
      'config.json',
    ),
    ...(draft !== null && at === pipeline - 1 ? [draft] : []),
    ...lora,
  ])
}

type Sums = ReturnType<typeof stageWeights>

function merged(attention: Sums, rest: Sums): Sums {
  return { bytes: attention.bytes.map((bytes, at) => bytes + rest.bytes[at]!), elements: rest.elements }
}

function draftPart(about: Case): Part | null {
  const { input, r, storage } = about
  if (r.given.speculation === null || r.given.speculation === 'NGRAM') return null
  const parallel = { tensor: r.given.tensor, pipeline: 1, expert: r.expertParallel > 1 ? r.given.tensor : 1 }
  if (input.draft !== null) {
    const own = storageFor(input.draft, { dtype: r.dtype, quantization: null }, r.reader)
    const bytes = stageWeights(input.draft.shape, own, parallel).bytes[0]!
    return exactPart(
      'draftWeights',
      bytes,
      'derived',
      `${input.draft.facts.id} as ${own.scheme} / TP ${r.given.tensor}`,
      'speculative-draft-model-path',
    )
  }
  if (input.shape.mtp === null) return null
  const bytes = predictionWeights(input.shape, storage, parallel)
  return exactPart(
    'draftWeights',
    bytes,
    'derived',
    `${input.shape.mtp.order.length} prediction layers as ${storage.scheme} / TP ${r.given.tensor}`,
    'speculative-algorithm',
  )
}

function adapterPart(about: Case): Part {
  const { input, r } = about
  const made = adapterBytes(input.shape, { loras: r.loras, tensor: r.given.tensor, pipeline: r.given.pipeline })
  return {
    name: 'adapters',
    inBudget: true,
    bytes: made.bytes,
    basis: 'modelled',
    formula: made.formula,
    source: 'SGLang lora memory pool: buffers for max-loras-per-batch slots',
  }
}
