import { queryKeyNorms } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { norm } from '../blocks/weights.ts'
import { alternatingWindows, type DecoderType, type Dims, decoder } from './decoder.ts'
import { type Family, usual } from './family.ts'
import { attentionWithFlag } from './llama.ts'

const defaults = usual({
  vocab: 256000,
  hidden: 8192,
  width: 22528,
  layers: 40,
  heads: 64,
  context: 8192,
  tie_word_embeddings: true,
})

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
