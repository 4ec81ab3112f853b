import { indexerWeights, type LatentAttention, latentAttentionWeights, latentCache } from '../blocks/latent.ts'
import { norm, vector } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { CacheSpec } from '../shape.ts'
import { type Family, usual } from './family.ts'
import { sharedMixture, sparseFrom } from './glm-moe.ts'
import { indexerOwners } from './glm-next.ts'
import { densePart, type Layered, layered, type Part, type Sizes, sizesOf } from './layered.ts'

/**
 * Mistral Large 4: latent attention with an indexer that reads the hidden state, learned scales of the softmax, every
 * fourth layer without rotary part, and layers that read an earlier layer's latent.
 */
function mistralLarge4(config: Config): Layered {
  const rope = config.size('qk_rope_head_dim')
  const nope = config.size('qk_nope_head_dim')
  const sizes: Sizes = { ...sizesOf(config), headDim: nope + rope, valueDim: config.size('v_head_dim') }
  const { hidden, heads, layers } = sizes
  const every = config.sizeOrNull('no_rope_layer_interval') ?? 4
  const rotary = config.list('no_rope_layers')
  const rotates = (i: number) => (rotary ? rotary[i] === 1 || rotary[i] === true : (i + 1) % every !== 0)
  const sources = config.list('kv_source_layers')
  const reads = (i: number) => sources !== null && sources[i] !== i
  const owns = indexerOwners(config, layers)
  const dim = config.size('index_head_dim')
  const indexHeads = config.size('index_n_heads')
  const scaling = (name: string, width: number) => vector(`${name}.softmax_scaling`, 2 * width)
  const mixer = (i: number): Part => {
    const attention: LatentAttention = {
      hidden,
      heads,
      queryRank: null,
      latent: config.size('kv_lora_rank'),
      nope: rotates(i) ? nope : nope + rope,
      rope: rotates(i) ? rope : 0,
      valueDim: config.size('v_head_dim'),
      bias: config.flag('attention_bias'),
    }
    const cache: CacheSpec[] = reads(i) ? [] : [latentCache(attention)]
    return {
      name: `mla${rotates(i) ? '' : ' no-rope'}${reads(i) ? ' shared-kv' : ''}${owns(i) ? '' : ' shared-index'}`,
      weights: () => [
        ...latentAttentionWeights(attention).filter(w => !(reads(i) && w.name.includes('kv_a_'))),
        scaling('self_attn', heads),
        ...(owns(i)
          ? [
              ...indexerWeights({ hidden, queryRank: hidden, heads: indexHeads, dim }),
              norm('self_attn.indexer.q_input_norm', hidden, true),
              scaling('self_attn.indexer', indexHeads),
            ]
          : []),
        norm('input_layernorm', hidden),
      ],
      cache: owns(i) ? [...cache, { kind: 'indexer', dim }] : cache,
    }
  }
  const sparse = sparseFrom(config, layers, config.count('first_k_dense_replace'))
  const experts = config.size('n_routed_experts')
  const moe = sharedMixture(sizes, experts, config.count('n_shared_experts'))
  const width = config.size('intermediate_size')
  const dense = densePart(sizes, width)
  return {
    sizes,
    layer: i => [mixer(i), sparse(i) ? moe : dense],
    // learned corrections of the rotary frequencies
    final: [norm('model.norm', hidden), vector('model.rotary_emb.alpha', rope >> 1)],
    intermediate: width,
    experts,
    expertsPerToken: config.sizeOrNull('num_experts_per_tok'),
  }
}

export const mistralLarge4Text: Family = layered({
  type: 'mistral_large4_text',
  defaults: usual({
    vocab: 204800,
    hidden: 6144,
    width: 24576,
    moe_intermediate_size: 6144,
    layers: 72,
    heads: 64,
    kvHeads: 64,
    n_shared_experts: 1,
    n_routed_experts: 128,
    num_experts_per_tok: 4,
    kv_lora_rank: 512,
    qk_rope_head_dim: 64,
    v_head_dim: 128,
    qk_nope_head_dim: 64,
    context: 1048576,
    index_head_dim: 128,
    index_n_heads: 32,
    first_k_dense_replace: 1,
  }),
  aliases: { n_routed_experts: ['num_local_experts', 'num_experts'] },
  read: mistralLarge4,
})
