import { type Attention, attentionWeights, keyValueHeads } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { column, conv, linear, norm, positionEmbedding, replicated, row, tokenEmbedding } from '../blocks/weights.ts'
import { Config, type JsonObject } from '../config.ts'
import type { LayerKind, LayerStack, ModelShape, Weight } from '../shape.ts'
import { architectureOf } from './architecture.ts'
import { alternatingWindows, attentionCache, type Dims, dimsOf, windowStack } from './decoder.ts'
import { assembleEncoderDecoder } from './encoder-decoder.ts'
import { equalToClasses, type Family, layerCount, stackOf, usual } from './family.ts'
import { norms } from './llama.ts'

/** One type of the T5 class. */
interface T5Type {
  readonly type: string
  readonly defaults?: JsonObject
  /** The table of relative positions: in the first layer of each half, or in every layer. */
  readonly relativeIn: 'first' | 'every'
  /** Is the output head the embedding: always, never, or as the file says? */
  readonly tied?: 'never' | 'flag'
  /** What the encoder has beside its layers. */
  readonly beside?: (config: Config) => readonly Weight[]
  /** Layers whose feed-forward is experts, by half. */
  readonly isSparse?: (layer: number, cross: boolean, config: Config, layers: number) => boolean
  /** `lm`: only the language model's class is verified. */
  readonly exact?: false | 'lm'
}

const defaults: JsonObject = {
  vocab_size: 32128,
  d_model: 512,
  d_kv: 64,
  d_ff: 2048,
  num_layers: 6,
  num_heads: 8,
  relative_attention_num_buckets: 32,
  feed_forward_proj: 'relu',
}

const aliases = {
  d_model: ['hidden_size'],
  num_heads: ['num_attention_heads'],
  num_layers: ['num_hidden_layers'],
  d_kv: ['head_dim'],
}

/** Encoder tokens a deployment is charged for when the model itself has no limit: T5's training length. */
const T5_ENCODER_TOKENS = 512

function t5Attention(hidden: number, heads: number, headDim: number, prefix: string): Weight[] {
  const inner = heads * headDim
  return [
    column(`${prefix}.q`, inner, hidden),
    linear(`${prefix}.k`, inner, hidden, 'kv', { kvHeads: heads }),
    linear(`${prefix}.v`, inner, hidden, 'kv', { kvHeads: heads }),
    row(`${prefix}.o`, hidden, inner),
  ]
}

function t5FeedForward(hidden: number, width: number, gated: boolean): Weight[] {
  const inner = gated ? ['wi_0', 'wi_1'] : ['wi']
  return [
    ...inner.map(name => column(`DenseReluDense.${name}`, width, hidden)),
    row('DenseReluDense.wo', hidden, width),
  ]
}

/** Rows of the relative tables that UDOP's class builds whatever the file says. */
const UDOP_BUCKETS = 32

/** Two patch embeddings, tables of the cells' x and y, and four tables of relative positions. */
function udopTables(config: Config): Weight[] {
  const hidden = config.size('d_model')
  const patch = config.size('num_channels') * config.size('patch_size') ** 2
  const cells = config.size('max_2d_position_embeddings')
  return [
    ...['patch_embed.proj', 'encoder.embed_patches.proj'].map(name => conv(name, hidden, patch, true)),
    ...['x', 'y'].map(axis => positionEmbedding(cells, hidden, `cell_2d_embedding.${axis}_position_embeddings`)),
    ...['1d', 'horizontal', 'vertical', 'decoder'].map(name =>
      positionEmbedding(UDOP_BUCKETS, config.size('num_heads'), `relative_bias.${name}`),
    ),
  ]
}

/** Experts of two matrices and their router, one expert a token. */
function switchExperts(config: Config, hidden: number, width: number): Weight[] {
  const copies = config.size('num_experts')
  const expert = { copies, active: 1 }
  return [
    replicated('mlp.router.classifier', copies, hidden, { bias: config.flag('router_bias') }),
    linear('mlp.experts.wi', width, hidden, 'expert-column', expert),
    linear('mlp.experts.wo', hidden, width, 'expert-row', expert),
  ]
}

/** Switch: one layer in `step`, from the second one; the step follows from the number of sparse layers. */
function isSwitchLayer(layer: number, cross: boolean, config: Config, layers: number): boolean {
  const half = cross ? 'decoder' : 'encoder'
  const wanted = config.count(`num_sparse_${half}_layers`, 3)
  const step = config.count(`${half}_sparse_step`, wanted > 0 ? Math.floor(layers / wanted) : layers)
  return step > 0 && (layer % step === 1 || step === 1)
}

/** Encoder layer 4*D*K + ff + 2D, decoder layer 8*D*K + ff + 3D; no biases; always tied. */
function t5Shape(rule: T5Type, file: Config): ModelShape {
  const config = file.with({ ...defaults, ...rule.defaults }, aliases)
  const hidden = config.size('d_model')
  const heads = config.size('num_heads')
  const headDim = config.size('d_kv')
  const width = config.size('d_ff')
  const vocabulary = config.size('vocab_size')
  const encoderLayers = layerCount(config, 'num_layers')
  const layers =
    config.sizeOrNull('num_decoder_layers') === null ? encoderLayers : layerCount(config, 'num_decoder_layers')
  const gated = config.flag('is_gated_act', (config.text('feed_forward_proj') ?? '').startsWith('gated'))
  const relative = positionEmbedding(
    config.size('relative_attention_num_buckets'),
    heads,
    'SelfAttention.relative_attention_bias',
  )
  const kv = { kvHeads: heads, keyDim: headDim, valueDim: headDim }
  const sparseFeedForward = rule.isSparse ? switchExperts(config, hidden, width) : []
  const layer = (cross: boolean, first: boolean, sparse: boolean): LayerKind => ({
    name: `${first ? 'first ' : ''}${sparse ? 'moe ' : ''}${cross ? 'decoder' : 'encoder'}`,
    weights: [
      ...t5Attention(hidden, heads, headDim, 'SelfAttention'),
      ...(first || rule.relativeIn === 'every' ? [relative] : []),
      norm('SelfAttention.layer_norm', hidden),
      ...(cross
        ? [...t5Attention(hidden, heads, headDim, 'EncDecAttention'), norm('EncDecAttention.layer_norm', hidden)]
        : []),
      ...(sparse ? sparseFeedForward : t5FeedForward(hidden, width, gated)),
      norm('DenseReluDense.layer_norm', hidden),
    ],
    cache: cross
      ? [
          { kind: 'full', ...kv },
          { kind: 'cross', encoderTokens: T5_ENCODER_TOKENS, ...kv },
        ]
      : [],
  })
  const stack = (count: number, cross: boolean): LayerStack => {
    const sparse = (i: number) => rule.isSparse?.(i, cross, config, count) ?? false
    return stackOf(
      count,
      i => `${i === 0} ${sparse(i)}`,
      i => layer(cross, i === 0, sparse(i)),
    )
  }
  const table = (name: string) => tokenEmbedding(vocabulary, hidden, name)
  return assembleEncoderDecoder(config, {
    type: rule.type,
    exact:
      rule.exact !== false &&
      (rule.exact !== 'lm' || architectureOf(config).head === 'lm') &&
      !config.flag('is_decoder') &&
      config.text('encoder_attention_type') !== 'transient-global',
    embedding: [table('shared')],
    encoder: {
      weights: [norm('final_layer_norm', hidden), ...(rule.beside?.(config) ?? [])],
      stack: stack(encoderLayers, false),
    },
    decoder: stack(layers, true),
    final: [norm('decoder.final_layer_norm', hidden)],
    untiedCopies: rule.tied === 'flag' ? [table('encoder.embed_tokens'), table('decoder.embed_tokens')] : [],
    tied: rule.tied === 'flag' ? config.flag('tie_word_embeddings', true) : rule.tied !== 'never',
    facts: { hidden, layers, vocabulary, heads, kvHeads: heads, headDim, intermediate: width },
  })
}

const gemmaDefaults: JsonObject = usual({
  vocab: 256000,
  hidden: 2304,
  width: 9216,
  layers: 26,
  heads: 8,
  kvHeads: 4,
  head_dim: 256,
  context: 8192,
  sliding_window: 4096,
})

/** Gemma 2's layers in both halves; the decoder adds cross attention over the encoder's width and two norms. */
function t5GemmaShape(config: Config): ModelShape {
  const half = (name: 'encoder' | 'decoder') =>
    dimsOf({}, (config.nested(name) ?? new Config({}, {}, {}, `${name}.`)).with(gemmaDefaults))
  const encoder = half('encoder')
  const decoder = half('decoder')
  const windows = (d: Dims) => alternatingWindows(d, layer => layer % 2 === 1)
  const attention = (d: Dims, prefix = 'self_attn'): Attention => {
    const bias = d.config.flag('attention_bias')
    return { ...d, qkvBias: bias, outBias: bias, prefix }
  }
  const layer = (d: Dims): Weight[] => [
    ...attentionWeights(attention(d)),
    ...gatedFeedForward(d.hidden, d.width),
    ...norms(d, ['pre_self_attn_layernorm', 'post_self_attn_layernorm']),
    ...norms(d, ['pre_feedforward_layernorm', 'post_feedforward_layernorm']),
  ]
  const cross = attentionWeights(attention(decoder, 'cross_attn')).map(weight =>
    weight.split === 'kv' ? { ...weight, in: encoder.hidden } : weight,
  )
  const decoderLayer = [
    ...layer(decoder),
    ...cross,
    ...norms(decoder, ['pre_cross_attn_layernorm', 'post_cross_attn_layernorm']),
  ]
  const heads = keyValueHeads(decoder)
  const encoderTokens = encoder.config.size('max_position_embeddings')
  const decoderWindows = windows(decoder)
  const tied = config.flag('tie_word_embeddings', true)
  return assembleEncoderDecoder(config, {
    type: 't5gemma',
    exact: tied,
    embedding: [tokenEmbedding(decoder.vocabulary, decoder.hidden, 'model.decoder.embed_tokens')],
    encoder: {
      weights: [tokenEmbedding(encoder.vocabulary, encoder.hidden, 'embed_tokens'), norm('norm', encoder.hidden)],
      stack: windowStack(encoder.layers, windows(encoder), null, () => layer(encoder)),
    },
    decoder: stackOf(
      decoder.layers,
      i => (decoderWindows[i] === null ? 'decoder' : 'sliding decoder'),
      (i, name) => ({
        name,
        weights: decoderLayer,
        cache: [attentionCache(decoderWindows[i] ?? null, heads), { kind: 'cross', encoderTokens, ...heads }],
      }),
    ),
    final: [norm('model.decoder.norm', decoder.hidden)],
    untiedCopies: [],
    tied,
    facts: {
      hidden: decoder.hidden,
      layers: decoder.layers,
      vocabulary: decoder.vocabulary,
      heads: decoder.heads,
      kvHeads: decoder.kvHeads,
      headDim: decoder.headDim,
      intermediate: decoder.width,
      contextLength: decoder.config.size('max_position_embeddings'),
    },
  })
}

const types: readonly T5Type[] = [
  { type: 't5', relativeIn: 'first' },
  {
    type: 'mt5',
    relativeIn: 'first',
    defaults: { vocab_size: 250112, d_ff: 1024, num_layers: 8, num_heads: 6, feed_forward_proj: 'gated-gelu' },
  },
  {
    type: 'umt5',
    relativeIn: 'every',
    defaults: { vocab_size: 250112, d_ff: 1024, num_layers: 8, num_heads: 6, feed_forward_proj: 'gated-gelu' },
    exact: false,
  },
  { type: 'longt5', relativeIn: 'first' },
  {
    // an output matrix of its own and a table of composers
    type: 'pop2piano',
    relativeIn: 'first',
    tied: 'never',
    defaults: { vocab_size: 2400, composer_vocab_size: 21, feed_forward_proj: 'gated-gelu' },
    beside: config => [
      positionEmbedding(config.size('composer_vocab_size'), config.size('d_model'), 'mel_conditioner.embedding'),
    ],
  },
  {
    type: 'switch_transformers',
    relativeIn: 'first',
    tied: 'flag',
    defaults: { d_model: 768, num_layers: 12, num_decoder_layers: 12, num_heads: 12, num_experts: 8 },
    isSparse: isSwitchLayer,
  },
  {
    type: 'udop',
    relativeIn: 'first',
    defaults: {
      vocab_size: 33201,
      d_model: 1024,
      d_ff: 4096,
      num_layers: 24,
      num_heads: 16,
      max_2d_position_embeddings: 1024,
      patch_size: 16,
      num_channels: 3,
    },
    beside: udopTables,
    exact: 'lm',
  },
]

const verified = equalToClasses

export const t5: readonly Family[] = [
  ...types.map(rule => ({
    name: rule.type,
    modelTypes: [rule.type],
    verified: rule.exact === false ? 'same blocks as verified types' : verified,
    shape: (config: Config) => t5Shape(rule, config),
  })),
  { name: 't5gemma', modelTypes: ['t5gemma'], verified, shape: t5GemmaShape },
]
