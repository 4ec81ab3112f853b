import { queryKeyNorms } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import type { Dims } from './decoder.ts'
import { alternatingWindows, type DecoderType, decoder } from './decoder.ts'
import type { Family } from './family.ts'
import { attentionWithFlag, llamaDefaults, norms } from './llama.ts'

const postNormLayer = (d: Dims) => [
  ...attentionWithFlag(d),
  ...queryKeyNorms(d, 'wide'),
  ...gatedFeedForward(d.hidden, d.width),
  ...norms(d, ['post_attention_layernorm', 'post_feedforward_layernorm']),
]

/** OLMo 1 has no norm weights at all; 2 and 3 norm queries and keys over all heads. */
const types: readonly DecoderType[] = [
  {
    type: 'olmo',
    defaults: { ...llamaDefaults, vocab_size: 50304 },
    layer: d => [...attentionWithFlag(d), ...gatedFeedForward(d.hidden, d.width)],
    final: () => [],
  },
  { type: 'olmo2', defaults: { ...llamaDefaults, vocab_size: 50304 }, layer: postNormLayer },
  {
    type: 'olmo3',
    defaults: { ...llamaDefaults, vocab_size: 50304, sliding_window: 4096 },
    layer: postNormLayer,
    windows: d => alternatingWindows(d, layer => (layer + 1) % 4 === 0),
  },
]

export const olmo: readonly Family[] = types.map(decoder)
