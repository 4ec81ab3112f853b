/**
 * Formats of keys and values (vLLM 0.33, v1/kv_cache_interface.py). `elementBytes` covers the plain ones; the packed ones add
 * scales a head and token.
 */
export type KvFormat =
  | { readonly kind: 'plain'; readonly elementBytes: number }
  | {
      readonly kind: 'int8-per-head' | 'int4-per-head' | 'nvfp4' | 'turboquant' | 'fp8-ds-mla' | 'nvfp4-ds-mla'
      /** Of layers where the packing does not apply. */
      readonly elementBytes: number
    }

const FP8 = new Set(['fp8', 'fp8_e4m3', 'fp8_e5m2', 'fp8_inc'])
const PACKED: Readonly<Record<string, Exclude<KvFormat['kind'], 'plain'>>> = {
  int8_per_token_head: 'int8-per-head',
  fp8_per_token_head: 'int8-per-head',
  int4_per_token_head: 'int4-per-head',
  nvfp4: 'nvfp4',
  turboquant_4bit_nc: 'turboquant',
  fp8_ds_mla: 'fp8-ds-mla',
  nvfp4_ds_mla: 'nvfp4-ds-mla',
}
const MODEL_DTYPES: Readonly<Record<string, number>> = {
  bfloat16: 2,
  float16: 2,
  half: 2,
  bf16: 2,
  fp16: 2,
  float32: 4,
  float: 4,
  fp32: 4,
}

/** The format of a KV dtype by the engine's names; null for one without an estimate. `auto` is resolved before. */
export function kvFormat(name: string, modelBytes: number): KvFormat | null {
  const plain = MODEL_DTYPES[name]
  if (plain !== undefined) return { kind: 'plain', elementBytes: plain }
  if (FP8.has(name)) return { kind: 'plain', elementBytes: 1 }
  const packed = PACKED[name]
  return packed === undefined ? null : { kind: packed, elementBytes: packed.endsWith('ds-mla') ? 1 : modelBytes }
}

export const isFp8 = (name: string): boolean => FP8.has(name)

/** Bytes of one token in one layer. */
export const tokenBytes = {
  /** One head's key and value of `keyDim` and `valueDim` elements. */
  heads(keyDim: number, valueDim: number, format: KvFormat): number {
    const both = keyDim + valueDim
    switch (format.kind) {
      case 'int8-per-head': // an fp32 scale for the key and one for the value
        return both + 8
      case 'int4-per-head':
        return both / 2 + 8
      case 'nvfp4': // 4 bits, and an fp8 scale for each 16
        return both / 2 + both / 16
      case 'turboquant': // 4 bits, and 6 B of norms: 134 B at 128
        return both / 2 + 6
      default:
        return both * format.elementBytes
    }
  },
  /** A latent with its rotary key of `width` elements together. */
  latent(width: number, format: KvFormat): number {
    if (format.kind === 'fp8-ds-mla') return 656 // 512 fp8 + 4 fp32 scales + 64 bf16 rotary
    if (format.kind === 'nvfp4-ds-mla') return 352
    return width * format.elementBytes
  },
}
