import { plainFeedForward } from '../blocks/feed-forward.ts'
import { norm } from '../blocks/weights.ts'
import { decoder } from './decoder.ts'
import type { Family } from './family.ts'
import { attentionWithFlag, layerNorms } from './llama.ts'
import { multimodal, projector, tower } from './multimodal.ts'
import { encoderOf } from './towers.ts'
import { throughInner } from './vision-parts.ts'

const text = decoder({
  type: 'cosmos3_edge_text',
  defaults: {
    vocab_size: 131072,
    hidden_size: 2048,
    intermediate_size: 9216,
    num_hidden_layers: 28,
    num_attention_heads: 16,
    num_key_value_heads: 8,
    head_dim: 128,
    max_position_embeddings: 131072,
  },
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
