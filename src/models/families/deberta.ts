import {
  column,
  conv,
  linear,
  norm,
  positionEmbedding,
  replicated,
  row,
  tokenEmbedding,
  vector,
} from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { Weight } from '../shape.ts'
import { bertDefaults, bertFeedForward, bertLike, bertNorms } from './bert.ts'
import type { Dims } from './decoder.ts'
import { denseTransform, type EncoderType, encoder, type MaskedHead } from './encoder.ts'
import { type Family, usual } from './family.ts'

/** "c2p" and "p2c" in `pos_att_type`: a list, or text divided by "|". */
function hasPositionAttention(config: Config, kind: 'c2p' | 'p2c'): boolean {
  const value = config.raw('pos_att_type')
  if (typeof value === 'string') return value.toLowerCase().split('|').includes(kind)
  return Array.isArray(value) && value.includes(kind)
}

const embeddingWidth = (d: Dims): number => d.config.sizeOrNull('embedding_size') ?? d.hidden

/** Positions counted in relative attention: `max_relative_positions`, or the context length where it is not positive. */
function relativePositions(config: Config): number {
  const given = config.number('max_relative_positions') ?? -1
  return given < 1 ? config.size('max_position_embeddings') : config.size('max_relative_positions')
}

function debertaEmbedding(d: Dims): Weight[] {
  const width = embeddingWidth(d)
  const kinds = d.config.count('type_vocab_size')
  const positions = d.config.size('max_position_embeddings')
  return [
    tokenEmbedding(d.vocabulary, width, 'embeddings.word_embeddings'),
    ...(d.config.flag('position_biased_input', true)
      ? [positionEmbedding(positions, width, 'embeddings.position_embeddings')]
      : []),
    ...(kinds > 0 ? [positionEmbedding(kinds, width, 'embeddings.token_type_embeddings')] : []),
    ...(width === d.hidden ? [] : [replicated('embeddings.embed_proj', d.hidden, width)]),
    norm('embeddings.LayerNorm', d.hidden, true),
  ]
}

/** Relative-position table of the encoder: twice the buckets, or twice the positions. */
function relativeTable(d: Dims, rows: number): Weight[] {
  return d.config.flag('relative_attention') ? [positionEmbedding(rows, d.hidden, 'encoder.rel_embeddings')] : []
}

/** Classifiers pool; the bare model does not. */
const pooler = (d: Dims): Weight[] => {
  const width = d.config.sizeOrNull('pooler_hidden_size') ?? d.hidden
  return [replicated('pooler.dense', width, width, { bias: true })]
}

/** The older head has a matrix of its own, which is tied; the newer one reads the embedding. */
function debertaHead(d: Dims): MaskedHead {
  const legacy = d.config.flag('legacy')
  const width = legacy ? embeddingWidth(d) : d.hidden
  return { transform: denseTransform(d, width), width, bias: 'shared', ...(legacy ? {} : { tied: true }) }
}

const types: readonly EncoderType[] = [
  {
    ...bertLike,
    type: 'deberta-v2',
    defaults: usual({
      ...bertDefaults,
      vocab: 128100,
      hidden: 1536,
      layers: 24,
      heads: 24,
      width: 6144,
      type_vocab_size: 0,
      legacy: true,
    }),
    headDim: (config, hidden, heads) => config.sizeOrNull('attention_head_size') ?? Math.floor(hidden / heads),
    embedding: debertaEmbedding,
    layer: d => {
      const all = d.heads * d.headDim
      const relative = d.config.flag('relative_attention') && !d.config.flag('share_att_key')
      const position = (name: string) => column(`attention.self.${name}`, all, d.hidden, { bias: true })
      const kv = { bias: true, kvHeads: d.heads }
      return [
        position('query_proj'),
        linear('attention.self.key_proj', all, d.hidden, 'kv', kv),
        linear('attention.self.value_proj', all, d.hidden, 'kv', kv),
        ...(relative && hasPositionAttention(d.config, 'c2p') ? [position('pos_key_proj')] : []),
        ...(relative && hasPositionAttention(d.config, 'p2c') ? [position('pos_query_proj')] : []),
        row('attention.output.dense', d.hidden, d.hidden, { bias: true }),
        ...bertFeedForward(d),
        ...bertNorms(d),
      ]
    },
    body: d => {
      const buckets = d.config.number('position_buckets') ?? -1
      const kernel = d.config.count('conv_kernel_size')
      const groups = d.config.sizeOrNull('conv_groups') ?? 1
      const normed = (d.config.text('norm_rel_ebd') ?? 'none')
        .toLowerCase()
        .split('|')
        .map(part => part.trim())
      return [
        ...relativeTable(d, 2 * (buckets > 0 ? buckets : relativePositions(d.config))),
        ...(normed.includes('layer_norm') ? [norm('encoder.LayerNorm', d.hidden, true)] : []),
        ...(kernel > 0
          ? [
              conv('encoder.conv.conv', d.hidden, Math.floor(d.hidden / groups) * kernel, true),
              norm('encoder.conv.LayerNorm', d.hidden, true),
            ]
          : []),
      ]
    },
    pooler: () => [],
    classifierPooler: pooler,
    lm: debertaHead,
  },
  {
    // q, k and v in one matrix; biases of q and v apart
    ...bertLike,
    type: 'deberta',
    defaults: { ...bertDefaults, vocab_size: 50265, type_vocab_size: 0, legacy: true },
    embedding: debertaEmbedding,
    layer: d => {
      const all = d.heads * d.headDim
      const relative = d.config.flag('relative_attention')
      const talking = d.config.flag('talking_head')
      return [
        linear('attention.self.in_proj', 3 * all, d.hidden, 'qkv', { kvHeads: d.heads, kvWidth: 2 * all }),
        vector('attention.self.q_bias', all, 'column'),
        vector('attention.self.v_bias', all, 'column'),
        ...(relative && hasPositionAttention(d.config, 'c2p')
          ? [column('attention.self.pos_proj', all, d.hidden)]
          : []),
        ...(relative && hasPositionAttention(d.config, 'p2c')
          ? [column('attention.self.pos_q_proj', all, d.hidden, { bias: true })]
          : []),
        ...(talking
          ? ['logits', 'weights'].map(name => replicated(`attention.self.head_${name}_proj`, d.heads, d.heads))
          : []),
        row('attention.output.dense', d.hidden, d.hidden, { bias: true }),
        ...bertFeedForward(d),
        ...bertNorms(d),
      ]
    },
    body: d => relativeTable(d, 2 * relativePositions(d.config)),
    pooler: () => [],
    classifierPooler: pooler,
    lm: debertaHead,
  },
]

export const deberta: readonly Family[] = types.map(encoder)
