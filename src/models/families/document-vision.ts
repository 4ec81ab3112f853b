import { encoderLayer, patchConv, patchCount, patchPositions, sides } from '../blocks/vision.ts'
import { column, conv, norm, positionEmbedding, replicated, row, vector } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { ModelShape, Weight } from '../shape.ts'
import { encoderStack, type Family, layerCount, stackOf, usual } from './family.ts'
import { twoLayers } from './llava.ts'
import { type Multimodal, type MultimodalType, multimodal, type NamedTower, projector, tower } from './multimodal.ts'
import { qwen25Visual, visualAliases } from './qwen-vl.ts'
import { type Encoder, encoderOf, plainEncoder, undivided } from './towers.ts'

/** Side of the windows that SAM's encoder attends in where the file is silent. */
const SAM_WINDOW = 14

/** GOT-OCR's tower is SAM's: windowed layers and a few global ones, each with relative positions of its own reach. */
export function samTower(file: Config): Encoder {
  const config = file.with(
    usual({
      hidden: 768,
      output_channels: 256,
      layers: 12,
      heads: 12,
      num_channels: 3,
      image_size: 1024,
      patch_size: 16,
      qkv_bias: true,
      use_abs_pos: true,
      use_rel_pos: true,
      window_size: SAM_WINDOW,
      global_attn_indexes: [2, 5, 8, 11],
    }),
  )
  const hidden = config.size('hidden_size')
  const heads = config.size('num_attention_heads')
  const channels = config.size('output_channels')
  const global = new Set(config.list('global_attn_indexes') ?? [])
  const reach = Math.floor(sides(config, 'image_size')[0] / sides(config, 'patch_size')[0])
  const headDim = Math.floor(hidden / heads)
  const relative = (side: number) =>
    config.flag('use_rel_pos')
      ? [
          vector('attn.rel_pos_h', Math.max(2 * side - 1, 0) * headDim),
          vector('attn.rel_pos_w', Math.max(2 * side - 1, 0) * headDim),
        ]
      : []
  const layer = encoderLayer({
    hidden,
    width: config.sizeOrNull('mlp_dim') ?? config.multiple('mlp_ratio', hidden),
    fused: true,
    qkvBias: config.flag('qkv_bias'),
    names: { attention: 'attn', out: 'proj' },
  })
  // vLLM's copy of it (deepencoder.py) is made of undivided linear layers
  return undivided({
    weights: [
      ...(config.flag('use_abs_pos') ? [patchPositions('pos_embed', config, hidden)] : []),
      patchConv('patch_embed.projection', config, hidden, { bias: true }),
      conv('neck.conv1', channels, hidden, false),
      norm('neck.layer_norm1', channels, true),
      conv('neck.conv2', channels, 9 * channels, false),
      norm('neck.layer_norm2', channels, true),
    ],
    stack: stackOf(
      layerCount(config),
      i => (global.has(i) ? 'global encoder' : 'windowed encoder'),
      (i, name) => ({
        name,
        weights: [...layer, ...relative(global.has(i) ? reach : config.size('window_size'))],
        cache: [],
      }),
    ),
    heads,
    width: channels,
  })
}

/** Two strided convolutions and a matrix behind SAM's tower. */
function gotTowers(m: Multimodal): NamedTower[] {
  const encoder = samTower(m.part('vision_config').with({ mlp_dim: 3072 }))
  return [
    tower('vision_tower', 'vision', encoder),
    projector([
      conv('conv_upsampler1', 2 * encoder.width, 9 * encoder.width, false),
      conv('conv_upsampler2', m.hidden, 18 * encoder.width, false),
      replicated('multimodal_projector', m.hidden, m.hidden, { bias: true }),
    ]),
  ]
}

/** LightOn OCR: Mistral 3's tower and projector around Qwen3. */
function lightOnTowers(m: Multimodal): NamedTower[] {
  const absent = { image_size: 1540, patch_size: 14 }
  const encoder = encoderOf(m.part('vision_config', absent), 'pixtral')
  const merge = encoder.width * m.config.size('spatial_merge_size') ** 2
  return [
    tower('vision_encoder', 'vision', encoder),
    projector(
      [
        norm('norm', encoder.width),
        replicated('patch_merger.merging_layer', encoder.width, merge),
        ...twoLayers(encoder.width, m.hidden, false),
      ],
      'vision_projection',
    ),
  ]
}

/** PaddleOCR-VL: SigLIP without pooling head; squares of patches are merged before the text's width. */
function paddleTowers(m: Multimodal): NamedTower[] {
  const config = m.part('vision_config').with(
    usual({
      hidden: 1152,
      width: 4304,
      layers: 27,
      heads: 16,
      num_channels: 3,
      image_size: 384,
      patch_size: 14,
      spatial_merge_size: 2,
    }),
  )
  const hidden = config.size('hidden_size')
  const encoder = plainEncoder(
    config,
    [
      patchConv('embeddings.patch_embedding', config, hidden, { bias: true }),
      positionEmbedding(patchCount(config), hidden, 'embeddings.position_embedding'),
      norm('post_layernorm', hidden, true),
    ],
    { hidden, width: config.size('intermediate_size') },
  )
  const inner = hidden * config.size('spatial_merge_size') ** 2
  return [
    tower('visual.vision_model', 'vision', encoder),
    projector([norm('pre_norm', hidden, true), ...twoLayers(inner, m.hidden, true, inner)], 'projector'),
  ]
}

/** Ernie 4.5 VL: tower, then resamplers over space and time. */
function ernieTowers(m: Multimodal): NamedTower[] {
  const config = m.part('vision_config').with(
    {
      depth: 32,
      hidden_size: 1280,
      intermediate_size: 5120,
      num_heads: 16,
      in_channels: 3,
      patch_size: 14,
      spatial_merge_size: 2,
      temporal_merge_size: 2,
    },
    visualAliases,
  )
  const hidden = config.size('hidden_size')
  const patch = patchConv('patch_embed.proj', config, hidden, { bias: false, channels: 'in_channels' })
  const encoder = plainEncoder(
    config,
    [replicated(patch.name, patch.out, patch.in), norm('ln', hidden, true)],
    {
      hidden,
      width: config.size('intermediate_size'),
      fused: true,
      norms: ['norm1', 'norm2'],
      names: { attention: 'attn', out: 'proj' },
    },
    { layers: 'depth', heads: 'num_heads' },
  )
  const inner = hidden * config.size('spatial_merge_size') ** 2
  const bias = { bias: true }
  const resampler = (name: string, input: number) => [
    replicated(`${name}.fc1`, inner, input, bias),
    replicated(`${name}.fc2`, inner, inner, bias),
    norm(`${name}.ln`, inner, true),
  ]
  return [
    tower('vision_tower', 'vision', encoder),
    projector(
      [
        ...resampler('spatial_linear', inner),
        ...resampler('temporal_linear', inner * config.size('temporal_merge_size')),
        replicated('mlp', m.hidden, inner, bias),
        norm('after_norm', m.hidden),
      ],
      'resampler_model',
    ),
  ]
}

/** Exaone 4.5: Qwen2.5-VL's tower with grouped keys and values. */
function exaoneTowers(m: Multimodal): NamedTower[] {
  const config = m.part('vision_config').with({ num_key_value_heads: 8, num_heads: 16 }, visualAliases)
  const encoder = qwen25Visual(config)
  const heads = config.size('num_heads')
  const kvHeads = config.size('num_key_value_heads')
  const kinds = encoder.stack.kinds.map(kind => ({
    ...kind,
    weights: kind.weights.map(weight =>
      weight.name === 'attn.qkv' ? { ...weight, out: Math.floor(weight.in / heads) * (heads + 2 * kvHeads) } : weight,
    ),
  }))
  return [tower('visual', 'vision', { ...encoder, stack: { ...encoder.stack, kinds } })]
}

/** Molmo 2: patches pooled by attention over two layers' features, then a gated projector. */
function molmoTowers(m: Multimodal): NamedTower[] {
  const config = m.part('vision_config').with(
    usual({
      hidden: 1152,
      width: 4304,
      layers: 25,
      heads: 16,
      kvHeads: 16,
      head_dim: 72,
      image_size: [378, 378],
      patch_size: 14,
      num_channels: 3,
      attention_bias: true,
    }),
  )
  const hidden = config.size('hidden_size')
  const bias = config.flag('attention_bias')
  const heads = config.size('num_attention_heads')
  const headDim = config.size('head_dim')
  const keys = config.size('num_key_value_heads') * headDim
  const patch = patchConv('patch_embedding', config, hidden, { bias: true })
  const positions = config.sizeOrNull('num_position_embeddings') ?? patchCount(config)
  const layer = encoderLayer({
    hidden,
    width: config.size('intermediate_size'),
    attention: heads * headDim,
    qkvBias: bias,
    outBias: bias,
    names: { out: 'o_proj' },
  }).map(weight => (/\.[kv]_proj$/.test(weight.name) ? { ...weight, out: keys } : weight))
  const encoder: Encoder = {
    weights: [
      vector('positional_embedding', positions * hidden),
      replicated(patch.name, patch.out, patch.in, { bias: true }),
    ],
    stack: encoderStack(config, layer),
    heads,
    width: hidden,
  }
  return [tower('vision_tower', 'vision', encoder), projector(pooledAttention(m.part('adapter_config')))]
}

/** Attention over the features of several of the tower's layers, then a gated projector to the text's width. */
export function pooledAttention(adapter: Config): Weight[] {
  const config = adapter.with(
    usual({
      vision_feature_layer: [24, 18],
      hidden: 1152,
      heads: 16,
      kvHeads: 16,
      head_dim: 72,
      attention_bias: true,
      width: 18944,
      text_hidden_size: 3584,
      mlp_bias: false,
    }),
  )
  const hidden = config.size('hidden_size')
  const input = hidden * Math.max((config.list('vision_feature_layer') ?? []).length, 1)
  const headDim = config.size('head_dim')
  const queries = config.size('num_attention_heads') * headDim
  const keys = config.size('num_key_value_heads') * headDim
  const bias = { bias: config.flag('attention_bias') }
  const width = config.size('intermediate_size')
  const mlpBias = { bias: config.flag('mlp_bias') }
  return [
    replicated('image_pooling_2d.q_proj', queries, input, bias),
    replicated('image_pooling_2d.k_proj', keys, input, bias),
    replicated('image_pooling_2d.v_proj', keys, input, bias),
    replicated('image_pooling_2d.o_proj', hidden, queries, bias),
    column('image_projector.gate_proj', width, hidden, mlpBias),
    column('image_projector.up_proj', width, hidden, mlpBias),
    row('image_projector.down_proj', config.size('text_hidden_size'), width),
  ]
}

/** Molmo's text model: image tokens have rows behind the vocabulary that the head lacks; no bias on the output. */
export function molmoText(shape: ModelShape, config: Config): ModelShape {
  const text = (config.nested('text_config') ?? config).with({ additional_vocab_size: 128 })
  const extra = positionEmbedding(text.count('additional_vocab_size'), shape.facts.hidden, 'model.new_embedding')
  const kinds = shape.layers.kinds.map(kind => ({
    ...kind,
    weights: kind.weights.map(weight => (weight.name.endsWith('.o_proj') ? { ...weight, bias: false } : weight)),
  }))
  return { ...shape, embedding: [...shape.embedding, extra], layers: { ...shape.layers, kinds } }
}

const types: readonly MultimodalType[] = [
  {
    type: 'got_ocr2',
    text: {
      type: 'qwen2',
      absent: usual({
        vocab: 151860,
        hidden: 1024,
        width: 2816,
        layers: 24,
        heads: 16,
        kvHeads: 16,
      }),
    },
    tiedByDefault: true,
    towers: gotTowers,
  },
  {
    type: 'lighton_ocr',
    defaults: { spatial_merge_size: 2 },
    text: {
      type: 'qwen3',
      absent: usual({
        hidden: 1024,
        width: 3072,
        layers: 28,
        heads: 16,
        kvHeads: 8,
        context: 40960,
      }),
    },
    tiedByDefault: true,
    towers: lightOnTowers,
  },
  {
    type: 'paddleocr_vl',
    text: {
      type: 'ernie4_5',
      own: ['paddleocr_vl_text'],
      defaults: usual({
        vocab: 103424,
        hidden: 1024,
        width: 3072,
        layers: 18,
        heads: 16,
        kvHeads: 2,
        head_dim: 128,
      }),
    },
    tie: 'either',
    tiedByDefault: true,
    towers: paddleTowers,
  },
  {
    type: 'ernie4_5_vl_moe',
    text: { type: 'ernie4_5_vl_moe_text' },
    tiedByDefault: true,
    towers: ernieTowers,
  },
  { type: 'exaone4_5', text: { type: 'exaone4' }, towers: exaoneTowers },
  {
    type: 'hyperclovax_vision_v2',
    text: { type: 'hyperclovax' },
    tiedByDefault: true,
    towers: m => {
      const encoder = qwen25Visual(m.part('vision_config'))
      return [
        tower('vision_model', 'vision', encoder),
        projector([replicated('projector', m.hidden, encoder.width, { bias: true })], 'model'),
      ]
    },
  },
  {
    type: 'deepseek_vl',
    text: { type: 'llama' },
    tiedByDefault: true,
    towers: m => {
      const encoder = encoderOf(m.part('vision_config'), 'siglip_vision_model')
      return [tower('vision_model', 'vision', encoder), projector(twoLayers(encoder.width, m.hidden, true), 'aligner')]
    },
  },
  {
    type: 'molmo2',
    text: {
      type: 'qwen3',
      own: ['molmo2_text'],
      defaults: usual({
        vocab: 151936,
        hidden: 4096,
        width: 12288,
        layers: 36,
        heads: 32,
        kvHeads: 8,
        head_dim: 128,
        context: 36864,
      }),
      fields: config => {
        const bias = config.nested('text_config')?.raw('qkv_bias')
        return bias === undefined ? {} : { attention_bias: bias }
      },
    },
    tie: 'never',
    towers: molmoTowers,
    finish: molmoText,
  },
]

export const documentVision: readonly Family[] = types.map(multimodal)
