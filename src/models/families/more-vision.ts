import { encoderLayer, patchConv, patchPositions } from '../blocks/vision.ts'
import { conv, norm, positionEmbedding, replicated, vector } from '../blocks/weights.ts'
import { Config } from '../config.ts'
import type { Weight } from '../shape.ts'
import { type Family, layerCount, usual } from './family.ts'
import { shuffleFactor, twoLayers } from './llava.ts'
import { type Multimodal, type MultimodalType, multimodal, type NamedTower, projector, tower } from './multimodal.ts'
import { type Encoder, encoderOf, plainEncoder } from './towers.ts'

const siglipSizes = usual({
  hidden: 768,
  width: 3072,
  layers: 12,
  heads: 12,
  num_channels: 3,
  image_size: 224,
  patch_size: 16,
})

/** SigLIP's layers; positions are learned unless the class rotates them. */
function siglipLike(config: Config, more: readonly Weight[], learned = true): Encoder {
  const hidden = config.size('hidden_size')
  return plainEncoder(
    config,
    [
      patchConv('embeddings.patch_embedding', config, hidden, { bias: true }),
      ...(learned ? [patchPositions('embeddings.position_embedding', config, hidden)] : []),
      norm('post_layernorm', hidden, true),
      ...more,
    ],
    { hidden, width: config.size('intermediate_size') },
  )
}

/** MiniCPM-V 4.6 and later: windows of patches are merged inside the tower, and again before the text. */
function miniCpmTowers(m: Multimodal): NamedTower[] {
  const config = m.part('vision_config').with({ ...siglipSizes, window_kernel_size: [2, 2] })
  const hidden = config.size('hidden_size')
  const window = area(config, 'window_kernel_size')
  const inner = hidden * window
  const bias = { bias: true }
  const [q, k, v, out] = encoderLayer({ hidden, width: hidden })
  const merger: Weight[] = [
    ...[q!, k!, v!, out!].map(weight => ({ ...weight, name: `vit_merger.${weight.name}` })),
    norm('vit_merger.layer_norm1', hidden, true),
    norm('vit_merger.pre_norm', inner, true),
    replicated('vit_merger.linear_1', config.size('intermediate_size') * window, inner, bias),
    replicated('vit_merger.linear_2', hidden, config.size('intermediate_size') * window, bias),
  ]
  // the class always merges four, whatever merge_kernel_size says
  const merge = 4 * hidden
  const times = layerCount(m.config, 'merger_times')
  return [
    tower('vision_tower', 'vision', siglipLike(config, merger)),
    projector(
      Array.from({ length: times }, (_, i) => [
        norm(`mlp.${i}.pre_norm`, merge, true),
        replicated(`mlp.${i}.linear_1`, merge, merge, bias),
        replicated(`mlp.${i}.linear_2`, i === times - 1 ? m.hidden : hidden, merge, bias),
      ]).flat(),
      'merger',
    ),
  ]
}

function area(config: Config, name: string): number {
  const [height, width] = config.list(name) ?? []
  const valid = (side: unknown): side is number => Number.isInteger(side) && Number(side) >= 1 && Number(side) <= 1024
  return valid(height) && valid(width)
    ? height * width
    : config.invalid(name, 'is not a list of two whole numbers of at least 1')
}

/** InternVL's tower and projector under another class's defaults. */
function qianfanTowers(m: Multimodal): NamedTower[] {
  const vision = m.part('vision_config')
  const biased = new Config({ attention_bias: true, ...vision.json }, {}, {}, vision.path)
  const encoder = encoderOf(biased, 'qianfan_ocr_vision')
  const input = encoder.width * shuffleFactor(m) ** 2
  return [
    tower('vision_tower', 'vision', encoder),
    projector([norm('layer_norm', input, true), ...twoLayers(input, m.hidden, true)]),
  ]
}

/** Hunyuan 4 VL: positions of the largest image and a class token; a convolution merges squares of patches. */
function hunyuanTowers(m: Multimodal): NamedTower[] {
  const config = m.part('vision_config').with(
    usual({
      hidden: 1536,
      width: 6144,
      layers: 40,
      heads: 16,
      num_channels: 3,
      patch_size: 16,
      max_image_size: 2048,
      out_hidden_size: 6144,
      spatial_merge_size: 2,
    }),
  )
  const hidden = config.size('hidden_size')
  const heads = config.size('num_attention_heads')
  const headDim = Math.floor(hidden / heads)
  const inner = hidden * config.size('spatial_merge_size') ** 2
  const output = config.size('out_hidden_size')
  const side = Math.floor(config.size('max_image_size') / config.size('patch_size'))
  const encoder = plainEncoder(
    config,
    [
      patchConv('embeddings.patch_embedding', config, hidden, { bias: true }),
      positionEmbedding(side * side + 1, hidden, 'embeddings.position_embedding'),
    ],
    { hidden, width: config.size('intermediate_size'), attention: heads * headDim, names: { out: 'o_proj' } },
  )
  return [
    tower('vision_tower', 'vision', encoder),
    projector(
      [
        vector('image_newline', output),
        conv('proj_conv', inner, inner, true),
        conv('proj_out', output, inner, true),
        norm('before_rms', hidden),
      ],
      'vision_tower.patch_merger',
    ),
  ]
}

const miniCpm = (type: string, classes: readonly string[], tied: boolean): MultimodalType => ({
  type,
  classes,
  defaults: { merger_times: 1 },
  text: { type: 'qwen3_5_text' },
  tiedByDefault: tied,
  towers: miniCpmTowers,
})

const types: readonly MultimodalType[] = [
  miniCpm('minicpm_ocr', ['MiniCPMOcr'], true),
  miniCpm('minicpmv4_6', ['MiniCPMV4_6'], false),
  miniCpm('minicpmv4_7', ['MiniCPMV4_7'], false),
  {
    type: 'video_llama_3',
    text: { type: 'qwen2' },
    tie: 'either',
    towers: m => {
      const encoder = siglipLike(m.part('vision_config').with(siglipSizes), [], false)
      return [
        tower('vision_model', 'vision', encoder),
        projector(twoLayers(encoder.width, m.hidden, true), 'projector'),
      ]
    },
  },
  {
    type: 'hy_v4_vl',
    classes: ['HYV4VL'],
    text: {
      type: 'hy_v4',
      own: ['hy_v4_vl_text'],
      defaults: usual({
        hidden: 6144,
        width: 18432,
        moe_intermediate_size: 2048,
        layers: 78,
        heads: 64,
        kvHeads: 64,
        q_lora_rank: 2048,
        index_n_heads: 32,
      }),
    },
    towers: hunyuanTowers,
  },
  {
    type: 'qianfan_ocr',
    defaults: { downsample_ratio: 0.5 },
    text: { type: 'qwen3' },
    towers: qianfanTowers,
  },
]

export const moreVision: readonly Family[] = types.map(multimodal)
