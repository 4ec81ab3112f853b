import { column, conv, norm, positionEmbedding, replicated, row, vector } from '../blocks/weights.ts'
import type { Weight } from '../shape.ts'
import { bertDefaults, bertEmbedding, bertFeedForward, bertLayer, bertLike, bertNorms } from './bert.ts'
import type { Dims } from './decoder.ts'
import { densePooler, denseTransform, type EncoderType, encoder, type MaskedHead } from './encoder.ts'
import { type Family, usual } from './family.ts'

/** A matrix in groups: each group sees its part of the input only. */
const grouped = (name: string, out: number, input: number, groups: number): Weight =>
  column(name, out, Math.floor(input / groups), { bias: true })

/** The same as one stacked parameter: what does not divide has no weights, but a bias. */
const groupedParameter = (name: string, out: number, input: number, groups: number): Weight[] => [
  column(name, groups * Math.floor(out / groups), Math.floor(input / groups)),
  vector(`${name}.bias`, out, 'column'),
]

/** A narrower embedding and the matrix that widens it. */
const narrowEmbedding = (d: Dims, width: number, mapping: string): Weight[] => [
  ...bertEmbedding(d, width),
  replicated(mapping, d.hidden, width, { bias: true }),
]

/** Encoders that share, group or add to the parts of BERT's layer. */
const types: readonly EncoderType[] = [
  {
    // one group of layers, stored once, runs many times
    ...bertLike,
    type: 'albert',
    defaults: usual({
      ...bertDefaults,
      vocab: 30000,
      embedding_size: 128,
      hidden: 4096,
      num_hidden_groups: 1,
      heads: 64,
      width: 16384,
      inner_group_num: 1,
    }),
    embedding: d => narrowEmbedding(d, d.config.size('embedding_size'), 'encoder.embedding_hidden_mapping_in'),
    stored: d => d.config.size('num_hidden_groups') * d.config.size('inner_group_num'),
    lm: d => {
      const width = d.config.size('embedding_size')
      return { transform: denseTransform(d, width), width, bias: 'shared' }
    },
  },
  {
    // the output matrix is wider than the embedding and never tied
    ...bertLike,
    type: 'rembert',
    defaults: usual({
      ...bertDefaults,
      vocab: 250300,
      hidden: 1152,
      layers: 32,
      heads: 18,
      input_embedding_size: 256,
      output_embedding_size: 1664,
      width: 4608,
    }),
    embedding: d => narrowEmbedding(d, d.config.size('input_embedding_size'), 'encoder.embedding_hidden_mapping_in'),
    lm: d => {
      const width = d.config.size('output_embedding_size')
      return { transform: denseTransform(d, width), width, bias: 'own', tied: false }
    },
  },
  {
    // the masked model keeps its pooler
    ...bertLike,
    type: 'big_bird',
    defaults: { ...bertDefaults, vocab_size: 50358, max_position_embeddings: 4096, use_bias: true },
    layer: d =>
      bertLayer(d).map(weight =>
        weight.name.startsWith('attention.self.') ? { ...weight, bias: d.config.flag('use_bias') } : weight,
      ),
    body: densePooler,
    pooler: () => [],
    sequence: 'dense',
  },
  {
    // no attention: a Fourier transform between norms
    ...bertLike,
    type: 'fnet',
    defaults: { ...bertDefaults, vocab_size: 32000, num_attention_heads: 1, type_vocab_size: 4 },
    embedding: d => [...bertEmbedding(d), replicated('embeddings.projection', d.hidden, d.hidden, { bias: true })],
    layer: d => [...bertFeedForward(d), ...bertNorms(d)],
    body: densePooler,
    pooler: () => [],
  },
  {
    // every matrix is a grouped convolution of kernel 1
    ...bertLike,
    type: 'squeezebert',
    defaults: {
      ...bertDefaults,
      q_groups: 4,
      k_groups: 4,
      v_groups: 4,
      post_attention_groups: 1,
      intermediate_groups: 4,
      output_groups: 4,
    },
    embedding: d => {
      const width = d.config.sizeOrNull('embedding_size') ?? d.hidden
      const tables = bertEmbedding(d, width).filter(weight => weight.kind !== 'norm')
      return [...tables, norm('embeddings.LayerNorm', d.hidden, true)]
    },
    layer: d => [
      grouped('attention.query', d.hidden, d.hidden, d.config.size('q_groups')),
      grouped('attention.key', d.hidden, d.hidden, d.config.size('k_groups')),
      grouped('attention.value', d.hidden, d.hidden, d.config.size('v_groups')),
      grouped('post_attention.conv1d', d.hidden, d.hidden, d.config.size('post_attention_groups')),
      grouped('intermediate.conv1d', d.width, d.hidden, d.config.size('intermediate_groups')),
      grouped('output.conv1d', d.hidden, d.width, d.config.size('output_groups')),
      ...bertNorms(d),
    ],
    body: densePooler,
    pooler: () => [],
  },
  {
    // one type table for each property of a table's cell
    ...bertLike,
    type: 'tapas',
    defaults: {
      ...bertDefaults,
      max_position_embeddings: 1024,
      type_vocab_size: 0,
      type_vocab_sizes: [3, 256, 256, 2, 256, 256, 10],
    },
    embedding: d => [
      ...bertEmbedding(d),
      ...(d.config.list('type_vocab_sizes') ?? []).map((rows, i) =>
        typeof rows === 'number' && Number.isSafeInteger(rows) && rows >= 1
          ? positionEmbedding(rows, d.hidden, `embeddings.token_type_embeddings_${i}`)
          : d.config.invalid('type_vocab_sizes', 'holds an entry that is no whole number of at least 1'),
      ),
    ],
  },
  {
    // entities have a table, a head and, with entity-aware attention, queries of their own
    ...bertLike,
    type: 'luke',
    defaults: {
      ...bertDefaults,
      vocab_size: 50267,
      entity_vocab_size: 500000,
      entity_emb_size: 256,
      use_entity_aware_attention: true,
    },
    embedding: d => {
      const width = d.config.size('entity_emb_size')
      const tables = bertEmbedding(d).filter(weight => !weight.name.endsWith('word_embeddings'))
      return [
        ...bertEmbedding(d),
        positionEmbedding(d.config.size('entity_vocab_size'), width, 'entity_embeddings.entity_embeddings'),
        ...(width === d.hidden ? [] : [replicated('entity_embeddings.entity_embedding_dense', d.hidden, width)]),
        ...tables.map(weight => ({ ...weight, name: `entity_${weight.name}` })),
      ]
    },
    layer: d => [
      ...bertLayer(d),
      ...(d.config.flag('use_entity_aware_attention')
        ? ['w2e', 'e2w', 'e2e'].map(name => column(`attention.self.${name}_query`, d.hidden, d.hidden, { bias: true }))
        : []),
    ],
    body: densePooler,
    pooler: () => [],
    derivedHeads: ['token'],
    lm: lukeHead,
  },
  {
    // half of the heads are a convolution made from the input
    ...bertLike,
    type: 'convbert',
    defaults: { ...bertDefaults, embedding_size: 768, head_ratio: 2, conv_kernel_size: 9, num_groups: 1 },
    embedding: d => {
      const width = d.config.size('embedding_size')
      return width === d.hidden ? bertEmbedding(d) : narrowEmbedding(d, width, 'embeddings_project')
    },
    layer: convLayer,
    pooler: () => [],
    lm: d => {
      const width = d.config.size('embedding_size')
      return { transform: denseTransform(d, width), width, bias: 'own' }
    },
    sequence: 'dense',
  },
  {
    // narrow layers between bottlenecks, several feed-forwards in each
    ...bertLike,
    type: 'mobilebert',
    defaults: usual({
      ...bertDefaults,
      hidden: 512,
      layers: 24,
      heads: 4,
      width: 512,
      embedding_size: 128,
      intra_bottleneck_size: 128,
      num_feedforward_networks: 4,
      trigram_input: true,
      use_bottleneck: true,
      key_query_shared_bottleneck: true,
    }),
    embedding: d => {
      const width = d.config.size('embedding_size')
      const input = d.config.flag('trigram_input') ? 3 * width : width
      return [
        ...bertEmbedding(d).map(weight =>
          weight.name.endsWith('word_embeddings') ? { ...weight, in: width } : weight,
        ),
        replicated('embeddings.embedding_transformation', d.hidden, input, { bias: true }),
      ]
    },
    layer: mobileLayer,
    lm: d => {
      const width = d.config.size('embedding_size')
      const rest = replicated('cls.predictions.dense', d.hidden - width, d.vocabulary)
      return { transform: [...denseTransform(d), ...(width < d.hidden ? [rest] : [])], width, bias: 'shared' }
    },
  },
]

/** Bottlenecks down and up, attention at the narrow width (values at the full one), all with bias and norm. */
function mobileLayer(d: Dims): Weight[] {
  const bottleneck = d.config.flag('use_bottleneck')
  const narrow = d.config.size('intra_bottleneck_size')
  const inner = d.config.sizeOrNull('true_hidden_size') ?? (bottleneck ? narrow : d.hidden)
  const all = d.heads * Math.floor(inner / d.heads)
  const dense = (name: string, out: number, input: number) => column(name, out, input, { bias: true })
  const narrowing = (name: string) => [
    dense(`${name}.dense`, narrow, d.hidden),
    norm(`${name}.LayerNorm`, narrow, true),
  ]
  const feedForward = (prefix: string) => [
    dense(`${prefix}intermediate.dense`, d.width, inner),
    row(`${prefix}output.dense`, inner, d.width, { bias: true }),
    norm(`${prefix}output.LayerNorm`, inner, true),
  ]
  return [
    dense('attention.self.query', all, inner),
    dense('attention.self.key', all, inner),
    dense('attention.self.value', all, d.config.flag('use_bottleneck_attention') ? inner : d.hidden),
    row('attention.output.dense', inner, inner, { bias: true }),
    norm('attention.output.LayerNorm', inner, true),
    ...feedForward(''),
    ...feedForward('ffn.').map(weight => ({ ...weight, copies: d.config.size('num_feedforward_networks') - 1 })),
    ...(bottleneck
      ? [
          dense('output.bottleneck.dense', d.hidden, inner),
          norm('output.bottleneck.LayerNorm', d.hidden, true),
          ...narrowing('bottleneck.input'),
          ...(d.config.flag('key_query_shared_bottleneck') ? narrowing('bottleneck.attention') : []),
        ]
      : []),
  ]
}

/** The words' matrix is never tied, only its bias is; the entities' matrix is. */
function lukeHead(d: Dims): MaskedHead {
  const width = d.config.size('entity_emb_size')
  const rows = d.config.size('entity_vocab_size')
  const tied = d.config.flag('tie_word_embeddings')
  return {
    transform: [
      ...denseTransform(d),
      replicated('entity_predictions.transform.dense', width, d.hidden, { bias: true }),
      norm('entity_predictions.transform.LayerNorm', width, true),
      vector('entity_predictions.bias', rows),
      ...(tied ? [] : [replicated('entity_predictions.decoder', rows, width)]),
    ],
    width: d.hidden,
    bias: tied ? 'own' : 'shared',
    tied: false,
  }
}

/** Fewer and narrower heads beside a depthwise and a pointwise convolution. */
function convLayer(d: Dims): Weight[] {
  const heads = Math.max(1, Math.floor(d.heads / d.config.size('head_ratio')))
  const all = heads * Math.floor(Math.floor(d.hidden / heads) / 2)
  const kernel = d.config.size('conv_kernel_size')
  const groups = d.config.size('num_groups')
  const project = (name: string) => column(`attention.self.${name}`, all, d.hidden, { bias: true })
  return [
    ...['query', 'key', 'value', 'conv_out_layer'].map(project),
    conv('attention.self.key_conv_attn_layer.depthwise', d.hidden, kernel, false),
    conv('attention.self.key_conv_attn_layer.pointwise', all, d.hidden, true),
    column('attention.self.conv_kernel_layer', heads * kernel, all, { bias: true }),
    row('attention.output.dense', d.hidden, d.hidden, { bias: true }),
    ...groupedParameter('intermediate.dense', d.width, d.hidden, groups),
    ...groupedParameter('output.dense', d.hidden, d.width, groups),
    ...bertNorms(d),
  ]
}

export const bertVariants: readonly Family[] = types.map(encoder)
