import { type Attention, attentionWeights, keyValueHeads, queryKeyNorms } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { mixtureWeights, sharedExpert } from '../blocks/mixture.ts'
import { gatedDeltaCache, gatedDeltaWeights } from '../blocks/recurrent.ts'
import { column, conv, norm, replicated, tokenEmbedding, vector } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { CacheSpec, Weight } from '../shape.ts'
import { alternatingWindows, attentionCache } from './decoder.ts'
import { type Family, layerKinds, usual } from './family.ts'
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

const flagged = (d: Sizes): Weight[] => {
  const bias = d.config.flag('attention_bias')
  return [...attentionWeights({ ...d, qkvBias: bias, outBias: bias }), ...queryKeyNorms(d, 'head')]
}

/** Experts of moe_intermediate_size and, where the config has one, an expert that every token passes. */
function mixturePart(d: Sizes, more: readonly Weight[] = []): Part {
  const { config, hidden } = d
  const shared = config.sizeOrNull('shared_expert_intermediate_size')
  return feedPart('moe', d, () => [
    ...mixtureWeights({
      hidden,
      width: config.size('moe_intermediate_size'),
      experts: config.size('num_experts'),
      perToken: config.sizeOrNull('num_experts_per_tok'),
    }),
    ...(shared === null ? [] : sharedExpert(hidden, shared, { prefix: 'mlp.shared_expert' })),
    ...more,
  ])
}

const facts = (d: Sizes) => ({
  experts: d.config.size('num_experts'),
  expertsPerToken: d.config.sizeOrNull('num_experts_per_tok'),
})

/** Mellum: every layer a mixture and full unless the file's lists say otherwise. */
function mellum(config: Config): Layered {
  const d = sizesOf(config)
  const windows = alternatingWindows(d, () => true)
  const feeds = layerKinds(config, d.layers, 'mlp_layer_types')
  const moe = mixturePart(d)
  const width = config.size('intermediate_size')
  return {
    sizes: d,
    layer: i => [
      attentionPart(d, windows[i] ?? null, () => flagged(d)),
      feeds && feeds[i] !== 'sparse' ? densePart(d, width) : moe,
    ],
    intermediate: width,
    exact: config.sizeOrNull('num_nextn_predict_layers') === null,
    ...facts(d),
  }
}

/** Kolibri: four sliding layers to a full one, norms before and after both parts. */
function kolibri(config: Config): Layered {
  const d = sizesOf(config)
  const windows = alternatingWindows(d, i => (i + 1) % 5 === 0)
  const after = ['post_self_attn_layernorm', 'post_mlp_layernorm'].map(name => norm(name, d.hidden))
  const moe = mixturePart(d, after)
  return {
    sizes: d,
    layer: i => [
      attentionPart(d, windows[i] ?? null, () => [...attentionWeights(d), ...queryKeyNorms(d, 'head')]),
      moe,
    ],
    ...facts(d),
  }
}

/** Flint: attention sinks; the first two layers dense unless the file says otherwise. */
function flint(config: Config): Layered {
  const d = sizesOf(config)
  const windows = alternatingWindows(d, i => i < 2 || i % 4 === 1 || i === d.layers - 1)
  const denseLayers = new Set(config.list('mlp_only_layers') ?? [0, 1])
  const step = config.size('decoder_sparse_step')
  const moe = mixturePart(d)
  const width = config.size('intermediate_size')
  const dense = densePart(d, width)
  return {
    sizes: d,
    layer: i => [
      attentionPart(d, windows[i] ?? null, () => [...flagged(d), vector('self_attn.sinks', d.heads, 'column')]),
      denseLayers.has(i) || (i + 1) % step !== 0 ? dense : moe,
    ],
    intermediate: width,
    ...facts(d),
  }
}

/** Lara: gated delta net, sliding and full attention in turn, every layer a mixture. */
function lara(config: Config): Layered {
  const d = sizesOf(config)
  const pattern = ['linear_attention', 'sliding_attention', 'linear_attention', 'full_attention', 'sliding_attention']
  const kinds = layerKinds(config, d.layers) ?? Array.from({ length: d.layers }, (_, i) => pattern[i % 5]!)
  const window = config.size('sliding_window')
  const delta = {
    hidden: d.hidden,
    keyHeads: config.size('linear_num_key_heads'),
    valueHeads: config.size('linear_num_value_heads'),
    keyDim: config.size('linear_key_head_dim'),
    valueDim: config.size('linear_value_head_dim'),
    kernel: config.size('linear_conv_kernel_dim'),
  }
  const linear: Part = {
    name: 'linear',
    weights: () => [...gatedDeltaWeights(delta, 'apart'), norm('input_layernorm', d.hidden)],
    cache: [gatedDeltaCache(delta)],
  }
  const moe = mixturePart(d)
  const attention = (kind: string) => attentionPart(d, kind === 'sliding_attention' ? window : null, () => flagged(d))
  return {
    sizes: d,
    layer: i => [kinds[i] === 'linear_attention' ? linear : attention(kinds[i]!), moe],
    ...facts(d),
  }
}

/**
 * Inkling: relative positions by a projection, short convolutions on keys, values and both outputs, sliding layers with
 * heads of their own; shared experts are scored by the router too.
 */
function inkling(config: Config): Layered {
  const full = sizesOf(config)
  const sliding: Sizes = {
    ...full,
    heads: config.size('swa_num_attention_heads'),
    kvHeads: config.size('swa_num_key_value_heads'),
    headDim: config.size('swa_head_dim'),
  }
  const { hidden, layers } = full
  const kernel = config.size('conv_kernel_size')
  const window = config.size('sliding_window_size')
  const kinds = layerKinds(config, layers)
  const isSliding = (i: number) => (kinds ? kinds[i] === 'hybrid_sliding' : (i + 1) % 6 !== 0)
  const convolution = (name: string, width: number) => conv(`${name}.conv1d`, width, kernel, false, 'column')
  const mixer = (d: Sizes, span: number | null): Part => {
    const extent = span ?? config.size('rel_extent')
    const kvWidth = d.kvHeads * d.headDim
    const attention: Attention = d
    const states: CacheSpec[] = [kvWidth, kvWidth, hidden, hidden].map(width => ({ kind: 'short-conv', width, kernel }))
    return {
      name: span === null ? 'full' : `sliding ${span}`,
      weights: () => [
        ...attentionWeights(attention),
        ...queryKeyNorms(attention, 'head'),
        column('self_attn.r_proj', d.heads * config.size('d_rel'), hidden),
        { ...replicated('self_attn.rel_logits.proj', config.size('d_rel'), extent), kind: 'other' },
        ...['k_sconv', 'v_sconv'].map(name => convolution(`self_attn.${name}`, kvWidth)),
        ...['attn_sconv', 'mlp_sconv'].map(name => convolution(name, hidden)),
        norm('input_layernorm', hidden),
      ],
      cache: [attentionCache(span, keyValueHeads(attention)), ...states],
    }
  }
  const experts = config.size('n_routed_experts')
  const shared = config.count('n_shared_experts')
  const width = config.size('moe_intermediate_size')
  const dense = config.size('intermediate_size')
  const feeds = layerKinds(config, layers, 'mlp_layer_types')
  const scale = vector('mlp.global_scale', 1)
  const moe = feedPart('moe', full, () => [
    ...mixtureWeights({
      hidden,
      width,
      experts,
      perToken: config.sizeOrNull('num_experts_per_tok'),
      routerExtra: shared,
    }),
    ...(shared > 0 ? sharedExpert(hidden, width * shared) : []),
    scale,
  ])
  const plain = feedPart('dense', full, () => [...gatedFeedForward(hidden, dense), scale])
  return {
    sizes: full,
    layer: i => [
      isSliding(i) ? mixer(sliding, window) : mixer(full, null),
      feeds && feeds[i] === 'dense' ? plain : moe,
    ],
    embedding: [tokenEmbedding(full.vocabulary, hidden), norm('model.embed_tokens.embed_norm', hidden)],
    intermediate: dense,
    tied: false,
    exact: config.sizeOrNull('num_mtp_layers') === null,
    experts,
    expertsPerToken: config.sizeOrNull('num_experts_per_tok'),
  }
}

const types: readonly LayeredType[] = [
  {
    type: 'mellum',
    defaults: usual({
      vocab: 98304,
      hidden: 2304,
      width: 7168,
      layers: 28,
      heads: 32,
      kvHeads: 4,
      head_dim: 128,
      context: 131072,
      sliding_window: 1024,
      moe_intermediate_size: 896,
      num_experts_per_tok: 8,
      num_experts: 64,
    }),
    aliases: { num_experts: ['num_local_experts'], num_nextn_predict_layers: ['num_mtp_layers'] },
    read: mellum,
  },
  {
    type: 'kolibri1',
    defaults: usual({
      vocab: 128000,
      hidden: 2560,
      layers: 50,
      heads: 48,
      kvHeads: 4,
      head_dim: 128,
      context: 262144,
      sliding_window: 513,
      moe_intermediate_size: 512,
      shared_expert_intermediate_size: 512,
      num_experts_per_tok: 6,
      num_experts: 384,
    }),
    aliases: { num_experts: ['num_local_experts'] },
    read: kolibri,
  },
  {
    type: 'flint',
    defaults: usual({
      vocab: 150144,
      hidden: 2048,
      width: 6144,
      layers: 49,
      heads: 32,
      kvHeads: 4,
      head_dim: 128,
      context: 262144,
      sliding_window: 513,
      decoder_sparse_step: 1,
      moe_intermediate_size: 512,
      shared_expert_intermediate_size: 1024,
      num_experts_per_tok: 6,
      num_experts: 256,
    }),
    read: flint,
  },
  {
    type: 'lara_mini',
    defaults: usual({
      vocab: 151936,
      hidden: 1024,
      layers: 34,
      heads: 16,
      kvHeads: 4,
      head_dim: 128,
      context: 131072,
      sliding_window: 512,
      linear_conv_kernel_dim: 4,
      linear_key_head_dim: 128,
      linear_value_head_dim: 128,
      linear_num_key_heads: 8,
      linear_num_value_heads: 16,
      moe_intermediate_size: 512,
      shared_expert_intermediate_size: 512,
      num_experts_per_tok: 4,
      num_experts: 128,
      tie_word_embeddings: true,
    }),
    read: lara,
  },
  {
    type: 'inkling_text',
    classes: ['Inkling'],
    defaults: usual({
      vocab: 201024,
      hidden: 6144,
      layers: 66,
      heads: 64,
      kvHeads: 8,
      head_dim: 128,
      swa_num_attention_heads: 64,
      swa_num_key_value_heads: 16,
      swa_head_dim: 128,
      sliding_window_size: 512,
      d_rel: 16,
      rel_extent: 1024,
      context: 131072,
      conv_kernel_size: 4,
      width: 24576,
      moe_intermediate_size: 3072,
      n_routed_experts: 256,
      num_experts_per_tok: 6,
      n_shared_experts: 2,
    }),
    aliases: {
      sliding_window_size: ['sliding_window'],
      n_routed_experts: ['num_local_experts'],
      conv_kernel_size: ['sconv_kernel_size'],
      max_position_embeddings: ['model_max_length'],
    },
    read: inkling,
  },
]

export const newerMixtures: readonly Family[] = types.map(layered)
