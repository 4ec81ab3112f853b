import { attentionWeights } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { norm, vector } from '../blocks/weights.ts'
import type { Config, JsonObject } from '../config.ts'
import type { Weight } from '../shape.ts'
import { alternatingWindows, type DecoderType, type Dims, decoder } from './decoder.ts'
import { type Family, usual } from './family.ts'

/** RMS norms of hidden width, or LayerNorms with `bias`. */
export const norms = (d: Dims, names: readonly string[], bias = false): Weight[] =>
  names.map(name => norm(name, d.hidden, bias))

/** The two norms of a Llama layer. */
export const layerNorms = (d: Dims, bias = false): Weight[] =>
  norms(d, ['input_layernorm', 'post_attention_layernorm'], bias)

/** Per layer A + GLU + 2h with biases where the flags say so; outside V*h (twice if untied) + h. */
export const llamaLayer = (d: Dims): Weight[] => [
  ...attentionWithFlag(d),
  ...gatedFeedForward(d.hidden, d.width, d.config.flag('mlp_bias')),
  ...layerNorms(d),
]

/** q, k, v, o with `attention_bias` on all four. */
export const attentionWithFlag = (d: Dims): Weight[] => {
  const bias = d.config.flag('attention_bias')
  return attentionWeights({ ...d, qkvBias: bias, outBias: bias })
}

/** Defaults that most classes of this kind repeat. */
export const llamaDefaults: JsonObject = usual({
  vocab: 32000,
  hidden: 4096,
  width: 11008,
  layers: 32,
  heads: 32,
  context: 2048,
})

/** Classes that need head_dim in the file: without it hidden / heads is an assumption. */
export const assumedHeadDim = (config: Config): string | null =>
  config.sizeOrNull('head_dim') === null ? 'head_dim missing: hidden_size / num_attention_heads assumed' : null

const types: readonly DecoderType[] = [
  { type: 'llama', also: ['Yi', 'aquila', 'xverse'], defaults: llamaDefaults, layer: llamaLayer },
  {
    type: 'iquestcoder',
    classes: ['Llama', 'IQuestCoder'],
    defaults: usual({
      vocab: 76800,
      hidden: 5120,
      width: 27648,
      layers: 80,
      heads: 40,
      kvHeads: 8,
      head_dim: 128,
      context: 131072,
    }),
    layer: llamaLayer,
  },
  {
    // the remote code's qkv_bias and bias
    type: 'internlm3',
    classes: ['Llama'],
    defaults: usual({
      ...llamaDefaults,
      vocab: 128512,
      width: 10240,
      layers: 48,
      kvHeads: 2,
      head_dim: 128,
      context: 32768,
    }),
    aliases: { attention_bias: ['qkv_bias'], mlp_bias: ['bias'] },
    layer: llamaLayer,
  },
  {
    type: 'mistral',
    defaults: usual({
      ...llamaDefaults,
      width: 14336,
      kvHeads: 8,
      context: 131072,
      sliding_window: 4096,
    }),
    layer: d => [...attentionWeights(d), ...gatedFeedForward(d.hidden, d.width), ...layerNorms(d)],
  },
  {
    type: 'ministral',
    defaults: usual({
      ...llamaDefaults,
      width: 14336,
      kvHeads: 8,
      context: 131072,
      sliding_window: 4096,
    }),
    layer: d => [...attentionWeights(d), ...gatedFeedForward(d.hidden, d.width), ...layerNorms(d)],
    assumed: assumedHeadDim,
  },
  {
    type: 'ministral3',
    defaults: usual({
      ...llamaDefaults,
      vocab: 131072,
      width: 14336,
      layers: 34,
      kvHeads: 8,
      head_dim: 128,
      context: 262144,
    }),
    layer: d => [...attentionWeights(d), ...gatedFeedForward(d.hidden, d.width), ...layerNorms(d)],
  },
  { type: 'granite', defaults: llamaDefaults, layer: llamaLayer },
  {
    // one learned attention sink a head
    type: 'granite_swa',
    defaults: usual({
      vocab: 100352,
      hidden: 2560,
      width: 8192,
      layers: 24,
      heads: 20,
      kvHeads: 4,
      context: 8192,
      sliding_window: 128,
      tie_word_embeddings: true,
    }),
    layer: d => [...llamaLayer(d), vector('self_attn.sinks', d.heads, 'column')],
    windows: d => alternatingWindows(d, layer => layer % 4 === 0),
  },
  {
    type: 'seed_oss',
    defaults: usual({
      ...llamaDefaults,
      vocab: 155136,
      width: 27648,
      layers: 64,
      heads: 80,
      kvHeads: 8,
      head_dim: 128,
      context: 524288,
      attention_bias: true,
    }),
    layer: d => [
      ...attentionWeights({
        ...d,
        qkvBias: d.config.flag('attention_bias'),
        outBias: d.config.flag('attention_out_bias'),
      }),
      ...gatedFeedForward(d.hidden, d.width, d.config.flag('mlp_bias')),
      ...layerNorms(d),
    ],
  },
  {
    type: 'smollm3',
    defaults: usual({
      ...llamaDefaults,
      vocab: 128256,
      hidden: 2048,
      layers: 36,
      heads: 16,
      kvHeads: 4,
      context: 32768,
      use_sliding_window: false,
      tie_word_embeddings: true,
    }),
    layer: llamaLayer,
  },
  {
    type: 'ernie4_5',
    defaults: usual({
      vocab: 103424,
      hidden: 1024,
      width: 3072,
      layers: 18,
      heads: 16,
      kvHeads: 2,
      head_dim: 128,
      context: 131072,
      tie_word_embeddings: true,
    }),
    layer: d => {
      const bias = d.config.flag('use_bias')
      return [
        ...attentionWeights({ ...d, qkvBias: bias, outBias: bias }),
        ...gatedFeedForward(d.hidden, d.width, bias),
        ...layerNorms(d),
      ]
    },
  },
]

export const llama: readonly Family[] = types.map(decoder)
