import { attentionWeights, queryKeyNorms } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { latentAttentionWeights, latentCache } from '../blocks/latent.ts'
import { mixtureWeights, sharedExpert } from '../blocks/mixture.ts'
import {
  type GatedDelta,
  gatedDeltaCache,
  gatedDeltaWeights,
  kimiDeltaWeights,
  lightningWeights,
} from '../blocks/recurrent.ts'
import { norm, replicated } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import { latentSizes } from './deepseek.ts'
import { type Family, layerKinds, usual } from './family.ts'
import { sharedMixture, sparseFrom } from './glm-moe.ts'
import {
  attentionPart,
  densePart,
  feedPart,
  type Layered,
  type LayeredType,
  layered,
  type Part,
  type Sizes,
  sizesOf,
} from './layered.ts'

/** MiniMax-01: lightning attention but for the full layers, routed experts everywhere. */
function minimax(config: Config): Layered {
  const d = sizesOf(config)
  const kinds = layerKinds(config, d.layers)
  const listed = config.list('attn_type_list')
  const isFull = (i: number) => (kinds ? kinds[i] === 'full_attention' : listed ? listed[i] === 1 : (i + 1) % 2 === 1)
  const experts = config.size('num_local_experts')
  const perToken = config.sizeOrNull('num_experts_per_tok')
  const width = config.size('intermediate_size')
  const full = attentionPart(d, null, () => attentionWeights(d))
  const linear: Part = {
    name: 'lightning',
    weights: () => [...lightningWeights(d), norm('input_layernorm', d.hidden)],
    cache: [{ kind: 'lightning', heads: d.heads, headDim: d.headDim }],
  }
  const moe = feedPart('moe', d, () =>
    mixtureWeights({
      hidden: d.hidden,
      width,
      experts,
      perToken,
      prefix: 'block_sparse_moe',
      routerFloat32: true,
      names: ['w1', 'w3', 'w2'],
    }),
  )
  return {
    sizes: d,
    layer: i => [isFull(i) ? full : linear, moe],
    intermediate: width,
    experts,
    expertsPerToken: perToken,
  }
}

/** Kimi Linear: Kimi delta attention and latent attention without rotary embedding; layers are numbered from 1. */
function kimiLinear(file: Config): Layered {
  const linear = file.nested('linear_attn_config')
  const own = (name: string, other: string) => linear?.sizeOrNull(name) ?? file.size(other)
  const { sizes: d, attention } = latentSizes(file)
  const heads = own('num_heads', 'linear_num_heads')
  const headDim = own('head_dim', 'linear_head_dim')
  const kernel = own('short_conv_kernel_size', 'linear_conv_kernel_dim')
  const kinds = layerKinds(file, d.layers)
  const listed = linear?.list('full_attn_layers') ?? null
  const isFull = (i: number) =>
    kinds ? kinds[i] === 'full_attention' : listed ? listed.includes(i + 1) : i > 0 && i % 4 === 0
  const sparse = sparseFrom(file, d.layers, file.count('first_k_dense_replace', 1))
  const experts = file.size('num_local_experts')
  const full: Part = {
    name: 'mla',
    weights: () => [...latentAttentionWeights(attention), norm('input_layernorm', d.hidden)],
    cache: [latentCache(attention)],
  }
  const delta: Part = {
    name: 'kda',
    weights: () => [
      ...kimiDeltaWeights({ hidden: d.hidden, heads, headDim, kernel }),
      norm('input_layernorm', d.hidden),
    ],
    cache: [{ kind: 'kda', heads, headDim, kernel }],
  }
  const latent = file.sizeOrNull('routed_expert_hidden_size')
  const shared = file.count('n_shared_experts')
  const moe = latent === null ? sharedMixture(d, experts, shared) : latentMixturePart(d, experts, shared, latent)
  const width = file.size('intermediate_size')
  const dense = densePart(d, width)
  return {
    sizes: d,
    layer: i => [isFull(i) ? full : delta, sparse(i) ? moe : dense],
    exact: latent === null,
    notes:
      latent === null ? [] : ['routed_expert_hidden_size: experts at that width with a projection in and out assumed'],
    // the class never ties
    tied: false,
    intermediate: width,
    experts,
    expertsPerToken: file.sizeOrNull('num_experts_per_tok'),
  }
}

/** Kimi-K3: routed experts work at a width of their own, between a projection down and one up. */
function latentMixturePart(d: Sizes, experts: number, shared: number, latent: number): Part {
  const width = d.config.size('moe_intermediate_size')
  const perToken = d.config.sizeOrNull('num_experts_per_tok')
  return feedPart('moe', d, () => [
    ...mixtureWeights({ hidden: d.hidden, width, experts, perToken, expertHidden: latent }),
    replicated('mlp.latent_down', latent, d.hidden),
    replicated('mlp.latent_up', d.hidden, latent),
    ...(shared > 0 ? sharedExpert(d.hidden, width * shared) : []),
  ])
}

/** OLMo hybrid: gated delta nets with all projections apart; norms after attention, before the delta net. */
function olmoHybrid(config: Config): Layered {
  const d = sizesOf(config)
  const keyHeads = config.sizeOrNull('linear_num_key_heads') ?? d.heads
  const keyDim = config.sizeOrNull('linear_key_head_dim') ?? Math.max(Math.floor((0.75 * d.hidden) / keyHeads), 1)
  const g: GatedDelta = {
    hidden: d.hidden,
    keyHeads,
    valueHeads: config.sizeOrNull('linear_num_value_heads') ?? d.heads,
    keyDim,
    valueDim: config.sizeOrNull('linear_value_head_dim') ?? 2 * keyDim,
    kernel: config.size('linear_conv_kernel_dim'),
  }
  const kinds = layerKinds(config, d.layers)
  const isFull = (i: number) =>
    kinds ? kinds[i] === 'full_attention' : i % 4 === 3 || (d.layers < 4 && i === d.layers - 1)
  const bias = config.flag('attention_bias')
  const full = attentionPart(d, null, () => [
    ...attentionWeights({ ...d, qkvBias: bias, outBias: bias }),
    ...queryKeyNorms(d, 'wide'),
  ])
  const linear: Part = {
    name: 'linear',
    weights: () => [...gatedDeltaWeights(g, 'separate'), norm('input_layernorm', d.hidden)],
    cache: [gatedDeltaCache(g)],
  }
  const width = config.size('intermediate_size')
  const feed = feedPart('dense', d, () => gatedFeedForward(d.hidden, width))
  return { sizes: d, layer: i => [isFull(i) ? full : linear, feed], intermediate: width }
}

const types: readonly LayeredType[] = [
  {
    type: 'minimax',
    also: ['minimax_text_01', 'MiniMaxText01', 'minimax_m1', 'MiniMaxM1'],
    defaults: usual({
      vocab: 32000,
      hidden: 4096,
      width: 14336,
      layers: 32,
      heads: 32,
      kvHeads: 8,
      context: 131072,
      num_experts_per_tok: 2,
      num_local_experts: 8,
    }),
    aliases: { num_local_experts: ['num_experts'] },
    read: minimax,
  },
  {
    type: 'kimi_linear',
    defaults: usual({
      vocab: 163840,
      hidden: 2304,
      width: 9216,
      moe_intermediate_size: 1024,
      layers: 27,
      heads: 32,
      kvHeads: 32,
      n_shared_experts: 1,
      kv_lora_rank: 512,
      q_lora_rank: null,
      qk_rope_head_dim: 64,
      v_head_dim: 128,
      qk_nope_head_dim: 128,
      num_local_experts: 256,
      num_experts_per_tok: 8,
      context: 1048576,
      linear_head_dim: 128,
      linear_num_heads: 32,
      linear_conv_kernel_dim: 4,
    }),
    aliases: {
      num_local_experts: ['num_experts'],
      n_shared_experts: ['num_shared_experts'],
      num_experts_per_tok: ['num_experts_per_token'],
      max_position_embeddings: ['model_max_length'],
    },
    read: kimiLinear,
  },
  {
    type: 'olmo_hybrid',
    defaults: usual({
      vocab: 100352,
      hidden: 3840,
      width: 11008,
      layers: 32,
      heads: 30,
      context: 65536,
      linear_conv_kernel_dim: 4,
    }),
    read: olmoHybrid,
  },
]

export const linearHybrid: readonly Family[] = types.map(layered)
