import { whisperLayer, whisperStem } from '../blocks/audio.ts'
import { linear } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import { type Family, layerCount, uniformStack } from './family.ts'
import { type MultimodalType, multimodal, projector, tower } from './multimodal.ts'
import type { Encoder } from './towers.ts'

const whisperLarge = {
  num_mel_bins: 128,
  encoder_layers: 32,
  encoder_attention_heads: 20,
  encoder_ffn_dim: 5120,
  d_model: 1280,
  max_source_positions: 1500,
}

/** Whisper's encoder under the names its relatives use. */
function whisperEncoder(file: Config): Encoder {
  const config = file.with(whisperLarge, {
    encoder_layers: ['num_hidden_layers'],
    encoder_attention_heads: ['num_attention_heads'],
    encoder_ffn_dim: ['intermediate_size'],
    d_model: ['hidden_size'],
  })
  const hidden = config.size('d_model')
  return {
    weights: whisperStem(hidden, config.size('num_mel_bins'), config.size('max_source_positions')),
    stack: uniformStack(layerCount(config, 'encoder_layers'), {
      name: 'encoder',
      weights: whisperLayer(hidden, config.size('encoder_ffn_dim')),
      cache: [],
    }),
    heads: config.size('encoder_attention_heads'),
    width: hidden,
  }
}

const types: readonly MultimodalType[] = [
  {
    type: 'qwen2_audio',
    text: { type: 'qwen2' },
    tie: 'never',
    towers: m => {
      const encoder = whisperEncoder(m.part('audio_config'))
      return [
        tower('audio_tower', 'audio', encoder),
        projector([linear('linear', m.hidden, encoder.width, 'none', { bias: true })]),
      ]
    },
  },
]

export const audioLanguage: readonly Family[] = types.map(multimodal)
