import { conformerFeed } from '../blocks/audio.ts'
import { patchConv, patchPositions, poolingHead } from '../blocks/vision.ts'
import { column, conv, norm, positionEmbedding, replicated, row, vector } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { Weight } from '../shape.ts'
import { type Family, layerCount, uniformStack, usual } from './family.ts'
import { type Multimodal, multimodal, type NamedTower, projector, tower } from './multimodal.ts'
import { type Encoder, plainEncoder } from './towers.ts'

/** SigLIP with its pooling head, and two learned separators between image parts. */
function vision(file: Config): Encoder {
  const config = file.with(
    usual({
      hidden: 1152,
      width: 4304,
      layers: 27,
      heads: 16,
      num_channels: 3,
      image_size: 448,
      patch_size: 14,
    }),
  )
  const hidden = config.size('hidden_size')
  const width = config.size('intermediate_size')
  return plainEncoder(
    config,
    [
      vector('global_img_feature_extensor', hidden),
      vector('sub_img_feature_extensor', hidden),
      patchConv('img_processor.embeddings.patch_embedding', config, hidden, { bias: true }),
      patchPositions('img_processor.embeddings.position_embedding', config, hidden),
      norm('img_processor.post_layernorm', hidden, true),
      ...poolingHead(hidden, width),
    ],
    { hidden, width },
  )
}

/** Downsampling by strided depthwise and pointwise convolutions, each step halving the time. */
function subsampling(config: Config, hidden: number): Weight[] {
  const channels = config.size('nemo_conv_channels')
  const steps = Math.floor(Math.log2(config.size('time_reduction')))
  const again = Array.from({ length: Math.max(steps - 1, 0) }, (_, i) => [
    conv(`embed.conv.${3 * i + 2}`, channels, 9, true),
    conv(`embed.conv.${3 * i + 3}`, channels, channels, true),
  ]).flat()
  const halved = Math.ceil(config.size('input_size') / 2 ** steps)
  const output = channels * (config.sizeOrNull('nemo_final_size') ?? halved)
  return [conv('embed.conv.0', channels, 9, true), ...again, replicated('embed.out', hidden, output, { bias: true })]
}

/** A conformer with gated half feed-forwards and a gated convolution. */
function conformer(config: Config, hidden: number): Weight[] {
  const width = config.size('intermediate_size')
  const heads = config.size('num_attention_heads')
  const inner = Math.floor(hidden / heads) * heads
  const outer = config.size('ext_pw_out_channel')
  const deep = hidden * config.size('depthwise_multiplier')
  const bias = { bias: true }
  return [
    ...conformerFeed('feed_forward_in', hidden, width, true),
    ...['q_proj', 'k_proj', 'v_proj'].map(name => column(`self_attn.${name}`, inner, hidden, bias)),
    row('self_attn.o_proj', hidden, inner, bias),
    norm('conv.layer_norm', hidden, true),
    vector('conv.glu.b1', outer),
    vector('conv.glu.b2', outer),
    conv('conv.glu.ext_pw_conv_1d', 2 * outer, hidden, true),
    conv('conv.dw_sep_conv_1d.dw_conv', deep, config.size('kernel_size'), true),
    conv('conv.dw_sep_conv_1d.pw_conv', config.size('depthwise_separable_out_channel'), deep, true),
    conv('conv.ext_pw_conv_1d', outer, hidden, true),
    ...conformerFeed('feed_forward_out', hidden, width, true),
    norm('layer_norm_att', hidden, true),
    norm('layer_norm', hidden, true),
  ]
}

const audioDefaults = usual({
  hidden: 1024,
  width: 1536,
  num_blocks: 24,
  heads: 16,
  ext_pw_out_channel: 1024,
  depthwise_separable_out_channel: 1024,
  depthwise_multiplier: 1,
  kernel_size: 3,
  time_reduction: 8,
  bias_max_distance: 1000,
  bias_symmetric: false,
  nemo_conv_channels: 1024,
  downsample_rate: 1,
  input_size: 80,
})

function audio(config: Config): Encoder {
  const hidden = config.size('hidden_size')
  const heads = config.size('num_attention_heads')
  const buckets = (config.flag('bias_symmetric') ? 1 : 2) * config.size('bias_max_distance')
  return {
    weights: [
      ...subsampling(config, hidden),
      positionEmbedding(buckets, heads, 'relative_attention_bias_layer.bias_values'),
    ],
    stack: uniformStack(layerCount(config, 'num_blocks'), {
      name: 'conformer',
      weights: conformer(config, hidden),
      cache: [],
    }),
    heads,
    width: hidden * config.size('downsample_rate'),
  }
}

function towers(m: Multimodal): NamedTower[] {
  const seen = vision(m.part('vision_config'))
  const heard = audio(m.part('audio_config').with(audioDefaults))
  const pair = (up: string, down: string, input: number) => [
    column(up, m.hidden, input, { bias: true }),
    row(down, m.hidden, m.hidden, { bias: true }),
  ]
  return [
    tower('embed_tokens_extend.image_embed', 'vision', seen),
    tower('embed_tokens_extend.audio_embed', 'audio', heard),
    projector(
      [
        ...pair('image_embed.img_projection_up', 'image_embed.img_projection_down', seen.width),
        ...pair('audio_embed.up_proj_for_speech', 'audio_embed.down_proj_for_speech', heard.width),
        ...pair('audio_embed.up_proj_for_vision_speech', 'audio_embed.down_proj_for_vision_speech', heard.width),
      ],
      'embed_tokens_extend',
    ),
  ]
}

/** Phi-4 multimodal: Phi-3's text model at the top level. `phi4mm`, its remote code, adds adapters for each modality. */
export const phi4Multimodal: Family = multimodal({
  type: 'phi4_multimodal',
  text: {
    type: 'phi3',
    flat: true,
    defaults: usual({
      vocab: 200064,
      hidden: 3072,
      width: 8192,
      layers: 32,
      heads: 32,
      kvHeads: 8,
      context: 131072,
    }),
  },
  towers,
})
