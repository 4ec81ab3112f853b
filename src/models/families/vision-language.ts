import { encoderLayer, patchConv, patchCount, patchPositions } from '../blocks/vision.ts'
import { column, conv, norm, outputHead, positionEmbedding, replicated, row, vector } from '../blocks/weights.ts'
import { Config } from '../config.ts'
import type { ModelShape } from '../shape.ts'
import { architectureOf } from './architecture.ts'
import { encoderStack, type Family, layerCount, uniformStack, usual } from './family.ts'
import { type Multimodal, type MultimodalType, multimodal, type NamedTower, projector, tower } from './multimodal.ts'
import { aimv2, type Encoder, plainEncoder } from './towers.ts'

/** Width of all heads where the class rounds the head size down. */
const wholeHeads = (hidden: number, heads: number): number => heads * Math.floor(hidden / heads)

/** Llama 4: tower, an adapter of two matrices behind the pixel shuffle, one matrix to the text's width. */
function llama4Towers(m: Multimodal): NamedTower[] {
  const config = m.part('vision_config').with(
    usual({
      hidden: 768,
      width: 5632,
      layers: 34,
      heads: 16,
      num_channels: 3,
      image_size: 448,
      patch_size: 14,
      vision_output_dim: 7680,
      projector_input_dim: 4096,
      projector_output_dim: 4096,
    }),
  )
  const hidden = config.size('hidden_size')
  const width = config.size('intermediate_size')
  const patch = patchConv('patch_embedding.linear', config, hidden, { bias: false })
  const adapted = config.size('projector_output_dim')
  const encoder = plainEncoder(
    config,
    [
      vector('class_embedding', hidden),
      patchPositions('positional_embedding_vlm', config, hidden, 1),
      replicated(patch.name, patch.out, patch.in),
      norm('layernorm_pre', hidden, true),
      norm('layernorm_post', hidden, true),
      column('vision_adapter.mlp.fc1', config.size('projector_input_dim'), width),
      row('vision_adapter.mlp.fc2', adapted, adapted),
    ],
    {
      hidden,
      width,
      attention: wholeHeads(hidden, config.size('num_attention_heads')),
      norms: ['input_layernorm', 'post_attention_layernorm'],
      names: { out: 'o_proj' },
    },
  )
  const input = config.size('vision_output_dim')
  return [tower('vision_model', 'vision', encoder), projector([column('linear_1', m.hidden, input)])]
}

/** Names that Kimi's own files use for the sizes of MoonViT. */
const kimiAliases = {
  hidden_size: ['vt_hidden_size'],
  intermediate_size: ['vt_intermediate_size'],
  num_hidden_layers: ['vt_num_hidden_layers'],
  num_attention_heads: ['vt_num_attention_heads'],
  pos_emb_height: ['init_pos_emb_height'],
  pos_emb_width: ['init_pos_emb_width'],
}

/**
 * MoonViT of Kimi-K2.5: a learned grid of positions; patches of a square become one token. K3 drops the biases, norms by
 * root mean square and widens attention.
 */
export function kimiTowers(m: Multimodal): NamedTower[] {
  const config = m.part('vision_config').with(
    usual({
      hidden: 1152,
      width: 4304,
      layers: 27,
      heads: 16,
      num_channels: 3,
      patch_size: 14,
      pos_emb_height: 64,
      pos_emb_width: 64,
      merge_kernel_size: [2, 2],
    }),
    kimiAliases,
  )
  const hidden = config.size('hidden_size')
  const bias = config.flag('linear_bias', true)
  const attentionBias = config.flag('attn_bias', true)
  const rms = config.text('norm_type') === 'rmsnorm'
  const encoder = plainEncoder(
    config,
    [
      patchConv('patch_embed.proj', config, hidden, { bias: config.flag('patch_embed_proj_bias', true) }),
      positionEmbedding(config.size('pos_emb_height') * config.size('pos_emb_width'), hidden, 'patch_embed.pos_emb'),
      norm('final_layernorm', hidden, !rms),
    ],
    {
      hidden,
      width: config.size('intermediate_size'),
      attention: config.sizeOrNull('qkv_hidden_size') ?? hidden,
      qkvBias: attentionBias,
      outBias: attentionBias,
      mlpBias: bias,
      rms,
      norms: ['norm1', 'norm2'],
      names: { attention: 'attn', out: 'proj' },
    },
  )
  const [height, width] = kernel(config)
  const inner = hidden * height * width
  return [
    tower('vision_tower', 'vision', encoder),
    projector(
      [
        norm('pre_norm', m.config.sizeOrNull('projection_hidden_size') ?? hidden, !rms),
        replicated('in_proj', inner, inner, { bias }),
        replicated('out_proj', m.hidden, inner, { bias }),
      ],
      'mm_projector',
    ),
  ]
}

function kernel(config: Config): readonly [number, number] {
  const list = config.list('merge_kernel_size') ?? []
  const [height, width] = list
  const valid = (side: unknown): side is number => Number.isInteger(side) && Number(side) >= 1 && Number(side) <= 1024
  return valid(height) && valid(width)
    ? [height, width]
    : config.invalid('merge_kernel_size', 'is not a list of two whole numbers')
}

/** MiniMax-M3: CLIP's layers over patches of several images; a second pair of matrices merges squares of tokens. */
function minimaxTowers(m: Multimodal): NamedTower[] {
  const config = m.part('vision_config').with(
    usual({
      hidden: 1280,
      width: 5120,
      layers: 32,
      heads: 16,
      num_channels: 3,
      patch_size: 14,
      temporal_patch_size: 2,
      spatial_merge_size: 2,
    }),
  )
  const hidden = config.size('hidden_size')
  const encoder = plainEncoder(
    config,
    [
      patchConv('embeddings.proj', config, hidden, { bias: false, frames: config.size('temporal_patch_size') }),
      norm('pre_layrnorm', hidden, true),
    ],
    { hidden, width: config.size('intermediate_size') },
  )
  const inner = m.config.size('projector_hidden_size')
  const bias = { bias: true }
  return [
    tower('vision_tower', 'vision', encoder),
    projector([
      column('linear_1', inner, hidden, bias),
      row('linear_2', m.hidden, inner, bias),
      column('merge_linear_1', inner, m.hidden * config.size('spatial_merge_size') ** 2, bias),
      row('merge_linear_2', m.hidden, inner, bias),
    ]),
  ]
}

/** Step 3.5's tower: layer scales, then two convolutions that each halve the sides and double the width. */
function stepTowers(m: Multimodal): NamedTower[] {
  const config = m.part('vision_config').with(
    usual({
      hidden: 1536,
      layers: 47,
      heads: 16,
      num_channels: 3,
      image_size: 728,
      patch_size: 14,
      mlp_ratio: 8960 / 1536,
    }),
    { hidden_size: ['width'], num_hidden_layers: ['layers'], num_attention_heads: ['heads'] },
  )
  const hidden = config.size('hidden_size')
  const width = config.multiple('mlp_ratio', hidden)
  const encoder = plainEncoder(
    config,
    [
      patchConv('embeddings.patch_embedding', config, hidden, { bias: false }),
      patchPositions('embeddings.position_embedding', config, hidden),
      norm('pre_layernorm', hidden, true),
      conv('downsampler1', 2 * hidden, 9 * hidden, true),
      conv('downsampler2', 4 * hidden, 18 * hidden, true),
    ],
    {
      hidden,
      width,
      norms: ['layernorm_before', 'layernorm_after'],
      more: [vector('lambda_1', hidden), vector('lambda_2', hidden)],
    },
  )
  const bias = m.config.flag('projector_bias')
  return [
    tower('vision_model', 'vision', encoder),
    projector([replicated('multi_modal_projector', m.hidden, 4 * hidden, { bias })], 'model'),
  ]
}

/** Ovis 2: AIMv2 ends in a softmax over visual tokens, which an embedding table turns into text vectors. */
function ovisTowers(m: Multimodal): NamedTower[] {
  const config = m.part('vision_config').with(
    usual({
      hidden: 1024,
      width: 2816,
      layers: 24,
      heads: 8,
      num_channels: 3,
      image_size: 224,
      patch_size: 14,
      vocab: 16384,
      hidden_stride: 1,
      num_visual_indicator_tokens: 5,
    }),
  )
  const encoder = aimv2(config)
  const vocabulary = config.size('vocab_size')
  const tokens = vocabulary - config.count('num_visual_indicator_tokens')
  if (tokens < 1) return config.invalid('num_visual_indicator_tokens', `leaves no token of ${vocabulary}`)
  const stride = config.size('hidden_stride')
  const head = [replicated('head_linear', tokens, encoder.width * stride * stride), norm('head_norm', tokens, true)]
  return [
    tower('vision_tower', 'vision', { ...encoder, weights: [...encoder.weights, ...head] }),
    projector([positionEmbedding(vocabulary, m.config.size('hidden_size'), 'visual_embeddings_table')], 'model'),
  ]
}

/** Without tying, Ovis 2 sizes its head by its own top-level fields instead of the text's. */
function ovisHead(shape: ModelShape, config: Config): ModelShape {
  if (shape.tied) return shape
  const head = outputHead(config.size('vocab_size'), config.size('hidden_size'))
  return { ...shape, final: shape.final.map(weight => (weight.name === 'lm_head' ? head : weight)) }
}

/** Llama 3.2 Vision: a local and a gated global encoder, positions by tile and aspect ratio. */
function mllamaTowers(m: Multimodal): NamedTower[] {
  const config = mllamaVision(m.part('vision_config'))
  const hidden = config.size('hidden_size')
  const width = config.size('intermediate_size')
  const positions = patchCount(config) + 1
  const tiles = config.size('max_num_tiles')
  // the aspect ratios of one to four tiles, and one entry for padding
  const ratios = (config.list('supported_aspect_ratios')?.length ?? 8) + 1
  const layer = encoderLayer({
    hidden,
    width,
    attention: wholeHeads(hidden, config.size('attention_heads')),
    qkvBias: false,
    outBias: false,
    norms: ['input_layernorm', 'post_attention_layernorm'],
    names: { out: 'o_proj' },
  })
  const tileEmbedding = (name: string) => [
    vector(`${name}.gate`, 1),
    positionEmbedding(ratios, tiles * hidden, `${name}.embedding`),
  ]
  const local: Encoder = {
    weights: [
      vector('class_embedding', hidden),
      patchConv('patch_embedding', config, hidden, { bias: false }),
      vector('gated_positional_embedding.gate', 1),
      positionEmbedding(positions, hidden, 'gated_positional_embedding.embedding'),
      positionEmbedding(ratios, tiles * positions * hidden, 'gated_positional_embedding.tile_embedding'),
      ...tileEmbedding('pre_tile_positional_embedding'),
      ...tileEmbedding('post_tile_positional_embedding'),
      norm('layernorm_pre', hidden, true),
      norm('layernorm_post', hidden, true),
    ],
    stack: encoderStack(config, layer),
    heads: config.size('attention_heads'),
    width: hidden,
  }
  const global: Encoder = {
    ...local,
    weights: [],
    stack: uniformStack(layerCount(config, 'num_global_layers'), {
      name: 'global encoder',
      weights: [...layer, vector('gate_attn', 1), vector('gate_ffn', 1)],
      cache: [],
    }),
  }
  const output = config.size('vision_output_dim')
  return [
    tower('vision_model', 'vision', local),
    tower('vision_model.global_transformer', 'vision', global),
    projector([column('multi_modal_projector', m.hidden, output, { bias: true })], 'model'),
  ]
}

const mllamaVision = (config: Config): Config =>
  config.with(
    usual({
      hidden: 1280,
      width: 5120,
      layers: 32,
      num_global_layers: 8,
      attention_heads: 16,
      num_channels: 3,
      image_size: 448,
      patch_size: 14,
      max_num_tiles: 4,
      vision_output_dim: 7680,
    }),
    { attention_heads: ['num_attention_heads'] },
  )

const types: readonly MultimodalType[] = [
  { type: 'llama4', text: { type: 'llama4_text' }, tie: 'nested', towers: llama4Towers },
  {
    type: 'kimi_k25',
    defaults: { projection_hidden_size: 1152 },
    text: { type: 'deepseek_v3', own: ['kimi_k2'] },
    tiedByDefault: true,
    towers: kimiTowers,
  },
  {
    type: 'kimi_k3',
    text: { type: 'kimi_linear' },
    towers: kimiTowers,
    exact: false,
  },
  {
    type: 'minimax_m3_vl',
    classes: ['MiniMaxM3Sparse'],
    defaults: { projector_hidden_size: 6144 },
    text: { type: 'minimax_m3_vl_text' },
    tie: 'either',
    towers: minimaxTowers,
  },
  {
    type: 'step3p7',
    defaults: { projector_bias: false },
    text: { type: 'step3p5', own: [] },
    towers: stepTowers,
  },
  {
    type: 'ovis2',
    defaults: { vocab_size: 151643, hidden_size: 1536 },
    text: { type: 'qwen2' },
    tiedByDefault: true,
    towers: ovisTowers,
    finish: ovisHead,
  },
  {
    type: 'mllama',
    text: { type: 'mllama_text_model', own: [], fields: config => ({ cross_attention_tokens: imageTokens(config) }) },
    tie: 'never',
    towers: mllamaTowers,
    // the language model alone, with its layers that attend to images
    finish: (shape, config) =>
      architectureOf(config).ending === 'ForCausalLM' ? { ...shape, towers: [], count: 'derived' } : shape,
  },
]

/** Tokens that one image of all tiles gives the cross-attention layers. */
function imageTokens(config: Config): number {
  const vision = mllamaVision(config.nested('vision_config') ?? new Config({}))
  return vision.size('max_num_tiles') * (patchCount(vision) + 1)
}

export const visionLanguage: readonly Family[] = types.map(multimodal)
