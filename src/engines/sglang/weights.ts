import type { Part } from '../../memory/parts.ts'
import { predictionWeights, stageWeights } from '../../memory/weights.ts'
import { exactPart, storageFor } from '../answer.ts'
import { weightParts } from '../division.ts'
import { adapterBytes } from '../vllm/adapters.ts'
import type { Case } from './case.ts'

/** Weights, draft weights and adapter slots of every pipeline stage on its fullest rank. */
export function stageParts(about: Case): Part[][] {
  const { input, r, storage } = about
  const { tensor, pipeline, attentionData } = r.given
  // fewer expert ranks than tensor ranks divide the widths besides: together the same as experts over all of them
  const division = { tensor, pipeline, attentionData, wholeExperts: r.expertParallel > 1 }
  const draft = draftPart(about)
  const lora = r.loras === null ? [] : [adapterPart(about)]
  const weights = weightParts(input, storage, division, {
    quantization: r.quantization,
    offloadBytes: r.offloadBytes,
  })
  return weights.map((part, at) => [part, ...(draft !== null && at === pipeline - 1 ? [draft] : []), ...lora])
}

function draftPart(about: Case): Part | null {
  const { input, r, storage } = about
  if (r.given.speculation === null || r.given.speculation === 'NGRAM') return null
  const { tensor } = r.given
  const parallel = { tensor, pipeline: 1, expert: r.expertParallel > 1 ? tensor : 1 }
  if (input.draft !== null) {
    const own = storageFor(input.draft, { dtype: r.dtype, quantization: null }, r.reader)
    const bytes = stageWeights(input.draft.shape, own, parallel).bytes[0]!
    const text = `${input.draft.facts.id} as ${own.scheme} / TP ${tensor}`
    return exactPart('draftWeights', bytes, 'derived', text, 'speculative-draft-model-path')
  }
  if (input.shape.mtp === null) return null
  const bytes = predictionWeights(input.shape, storage, parallel)
  const text = `${input.shape.mtp.order.length} prediction layers as ${storage.scheme} / TP ${tensor}`
  return exactPart('draftWeights', bytes, 'derived', text, 'speculative-algorithm')
}

function adapterPart(about: Case): Part {
  const { input, r } = about
  const { tensor, pipeline } = r.given
  const { bytes, formula } = adapterBytes(input.shape, { loras: r.loras, tensor, pipeline })
  const source = 'SGLang lora memory pool: buffers for max-loras-per-batch slots'
  return { name: 'adapters', inBudget: true, bytes, basis: 'modelled', formula, source }
}
