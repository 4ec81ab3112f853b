import { attentionWeights, queryKeyNorms } from '../blocks/attention.ts'
import { mixtureWeights, sharedExpert } from '../blocks/mixture.ts'
import { type GatedDelta, gatedDeltaCache, gatedDeltaWeights } from '../blocks/recurrent.ts'
import { column, norm } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { Weight } from '../shape.ts'
import { type Family, layerKinds, usual } from './family.ts'
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
import { qwenWindows } from './qwen.ts'

/** Experts of all Qwen mixtures; the shared expert has a scalar gate. */
function mixturePart(d: Sizes, experts: number, shared = d.config.count('shared_expert_intermediate_size')): Part {
  const width = d.config.size('moe_intermediate_size')
  const perToken = d.config.sizeOrNull('num_experts_per_tok')
  return feedPart('moe', d, () => [
    ...mixtureWeights({ hidden: d.hidden, width, experts, perToken }),
    ...(shared > 0
      ? sharedExpert(d.hidden, shared, { prefix: 'mlp.shared_expert', gate: 'mlp.shared_expert_gate' })
      : []),
  ])
}

/** Which layers are mixtures: every decoder_sparse_step-th, without those of mlp_only_layers. */
function sparseLayers(config: Config, experts: number): (layer: number) => boolean {
  const step = config.size('decoder_sparse_step')
  const dense = new Set(config.list('mlp_only_layers') ?? [])
  return layer => experts > 0 && !dense.has(layer) && (layer + 1) % step === 0
}

/** qwen2_moe and qwen3_moe: attention everywhere, mixtures on the sparse layers. */
function attentionOnly(
  config: Config,
  expertsKey: string,
  shared: number,
  attention: (d: Sizes) => readonly Weight[],
): Layered {
  const d = sizesOf(config)
  const experts = config.count(expertsKey)
  const sparse = sparseLayers(config, experts)
  const windows = qwenWindows(d)
  const intermediate = config.size('intermediate_size')
  return {
    sizes: d,
    layer: i => [
      attentionPart(d, windows[i] ?? null, () => attention(d)),
      sparse(i) ? mixturePart(d, experts, shared) : densePart(d, intermediate),
    ],
    intermediate,
    experts,
    expertsPerToken: config.sizeOrNull('num_experts_per_tok'),
  }
}

/** Attention of Qwen3-Next and 3.5: queries come with an output gate, so their projection is doubled. */
function gatedAttention(d: Sizes): Weight[] {
  const bias = d.config.flag('attention_bias')
  const [, ...rest] = attentionWeights({ ...d, qkvBias: bias, outBias: bias })
  return [column('self_attn.q_proj', 2 * d.heads * d.headDim, d.hidden, { bias }), ...rest, ...queryKeyNorms(d, 'head')]
}

/** Attention of Qwen3: biases by flag, norms on queries and keys. */
function normedAttention(d: Sizes): Weight[] {
  const bias = d.config.flag('attention_bias')
  return [...attentionWeights({ ...d, qkvBias: bias, outBias: bias }), ...queryKeyNorms(d, 'head')]
}

/** A gated delta net on all layers but every full_attention_interval-th. */
function deltaHybrid(
  config: Config,
  input: 'fused' | 'apart',
  feed: (d: Sizes) => (layer: number) => Part,
  mtpLayers: number,
): Layered {
  const d = sizesOf(config)
  const g: GatedDelta = {
    hidden: d.hidden,
    keyHeads: config.size('linear_num_key_heads'),
    valueHeads: config.size('linear_num_value_heads'),
    keyDim: config.size('linear_key_head_dim'),
    valueDim: config.size('linear_value_head_dim'),
    kernel: config.size('linear_conv_kernel_dim'),
  }
  const interval = config.size('full_attention_interval')
  const kinds = layerKinds(config, d.layers)
  const isFull = (i: number) => (kinds ? kinds[i] === 'full_attention' : (i + 1) % interval === 0)
  const feedOf = feed(d)
  const full = attentionPart(d, null, () => gatedAttention(d))
  const linear: Part = {
    name: 'linear',
    weights: () => [...gatedDeltaWeights(g, input), norm('input_layernorm', d.hidden)],
    cache: [gatedDeltaCache(g)],
  }
  return {
    sizes: d,
    layer: i => [isFull(i) ? full : linear, feedOf(i)],
    intermediate: config.sizeOrNull('intermediate_size'),
    experts: config.raw('num_experts') === undefined ? null : config.count('num_experts'),
    expertsPerToken: config.sizeOrNull('num_experts_per_tok'),
    mtp: predictionLayers(mtpLayers, d, [full, feedOf(d.layers - 1)], false),
  }
}

const linearDefaults = {
  linear_conv_kernel_dim: 4,
  linear_key_head_dim: 128,
  linear_value_head_dim: 128,
  linear_num_key_heads: 16,
  linear_num_value_heads: 32,
  full_attention_interval: 4,
}

const types: readonly LayeredType[] = [
  {
    type: 'qwen2_moe',
    defaults: usual({
      vocab: 151936,
      hidden: 2048,
      width: 5632,
      layers: 24,
      heads: 16,
      kvHeads: 16,
      context: 32768,
      use_sliding_window: false,
      sliding_window: 4096,
      max_window_layers: 28,
      decoder_sparse_step: 1,
      moe_intermediate_size: 1408,
      shared_expert_intermediate_size: 5632,
      num_experts_per_tok: 4,
      num_experts: 60,
      qkv_bias: true,
    }),
    read: config =>
      attentionOnly(config, 'num_experts', config.count('shared_expert_intermediate_size'), d =>
        attentionWeights({ ...d, qkvBias: config.flag('qkv_bias') }),
      ),
  },
  {
    type: 'qwen3_moe',
    defaults: usual({
      vocab: 151936,
      hidden: 2048,
      width: 6144,
      layers: 24,
      heads: 32,
      kvHeads: 4,
      context: 32768,
      use_sliding_window: false,
      sliding_window: 4096,
      max_window_layers: 28,
      decoder_sparse_step: 1,
      moe_intermediate_size: 768,
      num_experts_per_tok: 8,
      num_experts: 128,
    }),
    aliases: { num_experts: ['num_local_experts'] },
    read: config => attentionOnly(config, 'num_experts', 0, normedAttention),
  },
  {
    type: 'qwen3_vl_moe_text',
    classes: ['Qwen3VLMoe'],
    defaults: usual({
      vocab: 151936,
      hidden: 2048,
      width: 5632,
      layers: 24,
      heads: 16,
      kvHeads: 16,
      context: 128000,
      decoder_sparse_step: 1,
      moe_intermediate_size: 1408,
      num_experts_per_tok: 4,
      num_experts: 60,
      tie_word_embeddings: true,
    }),
    aliases: { num_experts: ['num_local_experts'] },
    read: config => attentionOnly(config, 'num_experts', 0, normedAttention),
  },
  {
    type: 'qwen3_omni_moe_text',
    classes: ['Qwen3OmniMoe', 'Qwen3OmniMoeThinker'],
    defaults: usual({
      vocab: 3584,
      hidden: 2048,
      width: 18944,
      layers: 28,
      heads: 28,
      kvHeads: 4,
      context: 32768,
      decoder_sparse_step: 1,
      moe_intermediate_size: 768,
      num_experts_per_tok: 8,
      num_experts: 128,
      tie_word_embeddings: true,
    }),
    aliases: { num_experts: ['num_local_experts'] },
    read: config => attentionOnly(config, 'num_experts', 0, normedAttention),
  },
  {
    type: 'qwen3_next',
    defaults: {
      vocab_size: 151936,
      hidden_size: 2048,
      intermediate_size: 5632,
      num_hidden_layers: 48,
      num_attention_heads: 16,
      num_key_value_heads: 2,
      head_dim: 256,
      max_position_embeddings: 32768,
      decoder_sparse_step: 1,
      moe_intermediate_size: 512,
      shared_expert_intermediate_size: 512,
      num_experts_per_tok: 10,
      num_experts: 512,
      ...linearDefaults,
    },
    read: config =>
      deltaHybrid(
        config,
        'fused',
        d => {
          const experts = config.count('num_experts')
          const sparse = sparseLayers(config, experts)
          const moe = mixturePart(d, experts)
          const dense = densePart(d, config.size('intermediate_size'))
          return i => (sparse(i) ? moe : dense)
        },
        // every published checkpoint has one, though no key says so
        1,
      ),
  },
  {
    type: 'qwen3_5_text',
    classes: ['Qwen3_5'],
    defaults: {
      vocab_size: 248320,
      hidden_size: 4096,
      intermediate_size: 12288,
      num_hidden_layers: 32,
      num_attention_heads: 16,
      num_key_value_heads: 4,
      head_dim: 256,
      max_position_embeddings: 32768,
      ...linearDefaults,
    },
    read: config =>
      deltaHybrid(
        config,
        'apart',
        d => {
          const dense = densePart(d, config.size('intermediate_size'))
          return () => dense
        },
        config.count('mtp_num_hidden_layers'),
      ),
  },
  {
    type: 'qwen3_5_moe_text',
    classes: ['Qwen3_5Moe'],
    defaults: {
      vocab_size: 248320,
      hidden_size: 2048,
      num_hidden_layers: 40,
      num_attention_heads: 16,
      num_key_value_heads: 2,
      head_dim: 256,
      max_position_embeddings: 32768,
      moe_intermediate_size: 512,
      shared_expert_intermediate_size: 512,
      num_experts_per_tok: 8,
      num_experts: 256,
      ...linearDefaults,
    },
    read: config =>
      deltaHybrid(
        config,
        'apart',
        d => {
          const moe = mixturePart(d, config.size('num_experts'))
          return () => moe
        },
        config.count('mtp_num_hidden_layers'),
      ),
  },
]

export const qwenMoe: readonly Family[] = types.map(layered)
