import { column, linear, norm, replicated, tokenEmbedding, vector } from '../blocks/weights.ts'
import type { Weight } from '../shape.ts'
import { architectureOf, labelCount } from './architecture.ts'
import { modernLayer } from './bert.ts'
import { alternatingWindows, type Dims, decoder } from './decoder.ts'
import { usual } from './family.ts'

/** ModernBERT's layer with q, k and v apart. */
function layer(d: Dims): Weight[] {
  const bias = d.config.flag('attention_bias')
  const all = d.heads * d.headDim
  return modernLayer(d).flatMap(weight =>
    weight.name === 'attn.Wqkv'
      ? [
          column('attn.q_proj', all, d.hidden, { bias }),
          linear('attn.k_proj', all, d.hidden, 'kv', { bias, kvHeads: d.heads }),
          linear('attn.v_proj', all, d.hidden, 'kv', { bias, kvHeads: d.heads }),
        ]
      : [weight],
  )
}

/** ModernBERT that generates: the first layer has no norm before attention, every third layer is full. */
export const modernBertDecoder = decoder({
  type: 'modernbert-decoder',
  defaults: usual({
    vocab: 50368,
    hidden: 768,
    width: 1152,
    layers: 22,
    heads: 12,
    context: 8192,
    sliding_window: 64,
    decoder_bias: true,
    tie_word_embeddings: true,
  }),
  headDim: 'divide',
  kvHeads: (_, heads) => heads,
  embedding: d => [
    tokenEmbedding(d.vocabulary, d.hidden, 'model.embeddings.tok_embeddings'),
    norm('model.embeddings.norm', d.hidden, d.config.flag('norm_bias')),
  ],
  layer,
  firstLayerLacks: ['attn_norm'],
  windows: d => {
    const every = d.config.sizeOrNull('global_attn_every_n_layers') ?? 3
    return alternatingWindows(d, i => i % every === 0)
  },
  final: d => {
    const normBias = d.config.flag('norm_bias')
    const dense = replicated('lm_head.dense', d.hidden, d.hidden, { bias: d.config.flag('classifier_bias') })
    const classifies = architectureOf(d.config).head === 'sequence' && d.config.flag('classifier_bias')
    return [
      ...(classifies ? [vector('classifier.bias', labelCount(d.config))] : []),
      norm('model.final_norm', d.hidden, normBias),
      ...(architectureOf(d.config).head !== 'none' ? [dense, norm('lm_head.norm', d.hidden, normBias)] : []),
    ]
  },
  headBias: config => config.flag('decoder_bias'),
})
