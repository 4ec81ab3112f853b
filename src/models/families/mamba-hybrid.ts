import { attentionWeights, keyValueHeads } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { mixtureWeights, sharedExpert } from '../blocks/mixture.ts'
import {
  type Mamba1,
  type Mamba2,
  mamba1Cache,
  mamba1Weights,
  mamba2Cache,
  mamba2Weights,
} from '../blocks/recurrent.ts'
import { norm } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import { type Family, layerKinds, usual } from './family.ts'
import { attentionPart, type Layered, type LayeredType, layered, type Part, type Sizes, sizesOf } from './layered.ts'

/** A size that may be "auto"; then the derived one. */
export function sizeOrAuto(config: Config, name: string, derived: number): number {
  return config.raw(name) === 'auto' ? Math.max(derived, 1) : (config.sizeOrNull(name) ?? Math.max(derived, 1))
}

/** Inner width of a mixer: the hidden size times an expansion that may be fractional, rounded down. */
export function expanded(config: Config, hidden: number, name = 'mamba_expand'): number {
  const factor = config.number(name)
  if (factor === null || factor <= 0) return config.invalid(name, `is ${factor}, expected a positive number`)
  return Math.max(Math.floor(factor * hidden), 1)
}

/** A Mamba-2 mixer from the `mamba_*` keys that Bamba, Granite and Falcon share. */
function mamba2Sizes(config: Config, hidden: number): Mamba2 {
  const heads = config.size('mamba_n_heads')
  // the class demands heads x head size = inner width: where the file gives both, they say more than a default
  const given =
    typeof config.raw('mamba_d_head') === 'number' && !config.has('mamba_d_ssm') && config.has('mamba_n_heads')
  const inner =
    given && config.sizeOrNull('mamba_d_ssm') !== null
      ? heads * config.size('mamba_d_head')
      : (config.sizeOrNull('mamba_d_ssm') ?? expanded(config, hidden))
  const bias = config.flag('mamba_proj_bias')
  return {
    hidden,
    inner,
    heads,
    headDim: sizeOrAuto(config, 'mamba_d_head', Math.floor(inner / heads)),
    groups: config.size('mamba_n_groups'),
    state: config.size('mamba_d_state'),
    kernel: config.size('mamba_d_conv'),
    convBias: config.flag('mamba_conv_bias'),
    inBias: bias,
    outBias: bias,
    norm: true,
  }
}

function mamba2Part(m: Mamba2): Part {
  return {
    name: 'mamba2',
    weights: () => [...mamba2Weights(m), norm('input_layernorm', m.hidden)],
    cache: [mamba2Cache(m)],
  }
}

const flaggedAttention = (d: Sizes) => {
  const bias = d.config.flag('attention_bias')
  return attentionWeights({ ...d, qkvBias: bias, outBias: bias })
}

/** Dense feed-forward under the names of these classes. */
function feedForwardPart(d: Sizes, width: number, bias = false): Part {
  return {
    name: 'dense',
    weights: () => [...gatedFeedForward(d.hidden, width, bias, 'feed_forward'), norm('pre_ff_layernorm', d.hidden)],
  }
}

/** Jamba: attention every attn_layer_period-th layer, Mamba-1 elsewhere; experts every expert_layer_period-th. */
function jamba(config: Config): Layered {
  const d = sizesOf(config)
  const width = config.size('intermediate_size')
  const experts = config.size('num_experts')
  const perToken = config.sizeOrNull('num_experts_per_tok')
  const every = (period: string, offset: string) => {
    const [step, first] = [config.size(period), config.count(offset)]
    return (i: number) => i % step === first
  }
  const isAttention = every('attn_layer_period', 'attn_layer_offset')
  const isSparse = every('expert_layer_period', 'expert_layer_offset')
  const m: Mamba1 = {
    hidden: d.hidden,
    inner: expanded(config, d.hidden),
    state: config.size('mamba_d_state'),
    rank: sizeOrAuto(config, 'mamba_dt_rank', Math.ceil(d.hidden / 16)),
    kernel: config.size('mamba_d_conv'),
    convBias: config.flag('mamba_conv_bias'),
    projBias: config.flag('mamba_proj_bias'),
    innerNorms: true,
  }
  const full = attentionPart(d, null, () => attentionWeights(d))
  const mamba: Part = {
    name: 'mamba1',
    weights: () => [...mamba1Weights(m), norm('input_layernorm', d.hidden)],
    cache: [mamba1Cache(m)],
  }
  const dense = feedForwardPart(d, width)
  const moe: Part = {
    name: 'moe',
    weights: () => [
      ...mixtureWeights({
        hidden: d.hidden,
        width,
        experts,
        perToken,
        prefix: 'feed_forward',
        router: 'feed_forward.router',
      }),
      norm('pre_ff_layernorm', d.hidden),
    ],
  }
  return {
    sizes: d,
    layer: i => [isAttention(i) ? full : mamba, isSparse(i) && experts > 1 ? moe : dense],
    intermediate: width,
    experts,
    expertsPerToken: perToken,
  }
}

/** Bamba: Mamba-2 but for the listed attention layers, a dense feed-forward everywhere. */
function bamba(config: Config): Layered {
  const d = sizesOf(config)
  const width = config.size('intermediate_size')
  const attention = config.list('attn_layer_indices') ?? []
  const full = attentionPart(d, null, () => flaggedAttention(d))
  const mamba = mamba2Part(mamba2Sizes(config, d.hidden))
  const dense = feedForwardPart(d, width, config.flag('mlp_bias'))
  return { sizes: d, layer: i => [attention.includes(i) ? full : mamba, dense], intermediate: width }
}

/** Granite 4: mixers by layer_types, routed experts (or none) and one shared feed-forward. */
function granite(config: Config): Layered {
  const d = sizesOf(config)
  const experts = config.count('num_local_experts')
  const perToken = experts > 0 ? config.count('num_experts_per_tok') || null : null
  const width = config.size('intermediate_size')
  const kinds = layerKinds(config, d.layers)
  const isAttention = (i: number) => kinds?.[i] === 'attention' || kinds?.[i] === 'full_attention'
  const full = attentionPart(d, null, () => flaggedAttention(d))
  const mamba = mamba2Part(mamba2Sizes(config, d.hidden))
  const shared = config.count('shared_intermediate_size')
  const feed: Part = {
    name: experts > 0 ? 'moe' : 'dense',
    weights: () => [
      ...(experts > 0
        ? mixtureWeights({
            hidden: d.hidden,
            width,
            experts,
            perToken,
            prefix: 'block_sparse_moe',
            router: 'block_sparse_moe.router.layer',
          })
        : []),
      ...sharedExpert(d.hidden, shared, { prefix: 'shared_mlp' }),
      norm('post_attention_layernorm', d.hidden),
    ],
  }
  return {
    sizes: d,
    layer: i => [isAttention(i) ? full : mamba, feed],
    intermediate: experts > 0 ? width : shared,
    experts: experts > 0 ? experts : null,
    expertsPerToken: perToken,
  }
}

/** Falcon-H1: attention and Mamba-2 side by side in every layer, so each layer has two caches. */
function falconH1(config: Config): Layered {
  const d = sizesOf(config)
  const m: Mamba2 = {
    ...mamba2Sizes(config, d.hidden),
    norm: config.flag('mamba_rms_norm'),
    outBias: config.flag('projectors_bias'),
  }
  const width = config.size('intermediate_size')
  const mixer: Part = {
    name: 'full + mamba2',
    weights: () => [...flaggedAttention(d), ...mamba2Weights(m), norm('input_layernorm', d.hidden)],
    cache: [{ kind: 'full', ...keyValueHeads(d) }, mamba2Cache(m)],
  }
  const dense = feedForwardPart(d, width, config.flag('mlp_bias'))
  return { sizes: d, layer: () => [mixer, dense], intermediate: width }
}

const bambaDefaults = usual({
  vocab: 128000,
  hidden: 4096,
  width: 14336,
  layers: 32,
  heads: 32,
  kvHeads: 8,
  context: 262144,
  mamba_n_heads: 128,
  mamba_d_head: 'auto',
  mamba_n_groups: 1,
  mamba_d_state: 256,
  mamba_d_conv: 4,
  mamba_expand: 2,
  mamba_conv_bias: true,
})

const types: readonly LayeredType[] = [
  {
    type: 'jamba',
    defaults: usual({
      vocab: 65536,
      hidden: 4096,
      width: 14336,
      layers: 32,
      heads: 32,
      kvHeads: 8,
      context: 262144,
      num_experts_per_tok: 2,
      num_experts: 16,
      expert_layer_period: 2,
      expert_layer_offset: 1,
      attn_layer_period: 8,
      attn_layer_offset: 4,
      mamba_d_state: 16,
      mamba_d_conv: 4,
      mamba_expand: 2,
      mamba_dt_rank: 'auto',
      mamba_conv_bias: true,
    }),
    aliases: { num_experts: ['num_local_experts'] },
    read: jamba,
  },
  { type: 'bamba', defaults: bambaDefaults, read: bamba },
  {
    type: 'granitemoehybrid',
    defaults: usual({
      ...bambaDefaults,
      vocab: 32000,
      width: 11008,
      kvHeads: null,
      context: 2048,
      num_local_experts: 8,
      num_experts_per_tok: 2,
      shared_intermediate_size: 1024,
    }),
    aliases: { layer_types: ['layers_block_type'] },
    read: granite,
  },
  {
    type: 'falcon_h1',
    defaults: { ...bambaDefaults, max_position_embeddings: 8192, mamba_d_ssm: 1024 },
    read: falconH1,
  },
]

export const mambaHybrid: readonly Family[] = types.map(layered)
