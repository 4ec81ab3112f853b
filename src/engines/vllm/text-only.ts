import { unknownCheckpoint } from '../../models/facts.ts'
import type { ModelShape } from '../../models/shape.ts'
import type { EngineInput } from '../engine.ts'
import type { Resolved } from './settings.ts'

const known = new WeakMap<ModelShape, ModelShape>()

/** The model without what reads images and sound, kept with the shape: remedies ask for the same one again. */
function textModel(shape: ModelShape): ModelShape {
  const found = known.get(shape)
  if (found) return found
  const text = {
    ...shape,
    towers: shape.towers.filter(tower => tower.role === 'encoder'),
    facts: { ...shape.facts, visionHeads: null },
  }
  known.set(shape, text)
  return text
}

/**
 * With `--language-model-only` vLLM builds no vision and audio towers (its multimodal page; Qwen3.6-27B-FP8 printed
 * 27.67 GiB so, where the checkpoint has 28.75). The stored size holds them and says nothing then.
 */
export function loadedModel(input: EngineInput, r: Resolved): EngineInput {
  if (r.option.flag('language-model-only') !== true || input.shape.towers.length === 0) return input
  return { ...input, shape: textModel(input.shape), facts: { ...input.facts, checkpoint: unknownCheckpoint } }
}
