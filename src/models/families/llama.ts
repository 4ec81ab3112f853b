import { attentionWeights, queryKeyNorms } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { norm } from '../blocks/weights.ts'
import type { Weight } from '../shape.ts'
import { type DecoderType, type Dims, decoder } from './decoder.ts'
import type { Family } from './family.ts'

/** The two RMS norms of a Llama layer. */
export const layerNorms = (d: Dims): Weight[] => [
  norm('input_layernorm', d.hidden),
  norm('post_attention_layernorm', d.hidden),
]

/** Per layer A + GLU + 2h with biases where the flags say so; outside V*h (twice if untied) + h. (architectures.md 6.2) */
export const llamaLayer = (d: Dims): Weight[] => {
  const bias = d.config.flag('attention_bias')
  return [
    ...attentionWeights({ ...d, qkvBias: bias, outBias: bias }),
    ...gatedFeedForward(d.hidden, d.width, d.config.flag('mlp_bias')),
    ...layerNorms(d),
  ]
}

const types: readonly DecoderType[] = [
  {
    type: 'llama',
    also: ['Yi'],
    defaults: {
      vocab_size: 32000,
      hidden_size: 4096,
      intermediate_size: 11008,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      max_position_embeddings: 2048,
      tie_word_embeddings: false,
    },
    layer: llamaLayer,
  },
  {
    type: 'mistral',
    defaults: {
      vocab_size: 32000,
      hidden_size: 4096,
      intermediate_size: 14336,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      num_key_value_heads: 8,
      max_position_embeddings: 131072,
      sliding_window: 4096,
      tie_word_embeddings: false,
    },
    layer: d => [...attentionWeights(d), ...gatedFeedForward(d.hidden, d.width), ...layerNorms(d)],
  },
  {
    type: 'granite',
    defaults: {
      vocab_size: 32000,
      hidden_size: 4096,
      intermediate_size: 11008,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      max_position_embeddings: 2048,
      tie_word_embeddings: false,
    },
    layer: llamaLayer,
  },
  {
    type: 'olmo2',
    defaults: {
      vocab_size: 50304,
      hidden_size: 4096,
      intermediate_size: 11008,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      max_position_embeddings: 2048,
      tie_word_embeddings: false,
    },
    layer: d => [...llamaLayer(d), ...queryKeyNorms(d, 'wide')],
  },
]

export const llama: readonly Family[] = types.map(decoder)
