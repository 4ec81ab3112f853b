import type { Weight } from '../shape.ts'
import { encoderLayer } from './vision.ts'
import { column, conv, norm, positionEmbedding, row } from './weights.ts'

/** Stem of Whisper's encoder, which most audio language models reuse: two convolutions, positions and the last norm. */
export function whisperStem(hidden: number, mels: number, positions: number): Weight[] {
  return [
    conv('conv1', hidden, 3 * mels, true),
    conv('conv2', hidden, 3 * hidden, true),
    positionEmbedding(positions, hidden, 'embed_positions'),
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
  })
}

/** Half a step of a conformer's feed-forward with its norm: h 2f (4f with gate) with biases, + 2h. */
export function conformerFeed(name: string, hidden: number, width: number, gated = false): Weight[] {
  return [
    norm(`${name}.layer_norm`, hidden, true),
    column(`${name}.${gated ? 'gate_up_proj' : 'up_proj'}`, (gated ? 2 : 1) * width, hidden, { bias: true }),
    row(`${name}.down_proj`, hidden, width, { bias: true }),
  ]
}
