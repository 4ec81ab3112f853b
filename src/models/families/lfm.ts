import { attentionWeights, queryKeyNorms } from '../blocks/attention.ts'
import { mixtureWeights } from '../blocks/mixture.ts'
import { shortConvWeights } from '../blocks/recurrent.ts'
import { column, norm, row } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { Weight } from '../shape.ts'
import { type Family, layerKinds, usual } from './family.ts'
import {
  attentionPart,
  feedPart,
  type Layered,
  type LayeredType,
  layered,
  type Part,
  type Sizes,
  sizesOf,
} from './layered.ts'

/** Attention and short convolution of LFM2, each under operator_norm. */
function lfmMixers(d: Sizes): { readonly full: Part; readonly conv: Part } {
  const kernel = d.config.size('conv_L_cache')
  return {
    full: attentionPart(d, null, () => [
      ...attentionWeights({ ...d, out: 'out_proj' }),
      norm('self_attn.q_layernorm', d.headDim),
      norm('self_attn.k_layernorm', d.headDim),
    ]),
    conv: {
      name: 'short-conv',
      weights: () => [
        ...shortConvWeights(d.hidden, kernel, d.config.flag('conv_bias')),
        norm('operator_norm', d.hidden),
      ],
      cache: [{ kind: 'short-conv', width: d.hidden, kernel }],
    },
  }
}

/** Gated feed-forward under LFM2's names. */
export const lfmFeed = (hidden: number, width: number): Weight[] => [
  column('feed_forward.w1', width, hidden),
  column('feed_forward.w3', width, hidden),
  row('feed_forward.w2', hidden, width),
]

/** Width of LFM2's feed-forward: two thirds of the config's, times a factor, up to a multiple; or the config's. */
function lfmWidth(config: Config): number {
  const given = config.sizeOrNull('block_ff_dim') ?? config.size('intermediate_size')
  if (!config.flag('block_auto_adjust_ff_dim')) return given
  const reduced = Math.floor((2 * given) / 3)
  const factor = config.number('block_ffn_dim_multiplier')
  if (factor === null) return reduced
  const multiple = config.size('block_multiple_of')
  return multiple * Math.ceil(Math.floor(factor * reduced) / multiple)
}

function lfm2(config: Config): Layered {
  const d = sizesOf(config)
  const kinds = layerKinds(config, d.layers)
  const listed = config.list('full_attn_idxs')
  const isFull = (i: number) => (kinds ? kinds[i] !== 'conv' : listed === null || listed.includes(i))
  const { full, conv } = lfmMixers(d)
  const width = lfmWidth(config)
  const feed = feedPart('dense', d, () => lfmFeed(d.hidden, width))
  return {
    sizes: d,
    layer: i => [isFull(i) ? full : conv, feed],
    final: [norm('model.embedding_norm', d.hidden)],
    intermediate: width,
    ...lfmTie(config),
  }
}

/** Files say `tie_embedding`; it wins over the usual key. */
const lfmTie = (config: Config): { readonly tied?: boolean } =>
  config.has('tie_embedding') ? { tied: config.flag('tie_embedding', true) } : {}

function lfm2Moe(config: Config): Layered {
  const d = sizesOf(config)
  const kinds = layerKinds(config, d.layers)
  if (kinds === null) return config.invalid('layer_types', 'is missing')
  const { full, conv } = lfmMixers(d)
  const experts = config.size('num_experts')
  const perToken = config.sizeOrNull('num_experts_per_tok')
  const width = config.size('intermediate_size')
  const denseLayers = config.count('num_dense_layers')
  const dense = feedPart('dense', d, () => lfmFeed(d.hidden, width))
  const moe = feedPart('moe', d, () =>
    mixtureWeights({
      hidden: d.hidden,
      width: config.size('moe_intermediate_size'),
      experts,
      perToken,
      prefix: 'feed_forward',
      names: ['w1', 'w3', 'w2'],
    }),
  )
  return {
    sizes: d,
    layer: i => [kinds[i] === 'conv' ? conv : full, i < denseLayers ? dense : moe],
    final: [norm('model.embedding_norm', d.hidden)],
    intermediate: width,
    experts,
    expertsPerToken: perToken,
    ...lfmTie(config),
  }
}

/** LFM3: gated attention, some of it sliding, and with sandwich norms two norms more a layer. */
function lfm3(config: Config): Layered {
  const d = sizesOf(config)
  const kinds = layerKinds(config, d.layers)
  const kindOf = (i: number) =>
    kinds?.[i] ?? (i % 4 === 2 ? 'full_attention' : i % 4 === 0 && i > 0 ? 'sliding_attention' : 'conv')
  const window = config.sizeOrNull('sliding_window')
  const bias = config.flag('attention_bias')
  const kernel = config.size('conv_L_cache')
  const sandwich = config.flag('use_sandwich_norm')
  const gate = config.flag('use_attention_gate')
  const attention = (w: number | null) =>
    attentionPart(d, w, () => [
      ...attentionWeights({ ...d, qkvBias: bias, outBias: bias }),
      ...queryKeyNorms(d, 'head'),
      ...(gate ? [column('self_attn.g_proj', d.heads, d.hidden)] : []),
    ])
  const conv: Part = {
    name: 'short-conv',
    weights: () => [...shortConvWeights(d.hidden, kernel, config.flag('conv_bias')), norm('operator_norm', d.hidden)],
    cache: [{ kind: 'short-conv', width: d.hidden, kernel }],
  }
  const mixers = new Map([
    ['full_attention', attention(null)],
    ['sliding_attention', attention(window)],
    ['conv', conv],
  ])
  const width = config.size('intermediate_size')
  const feed = feedPart('dense', d, () => [
    ...lfmFeed(d.hidden, width),
    ...(sandwich ? [norm('post_operator_norm', d.hidden), norm('post_ffn_norm', d.hidden)] : []),
  ])
  return {
    sizes: d,
    layer: i => [mixers.get(kindOf(i)) ?? config.invalid('layer_types', `holds ${JSON.stringify(kindOf(i))}`), feed],
    final: [norm('model.embedding_norm', d.hidden)],
    intermediate: width,
  }
}

const types: readonly LayeredType[] = [
  {
    type: 'lfm2',
    defaults: usual({
      vocab: 65536,
      hidden: 2560,
      width: 12288,
      layers: 32,
      heads: 32,
      kvHeads: 8,
      context: 128000,
      conv_L_cache: 3,
      block_multiple_of: 256,
      block_ffn_dim_multiplier: 1,
      block_auto_adjust_ff_dim: true,
      tie_word_embeddings: true,
    }),
    read: lfm2,
  },
  {
    type: 'lfm2_moe',
    defaults: usual({
      vocab: 65536,
      hidden: 2048,
      width: 7168,
      moe_intermediate_size: 1792,
      layers: 32,
      heads: 32,
      kvHeads: 8,
      context: 128000,
      conv_L_cache: 3,
      num_dense_layers: 2,
      num_experts_per_tok: 4,
      num_experts: 32,
      tie_word_embeddings: true,
    }),
    read: lfm2Moe,
  },
  {
    type: 'lfm3',
    defaults: usual({
      vocab: 128000,
      hidden: 2048,
      width: 7680,
      layers: 24,
      heads: 16,
      kvHeads: 4,
      head_dim: 128,
      context: 128000,
      conv_L_cache: 7,
      sliding_window: 256,
      use_sandwich_norm: true,
      use_attention_gate: true,
      tie_word_embeddings: true,
    }),
    read: lfm3,
  },
]

export const lfm: readonly Family[] = types.map(layered)
