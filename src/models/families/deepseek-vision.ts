import { encoderLayer } from '../blocks/vision.ts'
import { column, conv, norm, positionEmbedding, replicated, row, vector } from '../blocks/weights.ts'
import { Config, type JsonObject } from '../config.ts'
import { architectureOf } from './architecture.ts'
import { samTower } from './document-vision.ts'
import { encoderStack, type Family, usual } from './family.ts'
import { type Multimodal, type MultimodalType, multimodal, type NamedTower, projector, tower } from './multimodal.ts'
import { encoderOf } from './towers.ts'

/** SAM's tower with two more strided convolutions, then CLIP's layers over its features. */
function ocrTowers(m: Multimodal, ownPatches: boolean): NamedTower[] {
  const vision = m.part('vision_config')
  const nested = (name: string) => vision.nested(name) ?? new Config({}, {}, {}, `${vision.path}${name}.`)
  const sam = samTower(nested('sam_config'))
  const [first, second] = downsampled(nested('sam_config'))
  const config = nested('encoder_config').with(
    usual({
      hidden: 1024,
      width: 4096,
      layers: 24,
      heads: 16,
      num_channels: 3,
      image_size: 224,
      patch_size: 14,
    }),
  )
  const hidden = config.size('hidden_size')
  const side = Math.floor(config.size('image_size') / config.size('patch_size'))
  const patch = config.size('num_channels') * config.size('patch_size') ** 2
  return [
    tower('sam_model', 'vision', {
      ...sam,
      weights: [...sam.weights, conv('net_2', first, 9 * sam.width, false), conv('net_3', second, 9 * first, false)],
    }),
    tower('vision_model', 'vision', {
      weights: [
        vector('embeddings.class_embedding', hidden),
        ...(ownPatches ? [conv('embeddings.patch_embedding', hidden, patch, false)] : []),
        positionEmbedding(side * side + 1, hidden, 'embeddings.position_embedding'),
        norm('pre_layrnorm', hidden, true),
      ],
      stack: encoderStack(config, encoderLayer({ hidden, width: config.size('intermediate_size') })),
      heads: config.size('num_attention_heads'),
      width: hidden,
    }),
    projector([replicated('layers', m.hidden, second + hidden, { bias: true })], 'projector'),
    separators(m),
  ]
}

/** Learned line break and separator between image views. */
const separators = (m: Multimodal): NamedTower =>
  projector([vector('image_newline', m.hidden), vector('view_seperator', m.hidden)], 'model')

function downsampled(config: Config): readonly [number, number] {
  const [first, second] = config.with({ downsample_channels: [512, 1024] }).list('downsample_channels') ?? []
  const valid = (size: unknown): size is number => Number.isInteger(size) && Number(size) >= 1 && Number(size) <= 1e6
  return valid(first) && valid(second)
    ? [first, second]
    : config.invalid('downsample_channels', 'is not a list of two whole numbers of at least 1')
}

/** DeepSeek-VL2: SigLIP, squares of patches merged, and two matrices. */
function vl2Towers(m: Multimodal): NamedTower[] {
  const file = m.part('vision_config')
  const vision = file.with({ width: 1152, layers: 27, heads: 16, mlp_ratio: 3.7362, image_size: 384, patch_size: 14 })
  const hidden = vision.size('width')
  const fields = usual({
    hidden: hidden,
    width: vision.multiple('mlp_ratio', hidden),
    layers: vision.size('layers'),
    heads: vision.size('heads'),
    image_size: vision.size('image_size'),
    patch_size: vision.size('patch_size'),
    vision_use_head: true,
  })
  const encoder = encoderOf(new Config(fields, {}, {}, file.path), 'siglip_vision_model')
  const merge = (m.optional('projector_config') ?? file).with({ downsample_ratio: 2 }).size('downsample_ratio')
  return [
    tower('vision', 'vision', encoder),
    projector(
      [
        column('layers.1', m.hidden, encoder.width * merge * merge, { bias: true }),
        row('layers.3', m.hidden, m.hidden, { bias: true }),
      ],
      'projector',
    ),
    separators(m),
  ]
}

const isOcr = (config: Config): boolean => architectureOf(config).prefix === 'DeepseekOCR'

/** DeepSeek's small mixtures attend with plain heads where the latent sizes are 0. */
const ocrText: JsonObject = usual({
  vocab: 129280,
  hidden: 1280,
  width: 6848,
  moe_intermediate_size: 896,
  layers: 12,
  heads: 10,
  n_routed_experts: 64,
  n_shared_experts: 2,
  first_k_dense_replace: 1,
  num_experts_per_tok: 6,
  tie_word_embeddings: false,
})

const types: readonly MultimodalType[] = [
  {
    type: 'deepseek_vl_hybrid',
    text: { type: 'llama' },
    tiedByDefault: true,
    towers: m => {
      const encoder = encoderOf(m.part('vision_config'), 'siglip_vision_model')
      const sam = samTower(m.part('high_res_vision_config'))
      const half = Math.floor(m.hidden / 2)
      return [
        tower('vision_model', 'vision', encoder),
        tower('high_res_vision_model', 'vision', sam),
        projector(
          [
            // the class builds SAM's neck a second time
            ...sam.weights
              .filter(weight => weight.name.startsWith('neck.'))
              .map(weight => ({ ...weight, name: `high_res_vision_${weight.name}` })),
            conv('high_res_vision_proj.conv1', 2 * sam.width, 9 * sam.width, false),
            conv('high_res_vision_proj.conv2', 4 * sam.width, 18 * sam.width, false),
            vector('high_res_vision_alpha', 1),
            replicated('vision_proj', half, encoder.width, { bias: true }),
            replicated('high_res_vision_proj', half, 4 * sam.width, { bias: true }),
            replicated('proj', m.hidden, m.hidden, { bias: true }),
          ],
          'aligner',
        ),
      ]
    },
  },
  {
    type: 'unlimited_ocr',
    // the class divides the width by the heads whatever head_dim says
    text: { type: 'deepseek', own: ['unlimited_ocr_text'], defaults: ocrText, fields: () => ({ head_dim: null }) },
    towers: m => ocrTowers(m, false),
  },
  {
    type: 'DeepseekOCR',
    classes: ['DeepseekOCR'],
    text: { type: 'deepseek', own: ['deepseek_v2'], defaults: ocrText, keys: ['language_config'], flat: true },
    towers: m => ocrTowers(m, true),
    exact: false,
    verified: 'published total of DeepSeek-OCR',
  },
  {
    type: 'deepseek_vl_v2',
    classes: ['DeepseekVLV2', 'DeepseekOCR'],
    text: {
      type: 'deepseek_v2',
      keys: ['language_config', 'text_config'],
      own: ['deepseek'],
      typeOf: config => (isPlain(config.nested('language_config')) || isOcr(config) ? 'deepseek' : 'deepseek_v2'),
    },
    tie: 'nested',
    towers: m => (isOcr(m.config) ? ocrTowers(m, true) : vl2Towers(m)),
    exact: false,
  },
]

const isPlain = (text: Config | null): boolean => text?.json['use_mla'] === false || text?.json['v_head_dim'] === 0

export const deepseekVision: readonly Family[] = types.map(multimodal)
