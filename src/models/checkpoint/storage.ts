import { bad, good, type Result } from '../../problem.ts'
import type { Basis } from '../../memory/parts.ts'
import type { JsonObject } from '../config.ts'
import type { ModelShape, Weight } from '../shape.ts'

/** A rank's part of a weight: `copies` matrices of `out` x `in`, and `bias` bias elements a copy. */
export interface WeightPart {
  readonly out: number
  readonly in: number
  readonly copies: number
  readonly bias: number
}

/** How a model's weights lie in GPU memory. */
export interface WeightStorage {
  /** "bfloat16", "fp8 block 128x128", "awq 4-bit group 128": for formulas and explain. */
  readonly scheme: string
  readonly basis: Basis
  /** Bytes of a part of a weight, scales and zero points included. `path` is block and name, for skip lists. */
  readonly bytes: (weight: Weight, part: WeightPart, path: string) => number
  /** Compute dtype: "bfloat16", "float16", "float32". */
  readonly dtype: string
  /** KV cache dtype that the checkpoint itself asks for ("fp8"), else null. */
  readonly kvCacheDtype: string | null
}

const BYTES: Readonly<Record<string, number>> = { float32: 4, float16: 2, bfloat16: 2, float64: 8 }

/**
 * Decides the storage from the checkpoint's own quantisation and what the engine is asked for.
 * `quantization` is the engine's flag (null: none given), `dtype` the compute dtype already resolved.
 */
export function storageOf(
  _shape: ModelShape,
  _config: JsonObject,
  asked: { readonly dtype: string; readonly quantization: string | null },
): Result<WeightStorage> {
  const size = BYTES[asked.dtype]
  if (size === undefined) return bad('setting-invalid', `dtype ${asked.dtype} is not known`)
  return good({
    scheme: asked.dtype,
    basis: 'exact',
    bytes: (_weight, part) => part.copies * (part.out * part.in + part.bias) * size,
    dtype: asked.dtype,
    kvCacheDtype: null,
  })
}
