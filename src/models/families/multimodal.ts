import { Config, type JsonObject } from '../config.ts'
import type { ModelShape, Tower, Weight } from '../shape.ts'
import { type Architecture, architectureOf, isOwnClass, labelCount } from './architecture.ts'
import { checkpointDtype, equalToClasses, type Family, type NestedReader, noLayers } from './family.ts'
import type { Encoder } from './towers.ts'

/** The language model inside a multimodal one. */
export interface TextPart {
  /** Type that reads it where the nested config is silent about its own. */
  readonly type: string
  /** The same, where the whole config decides. */
  readonly typeOf?: (config: Config) => string
  /**
   * Names of its own class for a model that `type` reads, with the defaults of that class. A class that has such names,
   * or whose `type` ends in _text, takes no other language model.
   */
  readonly own?: readonly string[]
  readonly defaults?: JsonObject
  /** What the family builds when there is no nested config at all. */
  readonly absent?: JsonObject
  /** Keys under which the nested config stands; `text_config` unless said. */
  readonly keys?: readonly string[]
  /** Fields that the language model takes from its surroundings. */
  readonly fields?: (config: Config) => JsonObject
  /** Old files carry the language model's fields at the top level. */
  readonly flat?: boolean
}

/** One multimodal type. */
export interface MultimodalType {
  readonly type: string
  readonly also?: readonly string[]
  readonly classes?: readonly string[]
  readonly defaults?: JsonObject
  readonly aliases?: Readonly<Record<string, readonly string[]>>
  readonly text: TextPart
  /**
   * Which flag ties head and embedding where that is not the top level's with this default: the nested config's, either
   * of them, or none.
   */
  readonly tie?: 'nested' | 'either' | 'never'
  readonly tiedByDefault?: boolean
  readonly towers: (m: Multimodal) => readonly NamedTower[]
  /** What the class does differently with the whole. */
  readonly finish?: (shape: ModelShape, config: Config) => ModelShape
  /** False where no class was compared. */
  readonly exact?: false
  /** How such a type was verified instead. */
  readonly verified?: string
}

/** A tower and, for encoders, the heads that tensor parallelism divides. */
export interface NamedTower extends Tower {
  readonly heads?: number | null
}

/** What towers are read from. */
export interface Multimodal {
  readonly config: Config
  readonly text: ModelShape
  /** Width of the language model. */
  readonly hidden: number
  /** A nested config; where it is absent the fields the family gives its class (partial ones get the class's defaults). */
  readonly part: (name: string, absent?: JsonObject) => Config
  /** A nested config, null when absent: towers that exist only where the file has them. */
  readonly optional: (name: string) => Config | null
}

/** A family of one multimodal type. */
export function multimodal(row: MultimodalType): Family {
  return {
    name: row.type,
    modelTypes: [row.type, ...(row.also ?? [])],
    verified: row.verified ?? (row.exact === false ? 'same blocks as verified types' : equalToClasses),
    shape: (file, nested) => multimodalShape(row, file.with(row.defaults ?? {}, row.aliases), nested),
  }
}

function multimodalShape(row: MultimodalType, config: Config, nested: NestedReader): ModelShape {
  const architecture = architectureOf(config)
  const text = readText(row, config, nested, architecture)
  const missing: string[] = []
  const towers = row.towers({
    config,
    text,
    hidden: text.facts.hidden,
    part: (name, absent = {}) => {
      const own = config.nested(name)
      if (own) return own
      missing.push(name)
      return new Config(absent, {}, {}, `${name}.`)
    },
    optional: name => config.nested(name),
  })
  const type = config.text('model_type') ?? row.type
  const own = isOwnClass(architecture, row.type, row.classes)
  const exact = row.exact !== false && type === row.type && own && missing.length === 0 && text.count === 'exact'
  const visions = towers.filter(tower => tower.role === 'vision').map(tower => tower.heads ?? null)
  const shape: ModelShape = {
    ...text,
    family: row.type,
    modelType: type,
    count: exact ? 'exact' : 'derived',
    towers: towers.map(({ heads: _, ...tower }) => tower),
    facts: {
      ...text.facts,
      multimodal: true,
      visionHeads: visions.find(heads => heads !== null) ?? null,
      dtype: checkpointDtype(config) ?? text.facts.dtype,
    },
    notes: [
      ...text.notes,
      ...missing.map(name => `${name} missing: the default one of ${row.type} is counted`),
      ...(own ? [] : [`architectures names ${architecture.prefix}: counted as ${row.type}`]),
    ],
  }
  return row.finish?.(shape, config) ?? shape
}

/** The language model, with the tie flag that counts for this type. */
function readText(row: MultimodalType, config: Config, nested: NestedReader, architecture: Architecture): ModelShape {
  const part = textConfig(row.text, config)
  const said = part.text('model_type')
  const isOwn = said === null || (row.text.own ?? []).includes(said)
  const type = isOwn ? (row.text.typeOf?.(config) ?? row.text.type) : said
  const json = { ...(isOwn ? row.text.defaults : {}), ...part.json, ...row.text.fields?.(config), model_type: type }
  const { architectures: _, ...bare } = json as JsonObject
  const head = headOf(architecture, config)
  const top = config.flag('tie_word_embeddings', row.tiedByDefault ?? false)
  const nestedTie = row.tie === 'nested' || (row.tie === 'either' && !top)
  const tied = nestedTie ? {} : { tie_word_embeddings: row.tie === 'never' ? false : top }
  const text = nested(new Config({ ...bare, ...head, ...tied }, {}, {}, part.path), type)
  if (isOwn || said === row.text.type) return text
  // A class with a language model of its own reads any other's fields as its own. One that takes any puts its own head on
  // it, without bias and tied by its own flag; types that tie by a rule of their own were not compared.
  const closed = row.text.own !== undefined || row.text.type.endsWith('_text')
  const flag = tied.tie_word_embeddings
  const otherwise = flag !== undefined && architecture.head === 'lm' && text.tied !== flag
  return {
    ...text,
    count: closed || otherwise ? 'derived' : text.count,
    final: text.final
      .filter(weight => weight.name !== 'lm_head.bias')
      .map(weight => (weight.name === 'lm_head' ? { ...weight, bias: false } : weight)),
  }
}

/** The head that the whole model's class puts on the language model. */
function headOf(architecture: Architecture, config: Config): JsonObject {
  if (architecture.head === 'none') return { architectures: ['Model'] }
  if (architecture.head !== 'sequence' && architecture.head !== 'token') return {}
  return { architectures: [architecture.ending], num_labels: labelCount(config), id2label: null }
}

function textConfig(part: TextPart, config: Config): Config {
  for (const key of part.keys ?? ['text_config']) {
    const own = config.nested(key)
    if (own) return own
  }
  if (!part.flat) return new Config(part.absent ?? {}, {}, {}, 'text_config.')
  const { model_type: _, ...fields } = config.json
  return new Config(fields, {}, {}, config.path)
}

/** A vision (or audio) tower under the module path that the checkpoint gives it. */
export function tower(name: string, role: Tower['role'], encoder: Encoder): NamedTower {
  return { name, role, weights: encoder.weights, stack: encoder.stack, heads: encoder.heads }
}

/** What stands between a tower and the language model. */
export function projector(weights: readonly Weight[], name = 'multi_modal_projector'): NamedTower {
  return { name, role: 'projector', weights, stack: noLayers }
}
