import type { Part } from '../../memory/parts.ts'
import { predictionWeights, rememberedStorage, stageWeights } from '../../memory/weights.ts'
import type { WeightStorage } from '../../models/checkpoint/storage.ts'
import type { LayerStack } from '../../models/shape.ts'
import { exactPart } from '../answer.ts'
import type { EngineInput } from '../engine.ts'
import { parallelismOf, type Resolved } from './settings.ts'

export interface Draft {
  /** Weights of the draft model or the prediction layers, on the last stage; null when nothing is loaded. */
  readonly part: Part | null
  /** Layers whose KV is kept beside the model's. */
  readonly stacks: readonly LayerStack[]
}

const none: Draft = { part: null, stacks: [] }

/** What speculation loads: a draft model, or the checkpoint's own prediction layers; n-gram loads nothing. */
export function draftOf(input: EngineInput, r: Resolved, storage: WeightStorage): Draft {
  if (r.speculative === null || r.speculative.method === 'ngram') return none
  const parallel = { ...parallelismOf(r), pipeline: 1 }
  const { draft, shape } = input
  if (draft !== null) {
    const own = rememberedStorage(draft.shape, draft.facts.config, { dtype: r.dtype, quantization: null })
    if (!own.ok) return { part: null, stacks: [draft.shape.layers] }
    const bytes = stageWeights(draft.shape, own.value, parallel).bytes[0]!
    return made(bytes, draft.shape.layers, `${draft.facts.id} as ${own.value.scheme} / TP ${r.tensor}`)
  }
  if (shape.mtp === null) return none
  const bytes = predictionWeights(shape, storage, parallel)
  const layers = shape.mtp.order.length
  return made(
    bytes,
    shape.mtp,
    `${layers} prediction ${layers === 1 ? 'layer' : 'layers'} as ${storage.scheme} / TP ${r.tensor}`,
  )
}

function made(bytes: number, stack: LayerStack, formula: string): Draft {
  return { stacks: [stack], part: exactPart('draftWeights', bytes, 'derived', formula, 'speculative-config') }
}
