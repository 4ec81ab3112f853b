import { attentionWeights, queryKeyNorms } from '../blocks/attention.ts'
import { mixtureWeights, sharedExpert } from '../blocks/mixture.ts'
import { norm } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import { type Family, usual } from './family.ts'
import { sharedMixture, sparseFrom } from './glm-moe.ts'
import { attentionPart, densePart, feedPart, type Layered, type LayeredType, layered, sizesOf } from './layered.ts'

/** Keys and habits of mixtures that differ little from GLM-4.5's. */
interface Variant {
  readonly experts: string
  readonly shared: string
  readonly queryKeyNorms: boolean
  readonly outBias: boolean
  /** First mixture layer. */
  readonly first: (config: Config) => number
  readonly mlpBias?: boolean
}

function openMixture(config: Config, v: Variant): Layered {
  const d = sizesOf(config)
  const qkvBias = config.flag('attention_bias')
  const experts = config.size(v.experts)
  const bias = v.mlpBias === true && config.flag('mlp_bias')
  const sparse = sparseFrom(config, d.layers, v.first(config))
  const full = attentionPart(d, null, () => [
    ...attentionWeights({ ...d, qkvBias, outBias: v.outBias && qkvBias }),
    ...(v.queryKeyNorms ? queryKeyNorms(d, 'head') : []),
  ])
  const moe = sharedMixture(d, experts, config.count(v.shared), { bias })
  const width = config.sizeOrNull('intermediate_size')
  const dense = densePart(d, width ?? 1, bias)
  return {
    sizes: d,
    layer: i => [full, sparse(i) ? moe : dense],
    intermediate: width,
    // with no shared expert the class of Hunyuan 3 builds one as wide as a dense layer
    exact: v.shared !== 'num_shared_experts' || config.count(v.shared) > 0,
    experts,
    expertsPerToken: config.sizeOrNull('num_experts_per_tok'),
  }
}

/** Aria's text model: routed and shared experts of intermediate_size on every layer. */
function ariaText(config: Config): Layered {
  const d = sizesOf(config)
  const bias = config.flag('attention_bias')
  const width = config.size('intermediate_size')
  const experts = config.size('moe_num_experts')
  const perToken = config.sizeOrNull('moe_topk')
  const shared = config.size('moe_num_shared_experts')
  const full = attentionPart(d, null, () => attentionWeights({ ...d, qkvBias: bias, outBias: bias }))
  const moe = feedPart('moe', d, () => [
    ...mixtureWeights({ hidden: d.hidden, width, experts, perToken, router: 'mlp.router' }),
    ...sharedExpert(d.hidden, width * shared, { bias: config.flag('mlp_bias') }),
  ])
  return { sizes: d, layer: () => [full, moe], intermediate: width, experts, expertsPerToken: perToken }
}

/** Snowflake Arctic: beside the experts every mixture layer has a dense feed-forward as wide as the hidden size. */
function arctic(config: Config): Layered {
  const d = sizesOf(config)
  const width = config.size('intermediate_size')
  const experts = config.size('num_local_experts')
  const perToken = config.sizeOrNull('num_experts_per_tok')
  const every = config.size('moe_layer_frequency')
  const residual = config.flag('parallel_attn_mlp_res')
  const full = attentionPart(d, null, () => attentionWeights(d))
  const moe = feedPart('moe', d, () => [
    ...mixtureWeights({
      hidden: d.hidden,
      width,
      experts,
      perToken,
      prefix: 'block_sparse_moe',
      names: ['w1', 'w3', 'w2'],
    }),
    ...(residual
      ? [...sharedExpert(d.hidden, d.hidden, { prefix: 'residual_mlp' }), norm('residual_layernorm', d.hidden)]
      : []),
  ])
  const dense = densePart(d, width)
  return {
    sizes: d,
    layer: i => [full, (i + 1) % every === 0 ? moe : dense],
    intermediate: width,
    experts,
    expertsPerToken: perToken,
    exact: false,
  }
}

/** Grok-1: four norms a layer. */
function grok(config: Config): Layered {
  const d = sizesOf(config)
  const width = config.size('intermediate_size')
  const experts = config.size('num_experts')
  const perToken = config.sizeOrNull('num_experts_per_tok')
  const full = attentionPart(d, null, () => [...attentionWeights(d), norm('post_attn_norm', d.hidden)])
  const moe = feedPart('moe', d, () => [
    ...mixtureWeights({ hidden: d.hidden, width, experts, perToken, prefix: 'moe_block' }),
    norm('post_moe_norm', d.hidden),
  ])
  return {
    sizes: d,
    layer: () => [full, moe],
    intermediate: width,
    experts,
    expertsPerToken: perToken,
    exact: false,
  }
}

const types: readonly LayeredType[] = [
  {
    type: 'solar_open',
    defaults: usual({
      vocab: 196608,
      hidden: 4096,
      layers: 48,
      heads: 64,
      kvHeads: 8,
      head_dim: 128,
      context: 131072,
      moe_intermediate_size: 1280,
      num_experts_per_tok: 8,
      n_shared_experts: 1,
      n_routed_experts: 128,
    }),
    aliases: { n_routed_experts: ['num_local_experts'] },
    read: config =>
      openMixture(config, {
        experts: 'n_routed_experts',
        shared: 'n_shared_experts',
        queryKeyNorms: false,
        outBias: false,
        first: () => 0,
      }),
  },
  {
    type: 'sarvam_moe',
    classes: ['Glm4Moe'],
    defaults: usual({
      vocab: 262144,
      hidden: 4096,
      width: 8192,
      layers: 19,
      heads: 64,
      kvHeads: 4,
      head_dim: 64,
      context: 131072,
      moe_intermediate_size: 1024,
      num_experts_per_tok: 6,
      n_shared_experts: 1,
      n_routed_experts: 128,
      first_k_dense_replace: 1,
      use_qk_norm: true,
    }),
    aliases: {
      n_routed_experts: ['num_local_experts', 'num_experts'],
      n_shared_experts: ['num_shared_experts'],
      attention_bias: ['use_qkv_bias'],
    },
    read: config =>
      openMixture(config, {
        experts: 'n_routed_experts',
        shared: 'n_shared_experts',
        queryKeyNorms: config.flag('use_qk_norm'),
        outBias: false,
        first: c => c.count('first_k_dense_replace'),
      }),
  },
  {
    type: 'hy_v3',
    defaults: usual({
      vocab: 120832,
      hidden: 4096,
      width: 13312,
      layers: 80,
      heads: 64,
      kvHeads: 8,
      head_dim: 128,
      context: 131072,
      num_experts: 192,
      num_experts_per_tok: 8,
      num_shared_experts: 1,
      moe_intermediate_size: 1536,
    }),
    aliases: { num_experts: ['num_local_experts'] },
    read: config =>
      openMixture(config, {
        experts: 'num_experts',
        shared: 'num_shared_experts',
        queryKeyNorms: true,
        outBias: true,
        first: () => 1,
        mlpBias: true,
      }),
  },
  {
    type: 'aria_text',
    defaults: usual({
      vocab: 32000,
      hidden: 4096,
      width: 4096,
      layers: 32,
      heads: 32,
      context: 2048,
      moe_num_experts: 8,
      moe_topk: 2,
      moe_num_shared_experts: 2,
    }),
    read: ariaText,
  },
  {
    type: 'arctic',
    verified: 'by rule; agrees with the published 480 billion',
    defaults: usual({
      vocab: 32000,
      hidden: 7168,
      width: 4864,
      layers: 35,
      heads: 56,
      kvHeads: 8,
      context: 4096,
      num_local_experts: 128,
      num_experts_per_tok: 2,
      moe_layer_frequency: 1,
      parallel_attn_mlp_res: true,
    }),
    read: arctic,
  },
  {
    type: 'grok-1',
    classes: ['Grok1'],
    verified: 'by rule; agrees with the published 314 billion',
    defaults: usual({
      vocab: 131072,
      hidden: 6144,
      width: 32768,
      layers: 64,
      heads: 48,
      kvHeads: 8,
      context: 8192,
      num_experts: 8,
      num_experts_per_tok: 2,
      tie_word_embeddings: true,
    }),
    read: grok,
  },
]

export const openMoe: readonly Family[] = types.map(layered)
