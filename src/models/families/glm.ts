import { attentionWeights, fusedAttentionWeights } from '../blocks/attention.ts'
import { fusedGatedFeedForward } from '../blocks/feed-forward.ts'
import { norm, tokenEmbedding } from '../blocks/weights.ts'
import { type DecoderType, type Dims, decoder } from './decoder.ts'
import { type Family, usual } from './family.ts'
import { layerNorms, norms } from './llama.ts'

const defaults = usual({
  vocab: 151552,
  hidden: 4096,
  width: 13696,
  layers: 40,
  heads: 32,
  kvHeads: 2,
  head_dim: 128,
  context: 131072,
  attention_bias: true,
})

/** Biases on q, k and v only; gate and up in one matrix. */
const glmLayer = (d: Dims) => [
  ...attentionWeights({ ...d, qkvBias: d.config.flag('attention_bias') }),
  ...fusedGatedFeedForward(d.hidden, d.width),
  ...layerNorms(d),
]

const types: readonly DecoderType[] = [
  { type: 'glm', defaults, layer: glmLayer },
  {
    type: 'glm4',
    defaults,
    layer: d => [...glmLayer(d), ...norms(d, ['post_self_attn_layernorm', 'post_mlp_layernorm'])],
  },
  {
    // remote code of ChatGLM2 to GLM-4-9B
    type: 'chatglm',
    classes: ['ChatGLM'],
    exact: false,
    defaults: {
      padded_vocab_size: 65024,
      hidden_size: 4096,
      ffn_hidden_size: 13696,
      num_layers: 28,
      num_attention_heads: 32,
      kv_channels: 128,
      multi_query_group_num: 1,
      post_layer_norm: true,
    },
    aliases: { vocab_size: ['padded_vocab_size'], num_layers: ['num_hidden_layers'] },
    names: { layers: 'num_layers' },
    kvHeads: (config, heads) => (config.flag('multi_query_attention') ? config.size('multi_query_group_num') : heads),
    headDim: config => config.size('kv_channels'),
    width: config => config.size('ffn_hidden_size'),
    embedding: d => [tokenEmbedding(d.vocabulary, d.hidden, 'transformer.embedding.word_embeddings')],
    layer: d => {
      const bias = d.config.flag('add_bias_linear')
      return [
        ...fusedAttentionWeights({ ...d, qkvBias: bias || d.config.flag('add_qkv_bias'), outBias: bias }, [
          'self_attention.query_key_value',
          'self_attention.dense',
        ]),
        ...fusedGatedFeedForward(d.hidden, d.width, bias, ['mlp.dense_h_to_4h', 'mlp.dense_4h_to_h']),
        ...layerNorms(d),
      ]
    },
    final: d => (d.config.flag('post_layer_norm') ? [norm('transformer.encoder.final_layernorm', d.hidden)] : []),
  },
]

export const glm: readonly Family[] = types.map(decoder)
