import { indexerWeights, type LatentAttention, latentAttentionWeights, latentCache } from '../blocks/latent.ts'
import { sharedExpert } from '../blocks/mixture.ts'
import { kimiDeltaWeights } from '../blocks/recurrent.ts'
import { column, norm, replicated, vector } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { Weight } from '../shape.ts'
import { latentSizes } from './deepseek.ts'
import { type Family, layerKinds, usual } from './family.ts'
import { sharedMixture, sparseFrom } from './glm-moe.ts'
import { densePart, type Layered, type LayeredType, layered, type Part } from './layered.ts'

/** Youtu: latent attention with a dense feed-forward on every layer. */
function youtu(config: Config): Layered {
  const { sizes, attention } = latentSizes(config)
  const width = config.size('intermediate_size')
  const mixer: Part = {
    name: 'mla',
    weights: () => [...latentAttentionWeights(attention), norm('input_layernorm', sizes.hidden)],
    cache: [latentCache(attention)],
  }
  return { sizes, layer: () => [mixer, densePart(sizes, width)], intermediate: width }
}

/** A.X-K2: query and output gate in one projection from both query bottlenecks, an indexer, low-rank gates on norms. */
function axk2(config: Config): Layered {
  const { sizes, attention } = latentSizes(config)
  const { hidden, heads } = sizes
  const rank = config.size('q_lora_rank')
  const gateRank = config.size('gated_norm_rank')
  const dim = config.size('index_head_dim')
  const every = config.sizeOrNull('moe_layer_freq') ?? 1
  const from = sparseFrom(config, sizes.layers, config.count('first_k_dense_replace', 1))
  const sparse = (i: number) => from(i) && (config.has('mlp_layer_types') || i % every === 0)
  const gate = (name: string): Weight[] => [
    replicated(`${name}.mlp.fc1`, gateRank, hidden),
    replicated(`${name}.mlp.fc2`, hidden, gateRank),
  ]
  const mixer: Part = {
    name: 'mla',
    weights: () => [
      ...latentAttentionWeights(attention).filter(w => w.name !== 'self_attn.q_b_proj'),
      column('self_attn.q_gate_proj', heads * (attention.nope + attention.rope + attention.valueDim), 2 * rank),
      ...indexerWeights({ hidden, queryRank: rank, heads: config.size('index_n_heads'), dim }),
      norm('input_layernorm.norm', hidden),
      ...gate('input_layernorm'),
    ],
    cache: [latentCache(attention), { kind: 'indexer', dim }],
  }
  const experts = config.size('n_routed_experts')
  const mixture = sharedMixture(sizes, experts, config.count('n_shared_experts'))
  const moe: Part = { ...mixture, weights: () => [...mixture.weights(), ...gate('post_attention_layernorm')] }
  const width = config.size('intermediate_size')
  const dense = densePart(sizes, width)
  return {
    sizes,
    layer: i => [mixer, sparse(i) ? moe : dense],
    intermediate: width,
    experts,
    expertsPerToken: config.sizeOrNull('num_experts_per_tok'),
  }
}

/** Hunyuan 4: latent attention with gate, sinks and an indexer on one layer in four, and hyper-connections. */
function hunyuan4(config: Config): Layered {
  const { sizes, attention } = latentSizes(config)
  const { hidden, heads } = sizes
  const streams = config.size('hc_mult')
  const dim = config.size('index_head_dim')
  const listed = layerKinds(config, sizes.layers, 'indexer_types')
  const indexed = (i: number) => (listed ? listed[i] !== 'shared' : i === 0 || (i - 1) % 4 === 0)
  const connection = (name: string): Weight[] => [
    vector(`${name}.fn`, 2 * streams * streams * hidden),
    vector(`${name}.base`, 2 * streams),
    vector(`${name}.scale`, 2),
  ]
  const attend = (own: boolean): Part => ({
    name: own ? 'mla' : 'mla shared-index',
    weights: () => [
      ...latentAttentionWeights(attention),
      ...(own
        ? indexerWeights({
            hidden,
            queryRank: config.size('q_lora_rank'),
            heads: config.size('index_n_heads'),
            dim,
          })
        : []),
      column('self_attn.gate_proj', heads * attention.valueDim, hidden),
      vector('self_attn.sinks', heads, 'column'),
      ...connection('attn_hc'),
      norm('input_layernorm', hidden),
    ],
    cache: own ? [latentCache(attention), { kind: 'indexer', dim }] : [latentCache(attention)],
  })
  const mixers = { own: attend(true), shared: attend(false) }
  const sparse = sparseFrom(config, sizes.layers, 1)
  const experts = config.size('n_routed_experts')
  const withConnection = (part: Part): Part => ({
    ...part,
    weights: () => [...part.weights(), ...connection('ffn_hc')],
  })
  const moe = withConnection(sharedMixture(sizes, experts, config.count('n_shared_experts')))
  const width = config.size('intermediate_size')
  const dense = withConnection(densePart(sizes, width))
  return {
    sizes,
    layer: i => [indexed(i) ? mixers.own : mixers.shared, sparse(i) ? moe : dense],
    final: [
      norm('model.norm', hidden),
      vector('model.hc_head.hc_fn', streams * streams * hidden),
      vector('model.hc_head.hc_base', streams),
      vector('model.hc_head.hc_scale', 1),
    ],
    intermediate: width,
    experts,
    expertsPerToken: config.sizeOrNull('num_experts_per_tok'),
  }
}

/** Bailing hybrid (Ring and Ling 2.5): Kimi delta attention with full-rank gates, gated latent attention every sixth layer. */
function bailing(config: Config): Layered {
  const { sizes: d, attention } = latentSizes(config)
  const { hidden, heads } = d
  const linearHeads = config.sizeOrNull('linear_num_heads') ?? heads
  const headDim = config.sizeOrNull('linear_head_dim') ?? config.size('head_dim')
  const kernel = config.sizeOrNull('linear_conv_kernel_dim') ?? config.size('short_conv_kernel_size')
  const group = config.size('layer_group_size')
  const kinds = layerKinds(config, d.layers)
  const isFull = (i: number) => (kinds ? kinds[i] === 'full_attention' : (i + 1) % group === 0)
  const full: Part = {
    name: 'mla',
    weights: () => [
      ...latentAttentionWeights(attention),
      column('self_attn.g_proj', heads, hidden),
      norm('input_layernorm', hidden),
    ],
    cache: [latentCache(attention)],
  }
  const lowRank = /\.(f|g)_[ab]_proj$/
  const linear: Part = {
    name: 'kda',
    weights: () => [
      ...kimiDeltaWeights({ hidden, heads: linearHeads, headDim, kernel }).filter(w => !lowRank.test(w.name)),
      column('self_attn.f_proj', linearHeads * headDim, hidden),
      column('self_attn.g_proj', linearHeads * headDim, hidden),
      norm('input_layernorm', hidden),
    ],
    cache: [{ kind: 'kda', heads: linearHeads, headDim, kernel }],
  }
  const experts = config.size('num_local_experts')
  const sparse = sparseFrom(config, d.layers, config.count('first_k_dense_replace'))
  const moe = sharedMixture(d, experts, config.count('n_shared_experts'))
  const width = config.size('intermediate_size')
  const dense = densePart(d, width)
  return {
    sizes: d,
    layer: i => [isFull(i) ? full : linear, sparse(i) ? moe : dense],
    // the class never ties
    tied: false,
    intermediate: width,
    experts,
    expertsPerToken: config.sizeOrNull('num_experts_per_tok'),
  }
}

/** Sizes of dots3's sliding layers: keys with the prefix `swa_`, else an entry of per_layer_config, else the class's. */
function slidingLatent(config: Config, layer: number): LatentAttention {
  const perLayer = config.nested('per_layer_config')?.nested(String(layer))
  const size = (name: string, otherwise: number) =>
    perLayer?.sizeOrNull(name) ?? config.sizeOrNull(`swa_${name}`) ?? otherwise
  const nope = size('qk_nope_head_dim', 192)
  return {
    hidden: config.size('hidden_size'),
    heads: size('num_attention_heads', 64),
    queryRank: size('q_lora_rank', 1024),
    latent: size('kv_lora_rank', 1024),
    nope,
    rope: size('qk_rope_head_dim', Math.max(size('head_dim', 256) - nope, 1)),
    valueDim: size('v_head_dim', 128),
    bias: config.flag('attention_bias'),
  }
}

/** dots3: latent attention with a gate a head; full layers run an indexer, the others slide with sizes of their own. */
function dots3(config: Config): Layered {
  const { sizes, attention } = latentSizes(config)
  const { hidden, layers } = sizes
  const dim = config.size('index_head_dim')
  const kinds = layerKinds(config, layers)
  const slides = (i: number) => (kinds ? kinds[i] === 'sliding_attention' : i >= 2 && i % 4 !== 1)
  const window = config.sizeOrNull('sliding_window') ?? config.sizeOrNull('sliding_window_size') ?? 512
  const firstSliding = Array.from({ length: layers }, (_, i) => i).find(slides) ?? 0
  const local = slidingLatent(config, firstSliding)
  const gated = (a: LatentAttention): Weight[] => [
    ...latentAttentionWeights(a),
    norm('self_attn.k_rope_only_layernorm', a.rope),
    column('self_attn.g_proj', a.heads, hidden),
    norm('input_layernorm', hidden),
  ]
  const full: Part = {
    name: 'mla',
    weights: () => [
      ...gated(attention),
      ...indexerWeights({
        hidden,
        queryRank: config.size('q_lora_rank'),
        heads: config.size('index_n_heads'),
        dim,
      }),
    ],
    cache: [latentCache(attention), { kind: 'indexer', dim }],
  }
  const sliding: Part = {
    name: `sliding mla ${window}`,
    weights: () => gated(local),
    cache: [{ kind: 'mla', latent: local.latent, rope: local.rope, window }],
  }
  const experts = config.size('n_routed_experts')
  const sharedWidth = config.size('shared_experts_intermediate_size') * config.count('n_shared_experts')
  const routed = sharedMixture(sizes, experts, 0)
  const moe: Part = { ...routed, weights: () => [...routed.weights(), ...sharedExpert(hidden, sharedWidth)] }
  const sparse = sparseFrom(config, layers, config.count('first_k_dense_replace', 1))
  const width = config.size('intermediate_size')
  const dense = densePart(sizes, width)
  return {
    sizes,
    layer: i => [slides(i) ? sliding : full, sparse(i) ? moe : dense],
    intermediate: width,
    experts,
    expertsPerToken: config.sizeOrNull('num_experts_per_tok'),
  }
}

const types: readonly LayeredType[] = [
  {
    type: 'youtu',
    defaults: usual({
      vocab: 128256,
      hidden: 2048,
      width: 6144,
      layers: 32,
      heads: 16,
      kvHeads: 16,
      kv_lora_rank: 512,
      q_lora_rank: 1536,
      qk_rope_head_dim: 64,
      v_head_dim: 128,
      qk_nope_head_dim: 128,
      context: 131072,
      tie_word_embeddings: true,
    }),
    read: youtu,
  },
  {
    type: 'axk2',
    defaults: usual({
      vocab: 163840,
      hidden: 2048,
      width: 5120,
      moe_intermediate_size: 512,
      layers: 48,
      heads: 32,
      kvHeads: 32,
      n_shared_experts: 1,
      n_routed_experts: 128,
      kv_lora_rank: 128,
      q_lora_rank: 384,
      qk_rope_head_dim: 32,
      v_head_dim: 64,
      qk_nope_head_dim: 64,
      num_experts_per_tok: 8,
      context: 131072,
      index_head_dim: 128,
      index_n_heads: 16,
      gated_norm_rank: 16,
    }),
    aliases: { n_routed_experts: ['num_local_experts'] },
    read: axk2,
  },
  {
    type: 'hy_v4',
    defaults: usual({
      vocab: 120832,
      hidden: 2816,
      width: 6912,
      moe_intermediate_size: 768,
      layers: 34,
      heads: 32,
      kvHeads: 32,
      n_routed_experts: 256,
      n_shared_experts: 1,
      num_experts_per_tok: 8,
      q_lora_rank: 1536,
      kv_lora_rank: 512,
      qk_nope_head_dim: 192,
      qk_rope_head_dim: 64,
      v_head_dim: 256,
      index_head_dim: 128,
      index_n_heads: 16,
      hc_mult: 4,
      context: 262144,
    }),
    aliases: { n_routed_experts: ['num_local_experts'] },
    read: hunyuan4,
  },
  {
    type: 'bailing_hybrid',
    defaults: usual({
      vocab: 157184,
      hidden: 2560,
      width: 6144,
      moe_intermediate_size: 768,
      layers: 42,
      heads: 32,
      kvHeads: 32,
      head_dim: 128,
      n_shared_experts: 1,
      kv_lora_rank: 512,
      q_lora_rank: null,
      qk_rope_head_dim: 64,
      v_head_dim: 128,
      qk_nope_head_dim: 128,
      num_local_experts: 512,
      num_experts_per_tok: 8,
      first_k_dense_replace: 2,
      short_conv_kernel_size: 4,
      layer_group_size: 6,
      context: 262144,
    }),
    aliases: { num_local_experts: ['num_experts'], n_shared_experts: ['num_shared_experts'] },
    read: bailing,
  },
  {
    type: 'dots3_note_text',
    classes: ['Dots3Note'],
    defaults: usual({
      vocab: 152064,
      hidden: 5120,
      width: 13824,
      moe_intermediate_size: 1536,
      layers: 46,
      heads: 128,
      kvHeads: 128,
      n_shared_experts: 1,
      n_routed_experts: 256,
      kv_lora_rank: 512,
      q_lora_rank: 1024,
      qk_rope_head_dim: 64,
      v_head_dim: 128,
      qk_nope_head_dim: 128,
      num_experts_per_tok: 8,
      context: 524288,
      index_head_dim: 128,
      index_n_heads: 64,
      shared_experts_intermediate_size: 1536,
    }),
    aliases: {
      n_routed_experts: ['num_local_experts'],
      shared_experts_intermediate_size: ['moe_shared_expert_intermediate_size'],
    },
    read: dots3,
  },
]

export const gatedLatent: readonly Family[] = types.map(layered)
