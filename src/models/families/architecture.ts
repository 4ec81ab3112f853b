import type { Config } from '../config.ts'

/** What stands on top of a model's body. `other` is a head whose size is not known here. */
export type HeadKind =
  | 'lm'
  | 'none'
  | 'sequence'
  | 'token'
  | 'span'
  | 'choice'
  | 'pretraining'
  | 'next-sentence'
  | 'other'

/** The class that `architectures` names: "Qwen2" and its head. */
export interface Architecture {
  /** Class name without its ending, null when the config names none. */
  readonly prefix: string | null
  readonly head: HeadKind
  /** The ending itself: "ForCausalLM". */
  readonly ending: string
}

const ENDINGS: readonly (readonly [string, HeadKind])[] = [
  ['ForCausalLM', 'lm'],
  ['ForMaskedLM', 'lm'],
  ['ForConditionalGeneration', 'lm'],
  ['ForSpeechToText', 'lm'],
  ['DoubleHeadsModel', 'other'],
  ['WithLMHeadModel', 'lm'],
  ['LMHeadModel', 'lm'],
  ['MTModel', 'lm'],
  ['ForSequenceClassification', 'sequence'],
  ['ForTokenClassification', 'token'],
  ['ForQuestionAnswering', 'span'],
  ['ForMultipleChoice', 'choice'],
  ['ForPreTraining', 'pretraining'],
  ['ForNextSentencePrediction', 'next-sentence'],
  ['GenerationDecoder', 'lm'],
  ['GenerationEncoder', 'none'],
  ['EncoderModel', 'none'],
  ['Model', 'none'],
]

/**
 * Reads the first name of `architectures`. A config without one is taken for the language model, as the engines do.
 * A bare `*Model` has no head (embedding models), `*ForSequenceClassification` a small one.
 */
export function architectureOf(config: Config): Architecture {
  const name = config.list('architectures')?.[0]
  if (typeof name !== 'string') return { prefix: null, head: 'lm', ending: '' }
  for (const [ending, head] of ENDINGS)
    if (name.endsWith(ending)) return { prefix: name.slice(0, -ending.length), head, ending }
  return { prefix: name, head: 'other', ending: '' }
}

/** Is the named class one of this model type's own? True also when none is named. */
export function isOwnClass(architecture: Architecture, type: string, others: readonly string[] = []): boolean {
  if (architecture.prefix === null) return true
  const own = plain(architecture.prefix)
  return [type, type.replace(/_text$/, ''), ...others].some(name => plain(name) === own)
}

const plain = (name: string): string => name.replace(/[^a-z0-9]/gi, '').toLowerCase()

/** Number of labels of a classifying head: `id2label`'s entries, else `num_labels`, else 2 (transformers' default). */
export function labelCount(config: Config): number {
  const labels = config.raw('id2label')
  if (typeof labels === 'object' && labels !== null && !Array.isArray(labels)) return Object.keys(labels).length
  return config.sizeOrNull('num_labels') ?? 2
}
