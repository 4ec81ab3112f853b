import { Config, FieldProblem, type FieldWatch, type JsonObject } from '../config.ts'
import type { ModelShape } from '../shape.ts'
import { architectureOf, isOwnClass } from './architecture.ts'
import type { Family, NestedReader } from './family.ts'
import { genericMultimodal, readsMoreThanText, subModels, towerFamilies } from './generic-multimodal.ts'

/**
 * Reads a config whose model type no family knows: by the family of the class that `architectures` names, else by the
 * family whose keys fit best. The count is derived and a note says what was assumed. Null when no family can read it
 * from the keys the file has.
 */
export function readByLikeness(config: Config, families: readonly Family[], nested: NestedReader): ModelShape | null {
  const type = config.text('model_type')
  const found =
    byClass(config, families, nested) ??
    (readsMoreThanText(config) ? byTowers(config, families, nested) : byKeys(config, families, nested))
  if (found === null) return null
  return {
    ...found.shape,
    family: 'generic',
    modelType: type ?? 'unknown',
    count: 'derived',
    notes: [...found.shape.notes, `model_type ${JSON.stringify(type)} is not known: counted ${found.how}`],
  }
}

interface Reading {
  readonly shape: ModelShape
  /** "like llama". */
  readonly how: string
}

function byClass(config: Config, families: readonly Family[], nested: NestedReader): Reading | null {
  const architecture = architectureOf(config)
  if (architecture.prefix === null || !(saysASize(config) || readsMoreThanText(config))) return null
  const family = families.find(candidate => candidate.modelTypes.some(type => isOwnClass(architecture, type)))
  const shape = family ? attempt(family, config, nested) : null
  return family && shape ? { shape, how: `like ${family.name}` } : null
}

/** A multimodal model: like the family whose towers it names, else by its nested configs. */
function byTowers(config: Config, families: readonly Family[], nested: NestedReader): Reading | null {
  for (const name of towerFamilies(config)) {
    const family = families.find(candidate => candidate.modelTypes.includes(name))
    const shape = family ? attempt(family, config, nested) : null
    if (family && shape?.facts.multimodal && shape.facts.task === 'generate')
      return { shape, how: `like ${family.name}, whose towers it has` }
  }
  return { shape: genericMultimodal(config, nested), how: 'by its nested configs' }
}

/** Sizes without which any family would count its own defaults instead of the file. */
const NEEDED: readonly (readonly string[])[] = [
  ['hidden_size', 'd_model', 'n_embd', 'n_embed', 'dim'],
  ['num_hidden_layers', 'num_layers', 'n_layer', 'n_layers', 'decoder_layers', 'hybrid_override_pattern'],
  // encoders of images and sound have none
  ['vocab_size', 'padded_vocab_size', 'image_size', 'num_mel_bins'],
]

const says = (config: Config, names: readonly string[]): boolean => names.some(name => config.json[name] != null)

const hasSizes = (config: Config): boolean => NEEDED.every(names => says(config, names))

/** A class alone is not enough to count its own defaults under another type. */
const saysASize = (config: Config): boolean => NEEDED.some(names => says(config, names))

/** Kinds of layers that more than one class has under these names; what another name holds cannot be guessed. */
const COMMON_LAYERS = new Set<unknown>([
  'full_attention',
  'sliding_attention',
  'chunked_attention',
  'linear_attention',
  'attention',
  'mamba',
  'conv',
])

function strangeLayer(config: Config): unknown {
  const kinds = config.json['layer_types']
  return Array.isArray(kinds) ? kinds.find(kind => !COMMON_LAYERS.has(kind)) : undefined
}

/** What keeps a config of unknown type from being counted, for its problem. */
export function whatIsMissing(config: Config): string {
  const [part] = subModels(config)
  if (part !== undefined) return `and ${config.path}${part} is a sub-model that no known family reads`
  const kind = strangeLayer(config)
  if (kind !== undefined) return `and its layer_types holds ${JSON.stringify(kind)}, which is not known either`
  const missing = NEEDED.filter(names => !says(config, names)).map(names => names[0])
  if (missing.length === 0) return 'and no family that is known has its keys'
  return `and ${missing.join(' and ')} ${missing.length > 1 ? 'are' : 'is'} missing to count it by its keys`
}

/**
 * How well a family fits: a key of the file that it reads counts most; a size that it has to take from its own class's
 * defaults counts against it; keys that it looks for in vain count little, because most of them are options.
 */
const FIT = { file: 10, default: -6, nowhere: -1 }

/** Parts of their own size, whose number may not come from the class's defaults. */
const COUNTED = /experts$/

/** The family that fits the file's keys best; of equals Llama, else the first. A class that generates is no encoder. */
function byKeys(config: Config, families: readonly Family[], nested: NestedReader): Reading | null {
  if (!hasSizes(config) || subModels(config).length > 0 || strangeLayer(config) !== undefined) return null
  const json = withTieFlag(config.json)
  const generates = architectureOf(config).ending === 'ForCausalLM'
  const llamaFirst = [...families].sort((a, b) => Number(b.name === 'llama') - Number(a.name === 'llama'))
  let best: { readonly family: Family; readonly shape: ModelShape; readonly score: number } | null = null
  for (const family of llamaFirst) {
    const weights = new Map<string, number>()
    let invented = false
    const watch: FieldWatch = (field, from, value) => {
      weights.set(field, from === 'default' && typeof value !== 'number' ? 0 : FIT[from])
      if (from === 'default' && COUNTED.test(field) && typeof value === 'number' && value > 0) invented = true
    }
    const shape = familyShape(family, new Config(json, {}, {}, '', watch), nested)
    if (shape === null || invented || shape.facts.multimodal || contradicts(shape, config)) continue
    if (generates && shape.facts.task !== 'generate') continue
    const score = [...weights.values()].reduce((sum, weight) => sum + weight, 0)
    if (best === null || score > best.score) best = { family, shape, score }
  }
  return best && { shape: best.shape, how: `like ${best.family.name}` }
}

/** Keys that only classes have which tie head and embedding when the file is silent (Gemma's and Cohere's relatives). */
const TIED_CLASSES = ['final_logit_softcapping', 'query_pre_attn_scalar', 'hidden_activation', 'logit_scale']

function withTieFlag(json: JsonObject): JsonObject {
  const tied = !('tie_word_embeddings' in json) && TIED_CLASSES.some(key => key in json)
  return tied ? { ...json, tie_word_embeddings: true } : json
}

/** Activations of feed-forwards without a gate. */
const PLAIN_ACTIVATIONS = new Set<unknown>(['relu', 'relu2', 'xielu', 'gelu_new', 'gelu_fast'])

/** Experts or a gate that the file's own keys rule out or demand. */
function contradicts(shape: ModelShape, config: Config): boolean {
  const expertWidth = config.json['moe_intermediate_size']
  if (typeof expertWidth === 'number' && expertWidth > 1 && shape.facts.experts === null) return true
  const isGate = (name: string) => name.endsWith('.gate_proj') || name.endsWith('.gate_up_proj')
  return (
    PLAIN_ACTIVATIONS.has(config.json['hidden_act']) &&
    shape.layers.kinds.some(kind => kind.weights.some(weight => isGate(weight.name)))
  )
}

/**
 * The shape a family reads from the file, null when it cannot or when it leaves a sub-model of the file aside: a count
 * without that would be too low.
 */
function attempt(family: Family, config: Config, nested: NestedReader): ModelShape | null {
  const read = new Set<string>()
  const shape = familyShape(family, new Config(config.json, {}, {}, config.path, field => read.add(field)), nested)
  return subModels(config).some(name => !read.has(`${config.path}${name}`)) ? null : shape
}

function familyShape(family: Family, config: Config, nested: NestedReader): ModelShape | null {
  try {
    return family.shape(config, nested)
  } catch (error) {
    if (error instanceof FieldProblem) return null
    throw error
  }
}
