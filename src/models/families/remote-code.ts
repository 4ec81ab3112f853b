import { attentionWeights, fusedAttentionWeights } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { column, norm, row, tokenEmbedding } from '../blocks/weights.ts'
import { type DecoderType, decoder } from './decoder.ts'
import { type Family, usual } from './family.ts'
import { layerNorms, llamaDefaults, llamaLayer, norms } from './llama.ts'

/**
 * Llama's layer under the names of models that bring their own code and have no class in transformers. Their key names
 * are read from the published configs.
 */
const types: readonly DecoderType[] = [
  {
    // `intermediate_size` is twice the width of w1 and w2; a bias on q, k and v
    type: 'qwen',
    classes: ['QWen'],
    defaults: usual({
      vocab: 151936,
      hidden: 4096,
      width: 22016,
      layers: 32,
      heads: 32,
      kv_channels: 128,
      no_bias: true,
      seq_length: 8192,
    }),
    headDim: config => config.size('kv_channels'),
    kvHeads: (_, heads) => heads,
    width: config => Math.floor(config.size('intermediate_size') / 2),
    embedding: d => [tokenEmbedding(d.vocabulary, d.hidden, 'transformer.wte')],
    layer: d => {
      const bias = !d.config.flag('no_bias')
      return [
        ...fusedAttentionWeights({ ...d, qkvBias: true, outBias: bias }, ['attn.c_attn', 'attn.c_proj']),
        column('mlp.w1', d.width, d.hidden, { bias }),
        column('mlp.w2', d.width, d.hidden, { bias }),
        row('mlp.c_proj', d.hidden, d.width, { bias }),
        ...norms(d, ['ln_1', 'ln_2']),
      ]
    },
    final: d => [norm('transformer.ln_f', d.hidden)],
    exact: false,
  },
  {
    type: 'internlm',
    classes: ['InternLM'],
    defaults: { ...llamaDefaults, vocab_size: 103168, bias: true },
    layer: d => {
      const bias = d.config.flag('bias')
      return [
        ...attentionWeights({ ...d, qkvBias: bias, outBias: bias }),
        ...gatedFeedForward(d.hidden, d.width),
        ...layerNorms(d),
      ]
    },
    exact: false,
  },
  {
    type: 'internlm2',
    classes: ['InternLM2'],
    defaults: { ...llamaDefaults, vocab_size: 103168, bias: true },
    embedding: d => [tokenEmbedding(d.vocabulary, d.hidden, 'model.tok_embeddings')],
    layer: d => {
      const bias = d.config.flag('bias')
      return [
        ...fusedAttentionWeights({ ...d, qkvBias: bias, outBias: bias }, ['attention.wqkv', 'attention.wo']),
        column('feed_forward.w1', d.width, d.hidden),
        column('feed_forward.w3', d.width, d.hidden),
        row('feed_forward.w2', d.hidden, d.width),
        ...norms(d, ['attention_norm', 'ffn_norm']),
      ]
    },
    exact: false,
  },
  {
    // one matrix for q, k and v; no grouped heads
    type: 'baichuan',
    classes: ['BaiChuan', 'Baichuan'],
    defaults: { ...llamaDefaults, vocab_size: 125696 },
    kvHeads: (_, heads) => heads,
    layer: d => [
      ...fusedAttentionWeights(d, ['self_attn.W_pack', 'self_attn.o_proj']),
      ...gatedFeedForward(d.hidden, d.width),
      ...layerNorms(d),
    ],
    exact: false,
  },
  {
    // LayerNorms with bias around Llama's layer
    type: 'orion',
    defaults: usual({
      ...llamaDefaults,
      vocab: 84608,
      hidden: 5120,
      width: 15360,
      layers: 40,
      heads: 40,
    }),
    layer: d => [
      ...attentionWeights({ ...d, qkvBias: d.config.flag('attention_bias') }),
      ...gatedFeedForward(d.hidden, d.width),
      ...layerNorms(d, true),
    ],
    final: d => [norm('model.norm', d.hidden, true)],
    exact: false,
  },
  {
    type: 'minicpm',
    classes: ['MiniCPM'],
    defaults: usual({
      ...llamaDefaults,
      vocab: 122753,
      hidden: 2304,
      width: 5760,
      layers: 40,
      heads: 36,
      tie_word_embeddings: true,
    }),
    layer: llamaLayer,
    exact: false,
  },
]

export const remoteCode: readonly Family[] = types.map(decoder)
