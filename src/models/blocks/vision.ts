import type { Config } from '../config.ts'
import type { Weight } from '../shape.ts'
import { column, conv, norm, positionEmbedding, replicated, row, vector } from './weights.ts'

/**
 * Blocks of vision and audio encoders. Their linear layers are divided over tensor ranks like a decoder's (vLLM's SigLIP,
 * CLIP, Pixtral and Qwen visual classes use QKVParallelLinear, ColumnParallelLinear and RowParallelLinear); patch
 * convolutions, positions and norms stand on every rank.
 */

/** One layer of an encoder: attention as wide as the hidden state unless said, a feed-forward and two norms. */
export interface EncoderLayer {
  readonly hidden: number
  readonly width: number
  /** Width of all attention heads together where it is not the hidden size. */
  readonly attention?: number
  /** Biases are on unless said. */
  readonly qkvBias?: boolean
  readonly keyBias?: boolean
  readonly outBias?: boolean
  readonly mlpBias?: boolean
  /** gate, up and down instead of two matrices. */
  readonly gated?: boolean
  /** q, k and v in one matrix. */
  readonly fused?: boolean
  /** RMS norms without bias instead of LayerNorms. */
  readonly rms?: boolean
  readonly norms?: readonly string[]
  readonly names?: { readonly attention?: string; readonly out?: string; readonly mlp?: string }
}

/** 4 a h + 2 h f (3 h f gated) and the biases and norms asked for. */
export function encoderLayer(l: EncoderLayer): Weight[] {
  const attention = l.names?.attention ?? 'self_attn'
  const mlp = l.names?.mlp ?? 'mlp'
  const inner = l.attention ?? l.hidden
  const bias = l.qkvBias ?? true
  const projections = l.fused
    ? [column(`${attention}.qkv`, 3 * inner, l.hidden, { bias })]
    : [
        column(`${attention}.q_proj`, inner, l.hidden, { bias }),
        column(`${attention}.k_proj`, inner, l.hidden, { bias: l.keyBias ?? bias }),
        column(`${attention}.v_proj`, inner, l.hidden, { bias }),
      ]
  const mlpBias = { bias: l.mlpBias ?? true }
  const feed = l.gated
    ? [
        column(`${mlp}.gate_proj`, l.width, l.hidden, mlpBias),
        column(`${mlp}.up_proj`, l.width, l.hidden, mlpBias),
        row(`${mlp}.down_proj`, l.hidden, l.width, mlpBias),
      ]
    : [column(`${mlp}.fc1`, l.width, l.hidden, mlpBias), row(`${mlp}.fc2`, l.hidden, l.width, mlpBias)]
  return [
    ...projections,
    row(`${attention}.${l.names?.out ?? 'out_proj'}`, l.hidden, inner, { bias: l.outBias ?? true }),
    ...feed,
    ...(l.norms ?? ['layer_norm1', 'layer_norm2']).map(name => norm(name, l.hidden, !l.rms)),
  ]
}

/** Height and width of an image or patch in pixels: one number for both, or a list. */
export function sides(config: Config, name: string): readonly [number, number] {
  const value = config.raw(name)
  if (!Array.isArray(value)) return [config.size(name), config.size(name)]
  const [height, width = height] = value as unknown[]
  const valid = (side: unknown): side is number => Number.isSafeInteger(side) && (side as number) >= 1
  if (valid(height) && valid(width) && height <= 2 ** 20 && width <= 2 ** 20) return [height, width]
  return config.invalid(name, 'is a list, expected two whole numbers of at least 1')
}

/** Patches of an image, what is left at the edges dropped. */
export function patchCount(config: Config, image = 'image_size', patch = 'patch_size'): number {
  const [height, width] = sides(config, image)
  const [patchHeight, patchWidth] = sides(config, patch)
  return Math.floor(height / patchHeight) * Math.floor(width / patchWidth)
}

/** Convolution that makes a patch (over `frames` images) a vector; `channels` of the image. */
export function patchConv(
  name: string,
  config: Config,
  hidden: number,
  options: { readonly bias: boolean; readonly channels?: string; readonly frames?: number },
): Weight {
  const [height, width] = sides(config, 'patch_size')
  const input = config.size(options.channels ?? 'num_channels') * height * width * (options.frames ?? 1)
  return conv(name, hidden, input, options.bias)
}

/** Learned positions of the patches and `extra` more (a class token). */
export function patchPositions(name: string, config: Config, hidden: number, extra = 0): Weight {
  return positionEmbedding(patchCount(config) + extra, hidden, name)
}

/** SigLIP's pooling head: one learned query, attention, a norm and a feed-forward. */
export function poolingHead(hidden: number, width: number): Weight[] {
  return [
    vector('head.probe', hidden),
    replicated('head.attention.in_proj', 3 * hidden, hidden, { bias: true }),
    replicated('head.attention.out_proj', hidden, hidden, { bias: true }),
    norm('head.layernorm', hidden, true),
    replicated('head.mlp.fc1', width, hidden, { bias: true }),
    replicated('head.mlp.fc2', hidden, width, { bias: true }),
  ]
}
