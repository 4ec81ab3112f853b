import { attentionWeights } from '../blocks/attention.ts'
import { plainFeedForward } from '../blocks/feed-forward.ts'
import { column, linear, norm, positionEmbedding, replicated, row, tokenEmbedding, vector } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { Weight } from '../shape.ts'
import type { Dims } from './decoder.ts'
import { denseTransform, type EncoderType, encoder, type MaskedHead } from './encoder.ts'
import { type Family, usual } from './family.ts'
import { llamaLayer } from './llama.ts'

const plainHead = (d: Dims): MaskedHead => ({ transform: [], width: d.hidden, bias: 'own' })

/** Biases and segment vectors of attention that counts positions relatively. */
const relativeVectors = (all: number, prefix: string): Weight[] => [
  ...['r_w_bias', 'r_r_bias', 'r_s_bias'].map(name => vector(`${prefix}.${name}`, all, 'column')),
  vector(`${prefix}.seg_embed`, 2 * all, 'column'),
]

/** Layers of Funnel: those of its blocks and those at full length after them. */
function funnelLayers(config: Config): number {
  return (config.list('block_sizes') ?? []).reduce<number>((sum, size) => {
    if (typeof size === 'number' && Number.isSafeInteger(size) && size >= 1 && size <= 1000) return sum + size
    return config.invalid('block_sizes', 'holds an entry that is no number of layers')
  }, config.count('num_decoder_layers'))
}

/** Encoders with layers of their own. */
const types: readonly EncoderType[] = [
  {
    // Llama's layer with norms on queries and keys of hidden width
    type: 'esmc',
    defaults: usual({
      vocab: 64,
      hidden: 2560,
      width: 6912,
      layers: 80,
      heads: 40,
      context: 2048,
      tie_word_embeddings: false,
    }),
    embedding: d => [tokenEmbedding(d.vocabulary, d.hidden)],
    layer: d => [
      ...llamaLayer(d).map(weight => (weight.kind === 'norm' ? { ...weight, bias: true } : weight)),
      norm('self_attn.q_norm', d.hidden),
      norm('self_attn.k_norm', d.hidden),
    ],
    sequence: 'dense',
    body: d => [norm('norm', d.hidden)],
    // the class never ties
    lm: d => ({ transform: denseTransform(d), width: d.hidden, bias: 'own', tied: false }),
  },
  {
    // Llama's layer, attending both ways; a bottleneck before the output matrix
    type: 'ultrabert',
    defaults: usual({
      vocab: 32000,
      hidden: 4096,
      width: 11008,
      layers: 32,
      heads: 32,
      context: 32768,
      prediction_head_size: 768,
      tie_word_embeddings: false,
    }),
    embedding: d => [tokenEmbedding(d.vocabulary, d.hidden)],
    layer: llamaLayer,
    body: d => [norm('norm', d.hidden)],
    lm: d => {
      const width = d.config.size('prediction_head_size')
      return {
        transform: [replicated('head.down', width, d.hidden), replicated('head.up', d.hidden, width)],
        width: d.hidden,
        bias: 'none',
      }
    },
  },
  {
    type: 'xlnet',
    defaults: { vocab_size: 32000, d_model: 1024, n_layer: 24, n_head: 16, d_inner: 4096 },
    names: { hidden: 'd_model', layers: 'n_layer', heads: 'n_head' },
    aliases: {
      vocab_size: ['n_token'],
      d_model: ['hidden_size'],
      n_layer: ['num_hidden_layers'],
      n_head: ['num_attention_heads'],
      head_dim: ['d_head'],
    },
    width: config => config.size('d_inner'),
    embedding: d => [
      tokenEmbedding(d.vocabulary, d.hidden, 'word_embedding'),
      positionEmbedding(1, d.hidden, 'mask_emb'),
    ],
    layer: d => {
      const all = d.heads * d.headDim
      return [
        ...['q', 'k', 'v', 'r'].map(name => column(`rel_attn.${name}`, all, d.hidden)),
        row('rel_attn.o', d.hidden, all),
        ...relativeVectors(all, 'rel_attn'),
        norm('rel_attn.layer_norm', d.hidden, true),
        ...plainFeedForward(d.hidden, d.width, true, ['ff.layer_1', 'ff.layer_2']),
        norm('ff.layer_norm', d.hidden, true),
      ]
    },
    derivedHeads: ['sequence'],
    lm: plainHead,
  },
  {
    // pooled blocks, then decoder layers at full length
    type: 'funnel',
    defaults: {
      vocab_size: 30522,
      block_sizes: [4, 4, 4],
      num_decoder_layers: 2,
      d_model: 768,
      n_head: 12,
      d_head: 64,
      d_inner: 3072,
    },
    names: { hidden: 'd_model', heads: 'n_head' },
    aliases: { d_model: ['hidden_size'], n_head: ['num_attention_heads'] },
    layers: funnelLayers,
    headDim: config => config.size('d_head'),
    width: config => config.size('d_inner'),
    embedding: d => [
      tokenEmbedding(d.vocabulary, d.hidden, 'embeddings.word_embeddings'),
      norm('embeddings.layer_norm', d.hidden, true),
    ],
    layer: d => {
      const all = d.heads * d.headDim
      return [
        column('attention.q_head', all, d.hidden),
        linear('attention.k_head', all, d.hidden, 'kv', { bias: true, kvHeads: d.heads }),
        linear('attention.v_head', all, d.hidden, 'kv', { bias: true, kvHeads: d.heads }),
        vector('attention.r_kernel', d.hidden * all, 'column'),
        ...relativeVectors(all, 'attention'),
        row('attention.post_proj', d.hidden, all, { bias: true }),
        norm('attention.layer_norm', d.hidden, true),
        ...plainFeedForward(d.hidden, d.width, true, ['ffn.linear_1', 'ffn.linear_2']),
        norm('ffn.layer_norm', d.hidden, true),
      ]
    },
    derivedHeads: ['sequence', 'token', 'none'],
    lm: plainHead,
  },
  {
    // XLM's layer: 12h^2 + 13h with the feed-forward four times as wide
    type: 'flaubert',
    defaults: { vocab_size: 30145, emb_dim: 2048, n_layers: 12, n_heads: 16, max_position_embeddings: 512, n_langs: 1 },
    names: { hidden: 'emb_dim', layers: 'n_layers', heads: 'n_heads' },
    aliases: {
      vocab_size: ['n_words'],
      emb_dim: ['hidden_size'],
      n_layers: ['num_hidden_layers'],
      n_heads: ['num_attention_heads'],
    },
    headDim: 'divide',
    width: (_, hidden) => 4 * hidden,
    embedding: d => {
      const languages = d.config.size('n_langs')
      return [
        tokenEmbedding(d.vocabulary, d.hidden, 'transformer.embeddings'),
        positionEmbedding(d.config.size('max_position_embeddings'), d.hidden, 'transformer.position_embeddings'),
        ...(languages > 1 && d.config.flag('use_lang_emb', true)
          ? [positionEmbedding(languages, d.hidden, 'transformer.lang_embeddings')]
          : []),
        norm('transformer.layer_norm_emb', d.hidden, true),
      ]
    },
    layer: d => [
      ...attentionWeights({ ...d, prefix: 'attentions', qkvBias: true, outBias: true, out: 'out_lin' }).map(weight => ({
        ...weight,
        out: d.hidden,
        in: d.hidden,
      })),
      norm('layer_norm1', d.hidden, true),
      ...plainFeedForward(d.hidden, d.width, true, ['ffns.lin1', 'ffns.lin2']),
      norm('layer_norm2', d.hidden, true),
    ],
    assumed: config =>
      config.flag('asm') || !config.flag('is_encoder', true)
        ? 'counted as an encoder with a plain output matrix'
        : null,
    derivedHeads: ['sequence'],
    lm: plainHead,
  },
]

export const otherEncoders: readonly Family[] = types.map(encoder)
