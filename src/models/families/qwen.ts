import { attentionWeights, queryKeyNorms } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { alternatingWindows, type DecoderType, decoder, type Layers, type Windows } from './decoder.ts'
import type { Family } from './family.ts'
import { layerNorms, llamaLayer } from './llama.ts'

/** Qwen's window: off unless use_sliding_window is true, then on the layers from max_window_layers on. */
export function qwenWindows(d: Layers): Windows {
  if (!d.config.flag('use_sliding_window')) return new Array<null>(d.layers).fill(null)
  const from = d.config.count('max_window_layers')
  return alternatingWindows(d, layer => layer < from)
}

const types: readonly DecoderType[] = [
  {
    type: 'qwen2',
    defaults: {
      vocab_size: 151936,
      hidden_size: 4096,
      intermediate_size: 22016,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      num_key_value_heads: 32,
      max_position_embeddings: 32768,
      use_sliding_window: false,
      sliding_window: 4096,
      max_window_layers: 28,
    },
    layer: d => [
      ...attentionWeights({ ...d, qkvBias: true }),
      ...gatedFeedForward(d.hidden, d.width),
      ...layerNorms(d),
    ],
    windows: qwenWindows,
  },
  {
    type: 'qwen3',
    defaults: {
      vocab_size: 151936,
      hidden_size: 4096,
      intermediate_size: 22016,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      num_key_value_heads: 32,
      head_dim: 128,
      max_position_embeddings: 32768,
      use_sliding_window: false,
      sliding_window: 4096,
      max_window_layers: 28,
    },
    layer: d => [...llamaLayer(d), ...queryKeyNorms(d, 'head')],
    windows: qwenWindows,
  },
]

export const qwen: readonly Family[] = types.map(decoder)
