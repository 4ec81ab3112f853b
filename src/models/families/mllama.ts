import { attentionWeights, keyValueHeads, queryKeyNorms } from '../blocks/attention.ts'
import { norm, tokenEmbedding, vector } from '../blocks/weights.ts'
import type { Family } from './family.ts'
import { attentionPart, densePart, layered, type Part, sizesOf } from './layered.ts'

/** Layers that attend to the image where the file names none. */
const crossLayers: readonly number[] = [3, 8, 13, 18, 23, 28, 33, 38]

/**
 * Text model of Llama 3.2 Vision: Llama's layers, some of which attend to the image instead of the text (they count in
 * num_hidden_layers). The embedding has 8 rows more than the head for image tokens, so the two are never tied.
 */
export const mllamaText: Family = layered({
  type: 'mllama_text_model',
  classes: ['Mllama'],
  defaults: {
    vocab_size: 128256,
    hidden_size: 4096,
    intermediate_size: 14336,
    num_hidden_layers: 40,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    max_position_embeddings: 131072,
    cross_attention_layers: crossLayers,
    // four tiles of (560 / 14)^2 patches and one class token each, as published
    cross_attention_tokens: 6404,
  },
  read: config => {
    const d = sizesOf(config)
    const intermediate = config.size('intermediate_size')
    const crossing = new Set(config.list('cross_attention_layers') ?? crossLayers)
    const own = attentionPart(d, null, () => attentionWeights(d))
    const dense = densePart(d, intermediate)
    const cross: Part = {
      name: 'cross',
      weights: () => [
        ...attentionWeights({ ...d, prefix: 'cross_attn' }),
        ...queryKeyNorms(d, 'head', 'cross_attn'),
        vector('cross_attn_attn_gate', 1),
        vector('cross_attn_mlp_gate', 1),
        norm('input_layernorm', d.hidden),
      ],
      cache: [{ kind: 'cross', encoderTokens: config.size('cross_attention_tokens'), ...keyValueHeads(d) }],
    }
    return {
      sizes: d,
      layer: i => [crossing.has(i) ? cross : own, dense],
      intermediate,
      embedding: [tokenEmbedding(d.vocabulary + 8, d.hidden)],
      tied: false,
    }
  },
})
