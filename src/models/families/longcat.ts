import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { type LatentAttention, latentAttentionWeights, latentCache } from '../blocks/latent.ts'
import { mixtureWeights } from '../blocks/mixture.ts'
import { norm } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { Weight } from '../shape.ts'
import { latentSizes } from './deepseek.ts'
import { type Family, usual } from './family.ts'
import { type Layered, layered } from './layered.ts'

/**
 * LongCat-Flash: each layer has two latent attentions, two dense feed-forwards and one mixture, whose router also
 * scores identity experts. transformers allocates gate and up matrices for those; checkpoints and engines have none.
 */
function longcat(config: Config): Layered {
  const layers = config.has('num_layers') ? config.size('num_layers') : halved(config)
  const { sizes, attention } = latentSizes(config.with({ num_hidden_layers: 2 * layers }))
  const d = { ...sizes, layers }
  const { hidden } = d
  const experts = config.size('n_routed_experts')
  const identity = config.count('zero_expert_num')
  const perToken = config.size('moe_topk')
  const width = config.size('expert_ffn_hidden_size')
  const dense = config.size('ffn_hidden_size')
  const queryDim = config.sizeOrNull('qk_head_dim')
  const half = (i: number): Weight[] => [
    ...latentAttentionWeights({ ...attention, queryDim, prefix: `self_attn.${i}` } satisfies LatentAttention),
    ...gatedFeedForward(hidden, dense, false, `mlps.${i}`),
    norm(`input_layernorm.${i}`, hidden),
    norm(`post_attention_layernorm.${i}`, hidden),
  ]
  const idle = (name: string): Weight => ({
    name: `mlp.experts.${name}`,
    out: width,
    in: hidden,
    copies: identity,
    active: 0,
    bias: false,
    kind: 'linear',
    split: 'expert-column',
    transformersOnly: true,
  })
  return {
    sizes: d,
    layer: () => [
      {
        name: 'mla x2 moe',
        weights: () => [
          ...half(0),
          ...half(1),
          ...mixtureWeights({
            hidden,
            width,
            experts,
            perToken,
            router: 'mlp.router.classifier',
            routerBias: config.flag('router_bias'),
            routerExtra: identity,
          }),
          ...(identity > 0 ? [idle('identity.gate_proj'), idle('identity.up_proj')] : []),
        ],
        cache: [latentCache(attention), latentCache(attention)],
      },
    ],
    intermediate: dense,
    experts,
    expertsPerToken: perToken,
  }
}

/** `num_hidden_layers` counts attention layers, two for each layer of the stack. */
function halved(config: Config): number {
  const attentions = config.sizeOrNull('num_hidden_layers')
  return attentions === null ? config.size('num_layers') : Math.max(Math.floor(attentions / 2), 1)
}

export const longcatFlash: Family = layered({
  type: 'longcat_flash',
  defaults: usual({
    vocab: 131072,
    hidden: 6144,
    num_layers: 28,
    heads: 64,
    context: 131072,
    ffn_hidden_size: 12288,
    q_lora_rank: 1536,
    kv_lora_rank: 512,
    qk_nope_head_dim: 128,
    qk_rope_head_dim: 64,
    v_head_dim: 128,
    moe_topk: 12,
    n_routed_experts: 512,
    zero_expert_num: 256,
    expert_ffn_hidden_size: 2048,
  }),
  aliases: {
    n_routed_experts: ['num_local_experts'],
    moe_topk: ['num_experts_per_tok'],
    ffn_hidden_size: ['intermediate_size'],
    expert_ffn_hidden_size: ['moe_intermediate_size'],
  },
  read: longcat,
})
