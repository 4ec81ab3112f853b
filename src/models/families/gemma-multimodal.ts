import { encoderLayer } from '../blocks/vision.ts'
import { column, conv, norm, positionEmbedding, replicated, row, vector } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { Weight } from '../shape.ts'
import { encoderStack, type Family, layerCount, noLayers, uniformStack, usual } from './family.ts'
import { type Multimodal, type MultimodalType, multimodal, type NamedTower, projector, tower } from './multimodal.ts'
import { type Encoder, undivided } from './towers.ts'

/**
 * Weights of MobileNet-V5 (`mobilenetv5_300m_enc` of timm 1.0), the only vision encoder Gemma 3n has: nothing in its
 * config changes them.
 */
const MOBILENET_V5_WEIGHTS = 294_126_912

/** Names under which Gemma 3n's and Gemma 4's conformers keep the same tensors, and the sizes behind them. */
interface Conformer {
  readonly hidden: number
  readonly heads: number
  readonly kernel: number
  /** Two convolutions over the spectrum, then a projection of `input` features. */
  readonly channels: readonly [number, number]
  readonly input: number
}

/** Conformer layer without biases: two half feed-forwards 4h wide, attention with relative positions, light convolution. */
function conformerLayer(c: Conformer): Weight[] {
  const h = c.hidden
  const feed = (name: string) => [
    norm(`${name}.pre_layer_norm`, h),
    column(`${name}.ffw_layer_1`, 4 * h, h),
    row(`${name}.ffw_layer_2`, h, 4 * h),
    norm(`${name}.post_layer_norm`, h),
  ]
  const headDim = Math.floor(h / c.heads)
  const inner = headDim * c.heads
  return [
    ...feed('ffw_layer_start'),
    norm('attention.pre_attn_norm', h),
    ...['q_proj', 'k_proj', 'v_proj', 'pos_proj'].map(name => column(`attention.attn.${name}`, inner, h)),
    vector('attention.attn.per_dim_scale', headDim),
    row('attention.post', h, h),
    norm('attention.post_norm', h),
    norm('lconv1d.pre_layer_norm', h),
    column('lconv1d.linear_start', 2 * h, h),
    conv('lconv1d.depthwise_conv1d', h, c.kernel, false),
    norm('lconv1d.conv_norm', h),
    row('lconv1d.linear_end', h, h),
    ...feed('ffw_layer_end'),
    norm('norm', h),
  ]
}

function conformer(config: Config, c: Conformer, layers: string, more: readonly Weight[] = []): Encoder {
  const [first, second] = c.channels
  return undivided({
    weights: [
      conv('subsample_conv_projection.conv_0', first, 9, false),
      norm('subsample_conv_projection.norm_0', first),
      conv('subsample_conv_projection.conv_1', second, 9 * first, false),
      norm('subsample_conv_projection.norm_1', second),
      replicated('subsample_conv_projection.input_proj_linear', c.hidden, c.input),
      ...more,
    ],
    stack: uniformStack(layerCount(config, layers), { name: 'conformer', weights: conformerLayer(c), cache: [] }),
    heads: c.heads,
    width: c.hidden,
  })
}

function channels(config: Config, name: string): readonly [number, number] {
  const [first, second] = config.list(name) ?? []
  const valid = (size: unknown): size is number => Number.isInteger(size) && Number(size) >= 1 && Number(size) <= 1e6
  return valid(first) && valid(second)
    ? [first, second]
    : config.invalid(name, 'is not a list of two whole numbers of at least 1')
}

/** A convolution of stride 2 with one row of padding on both sides halves the features, rounding up. */
const halved = (features: number): number => Math.floor((features - 1) / 2) + 1

/** Gemma 3n: hard tokens of each modality have their own embedding beside the projection. */
function embedder(m: Multimodal, name: string, vocabulary: number, width: number): NamedTower {
  return projector(
    [
      positionEmbedding(vocabulary, width, 'embedding'),
      norm('hard_embedding_norm', width),
      norm('soft_embedding_norm', width),
      replicated('embedding_projection', m.hidden, width),
    ],
    name,
  )
}

function gemma3nTowers(m: Multimodal): NamedTower[] {
  const vision = m.part('vision_config').with({
    architecture: 'mobilenetv5_300m_enc',
    hidden_size: 2048,
    vocab_size: 128,
  })
  if (vision.text('architecture') !== 'mobilenetv5_300m_enc')
    return vision.invalid('architecture', 'is not mobilenetv5_300m_enc, the only encoder known here')
  const audio = m.part('audio_config').with({
    hidden_size: 1536,
    vocab_size: 128,
    input_feat_size: 128,
    conf_num_attention_heads: 8,
    conf_num_hidden_layers: 12,
    conf_conv_kernel_size: 5,
    sscp_conv_channel_size: [128, 32],
  })
  const sizes = channels(audio, 'sscp_conv_channel_size')
  const heard: Conformer = {
    hidden: audio.size('hidden_size'),
    heads: audio.size('conf_num_attention_heads'),
    kernel: audio.size('conf_conv_kernel_size'),
    channels: sizes,
    input: sizes[1] * halved(halved(audio.size('input_feat_size'))),
  }
  const seen = [conv('timm_model', MOBILENET_V5_WEIGHTS, 1, false)]
  return [
    tower('vision_tower', 'vision', { weights: seen, stack: noLayers, heads: null, width: vision.size('hidden_size') }),
    tower('audio_tower', 'audio', conformer(audio, heard, 'conf_num_hidden_layers')),
    embedder(m, 'embed_vision', vision.size('vocab_size'), vision.size('hidden_size')),
    embedder(m, 'embed_audio', audio.size('vocab_size'), audio.size('hidden_size')),
  ]
}

/** Gemma 4's tower, which vLLM takes from transformers as it is, undivided, like Gemma 3n's: grouped heads of their own size, query and key norms, positions of both axes. */
function gemma4Vision(file: Config): Encoder {
  const config = file.with(
    usual({
      hidden: 768,
      width: 3072,
      layers: 16,
      heads: 12,
      kvHeads: 12,
      head_dim: 64,
      patch_size: 16,
      position_embedding_size: 10240,
    }),
  )
  const hidden = config.size('hidden_size')
  const heads = config.size('num_attention_heads')
  const headDim = config.size('head_dim')
  const keys = config.size('num_key_value_heads') * headDim
  const patch = config.size('patch_size')
  const layer = encoderLayer({
    hidden,
    width: config.size('intermediate_size'),
    attention: heads * headDim,
    qkvBias: false,
    outBias: false,
    mlpBias: false,
    gated: true,
    rms: true,
    norms: ['input_layernorm', 'post_attention_layernorm', 'pre_feedforward_layernorm', 'post_feedforward_layernorm'],
    names: { out: 'o_proj' },
  }).map(weight => (/\.[kv]_proj$/.test(weight.name) ? { ...weight, out: keys } : weight))
  return undivided({
    weights: [
      positionEmbedding(2 * config.size('position_embedding_size'), hidden, 'patch_embedder.position_embedding_table'),
      replicated('patch_embedder.input_proj', hidden, 3 * patch * patch),
    ],
    stack: encoderStack(config, [...layer, norm('self_attn.q_norm', headDim), norm('self_attn.k_norm', headDim)]),
    heads,
    width: hidden,
  })
}

const projection = (m: Multimodal, name: string, width: number): NamedTower =>
  projector([replicated('embedding_projection', m.hidden, width)], name)

function gemma4Towers(m: Multimodal): NamedTower[] {
  const towers: NamedTower[] = []
  const seen = m.optional('vision_config')
  if (seen) {
    const encoder = gemma4Vision(seen)
    towers.push(tower('vision_tower', 'vision', encoder), projection(m, 'embed_vision', encoder.width))
  }
  const heard = m.optional('audio_config')?.with(
    usual({
      hidden: 1024,
      layers: 12,
      heads: 8,
      subsampling_conv_channels: [128, 32],
      conv_kernel_size: 5,
      output_proj_dims: 1536,
    }),
  )
  if (heard) {
    const sizes = channels(heard, 'subsampling_conv_channels')
    const hidden = heard.size('hidden_size')
    const output = heard.size('output_proj_dims')
    const sized: Conformer = {
      hidden,
      heads: heard.size('num_attention_heads'),
      kernel: heard.size('conv_kernel_size'),
      channels: sizes,
      input: Math.floor(sizes[0] / 4) * sizes[1],
    }
    const last = replicated('output_proj', output, hidden, { bias: true })
    towers.push(
      tower('audio_tower', 'audio', conformer(heard, sized, 'num_hidden_layers', [last])),
      projection(m, 'embed_audio', output),
    )
  }
  return towers
}

/** Gemma 4 unified has no encoders: patches and sound frames are projected straight into the text's width. */
function unifiedTowers(m: Multimodal): NamedTower[] {
  const towers: NamedTower[] = []
  const seen = m.optional('vision_config')?.with({
    patch_size: 16,
    pooling_kernel_size: 3,
    mm_embed_dim: 3840,
    mm_posemb_size: 1120,
    output_proj_dims: 3840,
  })
  if (seen) {
    const pixels = 3 * (seen.size('patch_size') * seen.size('pooling_kernel_size')) ** 2
    const width = seen.size('mm_embed_dim')
    const weights = [
      norm('patch_ln1', pixels, true),
      replicated('patch_dense', width, pixels, { bias: true }),
      norm('patch_ln2', width, true),
      positionEmbedding(2 * seen.size('mm_posemb_size'), width, 'pos_embedding'),
      norm('pos_norm', width, true),
    ]
    towers.push(
      tower('vision_embedder', 'vision', { weights, stack: noLayers, heads: null, width }),
      projection(m, 'vision_embedder.multimodal_embedder', seen.size('output_proj_dims')),
    )
  }
  const heard = m.optional('audio_config')?.with({ audio_embed_dim: 640 })
  if (heard) towers.push(projection(m, 'embed_audio', heard.size('audio_embed_dim')))
  return towers
}

const types: readonly MultimodalType[] = [
  { type: 'gemma3n', text: { type: 'gemma3n_text' }, tiedByDefault: true, towers: gemma3nTowers },
  { type: 'gemma4', text: { type: 'gemma4_text' }, tiedByDefault: true, towers: gemma4Towers },
  {
    type: 'gemma4_unified',
    text: { type: 'gemma4_unified_text' },
    tiedByDefault: true,
    towers: unifiedTowers,
  },
]

export const gemmaMultimodal: readonly Family[] = types.map(multimodal)
