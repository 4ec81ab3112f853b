import { whisperLayer, whisperStem } from '../blocks/audio.ts'
import { encoderLayer } from '../blocks/vision.ts'
import { column, conv, norm, positionEmbedding, replicated, row } from '../blocks/weights.ts'
import type { Config, JsonObject } from '../config.ts'
import type { ModelShape, Weight } from '../shape.ts'
import { encoderStack, type Family, usual } from './family.ts'
import { twoLayers } from './llava.ts'
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

const whisperAliases = {
  encoder_layers: ['num_hidden_layers'],
  encoder_attention_heads: ['num_attention_heads'],
  encoder_ffn_dim: ['intermediate_size'],
  d_model: ['hidden_size'],
}

/** For classes that declare the usual names: there Whisper's are the aliases, and win. */
const newerAliases = Object.fromEntries(
  Object.entries(whisperAliases).map(([name, others]) => [name, [name, ...others]]),
)

/** Whisper's encoder under the names its relatives use. */
function whisperEncoder(file: Config, aliases: Readonly<Record<string, readonly string[]>> = whisperAliases): Encoder {
  const config = file.with(whisperLarge, aliases)
  const hidden = config.size('d_model')
  return {
    weights: whisperStem(hidden, config.size('num_mel_bins'), config.size('max_source_positions')),
    stack: encoderStack(config, whisperLayer(hidden, config.size('encoder_ffn_dim')), 'encoder_layers'),
    heads: config.size('encoder_attention_heads'),
    width: hidden,
  }
}

/** Voxtral: frames of as many audio widths as fit the feed-forward's width go to the projector together. */
const voxtralText = usual({
  vocab: 131072,
  hidden: 3072,
  width: 8192,
  layers: 30,
  kvHeads: 8,
  head_dim: 128,
  context: 131072,
})

/** Voxtral Realtime's encoder: no learned positions, gated layers of which only the down projection has a bias. */
function realtimeEncoder(file: Config): Encoder {
  const config = file.with({ ...whisperLarge, encoder_attention_heads: 32, head_dim: 64 }, newerAliases)
  const hidden = config.size('d_model')
  const layer = encoderLayer({
    hidden,
    width: config.size('encoder_ffn_dim'),
    attention: config.size('encoder_attention_heads') * config.size('head_dim'),
    keyBias: false,
    mlpBias: false,
    gated: true,
    rms: true,
  })
  const weights = layer.map(weight => (weight.name === 'mlp.down_proj' ? { ...weight, bias: true } : weight))
  return {
    weights: [
      conv('embedder.conv1', hidden, 3 * config.size('num_mel_bins'), true),
      conv('embedder.conv2', hidden, 3 * hidden, true),
      norm('norm', hidden),
    ],
    stack: encoderStack(config, weights, 'encoder_layers'),
    heads: config.size('encoder_attention_heads'),
    width: hidden,
  }
}

/** Its text layers are steered by the delay through two small matrices each. */
function steered(shape: ModelShape): ModelShape {
  const h = shape.facts.hidden
  const delay = [replicated('ada_rms_norm.linear1', DELAY_RANK, h), replicated('ada_rms_norm.linear2', h, DELAY_RANK)]
  const kinds = shape.layers.kinds.map(kind => ({ ...kind, weights: [...kind.weights, ...delay] }))
  return { ...shape, layers: { ...shape.layers, kinds } }
}

/** Inner width of those matrices, which the class fixes. */
const DELAY_RANK = 32

const flamingo = (type: string): MultimodalType => ({
  type,
  text: { type: 'qwen2' },
  tie: 'never',
  towers: m => {
    const encoder = whisperEncoder(m.part('audio_config'), newerAliases)
    const bias = m.config.flag('projector_bias', true)
    return [tower('audio_tower', 'audio', encoder), projector(twoLayers(encoder.width, m.hidden, bias))]
  },
})

/** Qwen2.5-Omni's encoder keeps two learned tokens for begin and end, and no learned positions. */
export function qwen25Audio(file: Config): Encoder {
  const config = file.with({ ...whisperLarge, output_dim: 3584 }, whisperAliases)
  const encoder = whisperEncoder(config)
  const output = config.size('output_dim')
  return {
    ...encoder,
    weights: [
      ...encoder.weights.filter(weight => weight.name !== 'embed_positions'),
      positionEmbedding(2, output, 'audio_bos_eos_token'),
      replicated('proj', output, encoder.width, { bias: true }),
    ],
    width: output,
  }
}

/** Qwen3-Omni's: three strided convolutions over the spectrum; biases on all of q, k and v. */
export function qwen3Audio(file: Config, defaults: JsonObject = {}): Encoder {
  const config = file.with({ ...whisperLarge, downsample_hidden_size: 480, ...defaults }, whisperAliases)
  const hidden = config.size('d_model')
  const channels = config.size('downsample_hidden_size')
  const halved = (features: number) => Math.floor((features + 1) / 2)
  const features = halved(halved(halved(config.size('num_mel_bins'))))
  return {
    weights: [
      conv('conv2d1', channels, 9, true),
      conv('conv2d2', channels, 9 * channels, true),
      conv('conv2d3', channels, 9 * channels, true),
      replicated('conv_out', hidden, channels * features),
      norm('ln_post', hidden, true),
    ],
    stack: encoderStack(
      config,
      encoderLayer({
        hidden,
        width: config.size('encoder_ffn_dim'),
        norms: ['self_attn_layer_norm', 'final_layer_norm'],
      }),
      'encoder_layers',
    ),
    heads: config.size('encoder_attention_heads'),
    width: hidden,
  }
}

/** The two matrices behind Qwen3-Omni's audio encoder. */
export function qwen3AudioProjection(file: Config, width: number): Weight[] {
  const output = file.with({ output_dim: 3584 }).size('output_dim')
  return [replicated('proj1', width, width, { bias: true }), replicated('proj2', output, width, { bias: true })]
}

/** Whisper's layers without learned positions; keys and values may be grouped. */
function glmEncoder(config: Config): Encoder {
  const encoder = whisperEncoder(config)
  const heads = config.size('encoder_attention_heads')
  const headDim = Math.floor(encoder.width / heads)
  const keys = (config.sizeOrNull('num_key_value_heads') ?? heads) * headDim
  const sized = (weight: Weight): Weight => {
    if (/\.[kv]_proj$/.test(weight.name)) return { ...weight, out: keys }
    if (weight.name.endsWith('.q_proj')) return { ...weight, out: heads * headDim }
    return weight.name.endsWith('.out_proj') ? { ...weight, in: heads * headDim } : weight
  }
  const kinds = encoder.stack.kinds.map(kind => ({ ...kind, weights: kind.weights.map(sized) }))
  const weights = encoder.weights.filter(weight => weight.name !== 'embed_positions')
  return { ...encoder, weights, stack: { ...encoder.stack, kinds } }
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
        projector([replicated('linear', m.hidden, encoder.width, { bias: true })]),
      ]
    },
  },
  {
    type: 'voxtral',
    text: { type: 'llama', own: ['llama'], defaults: voxtralText },
    tie: 'never',
    towers: m => {
      const config = m.part('audio_config').with(whisperLarge, newerAliases)
      const encoder = whisperEncoder(config, newerAliases)
      return [
        tower('audio_tower', 'audio', encoder),
        projector(twoLayers(config.size('encoder_ffn_dim'), m.hidden, false)),
      ]
    },
  },
  {
    type: 'voxtral_realtime',
    defaults: { downsample_factor: 4 },
    text: {
      type: 'mistral',
      own: ['voxtral_realtime_text'],
      defaults: { ...voxtralText, intermediate_size: 9216, num_hidden_layers: 26, sliding_window: 8192 },
    },
    tiedByDefault: true,
    towers: m => {
      const encoder = realtimeEncoder(m.part('audio_config'))
      const input = encoder.width * m.config.size('downsample_factor')
      return [tower('audio_tower', 'audio', encoder), projector(twoLayers(input, m.hidden, false))]
    },
    finish: steered,
    exact: false,
  },
  {
    // rotary positions; frames of as many widths as fit the feed-forward's width go to the projector together
    type: 'glmasr',
    text: {
      type: 'llama',
      own: ['llama'],
      defaults: usual({
        vocab: 59264,
        hidden: 2048,
        width: 6144,
        layers: 28,
        heads: 16,
        kvHeads: 4,
        context: 8192,
      }),
    },
    tiedByDefault: true,
    towers: m => {
      const config = m.part('audio_config').with(whisperLarge, whisperAliases)
      const encoder = glmEncoder(config)
      const bias = { bias: true }
      return [
        tower('audio_tower', 'audio', encoder),
        projector([
          column('linear_1', 2 * m.hidden, config.size('encoder_ffn_dim'), bias),
          row('linear_2', m.hidden, 2 * m.hidden, bias),
        ]),
      ]
    },
  },
  flamingo('audioflamingo3'),
  flamingo('musicflamingo'),
  {
    type: 'qwen3_asr',
    text: {
      type: 'qwen3',
      absent: usual({
        hidden: 2048,
        width: 6144,
        layers: 28,
        heads: 16,
        kvHeads: 8,
        context: 65536,
        tie_word_embeddings: true,
      }),
    },
    tiedByDefault: true,
    towers: m => {
      const config = m.part('audio_config')
      const encoder = qwen3Audio(config, {
        encoder_layers: 24,
        encoder_attention_heads: 16,
        encoder_ffn_dim: 4096,
        d_model: 1024,
      })
      return [tower('audio_tower', 'audio', encoder), projector(qwen3AudioProjection(config, encoder.width))]
    },
  },
]

export const audioLanguage: readonly Family[] = types.map(multimodal)
