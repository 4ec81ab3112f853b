import type { Attention } from '../blocks/attention.ts'
import { attentionWeights } from '../blocks/attention.ts'
import { plainFeedForward } from '../blocks/feed-forward.ts'
import { column, conv, norm, row, tokenEmbedding } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { ModelShape, Weight } from '../shape.ts'
import { bartLayer, crossCache } from './bart.ts'
import { dividedHeadDim } from './decoder.ts'
import { assembleEncoderDecoder } from './encoder-decoder.ts'
import { encoderStack, equalToClasses, type Family, layerCount, uniformStack, usual } from './family.ts'

const verified = equalToClasses

/** Encoder positions of 30 s of audio behind Moonshine's strides 64, 3 and 2 at 16 kHz. */
const MOONSHINE_TOKENS = 1250

/** Attention of one half under its key names; `bias` is that of q, k and v. */
function halfAttention(config: Config, hidden: number, key: string, kvKey: string | null, bias: boolean): Attention {
  const heads = config.size(key)
  const kvHeads = (kvKey === null ? null : config.sizeOrNull(kvKey)) ?? heads
  return { hidden, heads, kvHeads, headDim: dividedHeadDim(config, hidden, heads, key), qkvBias: bias }
}

/** Three convolutions over the raw signal; a plain feed-forward in the encoder, a gated one in the decoder. */
function moonshine(file: Config): ModelShape {
  const config = file.with(
    usual({
      vocab: 32768,
      hidden: 288,
      width: 1152,
      encoder_num_hidden_layers: 6,
      decoder_num_hidden_layers: 6,
      encoder_num_attention_heads: 8,
      context: 512,
      tie_word_embeddings: true,
    }),
    { decoder_num_hidden_layers: ['num_hidden_layers'] },
  )
  const hidden = config.size('hidden_size')
  const width = config.size('intermediate_size')
  const vocabulary = config.size('vocab_size')
  const layers = layerCount(config, 'decoder_num_hidden_layers')
  // the class builds its decoder with the encoder's heads
  const self = halfAttention(
    config,
    hidden,
    'encoder_num_attention_heads',
    'encoder_num_key_value_heads',
    config.flag('attention_bias'),
  )
  return assembleEncoderDecoder(config, {
    type: 'moonshine',
    exact: true,
    embedding: [tokenEmbedding(vocabulary, hidden, 'model.decoder.embed_tokens')],
    encoder: {
      weights: [
        conv('conv1', hidden, 127, false),
        conv('conv2', 2 * hidden, 7 * hidden, true),
        conv('conv3', hidden, 3 * 2 * hidden, true),
        norm('groupnorm', hidden, true),
        norm('layer_norm', hidden),
      ],
      stack: encoderStack(
        config,
        [
          ...attentionWeights(self),
          ...plainFeedForward(hidden, width, true, ['mlp.fc1', 'mlp.fc2']),
          norm('input_layernorm', hidden),
          norm('post_attention_layernorm', hidden),
        ],
        'encoder_num_hidden_layers',
      ),
    },
    decoder: uniformStack(layers, {
      name: 'decoder',
      weights: [
        ...attentionWeights(self),
        ...attentionWeights({ ...self, prefix: 'encoder_attn' }),
        column('mlp.fc1', 2 * width, hidden, { bias: true }),
        row('mlp.fc2', hidden, width, { bias: true }),
        ...['input_layernorm', 'post_attention_layernorm', 'final_layernorm'].map(name => norm(name, hidden)),
      ],
      cache: crossCache(self, MOONSHINE_TOKENS),
    }),
    final: [norm('model.decoder.norm', hidden)],
    untiedCopies: [],
    tied: config.flag('tie_word_embeddings'),
    facts: {
      hidden,
      layers,
      vocabulary,
      heads: self.heads,
      kvHeads: self.kvHeads,
      headDim: self.headDim,
      intermediate: width,
    },
  })
}

/** Convolutions that halve the frames: each but the last has conv_channels outputs, gated to half of them. */
function subsampler(config: Config, hidden: number): Weight[] {
  const kernels = config.list('conv_kernel_sizes') ?? []
  const channels = config.size('conv_channels')
  return kernels.map((kernel, i) => {
    if (typeof kernel !== 'number' || !Number.isSafeInteger(kernel) || kernel < 1)
      return config.invalid('conv_kernel_sizes', 'holds an entry that is no whole number of at least 1')
    const input =
      i === 0 ? config.size('input_feat_per_channel') * config.size('input_channels') : Math.floor(channels / 2)
    return conv(`conv.conv_layers.${i}`, i < kernels.length - 1 ? channels : 2 * hidden, input * kernel, true)
  })
}

/** BART's layers behind convolutions over filter banks; only the decoder has a table. */
function speechToText(file: Config): ModelShape {
  const config = file.with(
    {
      vocab_size: 10000,
      encoder_layers: 12,
      encoder_ffn_dim: 2048,
      encoder_attention_heads: 4,
      decoder_layers: 6,
      decoder_ffn_dim: 2048,
      decoder_attention_heads: 4,
      d_model: 256,
      max_source_positions: 6000,
      max_target_positions: 1024,
      conv_kernel_sizes: [5, 5],
      conv_channels: 1024,
      input_feat_per_channel: 80,
      input_channels: 1,
      tie_word_embeddings: true,
    },
    {
      d_model: ['hidden_size'],
      encoder_layers: ['num_hidden_layers'],
      encoder_attention_heads: ['num_attention_heads'],
    },
  )
  const hidden = config.size('d_model')
  const vocabulary = config.size('vocab_size')
  const layers = layerCount(config, 'decoder_layers')
  const attention = (half: 'encoder' | 'decoder', prefix: string): Attention => ({
    ...halfAttention(config, hidden, `${half}_attention_heads`, null, true),
    outBias: true,
    prefix,
    out: 'out_proj',
  })
  const self = attention('decoder', 'self_attn')
  const width = config.size('decoder_ffn_dim')
  return assembleEncoderDecoder(config, {
    type: 'speech_to_text',
    classes: ['Speech2Text'],
    exact: true,
    embedding: [tokenEmbedding(vocabulary, hidden, 'model.decoder.embed_tokens')],
    encoder: {
      weights: [...subsampler(config, hidden), norm('layer_norm', hidden, true)],
      stack: encoderStack(
        config,
        bartLayer(attention('encoder', 'self_attn'), config.size('encoder_ffn_dim'), null),
        'encoder_layers',
      ),
    },
    decoder: uniformStack(layers, {
      name: 'decoder',
      weights: bartLayer(self, width, attention('decoder', 'encoder_attn')),
      cache: crossCache(self, config.size('max_source_positions')),
    }),
    final: [norm('model.decoder.layer_norm', hidden, true)],
    untiedCopies: [],
    tied: config.flag('tie_word_embeddings'),
    facts: {
      hidden,
      layers,
      vocabulary,
      heads: self.heads,
      kvHeads: self.kvHeads,
      headDim: self.headDim,
      intermediate: width,
    },
  })
}

export const speech: readonly Family[] = [
  { name: 'moonshine', modelTypes: ['moonshine'], verified, shape: moonshine },
  { name: 'speech_to_text', modelTypes: ['speech_to_text'], verified, shape: speechToText },
]
