import { type Attention, keyValueHeads } from '../blocks/attention.ts'
import { norm, outputHead, replicated, tokenEmbedding } from '../blocks/weights.ts'
import type { Config, JsonObject } from '../config.ts'
import type { CacheSpec, KeyValueHeads, LayerStack, ModelShape, ShapeFacts, Weight } from '../shape.ts'
import { architectureOf, type HeadKind, isOwnClass, labelCount } from './architecture.ts'
import { decoderFacts, equalToClasses, type Family, layerCount, layerKinds, stackOf } from './family.ts'

/** Sizes of a decoder whose layers all have the same attention and feed-forward widths. */
export interface Dims extends Attention {
  readonly config: Config
  readonly layers: number
  readonly vocabulary: number
  /** Inner width of the feed-forward. */
  readonly width: number
}

/** What the windows of a model's layers depend on. */
export type Layers = Pick<Dims, 'config' | 'layers'>

/** Window in tokens of each layer, null for full attention. */
export type Windows = readonly (number | null)[]

/** How a class names and derives its sizes, where it differs from Llama's. */
export interface DimsRules {
  /** Keys of the sizes where they are not the usual ones. */
  readonly names?: Partial<Record<'hidden' | 'layers' | 'heads', string>>
  /** Number of layers where no single key holds it. */
  readonly layers?: (config: Config) => number
  readonly kvHeads?: (config: Config, heads: number) => number
  /** `divide`: the class knows no head_dim and takes hidden / heads, rounded down. */
  readonly headDim?: 'divide' | ((config: Config, hidden: number, heads: number) => number)
  readonly width?: (config: Config, hidden: number) => number
}

/** One model type of the decoder class: what its class does differently from Llama's. */
export interface DecoderType extends DimsRules {
  readonly type: string
  /** Other model types with the same keys and tensors. */
  readonly also?: readonly string[]
  /** Class names besides the type's own under which `architectures` names the same model. */
  readonly classes?: readonly string[]
  /** What its class takes where the config is silent; the head is untied unless they say so. */
  readonly defaults: JsonObject
  readonly aliases?: Readonly<Record<string, readonly string[]>>
  readonly embedding?: (d: Dims) => readonly Weight[]
  readonly layer: (d: Dims) => readonly Weight[]
  /** Weights that the first layer lacks, by name. */
  readonly firstLayerLacks?: readonly string[]
  readonly windows?: (d: Dims) => Windows
  /** Norms and the like after the last layer; an RMS norm unless said. */
  readonly final?: (d: Dims) => readonly Weight[]
  readonly headBias?: (config: Config) => boolean
  readonly headWidth?: (config: Config, hidden: number) => number
  /** Rows of the output head where they are not the vocabulary. */
  readonly headRows?: (config: Config) => number | null
  /** Says what had to be assumed because the config leaves out a key without default; such a count is derived. */
  readonly assumed?: (config: Config) => string | null
  /** False where no class was compared. The types of `also` are derived in any case. */
  readonly exact?: false
}

/** A family of one row of the decoder class. */
export function decoder(row: DecoderType): Family {
  const modelTypes = [row.type, ...(row.also ?? [])]
  return {
    name: row.type,
    modelTypes,
    verified: row.exact === false ? 'same blocks as verified types' : equalToClasses,
    shape: file => decoderShape(row, file.with({ tie_word_embeddings: false, ...row.defaults }, row.aliases)),
  }
}

function decoderShape(row: DecoderType, config: Config): ModelShape {
  const d = dimsOf(row, config)
  const windows = row.windows?.(d) ?? plainWindows(d)
  const weights = row.layer(d)
  const lacking = row.firstLayerLacks ?? []
  const isShorter = (layer: number) => layer === 0 && lacking.length > 0
  const layerWeights = (layer: number) =>
    isShorter(layer) ? weights.filter(weight => !lacking.includes(weight.name)) : weights
  const variant = (layer: number) => (isShorter(layer) ? 'first' : '')
  const assumed = row.assumed?.(config) ?? null
  return assemble(config, {
    type: row.type,
    classes: row.classes ?? [],
    exact: row.exact !== false && assumed === null && (config.text('model_type') ?? row.type) === row.type,
    notes: assumed === null ? [] : [assumed],
    embedding: row.embedding?.(d) ?? [tokenEmbedding(d.vocabulary, d.hidden)],
    layers: windowStack(d.layers, windows, isBidirectional(config) ? null : keyValueHeads(d), layerWeights, variant),
    final: row.final?.(d) ?? [norm('model.norm', d.hidden)],
    headBias: row.headBias?.(config) ?? false,
    facts: {
      hidden: d.hidden,
      layers: d.layers,
      vocabulary: d.vocabulary,
      heads: d.heads,
      kvHeads: d.kvHeads,
      headDim: d.headDim,
      intermediate: d.width,
    },
    ...(row.headRows ? { headRows: row.headRows(config) ?? d.vocabulary } : {}),
    ...(row.headWidth ? { headWidth: row.headWidth(config, d.hidden) } : {}),
  })
}

/** The sizes of a decoder under its row's key names and rules. */
export function dimsOf(row: DimsRules, config: Config): Dims {
  const hidden = config.size(row.names?.hidden ?? 'hidden_size')
  const layers = row.layers?.(config) ?? layerCount(config, row.names?.layers)
  const heads = config.size(row.names?.heads ?? 'num_attention_heads')
  const kvHeads = row.kvHeads?.(config, heads) ?? config.sizeOrNull('num_key_value_heads') ?? heads
  const divided = () => dividedHeadDim(config, hidden, heads, row.names?.heads)
  const headDim =
    row.headDim === 'divide'
      ? divided()
      : (row.headDim?.(config, hidden, heads) ?? config.sizeOrNull('head_dim') ?? divided())
  const width = row.width?.(config, hidden) ?? config.size('intermediate_size')
  return { config, hidden, layers, heads, kvHeads, headDim, width, vocabulary: config.size('vocab_size') }
}

/** floor(hidden / heads); at least 1, else the heads are malformed. */
export function dividedHeadDim(config: Config, hidden: number, heads: number, name = 'num_attention_heads'): number {
  const dim = Math.floor(hidden / heads)
  return dim >= 1 ? dim : config.invalid(name, `is ${heads}, more than the hidden size ${hidden}`)
}

/**
 * What most classes do: `layer_types` says which layers slide, else a `sliding_window` that is neither null nor switched
 * off by `use_sliding_window: false` holds for every layer (vLLM, ModelConfig.get_sliding_window).
 */
export function plainWindows(d: Layers): Windows {
  const window = d.config.sizeOrNull('sliding_window')
  const off = !d.config.flag('use_sliding_window', true)
  const kinds = layerKinds(d.config, d.layers)
  if (window === null || off) return new Array<null>(d.layers).fill(null)
  if (kinds === null) return new Array<number>(d.layers).fill(window)
  return kinds.map(kind => (kind === 'sliding_attention' ? window : null))
}

/**
 * Windows of classes that alternate: `layer_types` of the file, else `isFull` for a layer number from 0. `extra` tokens
 * are added where the model code passes a larger window on.
 */
export function alternatingWindows(d: Layers, isFull: (layer: number) => boolean, extra = 0): Windows {
  const window = d.config.sizeOrNull('sliding_window')
  const kinds = layerKinds(d.config, d.layers)
  return Array.from({ length: d.layers }, (_, i) => {
    const full = kinds ? kinds[i] !== 'sliding_attention' : isFull(i)
    return window === null || full ? null : window + extra
  })
}

/** Embedding models made of decoders attend both ways and keep no cache. */
function isBidirectional(config: Config): boolean {
  return config.raw('use_bidirectional_attention') === true || config.raw('is_causal') === false
}

/**
 * Layers that differ in their window only, or also in their weights (`variant` names the weights' kind). Without
 * `heads` nothing is cached.
 */
export function windowStack(
  layers: number,
  windows: Windows,
  heads: KeyValueHeads | null,
  weightsOf: (layer: number) => readonly Weight[],
  variant: (layer: number) => string = () => '',
): LayerStack {
  return stackOf(
    layers,
    i => `${variant(i)}${variant(i) && ' '}${windows[i] === null ? 'dense' : `sliding ${windows[i]}`}`,
    (i, name) => ({ name, weights: weightsOf(i), cache: heads ? [attentionCache(windows[i] ?? null, heads)] : [] }),
  )
}

/** Keys and values of all tokens, or of the last `window`. */
export function attentionCache(window: number | null, heads: KeyValueHeads): CacheSpec {
  return window === null ? { kind: 'full', ...heads } : { kind: 'sliding', window, ...heads }
}

/** The parts of a decoder once its layers are read. */
export interface DecoderParts {
  readonly type: string
  readonly classes: readonly string[]
  readonly exact: boolean
  readonly embedding: readonly Weight[]
  readonly layers: LayerStack
  /** What follows the last layer, without the output head. */
  readonly final: readonly Weight[]
  readonly headBias?: boolean
  /** Width of the output head's input where it is not the hidden size. */
  readonly headWidth?: number
  /** Rows of the output head where they are not the vocabulary. */
  readonly headRows?: number
  readonly facts: Pick<ShapeFacts, 'hidden' | 'layers' | 'vocabulary'> & Partial<ShapeFacts>
  readonly notes?: readonly string[]
  /** Where the class ties (or not) whatever the config says. */
  readonly tied?: boolean
  readonly mtp?: LayerStack | null
}

/** Heads compared with the classes of transformers 5.24 wherever a type has such a class. */
const VERIFIED: readonly HeadKind[] = ['lm', 'none', 'sequence', 'token', 'span']

/**
 * Puts the head on a decoder that `architectures` asks for: the language model's (tied or not), none for a bare
 * `*Model`, one matrix without bias for `*ForSequenceClassification`. The count is exact only for the type's own class
 * with a head that was compared.
 */
export function assemble(config: Config, parts: DecoderParts): ModelShape {
  const architecture = architectureOf(config)
  const { hidden, vocabulary } = parts.facts
  const width = parts.headWidth ?? hidden
  const lm = architecture.head === 'lm' || architecture.head === 'other'
  const tied = lm && (parts.tied ?? config.flag('tie_word_embeddings'))
  const head: Weight[] = []
  if (lm && !tied) head.push(outputHead(parts.headRows ?? vocabulary, width, parts.headBias))
  if (lm && tied && parts.headBias) head.push({ ...norm('lm_head.bias', vocabulary), kind: 'other', split: 'vocab' })
  if (architecture.head === 'sequence') head.push(replicated('score', labelCount(config), width))
  if (architecture.head === 'token') head.push(replicated('score', labelCount(config), width, { bias: true }))
  if (architecture.head === 'span') head.push(replicated('qa_outputs', 2, width, { bias: true }))
  const own = isOwnClass(architecture, parts.type, parts.classes)
  const known = own && VERIFIED.includes(architecture.head) && !config.flag('add_cross_attention')
  return {
    family: parts.type,
    modelType: config.text('model_type') ?? parts.type,
    count: parts.exact && known ? 'exact' : 'derived',
    embedding: parts.embedding,
    layers: parts.layers,
    final: [...parts.final, ...head],
    tied,
    towers: [],
    mtp: parts.mtp ?? null,
    facts: decoderFacts(config, { task: lm ? 'generate' : 'embed', ...parts.facts }),
    notes: [
      ...(parts.notes ?? []),
      ...(own ? [] : [`architectures names ${architecture.prefix}: counted as ${parts.type}`]),
    ],
  }
}
