import { attentionWeights, queryKeyNorms } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { alternatingWindows, type DecoderType, decoder, type Layers, type Windows } from './decoder.ts'
import { type Family, usual } from './family.ts'
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
    defaults: usual({
      vocab: 151936,
      hidden: 4096,
      width: 22016,
      layers: 32,
      heads: 32,
      kvHeads: 32,
      context: 32768,
      use_sliding_window: false,
      sliding_window: 4096,
      max_window_layers: 28,
    }),
    layer: d => [
      ...attentionWeights({ ...d, qkvBias: true }),
      ...gatedFeedForward(d.hidden, d.width),
      ...layerNorms(d),
    ],
    windows: qwenWindows,
  },
  {
    type: 'qwen3',
    defaults: usual({
      vocab: 151936,
      hidden: 4096,
      width: 22016,
      layers: 32,
      heads: 32,
      kvHeads: 32,
      head_dim: 128,
      context: 32768,
      use_sliding_window: false,
      sliding_window: 4096,
      max_window_layers: 28,
    }),
    layer: d => [...llamaLayer(d), ...queryKeyNorms(d, 'head')],
    windows: qwenWindows,
  },
]

export const qwen: readonly Family[] = types.map(decoder)
