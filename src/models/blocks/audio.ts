import type { Weight } from '../shape.ts'
import { encoderLayer } from './vision.ts'
import { column, conv, norm, positionEmbedding, row, vector } from './weights.ts'

/** Stem of Whisper's encoder, which most audio language models reuse: two convolutions, positions and the last norm. */
export function whisperStem(hidden: number, mels: number, positions: number): Weight[] {
  return [
    conv('conv1', hidden, 3 * mels, true),
    conv('conv2', hidden, 3 * hidden, true),
    ...(positions > 0 ? [positionEmbedding(positions, hidden, 'embed_positions')] : []),
    norm('layer_norm', hidden, true),
  ]
}

/** A layer of Whisper's encoder: no bias on the keys. */
export function whisperLayer(hidden: number, width: number): Weight[] {
  return encoderLayer({
    hidden,
    width,
    keyBias: false,
    norms: ['self_attn_layer_norm', 'final_layer_norm'],
    names: { mlp: 'layers' },
  })
}

/** Half a step of a conformer's feed-forward, with its norm: 2 h f + f + h (3 h f with fused gate) + 2h. */
export function conformerFeed(name: string, hidden: number, width: number, gated: boolean): Weight[] {
  return [
    norm(`${name}.layer_norm`, hidden, true),
    column(`${name}.${gated ? 'gate_up_proj' : 'up_proj'}`, (gated ? 2 : 1) * width, hidden, { bias: true }),
    row(`${name}.down_proj`, hidden, width, { bias: true }),
  ]
}

/** A depthwise convolution over time. */
export const depthwise = (name: string, channels: number, kernel: number, bias: boolean): Weight =>
  conv(name, channels, kernel, bias)

/** A convolution of kernel 1: a linear layer over channels. */
export const pointwise = (name: string, out: number, channels: number, bias: boolean): Weight =>
  conv(name, out, channels, bias)

/** A learned vector a channel. */
export const perChannel = (name: string, channels: number): Weight => vector(name, channels)
