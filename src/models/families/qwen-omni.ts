import type { Config } from '../config.ts'
import { qwen3Audio, qwen3AudioProjection, qwen25Audio } from './audio-language.ts'
import { type Family, usual } from './family.ts'
import { type MultimodalType, multimodal, projector, tower } from './multimodal.ts'
import { qwen3Visual, qwen25Visual } from './qwen-vl.ts'

/**
 * The thinkers of Qwen's omni models: what answers in text, and what vLLM serves. Talker and voice decoder of the whole
 * model are files of their own that a text deployment does not load.
 */
const types: readonly MultimodalType[] = [
  {
    type: 'qwen2_5_omni_thinker',
    classes: ['Qwen2_5OmniThinker', 'Qwen2_5Omni'],
    text: {
      type: 'qwen2',
      own: ['qwen2_5_omni_text'],
      defaults: usual({
        vocab: 152064,
        hidden: 3584,
        width: 18944,
        layers: 28,
        heads: 28,
        kvHeads: 4,
      }),
    },
    towers: m => [
      tower('audio_tower', 'audio', qwen25Audio(m.part('audio_config'))),
      tower('visual', 'vision', qwen25Visual(m.part('vision_config'))),
    ],
  },
  {
    type: 'qwen3_omni_moe_thinker',
    text: { type: 'qwen3_omni_moe_text' },
    towers: m => {
      const config: Config = m.part('audio_config')
      const heard = qwen3Audio(config)
      return [
        tower('audio_tower', 'audio', heard),
        projector(qwen3AudioProjection(config, heard.width), 'audio_tower'),
        tower('visual', 'vision', qwen3Visual(m.part('vision_config'), true)),
      ]
    },
  },
]

export const qwenOmni: readonly Family[] = types.map(multimodal)
