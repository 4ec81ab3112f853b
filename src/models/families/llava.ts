import { column, norm, replicated, row, vector } from '../blocks/weights.ts'
import type { JsonObject } from '../config.ts'
import type { Weight } from '../shape.ts'
import { type Family, usual } from './family.ts'
import { type Multimodal, type MultimodalType, multimodal, type NamedTower, projector, tower } from './multimodal.ts'
import { encoderOf } from './towers.ts'

/** Two matrices that bring the tower's width to the text's; divided like a feed-forward in vLLM's Llava classes. */
export function twoLayers(input: number, output: number, bias: boolean, inner = output): Weight[] {
  return [column('linear_1', inner, input, { bias }), row('linear_2', output, inner, { bias })]
}

/** How many of the tower's layers the projector reads side by side: a list of them, or one. */
function featureLayers(m: Multimodal): number {
  const value = m.config.raw('vision_feature_layer')
  return Array.isArray(value) ? Math.max(value.length, 1) : 1
}

/** A vision tower of any known class under `vision_tower`, the default class where the file names none. */
function visionTower(m: Multimodal, otherwise: string, absent: JsonObject, name = 'vision_tower') {
  const encoder = encoderOf(m.part('vision_config', absent), otherwise)
  return { encoder, named: tower(name, 'vision', encoder) }
}

/** Llava: tower and two matrices; the later ones learn a line break between image rows. */
const llavaTowers =
  (otherwise: string, absent: JsonObject, newline: boolean, biasKey = 'multimodal_projector_bias') =>
  (m: Multimodal): NamedTower[] => {
    const { encoder, named } = visionTower(m, otherwise, absent)
    const bias = m.config.flag(biasKey, true)
    return [
      named,
      projector(twoLayers(encoder.width * featureLayers(m), m.hidden, bias)),
      ...(newline ? [projector([vector('image_newline', m.hidden)], 'model')] : []),
    ]
  }

const clipLarge = usual({
  hidden: 1024,
  width: 4096,
  layers: 24,
  heads: 16,
  image_size: 336,
  patch_size: 14,
})

const siglipSo400m = usual({
  hidden: 1152,
  width: 4304,
  layers: 26,
  heads: 16,
  image_size: 384,
  patch_size: 14,
  vision_use_head: false,
})

/** A square of `factor` x `factor` patches is laid side by side before the projector. */
const merged = (width: number, factor: number): number => width * factor * factor

/** Pixtral's tower with RMS norm and patch merger before Llava's projector. */
const pixtralTowers = (absent: JsonObject) => (m: Multimodal) => {
  const { encoder, named } = visionTower(m, 'pixtral', absent)
  const merge = merged(encoder.width, m.config.size('spatial_merge_size'))
  return [
    named,
    projector([
      norm('norm', encoder.width),
      replicated('patch_merger.merging_layer', encoder.width, merge),
      ...twoLayers(encoder.width * featureLayers(m), m.hidden, m.config.flag('multimodal_projector_bias')),
    ]),
  ]
}

const idefics3Towers = (otherwise: string) => (m: Multimodal) => {
  const { encoder, named } = visionTower(m, otherwise, {}, 'vision_model')
  const input = merged(encoder.width, m.config.size('scale_factor'))
  return [named, projector([replicated('modality_projection.proj', m.hidden, input)], 'connector')]
}

/** Gemma 3 and the classifier made of it. */
const gemma3 = (type: string, tie: Pick<MultimodalType, 'tie' | 'tiedByDefault' | 'classes'>): MultimodalType => ({
  type,
  ...tie,
  text: { type: 'gemma3_text' },
  towers: m => {
    const { encoder, named } = visionTower(m, 'siglip_vision_model', {})
    return [
      named,
      projector([
        replicated('mm_input_projection_weight', encoder.width, m.hidden),
        norm('mm_soft_emb_norm', encoder.width),
      ]),
    ]
  },
})

const types: readonly MultimodalType[] = [
  {
    type: 'llava',
    text: { type: 'llama' },
    tie: 'either',
    towers: llavaTowers('clip_vision_model', clipLarge, false),
  },
  {
    type: 'llava_next',
    text: { type: 'llama' },
    towers: llavaTowers('clip_vision_model', clipLarge, true),
  },
  {
    type: 'llava_next_video',
    text: { type: 'llama' },
    tie: 'either',
    towers: llavaTowers('clip_vision_model', clipLarge, true),
  },
  {
    type: 'llava_onevision',
    text: { type: 'qwen2' },
    tie: 'either',
    towers: llavaTowers('siglip_vision_model', siglipSo400m, true),
  },
  {
    type: 'vipllava',
    defaults: { vision_feature_layer: [-2, -5, -8, -11, 6] },
    aliases: { vision_feature_layer: ['vision_feature_layers'] },
    text: { type: 'llama' },
    towers: m => {
      const { encoder, named } = visionTower(m, 'clip_vision_model', clipLarge)
      const input = encoder.width * featureLayers(m)
      return [named, projector([norm('projector_layernorm', input, true), ...twoLayers(input, m.hidden, true)])]
    },
  },
  {
    type: 'video_llava',
    text: { type: 'llama' },
    towers: m => {
      const { encoder, named } = visionTower(m, 'clip_vision_model', { ...clipLarge, image_size: 224 }, 'image_tower')
      const bias = m.config.flag('multimodal_projector_bias', true)
      return [
        named,
        { ...named, name: 'video_tower' },
        projector(twoLayers(encoder.width * featureLayers(m), m.hidden, bias)),
      ]
    },
  },
  {
    type: 'mistral3',
    defaults: { spatial_merge_size: 2 },
    text: {
      type: 'mistral',
      absent: usual({
        vocab: 131072,
        hidden: 5120,
        width: 32768,
        layers: 40,
        heads: 32,
        kvHeads: 8,
        head_dim: 128,
        context: 131072,
        sliding_window: null,
      }),
    },
    tiedByDefault: true,
    towers: pixtralTowers({ ...clipLarge, image_size: 1540 }),
  },
  {
    type: 'mistral_large4',
    defaults: { spatial_merge_size: 2 },
    text: { type: 'mistral_large4_text' },
    towers: pixtralTowers(
      usual({
        hidden: 2048,
        width: 6144,
        layers: 30,
        heads: 16,
        image_size: 1540,
        patch_size: 14,
      }),
    ),
  },
  gemma3('gemma3', { tiedByDefault: true }),
  gemma3('shieldgemma2', { classes: ['Gemma3'], tie: 'either' }),
  {
    type: 'paligemma',
    defaults: { projection_dim: 2048 },
    text: {
      type: 'gemma',
      absent: usual({
        vocab: 257152,
        hidden: 2048,
        width: 16384,
        layers: 18,
        heads: 8,
        kvHeads: 1,
      }),
    },
    tiedByDefault: true,
    towers: m => {
      const absent = { ...siglipSo400m, intermediate_size: 4096, num_hidden_layers: 27, image_size: 224 }
      const { encoder, named } = visionTower(m, 'siglip_vision_model', absent)
      const width = m.config.size('projection_dim')
      return [named, projector([column('linear', width, encoder.width, { bias: true })])]
    },
  },
  {
    type: 'cohere2_vision',
    defaults: { downsample_factor: 2, alignment_intermediate_size: 36864 },
    text: { type: 'cohere2' },
    tiedByDefault: true,
    towers: m => {
      const absent = usual({
        hidden: 1152,
        width: 3072,
        layers: 27,
        heads: 12,
        image_size: 512,
      })
      const { encoder, named } = visionTower(m, 'siglip_vision_model', absent)
      const inner = m.config.size('alignment_intermediate_size')
      const input = merged(encoder.width, m.config.size('downsample_factor'))
      return [
        named,
        projector([
          column('linear_1', inner, input, { bias: true }),
          row('linear_2', m.hidden, Math.floor(inner / 2), { bias: true }),
        ]),
      ]
    },
  },
  {
    type: 'aya_vision',
    defaults: { downsample_factor: 2 },
    text: { type: 'cohere2' },
    tiedByDefault: true,
    exact: false,
    towers: m => {
      const { encoder, named } = visionTower(m, 'siglip_vision_model', siglipSo400m)
      const inner = m.config.sizeOrNull('alignment_intermediate_size') ?? m.hidden
      const input = merged(encoder.width, m.config.size('downsample_factor'))
      return [
        named,
        projector([
          norm('layernorm', input, true),
          column('linear_1', inner, input, { bias: true }),
          row('linear_2', m.hidden, Math.floor(inner / 2), { bias: true }),
        ]),
      ]
    },
  },
  {
    type: 'idefics3',
    defaults: { scale_factor: 2 },
    text: { type: 'llama' },
    towers: idefics3Towers('idefics3_vision'),
  },
  {
    type: 'smolvlm',
    defaults: { scale_factor: 2 },
    text: { type: 'llama' },
    towers: idefics3Towers('smolvlm_vision'),
  },
  {
    type: 'modernvbert',
    classes: ['ModernVBert'],
    defaults: { scale_factor: 4 },
    aliases: { scale_factor: ['pixel_shuffle_factor'] },
    text: { type: 'modernbert' },
    towers: idefics3Towers('siglip_vision_model'),
  },
  {
    type: 'internvl',
    defaults: { downsample_ratio: 0.5 },
    text: { type: 'qwen2' },
    tiedByDefault: true,
    towers: m => {
      const { encoder, named } = visionTower(m, 'internvl_vision', {})
      const input = merged(encoder.width, shuffleFactor(m))
      return [named, projector([norm('layer_norm', input, true), ...twoLayers(input, m.hidden, true)])]
    },
  },
  {
    type: 'lfm2_vl',
    defaults: {
      projector_hidden_size: 2560,
      projector_bias: true,
      projector_use_layernorm: true,
      downsample_factor: 2,
    },
    aliases: { tie_word_embeddings: ['tie_embedding'] },
    text: { type: 'lfm2' },
    tiedByDefault: true,
    towers: m => {
      const { encoder, named } = visionTower(m, 'siglip2_vision_model', {})
      const input = merged(encoder.width, m.config.size('downsample_factor'))
      const inner = m.config.size('projector_hidden_size')
      return [
        named,
        projector([
          ...(m.config.flag('projector_use_layernorm') ? [norm('layer_norm', input, true)] : []),
          ...twoLayers(input, m.hidden, m.config.flag('projector_bias'), inner),
        ]),
      ]
    },
  },
]

/** InternVL's pixel shuffle: whole patches per side of a square that becomes one token. */
export function shuffleFactor(m: Multimodal): number {
  const ratio = m.config.number('downsample_ratio') ?? 0.5
  const factor = Math.floor(1 / ratio)
  return factor >= 1 && factor <= 1024
    ? factor
    : m.config.invalid('downsample_ratio', `is ${ratio}, expected 0.001 to 1`)
}

export const llava: readonly Family[] = types.map(multimodal)
