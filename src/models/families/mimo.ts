import { attentionWeights } from '../blocks/attention.ts'
import { vector } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { Weight } from '../shape.ts'
import { alternatingWindows } from './decoder.ts'
import { type Family, usual } from './family.ts'
import { sharedMixture, sparseFrom } from './glm-moe.ts'
import {
  attentionPart,
  densePart,
  type LayeredType,
  layered,
  type Part,
  predictionLayers,
  type Sizes,
  sizesOf,
} from './layered.ts'

/** Sinks, one a head, on the layers that slide. */
function mimoAttention(d: Sizes, sinks: boolean): Weight[] {
  const bias = d.config.flag('attention_bias')
  return [
    ...attentionWeights({ ...d, qkvBias: bias }),
    ...(sinks ? [vector('self_attn.attention_sink_bias', d.heads, 'column')] : []),
  ]
}

/** `hybrid_layer_pattern` and a listed `moe_layer_freq`: 1 marks sliding, respectively sparse, layers. */
function marked(config: Config, name: string, layers: number): ((layer: number) => boolean) | null {
  const list = Array.isArray(config.raw(name)) ? config.list(name) : null
  return list && list.length >= layers ? i => list[i] === 1 : null
}

const types: readonly LayeredType[] = [
  {
    // Qwen2 with a bias flag and one prediction layer
    type: 'mimo',
    classes: ['MiMo'],
    verified: 'published total of MiMo-7B',
    defaults: usual({
      vocab: 151680,
      hidden: 4096,
      width: 11008,
      layers: 36,
      heads: 32,
      kvHeads: 8,
      context: 32768,
      attention_bias: true,
    }),
    read: config => {
      const d = sizesOf(config)
      const full = attentionPart(d, null, () => attentionWeights({ ...d, qkvBias: config.flag('attention_bias') }))
      const width = config.size('intermediate_size')
      const dense = densePart(d, width)
      return {
        sizes: d,
        layer: () => [full, dense],
        intermediate: width,
        mtp: predictionLayers(config.count('num_nextn_predict_layers'), d, [full, dense], false),
      }
    },
  },
  {
    // sliding layers have twice the KV heads and a sink for each head
    type: 'mimo_v2_flash',
    classes: ['MiMoV2Flash'],
    defaults: usual({
      vocab: 152576,
      hidden: 4096,
      width: 16384,
      layers: 48,
      heads: 64,
      kvHeads: 4,
      head_dim: 192,
      v_head_dim: 128,
      context: 131072,
      sliding_window: 129,
      moe_intermediate_size: 2048,
      num_experts_per_tok: 8,
      n_routed_experts: 256,
    }),
    aliases: { n_routed_experts: ['num_local_experts'] },
    read: config => {
      const d: Sizes = { ...sizesOf(config), valueDim: config.size('v_head_dim') }
      // the class doubles the KV heads on sliding layers; vLLM keeps what swa_num_key_value_heads says
      const sliding: Sizes = { ...d, kvHeads: 2 * d.kvHeads }
      const kept: Sizes = { ...d, kvHeads: config.sizeOrNull('swa_num_key_value_heads') ?? sliding.kvHeads }
      const pattern = marked(config, 'hybrid_layer_pattern', d.layers) ?? (i => i !== 0 && (i + 1) % 6 !== 0)
      const windows = alternatingWindows(d, i => !pattern(i))
      const listed = marked(config, 'moe_layer_freq', d.layers)
      const sparse = listed ?? sparseFrom(config, d.layers, 1)
      const experts = config.size('n_routed_experts')
      const moe = sharedMixture(d, experts, 0)
      const intermediate = config.size('intermediate_size')
      const dense = densePart(d, intermediate)
      const attention = (window: number | null): Part => {
        if (window === null) return attentionPart(d, null, () => mimoAttention(d, false))
        return attentionPart(kept, window, () => mimoAttention(sliding, true))
      }
      return {
        sizes: d,
        layer: i => [attention(windows[i] ?? null), sparse(i) ? moe : dense],
        intermediate,
        experts,
        expertsPerToken: config.sizeOrNull('num_experts_per_tok'),
      }
    },
  },
]

export const mimo: readonly Family[] = types.map(layered)
