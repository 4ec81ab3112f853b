import { indexerWeights, type LatentAttention, latentAttentionWeights, latentCache } from '../blocks/latent.ts'
import { kimiDeltaWeights } from '../blocks/recurrent.ts'
import { encoderLayer, patchConv, sides } from '../blocks/vision.ts'
import { column, conv, norm, replicated, row, vector } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { Weight } from '../shape.ts'
import { dividedHeadDim } from './decoder.ts'
import { type Family, layerCount, layerKinds, uniformStack, usual } from './family.ts'
import { sharedMixture, sparseFrom } from './glm-moe.ts'
import { densePart, type Layered, type LayeredType, layered, type Part, type Sizes, sizesOf } from './layered.ts'
import { type MultimodalType, multimodal, tower } from './multimodal.ts'
import { visualAliases } from './qwen-vl.ts'
import type { Encoder } from './towers.ts'

/** Which layers run an indexer of their own: a list, a pattern of F and S, else every n-th from an offset on. */
export function indexerOwners(config: Config, layers: number): (layer: number) => boolean {
  const listed = layerKinds(config, layers, 'indexer_types')
  if (listed) return i => listed[i] !== 'shared'
  const pattern = config.raw('index_topk_pattern')
  if (typeof pattern === 'string') return i => pattern[i] !== 'S'
  const every = config.sizeOrNull('index_topk_freq') ?? 1
  const offset = config.count('index_skip_topk_offset', 2)
  return i => Math.max(i - offset + 1, 0) % every === 0
}

/** GLM-5-Next: Kimi delta attention, latent attention without rotary part every fourth layer, hyper-connections. */
function glm5Next(config: Config): Layered {
  const nope = config.size('qk_nope_head_dim')
  const sizes: Sizes = { ...sizesOf(config), headDim: nope, valueDim: config.size('v_head_dim') }
  const { hidden, heads, layers } = sizes
  const rank = config.size('q_lora_rank')
  const attention: LatentAttention = {
    hidden,
    heads,
    queryRank: rank,
    latent: config.size('kv_lora_rank'),
    nope,
    rope: config.count('qk_rope_head_dim'),
    valueDim: config.size('v_head_dim'),
    bias: config.flag('attention_bias'),
  }
  const nested = config.nested('linear_attn_config')
  const delta = {
    hidden,
    heads: nested?.sizeOrNull('num_heads') ?? config.size('linear_num_heads'),
    headDim: nested?.sizeOrNull('head_dim') ?? config.size('linear_head_dim'),
    kernel: nested?.sizeOrNull('short_conv_kernel_size') ?? config.size('linear_conv_kernel_dim'),
  }
  const streams = config.size('hc_mult')
  const dim = config.size('index_head_dim')
  const connection = (name: string): Weight[] => [
    vector(`${name}.fn`, (2 + streams) * streams * streams * hidden),
    vector(`${name}.base`, (2 + streams) * streams),
    vector(`${name}.scale`, 3),
  ]
  const around = [norm('input_layernorm', hidden), ...connection('attn_hc'), ...connection('ffn_hc')]
  const linear: Part = {
    name: 'kda',
    weights: () => [...kimiDeltaWeights(delta), ...around],
    cache: [{ kind: 'kda', ...delta }],
  }
  const full = (own: boolean): Part => ({
    name: own ? 'mla' : 'mla shared-index',
    weights: () => [
      ...latentAttentionWeights(attention),
      ...(own
        ? [
            ...indexerWeights({ hidden, queryRank: rank, heads: config.size('index_n_heads'), dim }),
            vector('self_attn.indexer.index_kpool_compress_ape', config.size('index_kpool') * dim),
            replicated('self_attn.indexer.index_kpool_compress_gate', dim, hidden),
          ]
        : []),
      ...around,
    ],
    cache: [latentCache(attention), ...(own ? [{ kind: 'indexer' as const, dim }] : [])],
  })
  const kinds = layerKinds(config, layers)
  const isLinear = (i: number) => (kinds ? kinds[i] === 'linear_attention' : i % 4 !== 3)
  const owns = indexerOwners(config, layers)
  const sparse = sparseFrom(config, layers, 3)
  const experts = config.size('n_routed_experts')
  const moe = sharedMixture(sizes, experts, config.count('n_shared_experts'))
  const width = config.size('intermediate_size')
  const dense = densePart(sizes, width)
  return {
    sizes,
    layer: i => [isLinear(i) ? linear : full(owns(i)), sparse(i) ? moe : dense],
    intermediate: width,
    experts,
    expertsPerToken: config.sizeOrNull('num_experts_per_tok'),
  }
}

/** GLM-OCR and GLM-5-Next: norms on queries and keys, a gated merger of its own width. */
function glmOcrVisual(file: Config, mergerWidth: (config: Config, out: number) => number): Encoder {
  const config = file.with(
    {
      depth: 24,
      hidden_size: 1024,
      intermediate_size: 4096,
      attention_bias: true,
      num_heads: 16,
      in_channels: 3,
      patch_size: 14,
      spatial_merge_size: 2,
      temporal_patch_size: 2,
      out_hidden_size: 1536,
      projection_intermediate_size: 10240,
    },
    visualAliases,
  )
  const hidden = config.size('hidden_size')
  const out = config.size('out_hidden_size')
  const inner = mergerWidth(config, out)
  const merge = config.size('spatial_merge_size')
  const bias = config.flag('attention_bias')
  const headDim = dividedHeadDim(config, hidden, config.size('num_heads'), 'num_heads')
  const frames = sides(config, 'temporal_patch_size')[0]
  return {
    weights: [
      patchConv('patch_embed.proj', config, hidden, { bias: true, channels: 'in_channels', frames }),
      norm('post_layernorm', hidden),
      conv('downsample', out, hidden * merge * merge, true),
      column('merger.proj', out, out),
      norm('merger.post_projection_norm', out, true),
      column('merger.gate_proj', inner, out),
      column('merger.up_proj', inner, out),
      row('merger.down_proj', out, inner),
    ],
    stack: uniformStack(layerCount(config, 'depth'), {
      name: 'block',
      weights: [
        ...encoderLayer({
          hidden,
          width: config.size('intermediate_size'),
          fused: true,
          gated: true,
          rms: true,
          qkvBias: bias,
          outBias: bias,
          mlpBias: bias,
          norms: ['norm1', 'norm2'],
          names: { attention: 'attn', out: 'proj' },
        }),
        norm('attn.q_norm', headDim),
        norm('attn.k_norm', headDim),
      ],
      cache: [],
    }),
    heads: config.size('num_heads'),
    width: out,
  }
}

const text: LayeredType = {
  type: 'glm5_next_text',
  defaults: usual({
    vocab: 154880,
    hidden: 4096,
    width: 12288,
    moe_intermediate_size: 2048,
    layers: 45,
    heads: 64,
    kvHeads: 64,
    n_shared_experts: 1,
    n_routed_experts: 288,
    num_experts_per_tok: 8,
    kv_lora_rank: 512,
    q_lora_rank: 1536,
    v_head_dim: 256,
    qk_nope_head_dim: 256,
    context: 1048576,
    index_head_dim: 128,
    index_n_heads: 32,
    index_kpool: 16,
    linear_head_dim: 128,
    linear_num_heads: 64,
    linear_conv_kernel_dim: 4,
    hc_mult: 4,
  }),
  aliases: { n_routed_experts: ['num_local_experts'] },
  read: glm5Next,
}

const types: readonly MultimodalType[] = [
  {
    type: 'glm_ocr',
    text: {
      type: 'glm4',
      own: ['glm_ocr_text'],
      fields: () => ({ attention_bias: false }),
      defaults: usual({
        vocab: 59392,
        hidden: 1024,
        width: 4096,
        layers: 16,
        heads: 16,
        kvHeads: 8,
        context: 131072,
        head_dim: null,
      }),
    },
    tie: 'either',
    towers: m => [
      tower(
        'visual',
        'vision',
        glmOcrVisual(m.part('vision_config'), (config, out) => out * config.size('in_channels')),
      ),
    ],
  },
  {
    type: 'glm5_next',
    text: { type: 'glm5_next_text', flat: true },
    towers: m => [
      tower(
        'visual',
        'vision',
        glmOcrVisual(m.part('vision_config'), config => config.size('projection_intermediate_size')),
      ),
    ],
  },
]

export const glmNext: readonly Family[] = [layered(text), ...types.map(multimodal)]
