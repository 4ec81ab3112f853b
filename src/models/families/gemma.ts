import { attentionWeights, queryKeyNorms } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { column, norm, replicated, tokenEmbedding } from '../blocks/weights.ts'
import type { Weight } from '../shape.ts'
import { alternatingWindows, type DecoderType, type Dims, decoder } from './decoder.ts'
import { type Family, usual } from './family.ts'
import { attentionWithFlag, llamaLayer, norms } from './llama.ts'

/** Gemma 2's layer: norms before and after attention and feed-forward, A + GLU + 4h. */
const sandwichLayer = (d: Dims): Weight[] => [
  ...attentionWithFlag(d),
  ...gatedFeedForward(d.hidden, d.width),
  ...sandwichNorms(d),
]

export const sandwichNorms = (d: Dims): Weight[] =>
  norms(d, ['input_layernorm', 'post_attention_layernorm', 'pre_feedforward_layernorm', 'post_feedforward_layernorm'])

const gemma2Defaults = usual({
  vocab: 256000,
  hidden: 2304,
  width: 9216,
  layers: 26,
  heads: 8,
  kvHeads: 4,
  head_dim: 256,
  context: 8192,
  sliding_window: 4096,
  tie_word_embeddings: true,
})

const types: readonly DecoderType[] = [
  {
    type: 'gemma',
    defaults: usual({
      vocab: 256000,
      hidden: 3072,
      width: 24576,
      layers: 28,
      heads: 16,
      kvHeads: 16,
      head_dim: 256,
      context: 8192,
      tie_word_embeddings: true,
    }),
    layer: llamaLayer,
  },
  {
    type: 'gemma2',
    defaults: gemma2Defaults,
    layer: sandwichLayer,
    windows: d => alternatingWindows(d, layer => layer % 2 === 1),
  },
  {
    type: 'gemma3_text',
    defaults: { ...gemma2Defaults, vocab_size: 262208, max_position_embeddings: 131072 },
    layer: d => [...sandwichLayer(d), ...queryKeyNorms(d, 'head')],
    windows: d => {
      const every = d.config.sizeOrNull('sliding_window_pattern') ?? 6
      return alternatingWindows(d, layer => (layer + 1) % every === 0)
    },
  },
  {
    type: 'vaultgemma',
    defaults: { ...gemma2Defaults, num_key_value_heads: 4, head_dim: 256 },
    layer: d => [
      ...attentionWeights(d),
      ...gatedFeedForward(d.hidden, d.width),
      ...norms(d, ['input_layernorm', 'pre_feedforward_layernorm']),
    ],
    windows: d => alternatingWindows(d, layer => layer % 2 === 1),
    exact: false,
  },
]

/**
 * Inputs per layer of Gemma 3n and 4: a second embedding of `width` elements for every layer and the matrix that makes
 * the same from the first one. It sits beside the token embedding.
 */
export function perLayerEmbedding(d: Dims, width: number): Weight[] {
  if (width === 0) return []
  const all = d.layers * width
  return [
    tokenEmbedding(d.config.size('vocab_size_per_layer_input'), all, 'model.embed_tokens_per_layer'),
    column('model.per_layer_model_projection', all, d.hidden),
    norm('model.per_layer_projection_norm', width),
  ]
}

/** What a layer does with its own input. */
export function perLayerGate(d: Dims, width: number): Weight[] {
  if (width === 0) return []
  return [
    replicated('per_layer_input_gate', width, d.hidden),
    replicated('per_layer_projection', d.hidden, width),
    norm('post_per_layer_input_norm', d.hidden),
  ]
}

/**
 * Attention of a layer that reads another layer's keys and values: the class builds no k and v for it, though the files
 * keep theirs (the stored totals of Gemma 3n and Gemma 4 E2B and E4B, to the element) and vLLM's joint projection holds
 * them.
 */
export function withoutOwnKeys(weights: readonly Weight[]): Weight[] {
  return weights.map(weight =>
    weight.split === 'kv' || weight.name.endsWith('.k_norm')
      ? { ...weight, unbuilt: weight.unbuilt ?? 'stored' }
      : weight,
  )
}

export const gemma: readonly Family[] = types.map(decoder)
