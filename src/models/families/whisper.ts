import type { Attention } from '../blocks/attention.ts'
import { conv, norm, positionEmbedding, tokenEmbedding } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { ModelShape, Weight } from '../shape.ts'
import { bartLayer, crossCache } from './bart.ts'
import { dividedHeadDim } from './decoder.ts'
import { assembleEncoderDecoder } from './encoder-decoder.ts'
import { encoderStack, equalToClasses, type Family, layerCount, uniformStack } from './family.ts'

const defaults = {
  vocab_size: 51865,
  num_mel_bins: 80,
  encoder_layers: 4,
  encoder_attention_heads: 6,
  encoder_ffn_dim: 1536,
  decoder_layers: 4,
  decoder_attention_heads: 6,
  decoder_ffn_dim: 1536,
  d_model: 384,
  max_source_positions: 1500,
  max_target_positions: 448,
  tie_word_embeddings: true,
}

const aliases = {
  d_model: ['hidden_size'],
  encoder_layers: ['num_hidden_layers'],
  encoder_attention_heads: ['num_attention_heads'],
}

const withoutKeyBias = (weights: readonly Weight[]): Weight[] =>
  weights.map(weight => (weight.name.endsWith('.k_proj') ? { ...weight, bias: false } : weight))

/** BART's layers without bias on k, behind two convolutions over the mel spectrum. */
function shape(file: Config): ModelShape {
  const config = file.with(defaults, aliases)
  const hidden = config.size('d_model')
  const vocabulary = config.size('vocab_size')
  const layers = layerCount(config, 'decoder_layers')
  const frames = config.size('max_source_positions')
  const attention = (half: 'encoder' | 'decoder', prefix: string): Attention => {
    const heads = config.size(`${half}_attention_heads`)
    const headDim = dividedHeadDim(config, hidden, heads, `${half}_attention_heads`)
    return { hidden, heads, kvHeads: heads, headDim, qkvBias: true, outBias: true, prefix, out: 'out_proj' }
  }
  const self = attention('decoder', 'self_attn')
  const width = config.size('decoder_ffn_dim')
  return assembleEncoderDecoder(config, {
    type: 'whisper',
    exact: true,
    embedding: [
      tokenEmbedding(vocabulary, hidden, 'model.decoder.embed_tokens'),
      positionEmbedding(config.size('max_target_positions'), hidden, 'model.decoder.embed_positions'),
    ],
    encoder: {
      weights: [
        conv('conv1', hidden, 3 * config.size('num_mel_bins'), true),
        conv('conv2', hidden, 3 * hidden, true),
        positionEmbedding(frames, hidden, 'embed_positions'),
        norm('layer_norm', hidden, true),
      ],
      stack: encoderStack(
        config,
        withoutKeyBias(bartLayer(attention('encoder', 'self_attn'), config.size('encoder_ffn_dim'), null)),
        'encoder_layers',
      ),
    },
    decoder: uniformStack(layers, {
      name: 'decoder',
      weights: withoutKeyBias(bartLayer(self, width, attention('decoder', 'encoder_attn'))),
      cache: crossCache(self, frames),
    }),
    final: [norm('model.decoder.layer_norm', hidden, true)],
    untiedCopies: [],
    tied: config.flag('tie_word_embeddings'),
    facts: {
      hidden,
      layers,
      vocabulary,
      heads: self.heads,
      kvHeads: self.kvHeads,
      headDim: self.headDim,
      intermediate: width,
    },
  })
}

export const whisper: Family = {
  name: 'whisper',
  modelTypes: ['whisper'],
  verified: equalToClasses,
  shape,
}
