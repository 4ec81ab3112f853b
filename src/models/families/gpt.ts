import { attentionWeights, fusedAttentionWeights } from '../blocks/attention.ts'
import { plainFeedForward } from '../blocks/feed-forward.ts'
import { norm, positionEmbedding, row, tokenEmbedding } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { Weight } from '../shape.ts'
import { type DecoderType, type Dims, decoder, type Windows } from './decoder.ts'
import { type Family, layerKinds, usual } from './family.ts'

/** GPT-2's key names; the usual ones are aliases. */
const gptNames = { hidden: 'n_embd', layers: 'n_layer', heads: 'n_head' }
const gptAliases = {
  n_embd: ['hidden_size'],
  n_layer: ['num_hidden_layers'],
  n_head: ['num_attention_heads'],
  n_positions: ['max_position_embeddings'],
}

const innerWidth = (config: Config, hidden: number) => config.sizeOrNull('n_inner') ?? 4 * hidden

const gptEmbedding = (d: Dims, positions: number): Weight[] => [
  tokenEmbedding(d.vocabulary, d.hidden, 'transformer.wte'),
  positionEmbedding(positions, d.hidden, 'transformer.wpe'),
]

const gptNorms = (d: Dims): Weight[] => [norm('ln_1', d.hidden, true), norm('ln_2', d.hidden, true)]
const finalNorm = (d: Dims): Weight[] => [norm('transformer.ln_f', d.hidden, true)]

const gpt2: DecoderType = {
  type: 'gpt2',
  defaults: { vocab_size: 50257, n_positions: 1024, n_embd: 768, n_layer: 12, n_head: 12, tie_word_embeddings: true },
  names: gptNames,
  aliases: gptAliases,
  headDim: 'divide',
  kvHeads: (_, heads) => heads,
  width: innerWidth,
  embedding: d => gptEmbedding(d, d.config.size('n_positions')),
  layer: d => [
    ...fusedAttentionWeights({ ...d, qkvBias: true, outBias: true }, ['attn.c_attn', 'attn.c_proj']).map(wholeWidth(d)),
    ...plainFeedForward(d.hidden, d.width, true, ['mlp.c_fc', 'mlp.c_proj']),
    ...gptNorms(d),
  ],
  final: finalNorm,
}

/** These classes make q, k, v and o hidden wide also when the heads do not divide it. */
function wholeWidth(d: Dims): (weight: Weight) => Weight {
  const kvWidth = 2 * d.hidden
  return weight => (weight.split === 'qkv' ? { ...weight, out: 3 * d.hidden, kvWidth } : { ...weight, in: d.hidden })
}

/** Layers of GPT-Neo by name: "global" is full, "local" slides; `attention_types` repeats lists of them. */
function neoWindows(d: Dims): Windows {
  const window = d.config.size('window_size')
  const kinds = layerKinds(d.config, d.layers, 'attention_layers')
  return Array.from({ length: d.layers }, (_, i) => {
    const kind = kinds ? kinds[i] : i % 2 === 0 ? 'global' : 'local'
    return kind === 'local' ? window : null
  })
}

const types: readonly DecoderType[] = [
  gpt2,
  { ...gpt2, type: 'gpt-sw3', classes: ['GPT2'] },
  {
    // no norm after the last layer
    ...gpt2,
    type: 'openai-gpt',
    defaults: { ...gpt2.defaults, vocab_size: 40478, n_positions: 512 },
    final: () => [],
  },
  {
    type: 'biogpt',
    defaults: usual({
      vocab: 42384,
      hidden: 1024,
      layers: 24,
      heads: 16,
      width: 4096,
      context: 1024,
      tie_word_embeddings: true,
    }),
    headDim: 'divide',
    kvHeads: (_, heads) => heads,
    // position numbers start at 2
    embedding: d => [
      tokenEmbedding(d.vocabulary, d.hidden, 'biogpt.embed_tokens'),
      positionEmbedding(d.config.size('max_position_embeddings') + 2, d.hidden, 'biogpt.embed_positions'),
    ],
    layer: d => [
      ...squareAttention(d, { prefix: 'self_attn', qkvBias: true, outBias: true }),
      ...plainFeedForward(d.hidden, d.width, true, ['fc1', 'fc2']),
      norm('self_attn_layer_norm', d.hidden, true),
      norm('final_layer_norm', d.hidden, true),
    ],
    final: d => [norm('biogpt.layer_norm', d.hidden, true)],
  },
  {
    // one KV head for all query heads unless multi_query is false
    type: 'gpt_bigcode',
    defaults: {
      vocab_size: 50257,
      n_positions: 1024,
      n_embd: 768,
      n_layer: 12,
      n_head: 12,
      multi_query: true,
      tie_word_embeddings: true,
    },
    names: gptNames,
    aliases: gptAliases,
    headDim: 'divide',
    kvHeads: (config, heads) => (config.flag('multi_query') ? 1 : heads),
    width: innerWidth,
    embedding: d => gptEmbedding(d, d.config.size('n_positions')),
    layer: d => [
      ...fusedAttentionWeights({ ...d, qkvBias: true, outBias: true }, ['attn.c_attn', 'attn.c_proj']).map(weight =>
        weight.split === 'qkv' ? { ...weight, out: d.hidden + 2 * d.kvHeads * d.headDim } : { ...weight, in: d.hidden },
      ),
      ...plainFeedForward(d.hidden, d.width, true, ['mlp.c_fc', 'mlp.c_proj']),
      ...gptNorms(d),
    ],
    final: finalNorm,
  },
  {
    type: 'gpt_neo',
    defaults: usual({
      vocab: 50257,
      context: 2048,
      hidden: 2048,
      num_layers: 24,
      num_heads: 16,
      window_size: 256,
      tie_word_embeddings: true,
    }),
    names: { layers: 'num_layers', heads: 'num_heads' },
    aliases: { num_layers: ['num_hidden_layers'], num_heads: ['num_attention_heads'] },
    headDim: 'divide',
    kvHeads: (_, heads) => heads,
    width: (config, hidden) => config.sizeOrNull('intermediate_size') ?? 4 * hidden,
    embedding: d => gptEmbedding(d, d.config.size('max_position_embeddings')),
    layer: d => [
      ...squareAttention(d, { prefix: 'attn.attention', outBias: true }),
      ...plainFeedForward(d.hidden, d.width, true, ['mlp.c_fc', 'mlp.c_proj']),
      ...gptNorms(d),
    ],
    windows: neoWindows,
    final: finalNorm,
  },
  {
    // attention and feed-forward side by side under one norm
    type: 'gptj',
    defaults: {
      vocab_size: 50400,
      n_positions: 2048,
      n_embd: 4096,
      n_layer: 28,
      n_head: 16,
    },
    names: gptNames,
    aliases: gptAliases,
    headDim: 'divide',
    kvHeads: (_, heads) => heads,
    width: innerWidth,
    embedding: d => [tokenEmbedding(d.vocabulary, d.hidden, 'transformer.wte')],
    layer: d => [
      ...squareAttention(d, { prefix: 'attn' }),
      ...plainFeedForward(d.hidden, d.width, true, ['mlp.fc_in', 'mlp.fc_out']),
      norm('ln_1', d.hidden, true),
    ],
    final: finalNorm,
    headBias: () => true,
  },
  {
    type: 'opt',
    defaults: usual({
      vocab: 50272,
      hidden: 768,
      layers: 12,
      ffn_dim: 3072,
      context: 2048,
      heads: 12,
      enable_bias: true,
      do_layer_norm_before: true,
      layer_norm_elementwise_affine: true,
      tie_word_embeddings: true,
    }),
    headDim: 'divide',
    kvHeads: (_, heads) => heads,
    width: config => config.size('ffn_dim'),
    headWidth: (config, hidden) => config.sizeOrNull('word_embed_proj_dim') ?? hidden,
    // position numbers start at 2
    embedding: d => {
      const width = d.config.sizeOrNull('word_embed_proj_dim') ?? d.hidden
      return [
        tokenEmbedding(d.vocabulary, width, 'model.decoder.embed_tokens'),
        positionEmbedding(d.config.size('max_position_embeddings') + 2, d.hidden, 'model.decoder.embed_positions'),
        ...(width === d.hidden ? [] : [row('model.decoder.project_in', d.hidden, width)]).map(replicate),
      ]
    },
    layer: d => {
      const bias = d.config.flag('enable_bias')
      return [
        ...squareAttention(d, { prefix: 'self_attn', qkvBias: bias, outBias: bias }),
        ...plainFeedForward(d.hidden, d.width, bias, ['fc1', 'fc2']),
        ...optNorms(d, ['self_attn_layer_norm', 'final_layer_norm']),
      ]
    },
    final: d => {
      const width = d.config.sizeOrNull('word_embed_proj_dim') ?? d.hidden
      const normed = d.config.flag('do_layer_norm_before') && !d.config.flag('_remove_final_layer_norm')
      return [
        ...(normed ? optNorms(d, ['model.decoder.final_layer_norm']) : []),
        ...(width === d.hidden ? [] : [row('model.decoder.project_out', width, d.hidden)]).map(replicate),
      ]
    },
  },
]

const replicate = (weight: Weight): Weight => ({ ...weight, split: 'none' })

const optNorms = (d: Dims, names: readonly string[]): Weight[] =>
  d.config.flag('layer_norm_elementwise_affine') ? names.map(name => norm(name, d.hidden, true)) : []

/** Multi-head attention of four hidden x hidden matrices, also when the heads do not divide the width. */
function squareAttention(d: Dims, more: { prefix: string; qkvBias?: boolean; outBias?: boolean }): Weight[] {
  return attentionWeights({ ...d, ...more, out: 'out_proj' }).map(weight => ({
    ...weight,
    out: d.hidden,
    in: d.hidden,
  }))
}

export const gpt: readonly Family[] = types.map(decoder)
