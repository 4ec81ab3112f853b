import { encoderLayer, patchConv, patchPositions, sides } from '../blocks/vision.ts'
import { column, conv, norm, positionEmbedding, row } from '../blocks/weights.ts'
import type { Config, JsonObject } from '../config.ts'
import type { Weight } from '../shape.ts'
import { type Family, layerCount, uniformStack, usual } from './family.ts'
import { type MultimodalType, multimodal, type TextPart, tower } from './multimodal.ts'
import type { Encoder } from './towers.ts'

/** Names that transformers gives its own fields; these towers call them depth and num_heads. */
export const visualAliases = { depth: ['num_hidden_layers'], num_heads: ['num_attention_heads'] }

/** Patch projection over `temporal_patch_size` images. */
function patchEmbed(config: Config, hidden: number, bias: boolean): Weight {
  const frames = sides(config, 'temporal_patch_size')[0]
  return patchConv('patch_embed.proj', config, hidden, { bias, channels: 'in_channels', frames })
}

/** A square of patches becomes one token: norm and two matrices over their joint width. */
function merger(config: Config, hidden: number, out: number, normed: Weight, prefix = 'merger'): Weight[] {
  const inner = hidden * config.size('spatial_merge_size') ** 2
  return [
    { ...normed, name: `${prefix}.${normed.name}` },
    column(`${prefix}.linear_fc1`, inner, inner, { bias: true }),
    row(`${prefix}.linear_fc2`, out, inner, { bias: true }),
  ]
}

const names = { attention: 'attn', out: 'proj', mlp: 'mlp' }

function blocks(config: Config, weights: readonly Weight[], layer: Weight[], hidden: number): Encoder {
  return {
    weights,
    stack: uniformStack(layerCount(config, 'depth'), { name: 'block', weights: layer, cache: [] }),
    heads: config.sizeOrNull('num_heads'),
    width: hidden,
  }
}

/** Qwen2-VL: LayerNorms and a plain feed-forward; hidden_size is the width after the merger. */
function qwen2Visual(file: Config): Encoder {
  const config = file.with(qwen2Defaults, visualAliases)
  const width = config.size('embed_dim')
  const inner = config.multiple('mlp_ratio', width)
  const out = config.size('hidden_size')
  return blocks(
    config,
    [patchEmbed(config, width, false), ...merger(config, width, out, norm('ln_q', width, true))],
    encoderLayer({ hidden: width, width: inner, fused: true, norms: ['norm1', 'norm2'], names }),
    out,
  )
}

/** Qwen2.5-VL: RMS norms and a gated feed-forward with biases. */
export function qwen25Visual(file: Config): Encoder {
  const config = file.with(qwen25Defaults, visualAliases)
  const hidden = config.size('hidden_size')
  const out = config.size('out_hidden_size')
  return blocks(
    config,
    [patchEmbed(config, hidden, false), ...merger(config, hidden, out, norm('ln_q', hidden))],
    encoderLayer({
      hidden,
      width: config.size('intermediate_size'),
      fused: true,
      gated: true,
      rms: true,
      norms: ['norm1', 'norm2'],
      names,
    }),
    out,
  )
}

/** Qwen3-VL and 3.5: learned positions; Qwen3-VL has one more merger for each layer that feeds the text directly. */
export function qwen3Visual(file: Config, deepstack: boolean): Encoder {
  const config = file.with(qwen3Defaults, visualAliases)
  const hidden = config.size('hidden_size')
  const out = config.size('out_hidden_size')
  const inner = hidden * config.size('spatial_merge_size') ** 2
  const deep = deepstack ? (config.list('deepstack_visual_indexes') ?? []).length : 0
  return blocks(
    config,
    [
      patchEmbed(config, hidden, true),
      positionEmbedding(config.size('num_position_embeddings'), hidden, 'pos_embed'),
      ...merger(config, hidden, out, norm('norm', hidden, true)),
      ...Array.from({ length: deep }, (_, i) =>
        merger(config, hidden, out, norm('norm', inner, true), `deepstack_merger_list.${i}`),
      ).flat(),
    ],
    encoderLayer({
      hidden,
      width: config.size('intermediate_size'),
      fused: true,
      norms: ['norm1', 'norm2'],
      names,
    }),
    out,
  )
}

/** GLM-4.1V: the feed-forward is as wide as the output; a convolution and a gated block merge the patches. */
function glmVisual(file: Config): Encoder {
  const config = file.with(glmDefaults, visualAliases)
  const hidden = config.size('hidden_size')
  const out = config.size('out_hidden_size')
  const inner = config.size('intermediate_size')
  const merge = config.size('spatial_merge_size')
  return blocks(
    config,
    [
      patchPositions('embeddings.position_embedding', config, hidden),
      patchEmbed(config, hidden, true),
      norm('post_conv_layernorm', hidden),
      norm('post_layernorm', hidden),
      conv('downsample', out, hidden * merge * merge, true),
      column('merger.proj', out, out),
      norm('merger.post_projection_norm', out, true),
      column('merger.gate_proj', inner, out),
      column('merger.up_proj', inner, out),
      row('merger.down_proj', out, inner),
    ],
    encoderLayer({
      hidden,
      width: out,
      fused: true,
      gated: true,
      rms: true,
      qkvBias: config.flag('attention_bias'),
      outBias: false,
      mlpBias: false,
      norms: ['norm1', 'norm2'],
      names,
    }),
    out,
  )
}

const qwen2Defaults = {
  depth: 32,
  embed_dim: 1280,
  hidden_size: 3584,
  mlp_ratio: 4,
  num_heads: 16,
  in_channels: 3,
  patch_size: 14,
  spatial_merge_size: 2,
  temporal_patch_size: 2,
}

const qwen25Defaults = {
  depth: 32,
  hidden_size: 3584,
  intermediate_size: 3420,
  num_heads: 16,
  in_channels: 3,
  patch_size: 14,
  spatial_merge_size: 2,
  temporal_patch_size: 2,
  out_hidden_size: 3584,
}

const qwen3Defaults = {
  depth: 27,
  hidden_size: 1152,
  intermediate_size: 4304,
  num_heads: 16,
  in_channels: 3,
  patch_size: 16,
  spatial_merge_size: 2,
  temporal_patch_size: 2,
  out_hidden_size: 3584,
  num_position_embeddings: 2304,
  deepstack_visual_indexes: [8, 16, 24],
}

const glmDefaults = {
  depth: 24,
  hidden_size: 1536,
  intermediate_size: 13696,
  attention_bias: false,
  num_heads: 12,
  in_channels: 3,
  image_size: 336,
  patch_size: 14,
  spatial_merge_size: 2,
  temporal_patch_size: 2,
  out_hidden_size: 4096,
}

/** Qwen2-VL's text class has the sizes of the 72B model; older files carry its fields at the top level. */
const qwen2Text = (own: string): TextPart => ({
  type: 'qwen2',
  own: [own],
  flat: true,
  defaults: usual({
    vocab: 152064,
    hidden: 8192,
    width: 29568,
    layers: 80,
    heads: 64,
    kvHeads: 8,
    context: 32768,
    use_sliding_window: false,
  }),
})

const glm4vText: TextPart = {
  type: 'glm4',
  own: ['glm4v_text'],
  // biases on q, k and v whatever the file says
  fields: () => ({ attention_bias: true }),
  // head size from the width
  defaults: usual({
    vocab: 151552,
    hidden: 4096,
    width: 13696,
    layers: 40,
    heads: 32,
    kvHeads: 2,
    context: 32768,
    head_dim: null,
  }),
}

const visual =
  (read: (config: Config) => Encoder): MultimodalType['towers'] =>
  m => [tower('visual', 'vision', read(m.part('vision_config')))]

const qwen3VlText: JsonObject = { max_position_embeddings: 128000 }

const types: readonly MultimodalType[] = [
  { type: 'qwen2_vl', text: qwen2Text('qwen2_vl_text'), tie: 'either', towers: visual(qwen2Visual) },
  { type: 'qwen2_5_vl', text: qwen2Text('qwen2_5_vl_text'), tie: 'either', towers: visual(qwen25Visual) },
  {
    type: 'qwen3_vl',
    text: { type: 'qwen3', own: ['qwen3_vl_text'], defaults: qwen3VlText },
    towers: visual(config => qwen3Visual(config, true)),
  },
  {
    type: 'cosmos3_omni',
    text: { type: 'qwen3', own: ['qwen3_vl_text'], defaults: qwen3VlText },
    towers: visual(config => qwen3Visual(config, true)),
  },
  {
    type: 'qwen3_vl_moe',
    text: { type: 'qwen3_vl_moe_text' },
    towers: visual(config => qwen3Visual(config, true)),
  },
  {
    type: 'qwen3_5',
    text: { type: 'qwen3_5_text' },
    towers: visual(config => qwen3Visual(config, false)),
  },
  {
    type: 'qwen3_5_moe',
    text: { type: 'qwen3_5_moe_text' },
    towers: visual(config => qwen3Visual(config, false)),
  },
  { type: 'glm4v', text: glm4vText, tie: 'either', towers: visual(glmVisual) },
  { type: 'glmga', classes: ['Glm46V'], text: glm4vText, towers: visual(glmVisual) },
  { type: 'glm46v', text: glm4vText, towers: visual(glmVisual) },
  { type: 'glm4v_moe', text: { type: 'glm4v_moe_text' }, tie: 'either', towers: visual(glmVisual) },
]

export const qwenVl: readonly Family[] = types.map(multimodal)
