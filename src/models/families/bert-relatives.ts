import { column, conv, norm, positionEmbedding, replicated, row } from '../blocks/weights.ts'
import type { Weight } from '../shape.ts'
import { bertDefaults, bertEmbedding, bertLayer, bertLike } from './bert.ts'
import type { Dims } from './decoder.ts'
import { densePooler, denseTransform, type EncoderType, encoder } from './encoder.ts'
import { type Family, usual } from './family.ts'

/** Sizes that several large relatives share. */
const largeDefaults = usual({
  ...bertDefaults,
  hidden: 1024,
  layers: 24,
  heads: 16,
  width: 4096,
})

/** BERT's embedding without the tables whose names end so. */
const embeddingWithout = (d: Dims, ...endings: string[]): Weight[] =>
  bertEmbedding(d).filter(weight => !endings.some(ending => weight.name.endsWith(ending)))

/** Two position rows more than the config says. */
const shiftedPositions = (d: Dims): Weight[] =>
  bertEmbedding(d).map(weight =>
    weight.name.endsWith('position_embeddings') ? { ...weight, out: weight.out + 2 } : weight,
  )

/** BERT's layer with other tables, norms or heads around it. */
const types: readonly EncoderType[] = [
  {
    ...bertLike,
    type: 'bert-generation',
    defaults: { ...largeDefaults, vocab_size: 50358 },
    embedding: d => embeddingWithout(d, 'token_type_embeddings'),
    pooler: () => [],
    lm: d => ({ transform: [], width: d.hidden, bias: 'shared' }),
  },
  { ...bertLike, type: 'data2vec-text', sequence: 'dense' },
  {
    ...bertLike,
    type: 'ernie',
    defaults: { ...bertDefaults, task_type_vocab_size: 3 },
    embedding: d => [
      ...bertEmbedding(d),
      ...(d.config.flag('use_task_id')
        ? [positionEmbedding(d.config.size('task_type_vocab_size'), d.hidden, 'embeddings.task_type_embeddings')]
        : []),
    ],
  },
  { ...bertLike, type: 'ibert', sequence: 'dense' },
  {
    ...bertLike,
    type: 'jina_embeddings_v3',
    defaults: { ...largeDefaults, vocab_size: 250002, max_position_embeddings: 8194, type_vocab_size: 1 },
    embedding: d => embeddingWithout(d, 'position_embeddings'),
    layer: d =>
      bertLayer(d).map(weight =>
        weight.name === 'attention.output.dense' ? { ...weight, in: d.heads * d.headDim } : weight,
      ),
    sequence: 'dense',
  },
  {
    // the masked model keeps its pooler
    ...bertLike,
    type: 'layoutlm',
    defaults: { ...bertDefaults, max_2d_position_embeddings: 1024 },
    embedding: d => [
      ...bertEmbedding(d),
      ...['x', 'y', 'h', 'w'].map(axis =>
        positionEmbedding(
          d.config.size('max_2d_position_embeddings'),
          d.hidden,
          `embeddings.${axis}_position_embeddings`,
        ),
      ),
    ],
    body: densePooler,
    pooler: () => [],
  },
  {
    // a second set of q, k and v for global attention
    ...bertLike,
    type: 'longformer',
    layer: d => [
      ...bertLayer(d),
      ...['query', 'key', 'value'].map(name =>
        column(`attention.self.${name}_global`, d.hidden, d.hidden, { bias: true }),
      ),
    ],
    sequence: 'dense',
  },
  {
    // the norm stands in each layer and after the last one, not behind the embedding
    ...bertLike,
    type: 'megatron-bert',
    defaults: { ...largeDefaults, vocab_size: 29056 },
    embedding: d => embeddingWithout(d, 'LayerNorm'),
    body: d => [norm('encoder.ln', d.hidden, true)],
  },
  {
    ...bertLike,
    type: 'roberta-prelayernorm',
    defaults: { ...bertDefaults, vocab_size: 50265 },
    body: d => [norm('LayerNorm', d.hidden, true)],
    sequence: 'dense',
  },
  {
    ...bertLike,
    type: 'xlm-roberta-xl',
    defaults: usual({
      ...bertDefaults,
      vocab: 250880,
      hidden: 2560,
      layers: 36,
      heads: 32,
      width: 10240,
      context: 514,
      type_vocab_size: 1,
    }),
    embedding: d => embeddingWithout(d, 'LayerNorm'),
    body: d => [norm('encoder.LayerNorm', d.hidden, true)],
    sequence: 'dense',
  },
  {
    // glyph and pronunciation tables beside the words'
    ...bertLike,
    type: 'roc_bert',
    defaults: {
      ...bertDefaults,
      enable_pronunciation: true,
      enable_shape: true,
      pronunciation_embed_dim: 768,
      pronunciation_vocab_size: 910,
      shape_embed_dim: 512,
      shape_vocab_size: 24858,
      concat_input: true,
    },
    embedding: rocEmbedding,
  },
  {
    // stored sinusoids of one head's width
    ...bertLike,
    type: 'roformer',
    defaults: { ...bertDefaults, vocab_size: 50000, max_position_embeddings: 1536 },
    embedding: d => {
      const width = narrowWidth(d)
      const words = bertEmbedding(d, width).filter(weight => !weight.name.endsWith('position_embeddings'))
      return [
        ...words,
        positionEmbedding(d.config.size('max_position_embeddings'), d.headDim, 'encoder.embed_positions'),
        ...(width === d.hidden ? [] : [replicated('embeddings_project', d.hidden, width, { bias: true })]),
      ]
    },
    pooler: () => [],
    lm: d => ({ transform: denseTransform(d, narrowWidth(d)), width: narrowWidth(d), bias: 'shared' }),
    sequence: 'dense',
  },
  {
    // a bottleneck of two matrices a language in every layer
    ...bertLike,
    type: 'xmod',
    defaults: { ...bertDefaults, adapter_reduction_factor: 2 },
    layer: d => {
      const width = Math.floor(d.hidden / d.config.size('adapter_reduction_factor'))
      const copies = d.config.list('languages')?.length ?? 1
      return [
        ...bertLayer(d),
        column('output.adapter_modules.dense1', width, d.hidden, { bias: true, copies }),
        row('output.adapter_modules.dense2', d.hidden, width, { bias: true, copies }),
        ...(d.config.flag('adapter_layer_norm') ? [norm('output.adapter_layer_norm', d.hidden, true)] : []),
      ]
    },
    body: d => (d.config.flag('pre_norm') ? [norm('encoder.LayerNorm', d.hidden, true)] : []),
    sequence: 'dense',
  },
  {
    ...bertLike,
    type: 'yoso',
    defaults: { ...bertDefaults, vocab_size: 50265, max_position_embeddings: 4096, type_vocab_size: 1 },
    embedding: shiftedPositions,
    layer: d => withHeadConvolution(d, 'conv_window'),
    pooler: () => [],
    sequence: 'dense',
  },
  {
    ...bertLike,
    type: 'mra',
    defaults: { ...bertDefaults, vocab_size: 50265, type_vocab_size: 1 },
    embedding: shiftedPositions,
    pooler: () => [],
    sequence: 'dense',
  },
  {
    ...bertLike,
    type: 'nystromformer',
    defaults: { ...bertDefaults, vocab_size: 30000, max_position_embeddings: 510, conv_kernel_size: 65 },
    embedding: shiftedPositions,
    layer: d => withHeadConvolution(d, 'conv_kernel_size'),
    pooler: () => [],
    sequence: 'dense',
  },
]

const narrowWidth = (d: Dims): number => d.config.sizeOrNull('embedding_size') ?? d.hidden

/** A kernel a head over the values, where the config names its length. */
function withHeadConvolution(d: Dims, key: string): Weight[] {
  const kernel = d.config.sizeOrNull(key)
  return [...bertLayer(d), ...(kernel === null ? [] : [conv('attention.self.conv', d.heads, kernel, false)])]
}

/** The tables are always there; those in use are joined with the words' and mapped back to the hidden width. */
function rocEmbedding(d: Dims): Weight[] {
  const tables = (['pronunciation', 'shape'] as const).map(kind => ({
    weight: positionEmbedding(
      d.config.size(`${kind}_vocab_size`),
      d.config.size(`${kind}_embed_dim`),
      `embeddings.${kind}_embed`,
    ),
    used: d.config.flag(`enable_${kind}`),
  }))
  const joined = d.hidden + tables.reduce((sum, table) => sum + (table.used ? table.weight.in : 0), 0)
  return [
    ...bertEmbedding(d),
    ...tables.map(table => table.weight),
    ...(d.config.flag('concat_input')
      ? [replicated('embeddings.map_inputs_layer', d.hidden, joined, { bias: true })]
      : []),
  ]
}

export const bertRelatives: readonly Family[] = types.map(encoder)
