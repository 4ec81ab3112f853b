import { attentionWeights, queryKeyNorms } from '../blocks/attention.ts'
import { gatedFeedForward, plainFeedForward } from '../blocks/feed-forward.ts'
import { column, norm, positionEmbedding, vector } from '../blocks/weights.ts'
import type { Weight } from '../shape.ts'
import { alternatingWindows, type DecoderType, type Dims, decoder } from './decoder.ts'
import { type Family, layerCount, usual } from './family.ts'
import { assumedHeadDim, attentionWithFlag, layerNorms, llamaDefaults, llamaLayer, norms } from './llama.ts'

/** xIELU has two learned scalars a layer. */
const apertusLayer = (d: Dims): Weight[] => [
  ...attentionWithFlag(d),
  ...queryKeyNorms(d, 'head'),
  ...plainFeedForward(d.hidden, d.width, false),
  ...(d.config.text('hidden_act') === 'xielu' ? [vector('mlp.act_fn', 2)] : []),
  ...norms(d, ['attention_layernorm', 'feedforward_layernorm']),
]

const apertusDefaults = usual({
  ...llamaDefaults,
  vocab: 131072,
  width: 14336,
  context: 65536,
  hidden_act: 'xielu',
})

/** A product-key table of experts beside the feed-forward. */
function dogeExperts(d: Dims): Weight[] {
  if (!d.config.flag('is_moe')) return []
  const experts = d.config.size('num_experts')
  return [
    column('mlp.router_gate', 2 * Math.floor(Math.sqrt(experts)), d.hidden),
    positionEmbedding(experts, d.hidden, 'mlp.down_embed'),
    positionEmbedding(experts, d.hidden, 'mlp.up_embed'),
  ]
}

/** Llama's layer with another feed-forward, other norms or a part more. */
const types: readonly DecoderType[] = [
  {
    type: 'cwm',
    defaults: usual({
      vocab: 128256,
      hidden: 6144,
      width: 21504,
      layers: 64,
      heads: 48,
      kvHeads: 8,
      head_dim: 128,
      context: 131072,
      sliding_window: 8192,
    }),
    layer: d => [
      ...attentionWeights(d),
      ...gatedFeedForward(d.hidden, d.width, d.config.flag('mlp_bias')),
      ...layerNorms(d),
    ],
    windows: d => alternatingWindows(d, layer => layer % 4 === 0),
  },
  {
    // relu2 without a gate
    type: 'arcee',
    defaults: usual({ ...llamaDefaults, hidden: 2560, width: 18432, context: 4096 }),
    layer: d => [
      ...attentionWithFlag(d),
      ...plainFeedForward(d.hidden, d.width, d.config.flag('mlp_bias')),
      ...layerNorms(d),
    ],
  },
  {
    type: 'jais2',
    defaults: usual({
      vocab: 150272,
      hidden: 3328,
      width: 26624,
      layers: 32,
      heads: 26,
      context: 8192,
      attention_bias: true,
      mlp_bias: true,
    }),
    layer: d => [
      ...attentionWithFlag(d),
      ...plainFeedForward(d.hidden, d.width, d.config.flag('mlp_bias')),
      ...layerNorms(d, true),
    ],
    final: d => [norm('model.norm', d.hidden, true)],
  },
  {
    // LayerNorm1p with bias, relu2 without a gate
    type: 'nemotron',
    defaults: usual({
      vocab: 256000,
      hidden: 6144,
      width: 24576,
      layers: 32,
      heads: 48,
      context: 4096,
    }),
    layer: d => [
      ...attentionWithFlag(d),
      ...plainFeedForward(d.hidden, d.width, d.config.flag('mlp_bias')),
      ...layerNorms(d, true),
    ],
    final: d => [norm('model.norm', d.hidden, true)],
    assumed: config =>
      config.sizeOrNull('num_key_value_heads') === null
        ? 'num_key_value_heads missing: as many as heads assumed'
        : null,
  },
  {
    type: 'apertus',
    defaults: apertusDefaults,
    layer: apertusLayer,
  },
  {
    type: 'hunyuan_v1_dense',
    classes: ['HunYuanDenseV1'],
    defaults: { ...llamaDefaults, vocab_size: 290943 },
    layer: d => [
      ...attentionWithFlag(d),
      norm('self_attn.query_layernorm', d.headDim),
      norm('self_attn.key_layernorm', d.headDim),
      ...gatedFeedForward(d.hidden, d.width),
      ...layerNorms(d),
    ],
    assumed: assumedHeadDim,
  },
  {
    // norms inside attention and feed-forward
    type: 'bitnet',
    defaults: usual({
      vocab: 128256,
      hidden: 2560,
      width: 6912,
      layers: 30,
      heads: 20,
      kvHeads: 5,
      context: 2048,
    }),
    layer: d => [
      ...attentionWithFlag(d),
      norm('self_attn.attn_sub_norm', d.hidden),
      ...gatedFeedForward(d.hidden, d.width),
      norm('mlp.ffn_sub_norm', d.width),
      ...layerNorms(d),
    ],
  },
  {
    // no weights in any norm
    type: 'nanochat',
    defaults: usual({
      vocab: 50304,
      hidden: 768,
      width: 8192,
      layers: 12,
      heads: 6,
      context: 2048,
    }),
    layer: d => [...attentionWithFlag(d), ...plainFeedForward(d.hidden, d.width, false, ['mlp.fc1', 'mlp.fc2'])],
    final: () => [],
  },
  {
    // the output head may have rows of its own
    type: 'apertus1p5_text',
    defaults: { ...apertusDefaults, vocab_size: 266752 },
    layer: apertusLayer,
    headRows: config => config.sizeOrNull('output_vocab_size'),
  },
  {
    type: 'hyperclovax',
    defaults: { ...llamaDefaults, use_post_norm: true },
    layer: d => [...llamaLayer(d), ...(d.config.flag('use_post_norm') ? norms(d, ['post_norm1', 'post_norm2']) : [])],
  },
  {
    // two stacks that run several times; an output gate in attention, no norm weights, a learned start
    type: 'hrm_text',
    defaults: usual({
      vocab: 151808,
      hidden: 1536,
      width: 4096,
      layers: 16,
      heads: 12,
      head_dim: 128,
      context: 2048,
    }),
    layers: config =>
      2 *
      layerCount(
        config,
        config.sizeOrNull('num_layers_per_stack') === null ? 'num_hidden_layers' : 'num_layers_per_stack',
      ),
    kvHeads: (_, heads) => heads,
    layer: d => [
      ...attentionWithFlag(d),
      column('self_attn.gate_proj', d.heads * d.headDim, d.hidden, { bias: d.config.flag('attention_bias') }),
      ...gatedFeedForward(d.hidden, d.width, d.config.flag('mlp_bias')),
    ],
    final: d => [vector('model.z_L_init', d.hidden)],
  },
  {
    // a decay a KV head made from the values, scaled residuals
    type: 'doge',
    defaults: usual({
      vocab: 32768,
      hidden: 1024,
      width: 2048,
      layers: 32,
      heads: 8,
      context: 2048,
      num_experts: 16384,
    }),
    layer: d => [
      ...llamaLayer(d),
      ...queryKeyNorms(d, 'head'),
      vector('self_attn.A', d.kvHeads),
      column('self_attn.dt_proj', d.kvHeads, d.kvHeads * d.headDim, { bias: d.config.flag('attention_bias') }),
      vector('input_residual', d.hidden),
      vector('post_attention_residual', d.hidden),
      ...dogeExperts(d),
    ],
    assumed: config => (config.flag('is_moe') ? 'experts counted by the class, not verified' : null),
  },
]

export const llamaRelatives: readonly Family[] = types.map(decoder)
