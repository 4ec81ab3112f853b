import type { Part } from '../../memory/parts.ts'
import { predictionWeights, stageWeights } from '../../memory/weights.ts'
import type { WeightStorage } from '../../models/checkpoint/storage.ts'
import { exactPart, storageFor } from '../answer.ts'
import { weightParts } from '../division.ts'
import type { EngineInput } from '../engine.ts'
import { adapterBytes } from '../vllm/adapters.ts'
import type { Case } from './case.ts'
import type { Resolved } from './resolve.ts'

/**
 * The checkpoint's storage as SGLang holds it on a rank, as its wheels of 0.5.12 to 0.5.23 read:
 * - With experts behind an all-to-all (`--moe-a2a-backend`) every rank holds the shared experts whole.
 * - Of a DeepSeek-V4 with FP4 experts Hopper widens `o_a_proj` to bf16.
 * - Marlin, which runs FP4 experts on Hopper and consumer Blackwell, repacks their scales. Up to 0.5.15 the fp32 tensors
 *   that they were loaded into stay besides: 4 B for 32 weights, 22.5 GiB a rank of eight of DeepSeek-V4-Pro.
 */
export function heldStorage(input: EngineInput, r: Resolved, storage: WeightStorage): WeightStorage {
  const { capability } = r.card
  const fp4 = input.facts.config['expert_dtype'] === 'fp4' && storage.scheme.startsWith('mxfp4')
  const shared = r.given.deepep || (r.option.text('moe-a2a-backend') ?? 'none') !== 'none'
  const wide = fp4 && capability === 90
  const marlin = r.option.text('moe-runner-backend') !== 'flashinfer_mxfp4'
  const scales = fp4 && marlin && r.rules.keepsLoadedScales && (wide || capability === 120)
  if (!shared && !wide && !scales) return storage
  return {
    ...storage,
    scheme: `${storage.scheme}${shared ? ', shared experts whole' : ''}${wide ? ', o_a_proj bf16' : ''}${scales ? ', fp32 scales kept' : ''}`,
    bytes(weight, part, path) {
      if (wide && weight.name.endsWith('.o_a_proj')) return part.copies * part.out * part.in * 2
      const whole = shared && /shared_experts?\./.test(weight.name) ? { out: weight.out, in: weight.in } : {}
      const kept = scales && /^expert-/.test(weight.split) ? part.copies * part.out * Math.ceil(part.in / 32) * 4 : 0
      return storage.bytes(weight, { ...part, ...whole }, path) + kept
    },
  }
}

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
