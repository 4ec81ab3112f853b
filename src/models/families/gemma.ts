import { type DecoderType, decoder } from './decoder.ts'
import type { Family } from './family.ts'
import { llamaLayer } from './llama.ts'

const types: readonly DecoderType[] = [
  {
    type: 'gemma',
    defaults: {
      vocab_size: 256000,
      hidden_size: 3072,
      intermediate_size: 24576,
      num_hidden_layers: 28,
      num_attention_heads: 16,
      num_key_value_heads: 16,
      head_dim: 256,
      max_position_embeddings: 8192,
      tie_word_embeddings: true,
    },
    layer: llamaLayer,
  },
]

export const gemma: readonly Family[] = types.map(decoder)
