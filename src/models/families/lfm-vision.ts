import { attentionWeights, queryKeyNorms } from '../blocks/attention.ts'
import { sides } from '../blocks/vision.ts'
import { column, conv, norm, row } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import { dividedHeadDim } from './decoder.ts'
import { type Family, layerCount, layerKinds, stackOf, usual } from './family.ts'
import { lfmFeed } from './lfm.ts'
import { multimodal, projector, tower } from './multimodal.ts'
import type { Encoder } from './towers.ts'
import { patchMatrix, throughInner } from './vision-parts.ts'

/** LFM3's own tower: grouped attention and gated convolutions over the plane in turn. */
function lfm3Visual(file: Config): Encoder {
  const config = file.with(
    usual({
      hidden: 1024,
      width: 2560,
      in_channels: 3,
      patch_size: 16,
      temporal_patch_size: 2,
      layers: 14,
      heads: 16,
      kvHeads: 8,
      conv_kernel_size: 3,
    }),
  )
  const hidden = config.size('hidden_size')
  const heads = config.size('num_attention_heads')
  const layers = layerCount(config)
  const kinds = layerKinds(config, layers)
  const isConv = (i: number) => (kinds ? kinds[i] === 'conv' : i < 2 || i % 2 === 1)
  const headDim = dividedHeadDim(config, hidden, heads)
  const attention = { hidden, heads, kvHeads: config.size('num_key_value_heads'), headDim, out: 'out_proj' }
  const kernel = config.size('conv_kernel_size')
  const frames = sides(config, 'temporal_patch_size')[0]
  return {
    weights: [
      patchMatrix('patch_embed', config, hidden, frames, config.size('in_channels')),
      norm('embedding_norm', hidden),
    ],
    stack: stackOf(
      layers,
      i => (isConv(i) ? 'conv' : 'attention'),
      (i, name) => ({
        name,
        weights: [
          ...(isConv(i)
            ? [
                column('conv.in_proj', 3 * hidden, hidden),
                conv('conv.spatial_conv', hidden, kernel * kernel, false, 'column'),
                row('conv.out_proj', hidden, hidden),
              ]
            : [...attentionWeights(attention), ...queryKeyNorms(attention, 'head')]),
          ...lfmFeed(hidden, config.size('intermediate_size')),
          norm('operator_norm', hidden),
          norm('ffn_norm', hidden),
        ],
        cache: [],
      }),
    ),
    heads,
    width: hidden,
  }
}

export const lfmVision: Family = multimodal({
  type: 'lfm3_vl',
  defaults: { projector_hidden_size: 4096, projector_bias: true },
  text: { type: 'lfm3' },
  tiedByDefault: true,
  towers: m => {
    const config = m.part('vision_config')
    const encoder = lfm3Visual(config)
    const merge = config.sizeOrNull('spatial_merge_size') ?? 2
    return [
      tower('vision_tower', 'vision', encoder),
      projector([
        norm('layer_norm', encoder.width, true),
        ...throughInner(
          encoder.width * merge * merge,
          m.config.size('projector_hidden_size'),
          m.hidden,
          m.config.flag('projector_bias'),
        ),
      ]),
    ]
  },
})
