import type { Attention } from '../blocks/attention.ts'
import { norm, positionEmbedding, tokenEmbedding } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { ModelShape } from '../shape.ts'
import { bartLayer, crossCache } from './bart.ts'
import { assemble, dividedHeadDim } from './decoder.ts'
import { equalToClasses, type Family, layerCount, uniformStack } from './family.ts'

const defaults = {
  vocab_size: 50265,
  d_model: 1024,
  decoder_layers: 12,
  decoder_attention_heads: 16,
  decoder_ffn_dim: 4096,
  max_position_embeddings: 512,
  use_learned_position_embeddings: true,
  layernorm_embedding: true,
  tie_word_embeddings: true,
}

const aliases = {
  d_model: ['hidden_size'],
  decoder_layers: ['num_hidden_layers'],
  decoder_attention_heads: ['num_attention_heads'],
}

/** Tokens of the image encoder that TrOCR is used with: 24 x 24 patches and two special ones. */
const TROCR_ENCODER_TOKENS = 578

/** BART's decoder alone; its cross attention reads an image encoder of another width. */
function shape(file: Config): ModelShape {
  const config = file.with(defaults, aliases)
  const hidden = config.size('d_model')
  const layers = layerCount(config, 'decoder_layers')
  const vocabulary = config.size('vocab_size')
  const heads = config.size('decoder_attention_heads')
  const width = config.size('decoder_ffn_dim')
  const outer = config.sizeOrNull('cross_attention_hidden_size') ?? hidden
  const headDim = dividedHeadDim(config, hidden, heads, 'decoder_attention_heads')
  const self: Attention = { hidden, heads, kvHeads: heads, headDim, qkvBias: true, outBias: true, out: 'out_proj' }
  const weights = bartLayer(self, width, { ...self, prefix: 'encoder_attn' }).map(weight =>
    weight.split === 'kv' && weight.name.startsWith('encoder_attn.') ? { ...weight, in: outer } : weight,
  )
  const positions = config.size('max_position_embeddings')
  return assemble(config, {
    type: 'trocr',
    classes: [],
    exact: true,
    embedding: [
      tokenEmbedding(vocabulary, hidden, 'model.decoder.embed_tokens'),
      ...(config.flag('use_learned_position_embeddings')
        ? [positionEmbedding(positions + 2, hidden, 'model.decoder.embed_positions')]
        : []),
      ...(config.flag('layernorm_embedding') ? [norm('model.decoder.layernorm_embedding', hidden, true)] : []),
    ],
    layers: uniformStack(layers, { name: 'decoder', weights, cache: crossCache(self, TROCR_ENCODER_TOKENS) }),
    final: [],
    facts: { hidden, layers, vocabulary, heads, kvHeads: heads, headDim, intermediate: width },
  })
}

export const trocr: Family = {
  name: 'trocr',
  modelTypes: ['trocr'],
  verified: equalToClasses,
  shape,
}
