import type { Attention } from '../blocks/attention.ts'
import { plainFeedForward } from '../blocks/feed-forward.ts'
import {
  column,
  conv,
  linear,
  norm,
  positionEmbedding,
  replicated,
  row,
  tokenEmbedding,
  vector,
} from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { LayerStack, ModelShape, Weight } from '../shape.ts'
import { architectureOf } from './architecture.ts'
import { bartLayer, crossCache } from './bart.ts'
import { dividedHeadDim } from './decoder.ts'
import { assembleEncoderDecoder } from './encoder-decoder.ts'
import { encoderStack, equalToClasses, type Family, layerCount, stackOf, uniformStack, usual } from './family.ts'

/** Encoder positions that cross attention is charged for: a minute of speech at 50 frames a second. */
const SPEECH_TOKENS = 3000

/** The decoder of BART's class that both models put behind their speech encoders. */
function speechDecoder(config: Config): { self: Attention; stack: LayerStack; width: number } {
  const hidden = config.size('hidden_size')
  const heads = config.size('decoder_attention_heads')
  const headDim = dividedHeadDim(config, hidden, heads, 'decoder_attention_heads')
  const self: Attention = { hidden, heads, kvHeads: heads, headDim, qkvBias: true, outBias: true, out: 'out_proj' }
  const width = config.size('decoder_ffn_dim')
  const stack = uniformStack(layerCount(config, 'decoder_layers'), {
    name: 'decoder',
    weights: bartLayer(self, width, { ...self, prefix: 'cross_attention' }),
    cache: crossCache(self, SPEECH_TOKENS),
  })
  return { self, stack, width }
}

interface SpeechParts {
  readonly type: string
  readonly weights: readonly Weight[]
  readonly stack: LayerStack
  /** Norm after the decoder's last layer. */
  readonly final: readonly Weight[]
  /** Name of the table that the decoder's is tied to, where the model has one. */
  readonly shared?: string
}

/** Speech to text is the variant that was compared; the others have more parts. */
function speechToTextShape(config: Config, parts: SpeechParts): ModelShape {
  const hidden = config.size('hidden_size')
  const vocabulary = config.size('vocab_size')
  const { self, stack, width } = speechDecoder(config)
  return assembleEncoderDecoder(config, {
    type: parts.type,
    exact: architectureOf(config).ending === 'ForSpeechToText',
    embedding: [tokenEmbedding(vocabulary, hidden, 'text_decoder.embed_tokens')],
    encoder: { weights: parts.weights, stack: parts.stack },
    decoder: stack,
    final: parts.final,
    untiedCopies: parts.shared ? [tokenEmbedding(vocabulary, hidden, parts.shared)] : [],
    tied: config.flag('tie_word_embeddings', true),
    facts: {
      hidden,
      layers: stack.order.length,
      vocabulary,
      heads: self.heads,
      kvHeads: self.kvHeads,
      headDim: self.headDim,
      intermediate: width,
    },
  })
}

const seamlessDefaults = usual({
  vocab: 256102,
  hidden: 1024,
  context: 1024,
  decoder_layers: 24,
  decoder_ffn_dim: 8192,
  decoder_attention_heads: 16,
  speech_encoder_layers: 24,
  speech_encoder_attention_heads: 16,
  speech_encoder_intermediate_size: 4096,
  add_adapter: true,
  num_adapter_layers: 1,
  adaptor_kernel_size: 8,
  feature_projection_input_dim: 160,
  conv_depthwise_kernel_size: 31,
  left_max_position_embeddings: 64,
  right_max_position_embeddings: 8,
})

function speechAttention(hidden: number, heads: number): Weight[] {
  const kv = { bias: true, kvHeads: heads }
  return [
    column('self_attn.linear_q', hidden, hidden, { bias: true }),
    linear('self_attn.linear_k', hidden, hidden, 'kv', kv),
    linear('self_attn.linear_v', hidden, hidden, 'kv', kv),
    row('self_attn.linear_out', hidden, hidden, { bias: true }),
  ]
}

/** Conformer of Seamless: two feed-forwards around attention and a convolution; the second version counts distances. */
function conformerLayer(config: Config, hidden: number, distances: boolean): Weight[] {
  const width = config.size('speech_encoder_intermediate_size')
  const heads = config.size('speech_encoder_attention_heads')
  const names = (part: string) => [`${part}.intermediate_dense`, `${part}.output_dense`] as const
  const reach = config.size('left_max_position_embeddings') + config.size('right_max_position_embeddings') + 1
  const headDim = dividedHeadDim(config, hidden, heads, 'speech_encoder_attention_heads')
  return [
    ...plainFeedForward(hidden, width, true, names('ffn1')),
    ...speechAttention(hidden, heads),
    ...(distances
      ? [positionEmbedding(reach, headDim, 'self_attn.distance_embedding')]
      : [
          column('self_attn.linear_pos', hidden, hidden),
          vector('self_attn.pos_bias_u', hidden, 'column'),
          vector('self_attn.pos_bias_v', hidden, 'column'),
        ]),
    norm('conv_module.layer_norm', hidden, true),
    conv('conv_module.pointwise_conv1', 2 * hidden, hidden, false),
    conv('conv_module.depthwise_conv', hidden, config.size('conv_depthwise_kernel_size'), false),
    norm('conv_module.inner_norm', hidden, true),
    conv('conv_module.pointwise_conv2', hidden, hidden, false),
    ...plainFeedForward(hidden, width, true, names('ffn2')),
    ...['ffn1_layer_norm', 'self_attn_layer_norm', 'ffn2_layer_norm', 'final_layer_norm'].map(name =>
      norm(name, hidden, true),
    ),
  ]
}

/** Shortens the sequence by strided convolutions before attention and beside it. */
function adapterLayer(config: Config, hidden: number): Weight[] {
  const kernel = config.size('adaptor_kernel_size')
  const width = config.size('speech_encoder_intermediate_size')
  return [
    ...['residual', 'self_attn', 'ffn'].map(name => norm(`${name}_layer_norm`, hidden, true)),
    ...['residual_conv', 'self_attn_conv'].map(name => conv(name, 2 * hidden, kernel * hidden, true)),
    ...speechAttention(hidden, config.size('speech_encoder_attention_heads')),
    ...plainFeedForward(hidden, width, true, ['ffn.intermediate_dense', 'ffn.output_dense']),
  ]
}

function seamless(type: string, distances: boolean, file: Config): ModelShape {
  const config = file.with(seamlessDefaults, {
    decoder_layers: ['num_hidden_layers'],
    decoder_attention_heads: ['num_attention_heads'],
  })
  const hidden = config.size('hidden_size')
  const features = config.size('feature_projection_input_dim')
  const conformers = layerCount(config, 'speech_encoder_layers')
  const adapters = config.flag('add_adapter') ? layerCount(config, 'num_adapter_layers') : 0
  return speechToTextShape(config, {
    type,
    weights: [
      norm('feature_projection.layer_norm', features, true),
      replicated('feature_projection.projection', hidden, features, { bias: true }),
      norm('encoder.layer_norm', hidden, true),
      ...plainFeedForward(hidden, config.size('speech_encoder_intermediate_size'), true, [
        'intermediate_ffn.intermediate_dense',
        'intermediate_ffn.output_dense',
      ]),
      norm('inner_layer_norm', hidden, true),
    ],
    stack: stackOf(
      conformers + adapters,
      i => (i < conformers ? 'conformer' : 'adapter'),
      (i, name) => ({
        name,
        weights: i < conformers ? conformerLayer(config, hidden, distances) : adapterLayer(config, hidden),
        cache: [],
      }),
    ),
    final: [norm('text_decoder.layer_norm', hidden, true)],
    shared: 'shared',
  })
}

/** Whole numbers of a list, each at least 1. */
function sizes(config: Config, name: string): number[] {
  return (config.list(name) ?? []).map(value =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 && value <= 2 ** 30
      ? value
      : config.invalid(name, 'holds an entry that is no whole number of at least 1'),
  )
}

/** wav2vec's convolutions over the raw signal, BERT-like layers with a table of relative positions. */
function speechT5(file: Config): ModelShape {
  const config = file.with(
    {
      vocab_size: 81,
      hidden_size: 768,
      encoder_layers: 12,
      encoder_attention_heads: 12,
      encoder_ffn_dim: 3072,
      decoder_layers: 6,
      decoder_ffn_dim: 3072,
      decoder_attention_heads: 12,
      conv_dim: [512, 512, 512, 512, 512, 512, 512],
      conv_kernel: [10, 3, 3, 3, 3, 2, 2],
      num_conv_pos_embeddings: 128,
      num_conv_pos_embedding_groups: 16,
      encoder_max_relative_position: 160,
      max_text_positions: 450,
    },
    { encoder_layers: ['num_hidden_layers'], encoder_attention_heads: ['num_attention_heads'] },
  )
  const hidden = config.size('hidden_size')
  const widths = sizes(config, 'conv_dim')
  const kernels = sizes(config, 'conv_kernel')
  if (widths.length === 0 || kernels.length < widths.length)
    return config.invalid('conv_kernel', `has ${kernels.length} entries for ${widths.length} of conv_dim`)
  const heads = config.size('encoder_attention_heads')
  const headDim = dividedHeadDim(config, hidden, heads, 'encoder_attention_heads')
  const self: Attention = { hidden, heads, kvHeads: heads, headDim, qkvBias: true, outBias: true, out: 'out_proj' }
  const taps = config.size('num_conv_pos_embeddings')
  const perGroup = Math.floor(hidden / config.size('num_conv_pos_embedding_groups'))
  const last = widths.at(-1)!
  return speechToTextShape(config, {
    type: 'speecht5',
    weights: [
      ...widths.map((width, i) =>
        conv(`feature_encoder.conv_layers.${i}`, width, (widths[i - 1] ?? 1) * kernels[i]!, config.flag('conv_bias')),
      ),
      norm('feature_encoder.conv_layers.0.layer_norm', widths[0]!, true),
      norm('feature_projection.layer_norm', last, true),
      replicated('feature_projection.projection', hidden, last, { bias: true }),
      vector('masked_spec_embed', hidden),
      conv('pos_conv_embed.conv', hidden, perGroup * taps, true),
      vector('pos_conv_embed.conv.weight_g', taps),
      norm('layer_norm', hidden, true),
      positionEmbedding(2 * config.size('encoder_max_relative_position'), headDim, 'embed_positions.pe_k'),
    ],
    stack: encoderStack(config, bartLayer(self, config.size('encoder_ffn_dim'), null), 'encoder_layers'),
    final: [],
  })
}

const verified = `${equalToClasses}, speech to text`

export const speechEncoders: readonly Family[] = [
  {
    name: 'seamless_m4t',
    modelTypes: ['seamless_m4t'],
    verified,
    shape: config => seamless('seamless_m4t', false, config),
  },
  {
    name: 'seamless_m4t_v2',
    modelTypes: ['seamless_m4t_v2'],
    verified,
    shape: config => seamless('seamless_m4t_v2', true, config.with({ max_position_embeddings: 4096 })),
  },
  { name: 'speecht5', modelTypes: ['speecht5'], verified, shape: speechT5 },
]
