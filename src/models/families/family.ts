import { type Config, FieldProblem, type JsonObject } from '../config.ts'
import type { LayerKind, LayerStack, ModelShape, ShapeFacts, Weight } from '../shape.ts'

/**
 * A family reads the configs of one or more model types. Add one: a file here, a line in `index.ts`, and the contract
 * suite runs it on known configs.
 */
export interface Family {
  readonly name: string
  /** `model_type` values (and remote-code aliases) it reads. */
  readonly modelTypes: readonly string[]
  /** How its counts were verified; printed by `list families`. */
  readonly verified: string
  /**
   * config.json -> shape. The config has no defaults yet: the family adds its class's. Throws FieldProblem (caught by
   * `shapeOf`) when a needed field is missing or malformed. `nested` reads a text_config (or the like) by its own
   * model type, for families that wrap another model.
   */
  readonly shape: (config: Config, nested: NestedReader) => ModelShape
}

/** How most families were verified: each config compared gave the class's own count. */
export const equalToClasses = 'equal to the classes of transformers 5.24 on every config compared'

/** Short names of the sizes that nearly every class has defaults for. */
const USUAL: Readonly<Record<string, string>> = {
  vocab: 'vocab_size',
  hidden: 'hidden_size',
  width: 'intermediate_size',
  layers: 'num_hidden_layers',
  heads: 'num_attention_heads',
  kvHeads: 'num_key_value_heads',
  context: 'max_position_embeddings',
}

/** Defaults of a class, its usual sizes under short names; all other keys as configs spell them. */
export const usual = (defaults: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(defaults).map(([name, value]) => [USUAL[name] ?? name, value]))

/** Reads a nested config by its `model_type`, or by the given type where it is silent. */
export type NestedReader = (config: Config, otherwise?: string) => ModelShape

/** More layers than any model has; a larger number is a malformed field, not a model. */
const MOST_LAYERS = 10_000

/** Number of layers under the given key: 1 to 10,000. */
export function layerCount(config: Config, name = 'num_hidden_layers'): number {
  const layers = config.size(name)
  return layers <= MOST_LAYERS ? layers : config.invalid(name, `is ${layers}, expected at most ${MOST_LAYERS}`)
}

/** `layer_types` of the file: one name a layer, at least as many as there are layers; null when absent. */
export function layerKinds(config: Config, layers: number, name = 'layer_types'): readonly string[] | null {
  const kinds = config.list(name)
  if (kinds === null) return null
  if (kinds.length < layers) return config.invalid(name, `has ${kinds.length} entries for ${layers} layers`)
  return kinds.slice(0, layers).map(kind => (typeof kind === 'string' ? kind : config.invalid(name, 'holds no text')))
}

/** Guards every stack, whatever key its length came from. */
function checkedLength(count: number): number {
  if (count <= MOST_LAYERS) return count
  throw new FieldProblem({
    code: 'field-invalid',
    message: `config.json: num_hidden_layers (or the key that counts layers) is ${count}, expected at most ${MOST_LAYERS}`,
  })
}

/** A stack whose layers are all of one kind. */
export function uniformStack(count: number, kind: LayerKind): LayerStack {
  return { kinds: [kind], order: new Array<number>(checkedLength(count)).fill(0) }
}

/** The layers of an encoder, all alike; the key `layers` holds their number. */
export function encoderStack(config: Config, weights: readonly Weight[], layers?: string): LayerStack {
  return uniformStack(layerCount(config, layers), { name: 'encoder', weights, cache: [] })
}

/** A stack built layer by layer; layers with the same key share one kind, made once. */
export function stackOf(
  count: number,
  keyOf: (layer: number) => string,
  kindOf: (layer: number, key: string) => LayerKind,
): LayerStack {
  const index = new Map<string, number>()
  const kinds: LayerKind[] = []
  const order: number[] = []
  const length = checkedLength(count)
  for (let layer = 0; layer < length; layer++) {
    const key = keyOf(layer)
    let at = index.get(key)
    if (at === undefined) {
      at = kinds.length
      index.set(key, at)
      kinds.push(kindOf(layer, key))
    }
    order.push(at)
  }
  return { kinds, order }
}

export const noLayers: LayerStack = { kinds: [], order: [] }

/** The usual facts of a decoder, read with the usual names; a family overrides what differs. */
export function decoderFacts(
  config: Config,
  known: Partial<ShapeFacts> & Pick<ShapeFacts, 'hidden' | 'layers' | 'vocabulary'>,
): ShapeFacts {
  return {
    heads: null,
    kvHeads: null,
    headDim: null,
    intermediate: null,
    contextLength: contextLength(config),
    experts: null,
    expertsPerToken: null,
    visionHeads: null,
    multimodal: false,
    task: 'generate',
    dtype: checkpointDtype(config),
    stateDtype: config.text('mamba_ssm_dtype') ?? config.text('mamba_ssm_cache_dtype'),
    ...known,
  }
}

const CONTEXT_KEYS = [
  'max_position_embeddings',
  'n_positions',
  'max_seq_len',
  'seq_length',
  'model_max_length',
  'max_sequence_length',
  'max_target_positions',
]

/** Longest context: the smallest of the names models use for it (the rule of vLLM). */
function contextLength(config: Config): number | null {
  let least: number | null = null
  for (const key of CONTEXT_KEYS) {
    const value = config.raw(key)
    if (typeof value === 'number' && Number.isInteger(value) && value > 0)
      least = least === null ? value : Math.min(least, value)
  }
  return least
}

/** `dtype`, then `torch_dtype`; "torch.bfloat16" is read as "bfloat16". */
export function checkpointDtype(config: Config): string | null {
  for (const key of ['dtype', 'torch_dtype']) {
    const value = config.raw(key)
    if (typeof value === 'string') return value.replace(/^torch\./, '')
  }
  return null
}
