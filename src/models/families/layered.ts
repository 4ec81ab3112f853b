import { type Attention, keyValueHeads } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { norm, outputHead, replicated, tokenEmbedding } from '../blocks/weights.ts'
import type { Config, JsonObject } from '../config.ts'
import type { CacheSpec, LayerStack, ModelShape, Weight } from '../shape.ts'
import { assemble, attentionCache, dividedHeadDim } from './decoder.ts'
import { equalToClasses, type Family, layerCount, stackOf } from './family.ts'

/** Sizes that all layers of a decoder share. */
export interface Sizes extends Attention {
  readonly config: Config
  readonly layers: number
  readonly vocabulary: number
}

/** A part of a layer: its mixer, its feed-forward. Parts of the same name are equal within a model. */
export interface Part {
  readonly name: string
  readonly weights: () => readonly Weight[]
  readonly cache?: readonly CacheSpec[]
}

/** A decoder whose layers differ: mixtures of experts, hybrids of attention and recurrent mixers. */
export interface Layered {
  readonly sizes: Sizes
  /** The parts of layer i, counted from 0. */
  readonly layer: (i: number) => readonly Part[]
  /** Width of the dense feed-forward, where there is one. */
  readonly intermediate?: number | null
  readonly experts?: number | null
  readonly expertsPerToken?: number | null
  readonly embedding?: readonly Weight[]
  readonly final?: readonly Weight[]
  readonly headBias?: boolean
  /** Rows of the output head where they are not the vocabulary. */
  readonly headRows?: number
  /** Where the class ties (or not) whatever the config says. */
  readonly tied?: boolean
  readonly mtp?: LayerStack | null
  readonly notes?: readonly string[]
  /** False where this config uses something that no verified row shows. */
  readonly exact?: boolean
}

/** One model type: defaults of its class and how its layers are read. */
export interface LayeredType {
  readonly type: string
  /** Other model types with the same keys and tensors; their counts are derived. */
  readonly also?: readonly string[]
  /** Class names besides the type's own under which `architectures` names the same model. */
  readonly classes?: readonly string[]
  /** What its class takes where the config is silent; the head is untied unless they say so. */
  readonly defaults: JsonObject
  readonly aliases?: Readonly<Record<string, readonly string[]>>
  /** How the count was verified where that is by published totals. */
  readonly verified?: string
  readonly read: (config: Config) => Layered
}

/** A family of one type whose layers are read one by one. */
export function layered(row: LayeredType): Family {
  return {
    name: row.type,
    modelTypes: [row.type, ...(row.also ?? [])],
    verified: row.verified ?? equalToClasses,
    shape: file => layeredShape(row, file.with({ tie_word_embeddings: false, ...row.defaults }, row.aliases)),
  }
}

function layeredShape(row: LayeredType, config: Config): ModelShape {
  const body = row.read(config)
  const { hidden, layers, vocabulary, heads, kvHeads, headDim } = body.sizes
  return assemble(config, {
    type: row.type,
    classes: row.classes ?? [],
    exact: body.exact !== false && (config.text('model_type') ?? row.type) === row.type,
    embedding: body.embedding ?? [tokenEmbedding(vocabulary, hidden)],
    layers: partsStack(layers, body.layer),
    final: body.final ?? [norm('model.norm', hidden)],
    headBias: body.headBias ?? false,
    facts: {
      hidden,
      layers,
      vocabulary,
      heads,
      kvHeads,
      headDim,
      intermediate: body.intermediate ?? null,
      experts: body.experts ?? null,
      expertsPerToken: body.expertsPerToken ?? null,
    },
    notes: body.notes ?? [],
    mtp: body.mtp ?? null,
    ...(body.tied === undefined ? {} : { tied: body.tied }),
    ...(body.headRows === undefined ? {} : { headRows: body.headRows }),
  })
}

/** Layers from their parts; layers whose parts have the same names share a kind. */
export function partsStack(layers: number, layer: (i: number) => readonly Part[]): LayerStack {
  return stackOf(
    layers,
    i =>
      layer(i)
        .map(part => part.name)
        .join(' '),
    (i, name) => ({
      name,
      weights: layer(i).flatMap(part => part.weights()),
      cache: layer(i).flatMap(part => part.cache ?? []),
    }),
  )
}

/** The usual keys; KV heads default to the heads, the head size to hidden / heads rounded down. */
export function sizesOf(
  config: Config,
  names: Partial<Record<'hidden' | 'layers' | 'heads' | 'kvHeads', string>> = {},
): Sizes {
  const hidden = config.size(names.hidden ?? 'hidden_size')
  const heads = config.size(names.heads ?? 'num_attention_heads')
  return {
    config,
    hidden,
    heads,
    kvHeads: config.sizeOrNull(names.kvHeads ?? 'num_key_value_heads') ?? heads,
    headDim: config.sizeOrNull('head_dim') ?? dividedHeadDim(config, hidden, heads, names.heads),
    layers: layerCount(config, names.layers),
    vocabulary: config.size('vocab_size'),
  }
}

/** An attention mixer with its norm before it; `window` null for full attention. */
export function attentionPart(d: Sizes, window: number | null, weights: () => readonly Weight[]): Part {
  return {
    name: window === null ? 'full' : `sliding ${window}`,
    weights: () => [...weights(), norm('input_layernorm', d.hidden)],
    cache: [attentionCache(window, keyValueHeads(d))],
  }
}

/** A feed-forward with its norm before it. */
export function feedPart(name: string, d: Pick<Sizes, 'hidden'>, weights: () => readonly Weight[]): Part {
  return { name, weights: () => [...weights(), norm('post_attention_layernorm', d.hidden)] }
}

/** A gated dense feed-forward with its norm. */
export function densePart(d: Pick<Sizes, 'hidden'>, width: number, bias = false): Part {
  return feedPart('dense', d, () => gatedFeedForward(d.hidden, width, bias))
}

/**
 * Multi-token-prediction layers as checkpoints store them: a decoder layer of the given parts, the projection of two
 * hidden states to one, three norms and, where the model has copies, an embedding and a head.
 */
export function predictionLayers(count: number, d: Sizes, parts: readonly Part[], copies: boolean): LayerStack | null {
  if (count === 0) return null
  return partsStack(count, () => [
    ...parts,
    {
      name: 'mtp',
      weights: () => [
        replicated('eh_proj', d.hidden, 2 * d.hidden),
        norm('enorm', d.hidden),
        norm('hnorm', d.hidden),
        norm('shared_head.norm', d.hidden),
        ...(copies
          ? [
              tokenEmbedding(d.vocabulary, d.hidden, 'embed_tokens'),
              outputHead(d.vocabulary, d.hidden, false, 'shared_head.head'),
            ]
          : []),
      ],
    },
  ])
}
