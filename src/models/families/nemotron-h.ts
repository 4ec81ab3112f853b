import { attentionWeights } from '../blocks/attention.ts'
import { plainFeedForward } from '../blocks/feed-forward.ts'
import { mixtureWeights } from '../blocks/mixture.ts'
import { type Mamba2, mamba2Cache, mamba2Weights } from '../blocks/recurrent.ts'
import { norm, replicated } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { Weight } from '../shape.ts'
import { attentionCache } from './decoder.ts'
import { type Family, usual } from './family.ts'
import { type Layered, layered, type Part, predictionLayers, type Sizes, sizesOf } from './layered.ts'

type Block = 'mamba2' | 'full' | 'dense' | 'moe'

const BLOCKS: Readonly<Record<string, Block>> = {
  M: 'mamba2',
  '*': 'full',
  '-': 'dense',
  E: 'moe',
  mamba: 'mamba2',
  linear_attention: 'mamba2',
  attention: 'full',
  full_attention: 'full',
  mlp: 'dense',
  moe: 'moe',
}

/** Layer kinds from a list of names or a pattern of letters; null when neither is given. */
function blocks(config: Config, listName: string, patternName: string): readonly Block[] | null {
  const list = config.list(listName)
  const pattern = list === null ? config.text(patternName) : null
  const names = list ?? (pattern === null ? null : [...pattern])
  if (names === null) return null
  const field = list === null ? patternName : listName
  if (names.length === 0 || names.length > 10_000) return config.invalid(field, `names ${names.length} layers`)
  return names.map(
    name => BLOCKS[String(name)] ?? config.invalid(field, `holds ${JSON.stringify(name)}, no layer kind`),
  )
}

/** Experts of two matrices, optionally at a latent width between two projections, and a shared one. */
function expertWeights(d: Sizes): Weight[] {
  const config = d.config
  const latent = config.sizeOrNull('moe_latent_size')
  const bias = config.flag('mlp_bias')
  const shared = config.count('moe_shared_expert_intermediate_size') || config.size('intermediate_size')
  return [
    ...mixtureWeights({
      hidden: d.hidden,
      width: config.size('moe_intermediate_size'),
      experts: config.size('n_routed_experts'),
      perToken: config.sizeOrNull('num_experts_per_tok'),
      prefix: 'mixer',
      plain: true,
      ...(latent === null ? {} : { expertHidden: latent }),
    }),
    ...plainFeedForward(d.hidden, shared, bias, ['mixer.shared_experts.up_proj', 'mixer.shared_experts.down_proj']),
    ...(latent === null
      ? []
      : [
          replicated('mixer.fc1_latent_proj', latent, d.hidden, { bias }),
          replicated('mixer.fc2_latent_proj', d.hidden, latent, { bias }),
        ]),
  ]
}

/** One mixer and one norm a layer. */
function nemotronH(config: Config): Layered {
  const order = blocks(config, 'layers_block_type', 'hybrid_override_pattern') ?? ['mamba2', 'moe', 'full', 'dense']
  const d: Sizes = { ...sizesOf(config.with({ num_hidden_layers: order.length })), layers: order.length }
  const heads = config.size('mamba_num_heads')
  const headDim = config.size('mamba_head_dim')
  const bias = config.flag('use_bias')
  const m: Mamba2 = {
    hidden: d.hidden,
    inner: heads * headDim,
    heads,
    headDim,
    groups: config.size('n_groups'),
    state: config.size('ssm_state_size'),
    kernel: config.size('conv_kernel'),
    convBias: config.flag('use_conv_bias'),
    inBias: bias,
    outBias: bias,
    norm: true,
  }
  const width = config.sizeOrNull('intermediate_size')
  const mixers: Readonly<Record<Block, Pick<Part, 'weights' | 'cache'>>> = {
    mamba2: { weights: () => mamba2Weights(m, 'mixer'), cache: [mamba2Cache(m)] },
    // the class has no attention biases, whatever attention_bias says
    full: {
      weights: () => attentionWeights({ ...d, prefix: 'mixer' }),
      cache: [attentionCache(null, { kvHeads: d.kvHeads, keyDim: d.headDim, valueDim: d.headDim })],
    },
    dense: {
      weights: () =>
        plainFeedForward(d.hidden, config.size('intermediate_size'), config.flag('mlp_bias'), [
          'mixer.up_proj',
          'mixer.down_proj',
        ]),
    },
    moe: { weights: () => expertWeights(d) },
  }
  const part = (name: Block): Part => ({
    ...mixers[name],
    name,
    weights: () => [...mixers[name].weights(), norm('norm', d.hidden)],
  })
  const parts = { mamba2: part('mamba2'), full: part('full'), dense: part('dense'), moe: part('moe') }
  const hasExperts = order.includes('moe')
  const predicted = blocks(config, 'mtp_layers_block_type', 'mtp_hybrid_override_pattern') ?? ['full', 'moe']
  return {
    sizes: d,
    layer: i => [parts[order[i]!]],
    final: [norm('model.norm_f', d.hidden)],
    // the class never ties
    tied: false,
    intermediate: width,
    experts: hasExperts ? config.size('n_routed_experts') : null,
    expertsPerToken: hasExperts ? config.sizeOrNull('num_experts_per_tok') : null,
    mtp: predictionLayers(
      config.count('num_nextn_predict_layers'),
      d,
      predicted.map(name => parts[name]),
      false,
    ),
  }
}

export const nemotronHybrid: Family = layered({
  type: 'nemotron_h',
  defaults: usual({
    vocab: 131072,
    hidden: 4096,
    heads: 32,
    kvHeads: 8,
    head_dim: 128,
    context: 4096,
    width: 21504,
    ssm_state_size: 128,
    mamba_num_heads: 128,
    mamba_head_dim: 64,
    n_groups: 8,
    conv_kernel: 4,
    use_conv_bias: true,
    mamba_ssm_cache_dtype: 'float32',
    n_routed_experts: 8,
    moe_intermediate_size: 7688,
    moe_shared_expert_intermediate_size: 7688,
    num_experts_per_tok: 2,
  }),
  aliases: {
    layers_block_type: ['layer_types'],
    n_routed_experts: ['num_local_experts'],
    n_groups: ['mamba_n_groups'],
    conv_kernel: ['mamba_d_conv'],
    use_conv_bias: ['mamba_conv_bias'],
  },
  read: nemotronH,
})
