import { queryKeyNorms } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { norm } from '../blocks/weights.ts'
import { alternatingWindows, type DecoderType, type Dims, decoder } from './decoder.ts'
import type { Family } from './family.ts'
import { attentionWithFlag } from './llama.ts'

const defaults = {
  vocab_size: 256000,
  hidden_size: 8192,
  intermediate_size: 22528,
  num_hidden_layers: 40,
  num_attention_heads: 64,
  max_position_embeddings: 8192,
  tie_word_embeddings: true,
}

/** Attention and feed-forward side by side under one norm without bias: A + GLU + h. */
const parallelLayer = (d: Dims) => [
  ...attentionWithFlag(d),
  ...gatedFeedForward(d.hidden, d.width),
  norm('input_layernorm', d.hidden),
]

const types: readonly DecoderType[] = [
  {
    type: 'cohere',
    defaults,
    layer: d => [...parallelLayer(d), ...(d.config.flag('use_qk_norm') ? queryKeyNorms(d, 'wide') : [])],
  },
  {
    type: 'cohere2',
    defaults: { ...defaults, sliding_window: 4096 },
    layer: parallelLayer,
    // vLLM's model code passes window + 1 on
    windows: d => {
      const every = d.config.sizeOrNull('sliding_window_pattern') ?? 4
      return alternatingWindows(d, layer => (layer + 1) % every === 0, 1)
    },
  },
]

export const cohere: readonly Family[] = types.map(decoder)
