import { attentionWeights } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { norm, vector } from '../blocks/weights.ts'
import type { Config, JsonObject } from '../config.ts'
import type { Weight } from '../shape.ts'
import { alternatingWindows, type DecoderType, type Dims, decoder } from './decoder.ts'
import type { Family } from './family.ts'

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
export const llamaDefaults: JsonObject = {
  vocab_size: 32000,
  hidden_size: 4096,
  intermediate_size: 11008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  max_position_embeddings: 2048,
}

/** Classes that need head_dim in the file: without it hidden / heads is an assumption. */
export const assumedHeadDim = (config: Config): string | null =>
  config.sizeOrNull('head_dim') === null ? 'head_dim missing: hidden_size / num_attention_heads assumed' : null

const types: readonly DecoderType[] = [
  { type: 'llama', also: ['Yi', 'aquila', 'xverse'], defaults: llamaDefaults, layer: llamaLayer },
  {
    type: 'iquestcoder',
    classes: ['Llama', 'IQuestCoder'],
    defaults: {
      vocab_size: 76800,
      hidden_size: 5120,
      intermediate_size: 27648,
      num_hidden_layers: 80,
      num_attention_heads: 40,
      num_key_value_heads: 8,
      head_dim: 128,
      max_position_embeddings: 131072,
    },
    layer: llamaLayer,
  },
  {
    // the remote code's qkv_bias and bias
    type: 'internlm3',
    classes: ['Llama'],
    defaults: {
      ...llamaDefaults,
      vocab_size: 128512,
      intermediate_size: 10240,
      num_hidden_layers: 48,
      num_key_value_heads: 2,
      head_dim: 128,
      max_position_embeddings: 32768,
    },
    aliases: { attention_bias: ['qkv_bias'], mlp_bias: ['bias'] },
    layer: llamaLayer,
  },
  {
    type: 'mistral',
    defaults: {
      ...llamaDefaults,
      intermediate_size: 14336,
      num_key_value_heads: 8,
      max_position_embeddings: 131072,
      sliding_window: 4096,
    },
    layer: d => [...attentionWeights(d), ...gatedFeedForward(d.hidden, d.width), ...layerNorms(d)],
  },
  {
    type: 'ministral',
    defaults: {
      ...llamaDefaults,
      intermediate_size: 14336,
      num_key_value_heads: 8,
      max_position_embeddings: 131072,
      sliding_window: 4096,
    },
    layer: d => [...attentionWeights(d), ...gatedFeedForward(d.hidden, d.width), ...layerNorms(d)],
    assumed: assumedHeadDim,
  },
  {
    type: 'ministral3',
    defaults: {
      ...llamaDefaults,
      vocab_size: 131072,
      intermediate_size: 14336,
      num_hidden_layers: 34,
      num_key_value_heads: 8,
      head_dim: 128,
      max_position_embeddings: 262144,
    },
    layer: d => [...attentionWeights(d), ...gatedFeedForward(d.hidden, d.width), ...layerNorms(d)],
  },
  { type: 'granite', defaults: llamaDefaults, layer: llamaLayer },
  {
    // one learned attention sink a head
    type: 'granite_swa',
    defaults: {
      vocab_size: 100352,
      hidden_size: 2560,
      intermediate_size: 8192,
      num_hidden_layers: 24,
      num_attention_heads: 20,
      num_key_value_heads: 4,
      max_position_embeddings: 8192,
      sliding_window: 128,
      tie_word_embeddings: true,
    },
    layer: d => [...llamaLayer(d), vector('self_attn.sinks', d.heads, 'column')],
    windows: d => alternatingWindows(d, layer => layer % 4 === 0),
  },
  {
    type: 'seed_oss',
    defaults: {
      ...llamaDefaults,
      vocab_size: 155136,
      intermediate_size: 27648,
      num_hidden_layers: 64,
      num_attention_heads: 80,
      num_key_value_heads: 8,
      head_dim: 128,
      max_position_embeddings: 524288,
      attention_bias: true,
    },
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
    defaults: {
      ...llamaDefaults,
      vocab_size: 128256,
      hidden_size: 2048,
      num_hidden_layers: 36,
      num_attention_heads: 16,
      num_key_value_heads: 4,
      max_position_embeddings: 32768,
      use_sliding_window: false,
      tie_word_embeddings: true,
    },
    layer: llamaLayer,
  },
  {
    type: 'ernie4_5',
    defaults: {
      vocab_size: 103424,
      hidden_size: 1024,
      intermediate_size: 3072,
      num_hidden_layers: 18,
      num_attention_heads: 16,
      num_key_value_heads: 2,
      head_dim: 128,
      max_position_embeddings: 131072,
      tie_word_embeddings: true,
    },
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
