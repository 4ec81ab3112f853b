import { attentionWeights } from '../blocks/attention.ts'
import { gatedFeedForward, plainFeedForward } from '../blocks/feed-forward.ts'
import { column, linear, norm, positionEmbedding, replicated, row, tokenEmbedding } from '../blocks/weights.ts'
import type { JsonObject } from '../config.ts'
import type { Weight } from '../shape.ts'
import type { Dims } from './decoder.ts'
import { densePooler, denseTransform, type EncoderType, encoder, type MaskedHead } from './encoder.ts'
import { type Family, usual } from './family.ts'
import { llamaLayer } from './llama.ts'

export const bertDefaults: JsonObject = usual({
  vocab: 30522,
  hidden: 768,
  layers: 12,
  heads: 12,
  width: 3072,
  context: 512,
  type_vocab_size: 2,
})

/** Word, position and type tables of `width` and their LayerNorm. */
export function bertEmbedding(d: Dims, width = d.hidden): Weight[] {
  const types = d.config.count('type_vocab_size')
  return [
    tokenEmbedding(d.vocabulary, width, 'embeddings.word_embeddings'),
    positionEmbedding(d.config.size('max_position_embeddings'), width, 'embeddings.position_embeddings'),
    ...(types > 0 ? [positionEmbedding(types, width, 'embeddings.token_type_embeddings')] : []),
    norm('embeddings.LayerNorm', width, true),
  ]
}

/** q, k, v of the width that all heads have together, and the output matrix, all with bias. */
function bertAttention(d: Dims, bias = true): Weight[] {
  const all = d.heads * d.headDim
  const kv = { bias, kvHeads: d.heads }
  return [
    column('attention.self.query', all, d.hidden, { bias }),
    linear('attention.self.key', all, d.hidden, 'kv', kv),
    linear('attention.self.value', all, d.hidden, 'kv', kv),
    row('attention.output.dense', d.hidden, d.hidden, { bias: true }),
  ]
}

export const bertFeedForward = (d: Dims): Weight[] =>
  plainFeedForward(d.hidden, d.width, true, ['intermediate.dense', 'output.dense'])

export const bertNorms = (d: Dims): Weight[] => [
  norm('attention.output.LayerNorm', d.hidden, true),
  norm('output.LayerNorm', d.hidden, true),
]

/** 4h^2 + 4h + 2hf + f + h + 4h. */
export const bertLayer = (d: Dims): Weight[] => [...bertAttention(d), ...bertFeedForward(d), ...bertNorms(d)]

/** What BERT's classes have in common; rows override what differs. */
export const bertLike: Omit<EncoderType, 'type'> = {
  defaults: bertDefaults,
  headDim: 'divide',
  kvHeads: (_, heads) => heads,
  embedding: (d: Dims) => bertEmbedding(d),
  layer: bertLayer,
  pooler: densePooler,
  lm: (d: Dims) => ({ transform: denseTransform(d), width: d.hidden, bias: 'shared' }),
}

/** gated feed-forward and attention with separate biases, norms after each part */
const postNormGated = (d: Dims, bias: boolean): Weight[] => [
  ...attentionWeights({ ...d, qkvBias: bias, outBias: bias }),
  ...gatedFeedForward(d.hidden, d.width).map(w => (bias && w.name === 'mlp.down_proj' ? { ...w, bias: true } : w)),
  norm('post_attention_layernorm', d.hidden, true),
  norm('post_mlp_layernorm', d.hidden, true),
]

const withoutPositions = (d: Dims): Weight[] => bertEmbedding(d).filter(w => !w.name.endsWith('position_embeddings'))

const robertaHead = (d: Dims): MaskedHead => ({
  transform: denseTransform(d, d.hidden, ['lm_head.dense', 'lm_head.layer_norm']),
  width: d.hidden,
  bias: 'shared',
})

const types: readonly EncoderType[] = [
  { ...bertLike, type: 'bert' },
  {
    ...bertLike,
    type: 'roberta',
    defaults: { ...bertDefaults, vocab_size: 50265 },
    lm: robertaHead,
    sequence: 'dense',
  },
  { ...bertLike, type: 'xlm-roberta', classes: ['XLMRoberta'], lm: robertaHead, sequence: 'dense' },
  { ...bertLike, type: 'camembert', lm: robertaHead, sequence: 'dense' },
  {
    ...bertLike,
    type: 'distilbert',
    defaults: {
      vocab_size: 30522,
      max_position_embeddings: 512,
      n_layers: 6,
      n_heads: 12,
      dim: 768,
      hidden_dim: 3072,
    },
    names: { hidden: 'dim', layers: 'n_layers', heads: 'n_heads' },
    aliases: { dim: ['hidden_size'], n_layers: ['num_hidden_layers'], n_heads: ['num_attention_heads'] },
    width: config => config.size('hidden_dim'),
    embedding: d => bertEmbedding(d).filter(w => !w.name.endsWith('token_type_embeddings')),
    layer: d => [
      ...squareDistilAttention(d),
      ...plainFeedForward(d.hidden, d.width, true, ['ffn.lin1', 'ffn.lin2']),
      norm('sa_layer_norm', d.hidden, true),
      norm('output_layer_norm', d.hidden, true),
    ],
    pooler: () => [],
    lm: d => ({
      transform: denseTransform(d, d.hidden, ['vocab_transform', 'vocab_layer_norm']),
      width: d.hidden,
      bias: 'own',
    }),
    sequence: 'dense',
  },
  {
    // embeddings narrower than the layers; the generator predicts through the narrow width
    ...bertLike,
    type: 'electra',
    defaults: usual({
      ...bertDefaults,
      embedding_size: 128,
      hidden: 256,
      heads: 4,
      width: 1024,
    }),
    embedding: d => {
      const width = d.config.size('embedding_size')
      const project = replicated('embeddings_project', d.hidden, width, { bias: true })
      return [...bertEmbedding(d, width), ...(width === d.hidden ? [] : [project])]
    },
    pooler: () => [],
    lm: d => {
      const width = d.config.size('embedding_size')
      return { transform: denseTransform(d, width), width, bias: 'own' }
    },
    sequence: 'dense',
  },
  {
    ...bertLike,
    type: 'nomic_bert',
    defaults: { ...bertDefaults, vocab_size: 30528, max_position_embeddings: 2048 },
    aliases: {
      hidden_size: ['n_embd'],
      num_hidden_layers: ['n_layer'],
      num_attention_heads: ['n_head'],
      intermediate_size: ['n_inner'],
      max_position_embeddings: ['n_positions'],
    },
    headDim: (config, hidden, heads) => config.sizeOrNull('head_dim') ?? Math.floor(hidden / heads),
    embedding: withoutPositions,
    layer: d => postNormGated(d, false),
    pooler: () => [],
    classifierPooler: densePooler,
  },
  {
    ...bertLike,
    type: 'gte',
    defaults: { ...bertDefaults, vocab_size: 250048, max_position_embeddings: 8192, type_vocab_size: 1 },
    headDim: (config, hidden, heads) => config.sizeOrNull('head_dim') ?? Math.floor(hidden / heads),
    embedding: withoutPositions,
    layer: d => postNormGated(d, true),
    pooler: () => [],
    classifierPooler: densePooler,
    lm: d => ({ transform: denseTransform(d), width: d.hidden, bias: 'own' }),
  },
  {
    // Llama's layer, attending both ways
    type: 'eurobert',
    defaults: usual({
      vocab: 128256,
      hidden: 768,
      width: 3072,
      layers: 12,
      heads: 12,
      context: 8192,
      tie_word_embeddings: false,
    }),
    embedding: d => [tokenEmbedding(d.vocabulary, d.hidden)],
    layer: llamaLayer,
    body: d => [norm('model.norm', d.hidden)],
    lm: d => ({ transform: [], width: d.hidden, bias: d.config.flag('mlp_bias') ? 'own' : 'none' }),
    sequence: 'dense',
  },
  {
    // the first layer has no norm before attention
    type: 'modernbert',
    defaults: usual({
      vocab: 50368,
      hidden: 768,
      width: 1152,
      layers: 22,
      heads: 12,
      context: 8192,
      decoder_bias: true,
    }),
    headDim: 'divide',
    embedding: d => [
      tokenEmbedding(d.vocabulary, d.hidden, 'model.embeddings.tok_embeddings'),
      norm('model.embeddings.norm', d.hidden, d.config.flag('norm_bias')),
    ],
    layer: modernLayer,
    firstLayerLacks: ['attn_norm'],
    body: d => [norm('model.final_norm', d.hidden, d.config.flag('norm_bias'))],
    pooler: () => [],
    sequence: 'transform',
    lm: d => ({
      transform: [
        replicated('head.dense', d.hidden, d.hidden, { bias: d.config.flag('classifier_bias') }),
        norm('head.norm', d.hidden, d.config.flag('norm_bias')),
      ],
      width: d.hidden,
      bias: d.config.flag('decoder_bias') ? 'own' : 'none',
    }),
  },
]

/** q, k and v in one matrix, gate and up in one. */
export function modernLayer(d: Dims): Weight[] {
  const bias = d.config.flag('attention_bias')
  const mlpBias = d.config.flag('mlp_bias')
  const normBias = d.config.flag('norm_bias')
  const all = d.heads * d.headDim
  return [
    norm('attn_norm', d.hidden, normBias),
    linear('attn.Wqkv', 3 * all, d.hidden, 'qkv', { bias, kvHeads: d.heads, kvWidth: 2 * all }),
    row('attn.Wo', d.hidden, d.hidden, { bias }),
    norm('mlp_norm', d.hidden, normBias),
    column('mlp.Wi', 2 * d.width, d.hidden, { bias: mlpBias }),
    row('mlp.Wo', d.hidden, d.width, { bias: mlpBias }),
  ]
}

function squareDistilAttention(d: Dims): Weight[] {
  const kv = { bias: true, kvHeads: d.heads }
  return [
    column('attention.q_lin', d.hidden, d.hidden, { bias: true }),
    linear('attention.k_lin', d.hidden, d.hidden, 'kv', kv),
    linear('attention.v_lin', d.hidden, d.hidden, 'kv', kv),
    row('attention.out_lin', d.hidden, d.hidden, { bias: true }),
  ]
}

export const bert: readonly Family[] = types.map(encoder)
