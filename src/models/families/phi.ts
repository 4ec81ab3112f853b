import { fusedAttentionWeights } from '../blocks/attention.ts'
import { column, row } from '../blocks/weights.ts'
import type { Weight } from '../shape.ts'
import { type DecoderType, type Dims, decoder } from './decoder.ts'
import type { Family } from './family.ts'
import { layerNorms } from './llama.ts'

/** gate and up as one matrix: 3hf elements like the gated feed-forward. */
export const fusedGated = (d: Dims): Weight[] => [
  column('mlp.gate_up_proj', 2 * d.width, d.hidden),
  row('mlp.down_proj', d.hidden, d.width),
]

const types: readonly DecoderType[] = [
  {
    type: 'phi3',
    defaults: {
      vocab_size: 32064,
      hidden_size: 3072,
      intermediate_size: 8192,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      max_position_embeddings: 4096,
      tie_word_embeddings: false,
    },
    layer: d => [
      ...fusedAttentionWeights(d, ['self_attn.qkv_proj', 'self_attn.o_proj']),
      ...fusedGated(d),
      ...layerNorms(d),
    ],
  },
]

export const phi: readonly Family[] = types.map(decoder)
