import { encoderLayer, patchConv, patchPositions } from '../blocks/vision.ts'
import { column, norm, replicated, row, vector } from '../blocks/weights.ts'
import { Config } from '../config.ts'
import { molmoText, pooledAttention } from './document-vision.ts'
import { encoderStack, type Family, usual } from './family.ts'
import { shuffleFactor, twoLayers } from './llava.ts'
import { type Multimodal, type MultimodalType, multimodal, type NamedTower, projector, tower } from './multimodal.ts'
import { type Encoder, encoderOf } from './towers.ts'
import { kimiTowers } from './vision-language.ts'

/** InternViT of the remote code: q, k and v in one matrix, layer scales, norms on queries and keys in the 6B one. */
function internVision(m: Multimodal): Encoder {
  const config = m.part('vision_config').with(
    usual({
      hidden: 3200,
      width: 12800,
      layers: 48,
      heads: 25,
      num_channels: 3,
      image_size: 224,
      patch_size: 14,
      qkv_bias: false,
      qk_normalization: true,
      norm_type: 'rms_norm',
    }),
  )
  const hidden = config.size('hidden_size')
  const layer = encoderLayer({
    hidden,
    width: config.size('intermediate_size'),
    fused: true,
    qkvBias: config.flag('qkv_bias'),
    rms: config.text('norm_type') === 'rms_norm',
    norms: ['norm1', 'norm2'],
    names: { attention: 'attn', out: 'proj' },
  })
  const normed = config.flag('qk_normalization') ? [norm('attn.q_norm', hidden), norm('attn.k_norm', hidden)] : []
  return {
    weights: [
      vector('embeddings.class_embedding', hidden),
      patchConv('embeddings.patch_embedding', config, hidden, { bias: true }),
      patchPositions('embeddings.position_embedding', config, hidden, 1),
    ],
    stack: encoderStack(config, [...layer, ...normed, vector('ls1', hidden), vector('ls2', hidden)]),
    heads: config.size('num_attention_heads'),
    width: hidden,
  }
}

function internChatTowers(m: Multimodal): NamedTower[] {
  const encoder = internVision(m)
  const input = encoder.width * shuffleFactor(m) ** 2
  return [
    tower('vision_model', 'vision', encoder),
    projector([norm('0', input, true), ...twoLayers(input, m.hidden, true)], 'mlp1'),
  ]
}

/** Tower that Phi-3-vision names in img_processor: CLIP ViT-L/14 of 336 pixels. */
const clipLarge336 = usual({
  model_type: 'clip_vision_model',
  hidden: 1024,
  width: 4096,
  layers: 24,
  heads: 16,
  image_size: 336,
  patch_size: 14,
})

/** Phi-3-vision: four patches side by side, two matrices, and learned separators of global and sub images. */
function phi3Towers(m: Multimodal): NamedTower[] {
  const encoder = encoderOf(new Config(clipLarge336, {}, {}, 'img_processor.'), 'clip_vision_model')
  const input = 4 * encoder.width
  return [
    tower('model.vision_embed_tokens.img_processor', 'vision', encoder),
    projector(
      [vector('glb_GN', input), vector('sub_GN', input), ...twoLayers(input, m.hidden, true)],
      'model.vision_embed_tokens',
    ),
  ]
}

/** Molmo: CLIP without its last layer and norm, features of two layers pooled, learned paddings of both. */
function molmoTowers(m: Multimodal): NamedTower[] {
  const clip = encoderOf(new Config({ ...clipLarge336, num_hidden_layers: 23 }, {}, {}, ''), 'clip_vision_model')
  const weights = clip.weights.filter(weight => weight.name !== 'post_layernorm')
  const adapter = {
    hidden_size: clip.width,
    head_dim: 64,
    intermediate_size: m.text.facts.intermediate,
    text_hidden_size: m.hidden,
  }
  return [
    tower('model.vision_backbone.image_vit', 'vision', { ...clip, weights }),
    projector(
      [vector('pad_embed', 2 * 2 * clip.width), ...pooledAttention(new Config(adapter, {}, {}, ''))],
      'model.vision_backbone',
    ),
  ]
}

/** Text model of MiniCPM-V by the version that the file names. */
function miniCpmText(config: Config): string {
  const version = String(config.number('version') ?? 2.6)
  return { '2': 'minicpm', '2.5': 'llama', '2.6': 'qwen2', '4': 'llama', '4.5': 'qwen3' }[version] ?? 'qwen2'
}

/** MiniCPM-V: SigLIP (its last layer dropped in 2.5) and a resampler with learned queries. */
function miniCpmTowers(m: Multimodal): NamedTower[] {
  const vision = m.part('vision_config')
  const drop = m.config.flag('drop_vision_last_layer') ? 1 : 0
  const layers = vision.with({ num_hidden_layers: 27 }).size('num_hidden_layers') - drop
  const sized = { vision_use_head: false, ...vision.json, num_hidden_layers: Math.max(layers, 1) }
  const encoder = encoderOf(new Config(sized, {}, {}, vision.path), 'siglip_vision_model')
  const h = m.hidden
  return [
    tower('vpm', 'vision', encoder),
    projector(
      [
        vector('query', m.config.size('query_num') * h),
        replicated('kv_proj', h, encoder.width),
        column('attn.in_proj', 3 * h, h, { bias: true }),
        row('attn.out_proj', h, h, { bias: true }),
        ...['ln_q', 'ln_kv', 'ln_post'].map(name => norm(name, h, true)),
        vector('proj', h * h),
      ],
      'resampler',
    ),
  ]
}

const types: readonly MultimodalType[] = [
  {
    type: 'internvl_chat',
    also: ['h2ovl_chat'],
    classes: ['InternVLChat', 'H2OVLChat'],
    text: { type: 'internlm2', keys: ['llm_config', 'text_config'] },
    tie: 'nested',
    towers: internChatTowers,
    exact: false,
    verified: 'the same weights as internvl, which is equal to its class',
  },
  { type: 'kimi_vl', text: { type: 'deepseek_v3', own: ['kimi_k2'] }, towers: kimiTowers, exact: false },
  {
    type: 'phi3_v',
    classes: ['Phi3V'],
    text: { type: 'phi3', flat: true },
    towers: phi3Towers,
    exact: false,
    verified: 'published total of Phi-3.5-vision',
  },
  {
    type: 'molmo',
    text: {
      type: 'qwen2',
      flat: true,
      // gate and up are one matrix, and the field is its width
      fields: config => ({ intermediate_size: Math.floor(config.size('intermediate_size') / 2) }),
    },
    towers: molmoTowers,
    finish: molmoText,
    exact: false,
    verified: 'published total of Molmo-7B-D',
  },
  {
    type: 'minicpmv',
    classes: ['MiniCPMV'],
    defaults: { query_num: 64 },
    text: { type: 'qwen2', typeOf: miniCpmText, flat: true },
    towers: miniCpmTowers,
    exact: false,
    verified: 'published total of MiniCPM-V 2.6',
  },
]

export const remoteVision: readonly Family[] = types.map(multimodal)
