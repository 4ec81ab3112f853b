import { attentionWeights, queryKeyNorms } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { column, norm, row, tokenEmbedding } from '../blocks/weights.ts'
import { alternatingWindows, type DecoderType, type Dims, decoder, type Windows } from './decoder.ts'
import { type Family, usual } from './family.ts'
import { llamaDefaults, norms } from './llama.ts'

/** EXAONE 4's pattern is a number (every n-th layer is full) or letters: "LLLG". Without a window all layers are full. */
function exaoneWindows(d: Dims): Windows {
  const pattern = d.config.raw('sliding_window_pattern')
  if (typeof pattern === 'string' && pattern.length > 0)
    return alternatingWindows(d, layer => pattern[layer % pattern.length] === 'G')
  const every = d.config.sizeOrNull('sliding_window_pattern') ?? 4
  return alternatingWindows(d, layer => (layer + 1) % every === 0)
}

const types: readonly DecoderType[] = [
  {
    // EXAONE 3 is remote code with GPT-2's module names around Llama's layer
    type: 'exaone',
    classes: ['Llama'],
    defaults: usual({
      ...llamaDefaults,
      vocab: 102400,
      width: 14336,
      kvHeads: 8,
      context: 4096,
    }),
    aliases: { num_hidden_layers: ['num_layers'] },
    embedding: d => [tokenEmbedding(d.vocabulary, d.hidden, 'transformer.wte')],
    layer: d => {
      const bias = d.config.flag('attention_bias')
      const mlpBias = d.config.flag('mlp_bias')
      return [
        ...attentionWeights({ ...d, qkvBias: bias, outBias: bias, prefix: 'attn.attention', out: 'out_proj' }),
        column('mlp.c_fc_0', d.width, d.hidden, { bias: mlpBias }),
        column('mlp.c_fc_1', d.width, d.hidden, { bias: mlpBias }),
        row('mlp.c_proj', d.hidden, d.width, { bias: mlpBias }),
        ...norms(d, ['ln_1', 'ln_2']),
      ]
    },
    final: d => [norm('transformer.ln_f', d.hidden)],
  },
  {
    type: 'exaone4',
    defaults: usual({
      ...llamaDefaults,
      vocab: 102400,
      width: 16384,
      kvHeads: 32,
      sliding_window: 4096,
    }),
    layer: d => [
      ...attentionWeights(d),
      ...queryKeyNorms(d, 'head'),
      ...gatedFeedForward(d.hidden, d.width),
      ...norms(d, ['post_attention_layernorm', 'post_feedforward_layernorm']),
    ],
    windows: exaoneWindows,
  },
]

export const exaone: readonly Family[] = types.map(decoder)
