import { attentionWeights, fusedAttentionWeights } from '../blocks/attention.ts'
import { fusedGatedFeedForward, gatedFeedForward, plainFeedForward } from '../blocks/feed-forward.ts'
import { norm } from '../blocks/weights.ts'
import { type DecoderType, decoder } from './decoder.ts'
import { type Family, usual } from './family.ts'
import { layerNorms } from './llama.ts'

/** Phi, StarCoder2 and StableLM: LayerNorms with bias, partial rotary. */
const types: readonly DecoderType[] = [
  {
    // attention and feed-forward side by side under one norm; a bias on every matrix, the head's too
    type: 'phi',
    also: ['mixformer-sequential', 'phi-msft'],
    classes: ['MixFormerSequential'],
    defaults: usual({
      vocab: 51200,
      hidden: 2048,
      width: 8192,
      layers: 24,
      heads: 32,
      context: 2048,
    }),
    aliases: {
      hidden_size: ['n_embd'],
      num_hidden_layers: ['n_layer'],
      num_attention_heads: ['n_head'],
      intermediate_size: ['n_inner'],
    },
    width: (config, hidden) => config.sizeOrNull('intermediate_size') ?? 4 * hidden,
    layer: d => [
      ...attentionWeights({ ...d, qkvBias: true, outBias: true, out: 'dense' }),
      ...(d.config.flag('qk_layernorm')
        ? [norm('self_attn.q_layernorm', d.headDim, true), norm('self_attn.k_layernorm', d.headDim, true)]
        : []),
      ...plainFeedForward(d.hidden, d.width, true, ['mlp.fc1', 'mlp.fc2']),
      norm('input_layernorm', d.hidden, true),
    ],
    final: d => [norm('model.final_layernorm', d.hidden, true)],
    headBias: () => true,
  },
  {
    type: 'phi3',
    defaults: usual({
      vocab: 32064,
      hidden: 3072,
      width: 8192,
      layers: 32,
      heads: 32,
      context: 4096,
    }),
    layer: d => [
      ...fusedAttentionWeights(d, ['self_attn.qkv_proj', 'self_attn.o_proj']),
      ...fusedGatedFeedForward(d.hidden, d.width),
      ...layerNorms(d),
    ],
  },
  {
    type: 'starcoder2',
    defaults: usual({
      vocab: 49152,
      hidden: 3072,
      width: 12288,
      layers: 30,
      heads: 24,
      kvHeads: 2,
      context: 4096,
      use_bias: true,
      tie_word_embeddings: true,
    }),
    layer: d => {
      const bias = d.config.flag('use_bias')
      return [
        ...attentionWeights({ ...d, qkvBias: bias, outBias: bias }),
        ...plainFeedForward(d.hidden, d.width, bias, ['mlp.c_fc', 'mlp.c_proj']),
        ...layerNorms(d, true),
      ]
    },
    final: d => [norm('model.norm', d.hidden, true)],
  },
  {
    type: 'stablelm',
    also: ['stablelm_epoch'],
    defaults: usual({
      vocab: 50304,
      hidden: 2560,
      width: 6912,
      layers: 32,
      heads: 32,
      kvHeads: 32,
      context: 4096,
    }),
    headDim: 'divide',
    layer: d => [
      ...attentionWeights({ ...d, qkvBias: d.config.flag('use_qkv_bias') }).map(weight =>
        weight.name === 'self_attn.o_proj' ? { ...weight, in: d.hidden } : weight,
      ),
      ...(d.config.flag('qk_layernorm')
        ? [
            norm('self_attn.q_layernorm.norms', d.heads * d.headDim),
            norm('self_attn.k_layernorm.norms', d.kvHeads * d.headDim),
          ]
        : []),
      ...gatedFeedForward(d.hidden, d.width),
      norm('input_layernorm', d.hidden, true),
      ...(d.config.flag('use_parallel_residual') ? [] : [norm('post_attention_layernorm', d.hidden, true)]),
    ],
    final: d => [norm('model.norm', d.hidden, true)],
  },
]

export const phi: readonly Family[] = types.map(decoder)
