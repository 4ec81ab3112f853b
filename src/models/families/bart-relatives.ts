import { column, norm, positionEmbedding, replicated, row } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { Weight } from '../shape.ts'
import { type BartType, bartFamily } from './bart.ts'
import type { Family } from './family.ts'

const smallSizes = {
  vocab_size: 50005,
  encoder_layers: 6,
  encoder_ffn_dim: 3072,
  encoder_attention_heads: 12,
  decoder_layers: 6,
  decoder_ffn_dim: 3072,
  decoder_attention_heads: 12,
  d_model: 768,
}

/** The same weights without bias where a name says attention. */
const attentionBias = (weights: readonly Weight[], bias: boolean): Weight[] =>
  weights.map(weight => (/_attn\./.test(weight.name) ? { ...weight, bias } : weight))

/** Tables of prompts and the matrices that turn them into keys and values of every layer. */
function prompts(config: Config): Weight[] {
  const hidden = config.size('d_model')
  const middle = config.size('prompt_mid_dim')
  const width = 2 * config.size('decoder_layers') * hidden
  return ['self_attn_prompt', 'cross_attn_prompt'].flatMap(name => [
    positionEmbedding(config.size('prompt_length'), hidden, `${name}.prompt_embedding`),
    column(`${name}.prompt_trans.1`, middle, hidden, { bias: true }),
    row(`${name}.prompt_trans.3`, width, middle, { bias: true }),
  ])
}

const types: readonly BartType[] = [
  { type: 'plbart', positions: 'offset', embeddingNorm: true, finalNorm: false, defaults: smallSizes },
  {
    type: 'blenderbot',
    positions: 'stored',
    embeddingNorm: false,
    finalNorm: true,
    defaults: {
      vocab_size: 8008,
      max_position_embeddings: 128,
      encoder_layers: 2,
      encoder_ffn_dim: 10240,
      encoder_attention_heads: 32,
      decoder_layers: 24,
      decoder_ffn_dim: 10240,
      decoder_attention_heads: 32,
      d_model: 2560,
    },
  },
  {
    type: 'blenderbot-small',
    positions: 'stored',
    embeddingNorm: true,
    finalNorm: false,
    defaults: {
      max_position_embeddings: 512,
      encoder_layers: 8,
      encoder_ffn_dim: 2048,
      decoder_layers: 8,
      decoder_ffn_dim: 2048,
      d_model: 512,
    },
  },
  {
    type: 'mvp',
    positions: 'offset',
    embeddingNorm: true,
    finalNorm: false,
    defaults: { vocab_size: 50267, prompt_length: 100, prompt_mid_dim: 800 },
    // one for the decoder's own attention, one for its attention over the encoder
    beside: (half, config) => (half === 'decoder' && config.flag('use_prompt') ? prompts(config) : []),
  },
  {
    // a second set of q, k and v for the encoder's global attention
    type: 'led',
    positions: 'stored',
    positionsKey: half => `max_${half}_position_embeddings`,
    embeddingNorm: true,
    finalNorm: false,
    defaults: { max_encoder_position_embeddings: 16384, max_decoder_position_embeddings: 1024 },
    adjust: (weights, half, config) => {
      if (half === 'decoder') return weights
      const hidden = config.size('d_model')
      const second = ['query', 'key', 'value'].map(name =>
        column(`self_attn.longformer_self_attn.${name}_global`, hidden, hidden, { bias: true }),
      )
      return [...weights, ...second]
    },
  },
  {
    type: 'bigbird_pegasus',
    classes: ['BigBirdPegasus'],
    positions: 'stored',
    embeddingNorm: true,
    finalNorm: false,
    defaults: { vocab_size: 96103, max_position_embeddings: 4096, encoder_layers: 16, decoder_layers: 16 },
    adjust: (weights, _, config) => attentionBias(weights, config.flag('use_bias')),
  },
  {
    // no attention biases; global tokens have a table and, in the encoder, a norm
    type: 'pegasus_x',
    positions: 'none',
    embeddingNorm: false,
    finalNorm: true,
    defaults: {
      vocab_size: 96103,
      max_position_embeddings: 16384,
      encoder_layers: 16,
      decoder_layers: 16,
      num_global_tokens: 32,
    },
    adjust: (weights, half, config) => [
      ...attentionBias(weights, false),
      ...(half === 'encoder' ? [norm('global_self_attn_layer_norm', config.size('d_model'), true)] : []),
    ],
    beside: (half, config) =>
      half === 'encoder'
        ? [positionEmbedding(config.size('num_global_tokens'), config.size('d_model'), 'embed_global')]
        : [],
  },
  {
    // two vocabularies; tied there is one table
    type: 'fsmt',
    positions: 'padded',
    embeddingNorm: false,
    finalNorm: false,
    defaults: { src_vocab_size: 42024, vocab_size: 42024, tie_word_embeddings: false },
    aliases: { vocab_size: ['vocab_size', 'tgt_vocab_size'] },
    ownTables: config =>
      config.flag('tie_word_embeddings')
        ? null
        : { encoder: config.size('src_vocab_size'), decoder: config.size('vocab_size') },
  },
  {
    // the decoder predicts n tokens ahead and counts positions relatively
    type: 'prophetnet',
    positions: 'stored',
    embeddingNorm: true,
    finalNorm: false,
    defaults: { vocab_size: 30522, max_position_embeddings: 512, ngram: 2, num_buckets: 32 },
    aliases: {
      encoder_layers: ['num_encoder_layers'],
      encoder_attention_heads: ['num_encoder_attention_heads', 'num_attention_heads'],
      decoder_layers: ['num_decoder_layers'],
      decoder_attention_heads: ['num_decoder_attention_heads'],
    },
    adjust: (weights, half, config) => {
      if (half === 'encoder') return weights
      const crosses = config.flag('add_cross_attention', true)
      const rows = config.size('num_buckets') * config.size('decoder_attention_heads')
      const relative = replicated('self_attn.relative_pos_embeddings', rows, config.size('d_model'), { bias: true })
      return [...weights.filter(weight => crosses || !weight.name.startsWith('encoder_attn')), relative]
    },
    beside: (half, config) =>
      half === 'decoder' ? [positionEmbedding(config.size('ngram'), config.size('d_model'), 'ngram_embeddings')] : [],
  },
  {
    // every fourth layer has experts
    type: 'nllb-moe',
    positions: 'none',
    embeddingNorm: false,
    finalNorm: true,
    defaults: { vocab_size: 128112, num_experts: 128, encoder_sparse_step: 4, decoder_sparse_step: 4 },
    sparseStep: (half, config) => config.count(`${half}_sparse_step`),
  },
]

export const bartRelatives: readonly Family[] = types.map(bartFamily)
