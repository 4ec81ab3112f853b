import { attentionWeights } from '../blocks/attention.ts'
import { indexerWeights, type LatentAttention, latentAttentionWeights, latentCache } from '../blocks/latent.ts'
import { norm } from '../blocks/weights.ts'
import type { Config, JsonObject } from '../config.ts'
import type { CacheSpec, Weight } from '../shape.ts'
import { type Family, layerCount, usual } from './family.ts'
import { sharedMixture, sparseFrom } from './glm-moe.ts'
import {
  attentionPart,
  densePart,
  type Layered,
  type LayeredType,
  layered,
  type Part,
  predictionLayers,
  type Sizes,
  sizesOf,
} from './layered.ts'

/** Sizes of latent attention from the usual keys. */
export function latentSizes(config: Config): { readonly sizes: Sizes; readonly attention: LatentAttention } {
  const hidden = config.size('hidden_size')
  const heads = config.size('num_attention_heads')
  const attention: LatentAttention = {
    hidden,
    heads,
    queryRank: config.sizeOrNull('q_lora_rank'),
    latent: config.size('kv_lora_rank'),
    nope: config.size('qk_nope_head_dim'),
    rope: config.size('qk_rope_head_dim'),
    valueDim: config.size('v_head_dim'),
    bias: config.flag('attention_bias'),
  }
  const sizes: Sizes = {
    config,
    hidden,
    heads,
    kvHeads: config.sizeOrNull('num_key_value_heads') ?? heads,
    headDim: attention.nope + attention.rope,
    valueDim: attention.valueDim,
    layers: layerCount(config),
    vocabulary: config.size('vocab_size'),
  }
  return { sizes, attention }
}

/** Latent attention with its norm, and where the layer has one the sparse-attention indexer with a cache of its own. */
function latentPart(config: Config, a: LatentAttention, indexer: 'none' | 'own' | 'shared'): Part {
  const cache: CacheSpec[] = [latentCache(a)]
  const dim = indexer === 'none' ? 0 : config.size('index_head_dim')
  if (indexer === 'own') cache.push({ kind: 'indexer', dim })
  return {
    name: indexer === 'shared' ? 'mla shared-index' : 'mla',
    weights: () => [
      ...latentAttentionWeights(a),
      ...(indexer === 'own'
        ? indexerWeights({
            hidden: a.hidden,
            queryRank: a.queryRank ?? config.size('q_lora_rank'),
            heads: config.size('index_n_heads'),
            dim,
          })
        : []),
      norm('input_layernorm', a.hidden),
    ],
    cache,
  }
}

interface Latent {
  /** Layers of the given number have an indexer; absent: the class has none. */
  readonly indexer?: (config: Config, layers: number) => (layer: number) => boolean
  /** First mixture layer, where the file gives no list of kinds. */
  readonly firstSparse?: (config: Config) => number
  /** `mlp_bias` acts on dense and shared feed-forwards. */
  readonly mlpBias?: boolean
  /** Weights of each mixture beyond experts, router and the usual norm. */
  readonly moreMoe?: (hidden: number) => readonly Weight[]
  /** The prediction layer has copies of embedding and head. */
  readonly copies: boolean
}

/** Latent attention everywhere; the first layers dense, then routed and shared experts. */
function latentMixture(config: Config, l: Latent): Layered {
  const { sizes, attention } = latentSizes(config)
  const experts = config.size('n_routed_experts')
  const sparse = sparseFrom(config, sizes.layers, l.firstSparse?.(config) ?? config.count('first_k_dense_replace'))
  const indexed = l.indexer?.(config, sizes.layers) ?? null
  const bias = l.mlpBias === true && config.flag('mlp_bias')
  const mixture = sharedMixture(sizes, experts, config.count('n_shared_experts'), { bias })
  const moe: Part = { ...mixture, weights: () => [...mixture.weights(), ...(l.moreMoe?.(sizes.hidden) ?? [])] }
  const intermediate = config.size('intermediate_size')
  const dense = densePart(sizes, intermediate, bias)
  const mixer = latentPart(config, attention, indexed ? 'own' : 'none')
  const sharing = indexed ? latentPart(config, attention, 'shared') : mixer
  return {
    sizes,
    layer: i => [!indexed || indexed(i) ? mixer : sharing, sparse(i) ? moe : dense],
    intermediate,
    experts,
    expertsPerToken: config.sizeOrNull('num_experts_per_tok'),
    mtp: predictionLayers(config.count('num_nextn_predict_layers'), sizes, [mixer, moe], l.copies),
  }
}

/** DeepSeek's first mixture: plain attention, the first layers dense. Layers before a multiple of moe_layer_freq too. */
function firstMixture(config: Config): Layered {
  const d = sizesOf(config)
  const bias = config.flag('attention_bias')
  const experts = config.size('n_routed_experts')
  const first = config.count('first_k_dense_replace')
  const every = config.sizeOrNull('moe_layer_freq') ?? 1
  const sparse = config.has('mlp_layer_types')
    ? sparseFrom(config, d.layers, first)
    : (i: number) => i >= first && i % every === 0
  const full = attentionPart(d, null, () => attentionWeights({ ...d, qkvBias: bias, outBias: bias }))
  const mlpBias = config.flag('mlp_bias')
  const moe = sharedMixture(d, experts, config.count('n_shared_experts'), { bias: mlpBias })
  const width = config.size('intermediate_size')
  const dense = densePart(d, width, mlpBias)
  return {
    sizes: d,
    layer: i => [full, sparse(i) ? moe : dense],
    intermediate: width,
    experts,
    expertsPerToken: config.sizeOrNull('num_experts_per_tok'),
  }
}

const everyLayer = () => () => true

/** GLM-5.2 runs the indexer on some layers and reuses its choice on the others. */
function listedIndexers(config: Config, layers: number): (layer: number) => boolean {
  const types = config.list('indexer_types') ?? patternTypes(config)
  if (types) {
    if (types.length < layers)
      return config.invalid('indexer_types', `has ${types.length} entries for ${layers} layers`)
    return i => types[i] === 'full'
  }
  const every = Math.max(config.count('index_topk_freq', 1), 1)
  const offset = config.count('index_skip_topk_offset', 2)
  return i => Math.max(i - offset + 1, 0) % every === 0
}

/** `index_topk_pattern`: "FSSF" or a list. */
function patternTypes(config: Config): readonly unknown[] | null {
  const pattern = config.raw('index_topk_pattern')
  if (typeof pattern === 'string') return [...pattern].map(letter => (letter === 'F' ? 'full' : 'shared'))
  return config.list('index_topk_pattern')
}

const v3Defaults: JsonObject = usual({
  vocab: 129280,
  hidden: 7168,
  width: 18432,
  moe_intermediate_size: 2048,
  layers: 61,
  heads: 128,
  kvHeads: 128,
  n_shared_experts: 1,
  n_routed_experts: 256,
  kv_lora_rank: 512,
  q_lora_rank: 1536,
  qk_rope_head_dim: 64,
  v_head_dim: 128,
  qk_nope_head_dim: 128,
  num_experts_per_tok: 8,
  first_k_dense_replace: 3,
  context: 4096,
})

const expertAliases = { n_routed_experts: ['num_local_experts', 'num_experts'] }
const v3Aliases = { ...expertAliases, num_nextn_predict_layers: ['num_mtp_layers'] }

const types: readonly LayeredType[] = [
  {
    type: 'deepseek_v2',
    defaults: usual({
      vocab: 102400,
      hidden: 4096,
      width: 11008,
      layers: 32,
      heads: 32,
      context: 2048,
      first_k_dense_replace: 0,
      kv_lora_rank: 512,
      q_lora_rank: 1536,
      n_routed_experts: 64,
      n_shared_experts: 2,
      qk_nope_head_dim: 128,
      qk_rope_head_dim: 64,
      v_head_dim: 128,
      moe_intermediate_size: 1407,
    }),
    aliases: expertAliases,
    read: config => latentMixture(config, { mlpBias: true, copies: true }),
  },
  {
    type: 'deepseek_v3',
    defaults: v3Defaults,
    aliases: v3Aliases,
    read: config => latentMixture(config, { copies: true }),
  },
  {
    type: 'kimi_k2',
    classes: ['DeepseekV3'],
    verified: 'published total of Kimi-K2, and DeepSeek-V3 classes of its size',
    defaults: v3Defaults,
    aliases: v3Aliases,
    read: config => latentMixture(config, { copies: true }),
  },
  {
    type: 'sarvam_mla',
    classes: ['DeepseekV3'],
    defaults: usual({
      ...v3Defaults,
      vocab: 262144,
      hidden: 4096,
      width: 16384,
      layers: 32,
      heads: 64,
      kvHeads: null,
      n_routed_experts: 128,
      q_lora_rank: null,
      first_k_dense_replace: 1,
    }),
    aliases: { ...v3Aliases, n_shared_experts: ['num_shared_experts'] },
    read: config => latentMixture(config, { copies: true }),
  },
  {
    // one norm more after each mixture
    type: 'axk1',
    defaults: usual({
      ...v3Defaults,
      vocab: 163840,
      heads: 64,
      kvHeads: 64,
      n_routed_experts: 192,
      first_k_dense_replace: 1,
      context: 32768,
    }),
    aliases: v3Aliases,
    read: config =>
      latentMixture(config, { copies: false, moreMoe: hidden => [norm('mlp.post_mlp_layernorm', hidden)] }),
  },
  {
    type: 'deepseek',
    verified: 'published total of DeepSeek-MoE 16B',
    defaults: usual({
      vocab: 102400,
      hidden: 4096,
      width: 11008,
      moe_intermediate_size: 1407,
      layers: 30,
      heads: 32,
      context: 2048,
    }),
    aliases: expertAliases,
    read: firstMixture,
  },
  {
    type: 'deepseek_v32',
    defaults: { ...v3Defaults, max_position_embeddings: 163840, index_head_dim: 128, index_n_heads: 64 },
    aliases: expertAliases,
    read: config => latentMixture(config, { indexer: everyLayer, copies: true }),
  },
  {
    type: 'glm_moe_dsa',
    defaults: usual({
      ...v3Defaults,
      vocab: 154880,
      hidden: 6144,
      width: 12288,
      layers: 78,
      heads: 64,
      kvHeads: 64,
      q_lora_rank: 2048,
      v_head_dim: 256,
      qk_nope_head_dim: 192,
      context: 202752,
      index_head_dim: 128,
      index_n_heads: 32,
    }),
    aliases: expertAliases,
    read: config => latentMixture(config, { indexer: listedIndexers, copies: false }),
  },
  {
    type: 'glm4_moe_lite',
    defaults: usual({
      vocab: 154880,
      hidden: 2048,
      width: 10240,
      moe_intermediate_size: 1536,
      layers: 47,
      heads: 20,
      kvHeads: 20,
      n_shared_experts: 1,
      n_routed_experts: 64,
      kv_lora_rank: 512,
      q_lora_rank: 768,
      qk_rope_head_dim: 64,
      v_head_dim: 256,
      qk_nope_head_dim: 192,
      num_experts_per_tok: 4,
      context: 202752,
    }),
    aliases: { n_routed_experts: ['num_local_experts'] },
    read: config => {
      // transformers takes head_dim for another name of qk_rope_head_dim, engines do not
      const rope = config.size('qk_rope_head_dim')
      const exact = (config.sizeOrNull('head_dim') ?? rope) === rope
      return { ...latentMixture(config, { firstSparse: () => 1, copies: true }), exact }
    },
  },
  {
    type: 'mistral4',
    defaults: usual({
      vocab: 131072,
      hidden: 4096,
      width: 12288,
      moe_intermediate_size: 2048,
      layers: 36,
      heads: 32,
      kvHeads: 32,
      n_shared_experts: 1,
      n_routed_experts: 128,
      kv_lora_rank: 256,
      q_lora_rank: 1024,
      qk_rope_head_dim: 64,
      v_head_dim: 128,
      qk_nope_head_dim: 64,
      num_experts_per_tok: 4,
      first_k_dense_replace: 0,
      context: 1048576,
    }),
    aliases: { n_routed_experts: ['num_local_experts'] },
    read: config => latentMixture(config, { copies: false }),
  },
]

export const deepseek: readonly Family[] = types.map(layered)
