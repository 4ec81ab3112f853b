import { fusedAttentionWeights } from '../blocks/attention.ts'
import { plainFeedForward } from '../blocks/feed-forward.ts'
import { norm, tokenEmbedding, vector } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { Weight } from '../shape.ts'
import { type DecoderType, type Dims, decoder } from './decoder.ts'
import { type Family, usual } from './family.ts'

/** Multi-head attention with q, k, v in one matrix of 3 x hidden rows, also when the heads do not divide the width. */
function wholeFused(d: Dims, bias: boolean, names: readonly [string, string]): Weight[] {
  return fusedAttentionWeights({ ...d, qkvBias: bias, outBias: bias }, names).map(weight =>
    weight.split === 'qkv' ? { ...weight, out: 3 * d.hidden, kvWidth: 2 * d.hidden } : { ...weight, in: d.hidden },
  )
}

const feedForwardNames = ['mlp.dense_h_to_4h', 'mlp.dense_4h_to_h'] as const

/** Falcon-40B's layout: grouped KV heads and two parallel norms; the name of the old remote code tells it too. */
const isNewFalcon = (config: Config): boolean =>
  config.flag('new_decoder_architecture', config.text('model_type') === 'RefinedWeb')

function falconNorms(d: Dims): Weight[] {
  const layerNorm = (name: string) => norm(name, d.hidden, true)
  if (!d.config.flag('parallel_attn')) return [layerNorm('input_layernorm'), layerNorm('post_attention_layernorm')]
  const inParallel = d.config.sizeOrNull('num_ln_in_parallel_attn') ?? (isNewFalcon(d.config) ? 2 : 1)
  return inParallel === 2 ? [layerNorm('ln_attn'), layerNorm('ln_mlp')] : [layerNorm('input_layernorm')]
}

const neox: DecoderType = {
  type: 'gpt_neox',
  classes: ['GPTNeoX'],
  defaults: usual({
    vocab: 50432,
    hidden: 6144,
    layers: 44,
    heads: 64,
    width: 24576,
    context: 2048,
    attention_bias: true,
  }),
  headDim: 'divide',
  kvHeads: (_, heads) => heads,
  embedding: d => [tokenEmbedding(d.vocabulary, d.hidden, 'gpt_neox.embed_in')],
  layer: d => [
    ...wholeFused(d, d.config.flag('attention_bias'), ['attention.query_key_value', 'attention.dense']),
    ...plainFeedForward(d.hidden, d.width, true, feedForwardNames),
    norm('input_layernorm', d.hidden, true),
    norm('post_attention_layernorm', d.hidden, true),
  ],
  final: d => [norm('gpt_neox.final_layer_norm', d.hidden, true)],
}

/** GPT-NeoX, BLOOM, MPT and Falcon: query, key and value in one matrix. */
const types: readonly DecoderType[] = [
  neox,
  {
    // no biases but one, behind the last layer's attention
    ...neox,
    type: 'gpt_neox_japanese',
    defaults: usual({
      vocab: 32000,
      hidden: 2560,
      layers: 32,
      heads: 32,
      intermediate_multiple_size: 4,
      context: 2048,
      tie_word_embeddings: true,
    }),
    classes: [],
    width: (config, hidden) => hidden * config.size('intermediate_multiple_size'),
    layer: d => [
      ...wholeFused(d, false, ['attention.query_key_value', 'attention.dense']),
      ...plainFeedForward(d.hidden, d.width, false, feedForwardNames),
      norm('input_layernorm', d.hidden, true),
      norm('post_attention_layernorm', d.hidden, true),
    ],
    final: d => [vector('attention.dense_bias', d.hidden), norm('gpt_neox_japanese.final_layer_norm', d.hidden, true)],
  },
  {
    type: 'bloom',
    defaults: { vocab_size: 250880, hidden_size: 64, n_layer: 2, n_head: 8, tie_word_embeddings: true },
    names: { layers: 'n_layer', heads: 'n_head' },
    aliases: { hidden_size: ['n_embed'], n_layer: ['num_hidden_layers'], n_head: ['num_attention_heads'] },
    headDim: 'divide',
    kvHeads: (_, heads) => heads,
    width: (_, hidden) => 4 * hidden,
    embedding: d => [
      tokenEmbedding(d.vocabulary, d.hidden, 'transformer.word_embeddings'),
      norm('transformer.word_embeddings_layernorm', d.hidden, true),
    ],
    layer: d => [
      ...wholeFused(d, true, ['self_attention.query_key_value', 'self_attention.dense']),
      ...plainFeedForward(d.hidden, d.width, true, feedForwardNames),
      norm('input_layernorm', d.hidden, true),
      norm('post_attention_layernorm', d.hidden, true),
    ],
    final: d => [norm('transformer.ln_f', d.hidden, true)],
  },
  {
    // the class ignores expansion_ratio and no_bias; no bias anywhere, its LayerNorms neither
    type: 'mpt',
    defaults: {
      vocab_size: 50368,
      d_model: 2048,
      n_heads: 16,
      n_layers: 24,
      max_seq_len: 2048,
      tie_word_embeddings: true,
    },
    names: { hidden: 'd_model', layers: 'n_layers', heads: 'n_heads' },
    aliases: { d_model: ['hidden_size'], n_layers: ['num_hidden_layers'], n_heads: ['num_attention_heads'] },
    headDim: 'divide',
    kvHeads: (_, heads) => heads,
    width: (_, hidden) => 4 * hidden,
    embedding: d => [tokenEmbedding(d.vocabulary, d.hidden, 'transformer.wte')],
    layer: d => [
      ...wholeFused(d, false, ['attn.Wqkv', 'attn.out_proj']),
      ...plainFeedForward(d.hidden, d.width, false, ['ffn.up_proj', 'ffn.down_proj']),
      norm('norm_1', d.hidden),
      norm('norm_2', d.hidden),
    ],
    final: d => [norm('transformer.norm_f', d.hidden)],
  },
  {
    type: 'falcon',
    also: ['RefinedWeb', 'RefinedWebModel'],
    defaults: usual({
      vocab: 65024,
      hidden: 4544,
      layers: 32,
      heads: 71,
      multi_query: true,
      parallel_attn: true,
      context: 2048,
      tie_word_embeddings: true,
    }),
    aliases: {
      hidden_size: ['n_embed'],
      num_hidden_layers: ['n_layer'],
      num_attention_heads: ['n_head'],
      num_kv_heads: ['n_head_kv'],
    },
    headDim: 'divide',
    kvHeads: (config, heads) => {
      if (isNewFalcon(config)) return config.sizeOrNull('num_kv_heads') ?? heads
      return config.flag('multi_query') ? 1 : heads
    },
    width: (config, hidden) => config.sizeOrNull('ffn_hidden_size') ?? 4 * hidden,
    embedding: d => [tokenEmbedding(d.vocabulary, d.hidden, 'transformer.word_embeddings')],
    layer: d => {
      const bias = d.config.flag('bias')
      return [
        ...falconAttention(d, bias),
        ...plainFeedForward(d.hidden, d.width, bias, feedForwardNames),
        ...falconNorms(d),
      ]
    },
    final: d => [norm('transformer.ln_f', d.hidden, true)],
  },
]

/** The old layout takes hidden rows for the queries even when the heads do not divide it, the new one heads x head size. */
function falconAttention(d: Dims, bias: boolean): Weight[] {
  const names = ['self_attention.query_key_value', 'self_attention.dense'] as const
  const fused = fusedAttentionWeights({ ...d, qkvBias: bias, outBias: bias }, names)
  const queries = isNewFalcon(d.config) ? d.heads * d.headDim : d.hidden
  const kvWidth = isNewFalcon(d.config) || d.kvHeads === 1 ? 2 * d.kvHeads * d.headDim : 2 * d.hidden
  return fused.map(weight =>
    weight.split === 'qkv' ? { ...weight, out: queries + kvWidth, kvWidth } : { ...weight, in: d.hidden },
  )
}

export const falcon: readonly Family[] = types.map(decoder)
