import { attentionWeights, queryKeyNorms } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { mixtureWeights, sharedExpert } from '../blocks/mixture.ts'
import { column, norm, vector } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { Weight } from '../shape.ts'
import { alternatingWindows } from './decoder.ts'
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
  predictionLayers,
  type Sizes,
  sizesOf,
} from './layered.ts'

const flagged = (d: Sizes): Weight[] => {
  const bias = d.config.flag('attention_bias')
  return attentionWeights({ ...d, qkvBias: bias, outBias: bias })
}

/** AFMoE: gated attention, four norms a layer, a stored expert bias. */
function afmoe(config: Config): Layered {
  const d = sizesOf(config)
  const every = config.size('global_attn_every_n_layers')
  const windows = alternatingWindows(d, i => (i + 1) % every === 0)
  const experts = config.size('num_experts')
  const perToken = config.sizeOrNull('num_experts_per_tok')
  const width = config.size('moe_intermediate_size')
  const shared = config.count('num_shared_experts')
  const first = config.count('num_dense_layers')
  const intermediate = config.size('intermediate_size')
  const outerNorms = ['post_attention_layernorm', 'post_mlp_layernorm'].map(name => norm(name, d.hidden))
  const attention = (window: number | null) =>
    attentionPart(d, window, () => [
      ...flagged(d),
      ...queryKeyNorms(d, 'head'),
      column('self_attn.gate_proj', d.heads * d.headDim, d.hidden),
    ])
  const feed = (name: string, weights: () => readonly Weight[]): Part => ({
    name,
    weights: () => [...weights(), norm('pre_mlp_layernorm', d.hidden), ...outerNorms],
  })
  const moe = feed('moe', () => [
    ...mixtureWeights({ hidden: d.hidden, width, experts, perToken, router: 'mlp.router.gate' }),
    vector('mlp.expert_bias', experts),
    ...(shared > 0 ? sharedExpert(d.hidden, width * shared) : []),
  ])
  const dense = feed('dense', () => gatedFeedForward(d.hidden, intermediate))
  return {
    sizes: d,
    layer: i => [attention(windows[i] ?? null), i >= first ? moe : dense],
    intermediate,
    experts,
    expertsPerToken: perToken,
  }
}

/** Command A's mixture: attention and experts side by side under one norm. */
function cohereMoe(config: Config): Layered {
  const d = sizesOf(config)
  const first = config.count('first_k_dense_replace')
  const every = config.size('sliding_window_pattern')
  const prefixEvery = config.size('prefix_dense_sliding_window_pattern')
  // vLLM's model code passes window + 1 on for Cohere2
  const windows = alternatingWindows(
    d,
    i => (i < first ? (i + 1) % prefixEvery === 0 : (i - first + 1) % every === 0),
    1,
  )
  const sparse = sparseFrom(config, d.layers, first)
  const experts = config.size('num_experts')
  const perToken = config.sizeOrNull('num_experts_per_tok')
  const width = config.size('intermediate_size')
  const shared = config.count('num_shared_experts')
  const denseWidth = config.sizeOrNull('prefix_dense_intermediate_size') ?? width
  const moe: Part = {
    name: 'moe',
    weights: () => [
      ...mixtureWeights({ hidden: d.hidden, width, experts, perToken }),
      ...(shared > 0 ? sharedExpert(d.hidden, width * shared) : []),
    ],
  }
  const dense: Part = { name: 'dense', weights: () => gatedFeedForward(d.hidden, denseWidth) }
  return {
    sizes: d,
    layer: i => [attentionPart(d, windows[i] ?? null, () => flagged(d)), sparse(i) ? moe : dense],
    intermediate: denseWidth,
    experts,
    expertsPerToken: perToken,
  }
}

/** EXAONE mixture: three sliding layers to a full one, the first layers dense. */
function exaoneMoe(config: Config): Layered {
  const d = sizesOf(config)
  const pattern = config.raw('sliding_window_pattern')
  const every = typeof pattern === 'string' ? pattern.length : config.count('sliding_window_pattern')
  const windows = alternatingWindows(d, i => every > 0 && (i + 1) % every === 0)
  const sparse = sparseFrom(config, d.layers, config.count('first_k_dense_replace'))
  const experts = config.size('num_experts')
  const moe = sharedMixture(d, experts, config.count('num_shared_experts'))
  const intermediate = config.size('intermediate_size')
  const dense = densePart(d, intermediate)
  const attention = (window: number | null) =>
    attentionPart(d, window, () => [...attentionWeights(d), ...queryKeyNorms(d, 'head')])
  return {
    sizes: d,
    layer: i => [attention(windows[i] ?? null), sparse(i) ? moe : dense],
    intermediate,
    experts,
    expertsPerToken: config.sizeOrNull('num_experts_per_tok'),
    mtp: predictionLayers(config.count('num_nextn_predict_layers'), d, [attention(null), dense], false),
  }
}

/** Laguna: heads by layer, an output gate of a value a head or as wide as the heads, a stored expert bias. */
function laguna(config: Config): Layered {
  const d = sizesOf(config)
  const perLayer = config.list('num_attention_heads_per_layer')
  const headsOf = (i: number): number => {
    const heads = perLayer?.[i] ?? d.heads
    return typeof heads === 'number' && Number.isInteger(heads) && heads > 0
      ? heads
      : config.invalid('num_attention_heads_per_layer', `holds ${JSON.stringify(heads)}, expected whole numbers`)
  }
  const kinds = layerKinds(config, d.layers)
  const window = config.sizeOrNull('sliding_window')
  const sparse = sparseFrom(config, d.layers, 1)
  const gating = config.raw('gating')
  const wide = gating !== true && gating !== 'per-head'
  const experts = config.size('num_experts')
  const perToken = config.sizeOrNull('num_experts_per_tok')
  const intermediate = config.size('intermediate_size')
  const attention = (i: number): Part => {
    const own: Sizes = { ...d, heads: headsOf(i) }
    const part = attentionPart(own, kinds?.[i] === 'sliding_attention' ? window : null, () => [
      ...flagged(own),
      ...queryKeyNorms(own, 'head'),
      column('self_attn.g_proj', wide ? own.heads * own.headDim : own.heads, d.hidden),
    ])
    return { ...part, name: `${part.name} ${own.heads} heads` }
  }
  const moe = feedPart('moe', d, () => [
    ...mixtureWeights({ hidden: d.hidden, width: config.size('moe_intermediate_size'), experts, perToken }),
    vector('mlp.gate.e_score_correction_bias', experts),
    ...sharedExpert(d.hidden, config.size('shared_expert_intermediate_size'), { prefix: 'mlp.shared_experts' }),
  ])
  const dense = densePart(d, intermediate)
  return {
    sizes: d,
    layer: i => [attention(i), sparse(i) ? moe : dense],
    intermediate,
    experts,
    expertsPerToken: perToken,
  }
}

/** Granite mixture with windows: three sliding layers after each full one, a sink for each head. */
function graniteWindowed(config: Config): Layered {
  const d = sizesOf(config)
  const windows = alternatingWindows(d, i => i % 4 === 0)
  const experts = config.size('num_local_experts')
  const perToken = config.sizeOrNull('num_experts_per_tok')
  const width = config.size('intermediate_size')
  const shared = config.count('shared_intermediate_size')
  const moe = feedPart('moe', d, () => [
    ...mixtureWeights({
      hidden: d.hidden,
      width,
      experts,
      perToken,
      prefix: 'block_sparse_moe',
      router: 'block_sparse_moe.router.layer',
    }),
    ...(shared > 0 ? sharedExpert(d.hidden, shared, { prefix: 'shared_mlp' }) : []),
  ])
  const attention = (window: number | null) =>
    attentionPart(d, window, () => [...flagged(d), vector('self_attn.sinks', d.heads, 'column')])
  return {
    sizes: d,
    layer: i => [attention(windows[i] ?? null), moe],
    intermediate: width,
    experts,
    expertsPerToken: perToken,
  }
}

const types: readonly LayeredType[] = [
  {
    type: 'afmoe',
    defaults: usual({
      vocab: 200192,
      hidden: 2048,
      width: 6144,
      moe_intermediate_size: 1408,
      layers: 32,
      num_dense_layers: 1,
      heads: 16,
      head_dim: 128,
      context: 16384,
      num_experts: 64,
      num_experts_per_tok: 6,
      num_shared_experts: 2,
      global_attn_every_n_layers: 4,
      sliding_window: 1024,
    }),
    read: afmoe,
  },
  {
    type: 'cohere2_moe',
    defaults: usual({
      vocab: 256000,
      hidden: 8192,
      width: 22528,
      layers: 40,
      heads: 64,
      head_dim: 128,
      context: 8192,
      sliding_window: 4096,
      num_experts_per_tok: 2,
      num_experts: 8,
      prefix_dense_sliding_window_pattern: 1,
      sliding_window_pattern: 4,
      tie_word_embeddings: true,
    }),
    read: cohereMoe,
  },
  {
    type: 'exaone_moe',
    defaults: usual({
      vocab: 102400,
      hidden: 4096,
      width: 16384,
      layers: 32,
      heads: 32,
      kvHeads: 32,
      context: 2048,
      sliding_window: 4096,
      sliding_window_pattern: 4,
      first_k_dense_replace: 1,
      moe_intermediate_size: 1024,
      num_experts: 64,
      num_experts_per_tok: 8,
      num_shared_experts: 1,
    }),
    read: exaoneMoe,
  },
  {
    type: 'laguna',
    defaults: usual({
      vocab: 100352,
      hidden: 2048,
      width: 8192,
      layers: 40,
      heads: 48,
      kvHeads: 8,
      head_dim: 128,
      context: 131072,
      sliding_window: 512,
      moe_intermediate_size: 512,
      shared_expert_intermediate_size: 512,
      num_experts_per_tok: 8,
      num_experts: 256,
      gating: true,
    }),
    read: laguna,
  },
  {
    type: 'granitemoe_swa',
    defaults: usual({
      vocab: 32000,
      hidden: 4096,
      width: 11008,
      layers: 32,
      heads: 32,
      context: 2048,
      num_local_experts: 8,
      num_experts_per_tok: 2,
      sliding_window: 128,
    }),
    read: graniteWindowed,
  },
]

export const windowedMoe: readonly Family[] = types.map(layered)
