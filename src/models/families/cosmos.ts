import { plainFeedForward } from '../blocks/feed-forward.ts'
import { norm } from '../blocks/weights.ts'
import { decoder } from './decoder.ts'
import { type Family, usual } from './family.ts'
import { attentionWithFlag, layerNorms } from './llama.ts'
import { multimodal, projector, tower } from './multimodal.ts'
import { encoderOf } from './towers.ts'
import { throughInner } from './vision-parts.ts'

const text = decoder({
  type: 'cosmos3_edge_text',
  defaults: usual({
    vocab: 131072,
    hidden: 2048,
    width: 9216,
    layers: 28,
    heads: 16,
    kvHeads: 8,
    head_dim: 128,
    context: 131072,
  }),
  layer: d => [
    ...attentionWithFlag(d),
    ...plainFeedForward(d.hidden, d.width, d.config.flag('mlp_bias'), ['mlp.fc1', 'mlp.fc2']),
    ...layerNorms(d),
  ],
})

export const cosmos: readonly Family[] = [
  text,
  multimodal({
    type: 'cosmos3_edge',
    defaults: { projector_hidden_size: 11520 },
    text: { type: 'cosmos3_edge_text' },
    tie: 'never',
    towers: m => {
      const config = m.part('vision_config')
      const encoder = encoderOf(config, 'cosmos3_edge_vision')
      const merge = config.sizeOrNull('spatial_merge_size') ?? 2
      return [
        tower('visual', 'vision', encoder),
        projector(
          [
            norm('norm', encoder.width, true),
            ...throughInner(encoder.width * merge * merge, m.config.size('projector_hidden_size'), m.hidden, true),
          ],
          'projector',
        ),
      ]
    },
  }),
]
