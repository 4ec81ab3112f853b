import { type Attention, attentionWeights, keyValueHeads } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { norm, outputHead, tokenEmbedding } from '../blocks/weights.ts'
import type { JsonObject } from '../config.ts'
import { decoderFacts, type Family, uniformStack } from './family.ts'

/** Per layer A + GLU + 2h; outside V*h (twice if untied) + h. (architectures.md 6.2) */
function llamaLike(name: string, defaults: JsonObject): Family {
  return {
    name,
    modelTypes: [name],
    verified: 'every row of the parameter oracle (transformers 5.24)',
    shape: file => {
      const config = file.with(defaults)
      const hidden = config.size('hidden_size')
      const layers = config.size('num_hidden_layers')
      const vocabulary = config.size('vocab_size')
      const heads = config.size('num_attention_heads')
      const kvHeads = config.sizeOrNull('num_key_value_heads') ?? heads
      const headDim = config.sizeOrNull('head_dim') ?? Math.floor(hidden / heads)
      const width = config.size('intermediate_size')
      const bias = config.flag('attention_bias')
      const attention: Attention = { hidden, heads, kvHeads, headDim, qkvBias: bias, outBias: bias }
      const tied = config.flag('tie_word_embeddings')
      return {
        family: name,
        modelType: config.text('model_type') ?? name,
        count: 'exact',
        embedding: [tokenEmbedding(vocabulary, hidden)],
        layers: uniformStack(layers, {
          name: 'dense',
          weights: [
            ...attentionWeights(attention),
            ...gatedFeedForward(hidden, width, config.flag('mlp_bias')),
            norm('input_layernorm', hidden),
            norm('post_attention_layernorm', hidden),
          ],
          cache: [{ kind: 'full', ...keyValueHeads(attention) }],
        }),
        final: [norm('model.norm', hidden), ...(tied ? [] : [outputHead(vocabulary, hidden)])],
        tied,
        towers: [],
        mtp: null,
        facts: decoderFacts(config, { hidden, layers, vocabulary, heads, kvHeads, headDim, intermediate: width }),
        notes: [],
      }
    },
  }
}

export const llama = llamaLike('llama', {
  vocab_size: 32000,
  hidden_size: 4096,
  intermediate_size: 11008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  max_position_embeddings: 2048,
  tie_word_embeddings: false,
})
