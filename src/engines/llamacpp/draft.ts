import { ggufMix, ggufTag } from '../../models/checkpoint/gguf-mixes.ts'
import type { EngineInput } from '../engine.ts'
import type { ContextOptions } from './context.ts'
import { modelFromKeys } from './model-from-keys.ts'
import { modelFromShape } from './model-from-shape.ts'
import type { OptionReader } from './options.ts'
import { startOf } from './start.ts'
import { tensorsOfFile, tensorsOfMix } from './tensors.ts'

/** A second, small model for speculative decoding, whole on the main device: its weights, and its own context. */
export interface Draft {
  readonly weights: number
  readonly spread: number
  /** Cache, state and compute buffer for a context as long as the model's. */
  readonly context: (asked: ContextOptions) => number
  readonly source: string
}

/** Null where no draft model is given. */
export function draftOf(input: EngineInput, options: OptionReader): Draft | null {
  if (input.draft === null) return null
  const { shape, facts } = input.draft
  const own = facts.gguf ? modelFromKeys(facts.gguf.architecture, facts.gguf.keys, facts.gguf.vocabulary) : null
  const model = own ?? modelFromShape(shape)
  const written = options.text('spec-draft-model') ?? options.text('spec-draft-hf') ?? facts.id
  const tag = ggufTag(written) ?? 'Q4_K_M'
  const tensors =
    facts.gguf && own
      ? tensorsOfFile(facts.gguf, own.blocks.length)
      : tensorsOfMix(shape, ggufMix(tag) ?? ggufMix('Q4_K_M')!)
  return {
    weights: tensors.blocks.reduce((sum, block) => sum + block.other + block.experts, 0) + tensors.output,
    spread: tensors.spread,
    source: tensors.source,
    context: asked => {
      const start = startOf(model, asked)
      return start.cacheBytes + start.stateBytes + start.computeBytes
    },
  }
}
