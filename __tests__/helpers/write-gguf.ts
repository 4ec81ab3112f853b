import { type GgmlType, ggmlTypeNamed } from '../../src/models/checkpoint/ggml-types.ts'

/** Numbers of the tensor types that the tests write (GGML). */
const NUMBERS: Readonly<Record<string, number>> = { F32: 0, F16: 1, Q4_0: 2, Q8_0: 8, Q4_K: 12, Q6_K: 14, MXFP4: 39 }

export type Value =
  | { readonly u32: number }
  | { readonly u64: number }
  | { readonly f32: number }
  | { readonly bool: boolean }
  | { readonly text: string }
  | { readonly u32s: readonly number[] }
  | { readonly bools: readonly boolean[] }
  | { readonly texts: readonly string[] }
  | { readonly f32s: readonly number[] }

export interface Tensor {
  readonly name: string
  readonly type: string
  /** Innermost first. */
  readonly dims: readonly number[]
}

/** A whole GGUF file (version 3) with zeroed tensors, as llama.cpp's own writer lays it out. */
export function gguf(keys: Readonly<Record<string, Value>>, tensors: readonly Tensor[]): Uint8Array {
  const header = ggufHeader(keys, tensors)
  const file = new Uint8Array(header.length + tensors.reduce((sum, tensor) => sum + padded(tensor), 0))
  file.set(header)
  return file
}

const padded = (tensor: Tensor): number => Math.ceil(tensorBytes(tensor) / 32) * 32

/** The file up to its tensors. */
export function ggufHeader(keys: Readonly<Record<string, Value>>, tensors: readonly Tensor[]): Uint8Array {
  const out: number[] = []
  const number = (value: number | bigint, size: number): void => {
    let rest = BigInt(value)
    for (let i = 0; i < size; i++, rest >>= 8n) out.push(Number(rest & 255n))
  }
  const float = (value: number): void => void out.push(...new Uint8Array(new Float32Array([value]).buffer))
  const text = (value: string): void => {
    const bytes = new TextEncoder().encode(value)
    number(bytes.length, 8)
    out.push(...bytes)
  }
  const typed = (type: number, write: () => void): void => {
    number(type, 4)
    write()
  }
  const list = <T>(type: number, values: readonly T[], each: (value: T) => void): void => {
    number(9, 4)
    number(type, 4)
    number(values.length, 8)
    values.forEach(each)
  }
  out.push(...new TextEncoder().encode('GGUF'))
  number(3, 4)
  number(tensors.length, 8)
  number(Object.keys(keys).length, 8)
  for (const [key, value] of Object.entries(keys)) {
    text(key)
    if ('u32' in value) typed(4, () => number(value.u32, 4))
    else if ('u64' in value) typed(10, () => number(value.u64, 8))
    else if ('f32' in value) typed(6, () => float(value.f32))
    else if ('bool' in value) typed(7, () => number(value.bool ? 1 : 0, 1))
    else if ('text' in value) typed(8, () => text(value.text))
    else if ('u32s' in value) list(4, value.u32s, n => number(n, 4))
    else if ('bools' in value) list(7, value.bools, b => number(b ? 1 : 0, 1))
    else if ('f32s' in value) list(6, value.f32s, float)
    else list(8, value.texts, text)
  }
  let offset = 0
  for (const tensor of tensors) {
    text(tensor.name)
    number(tensor.dims.length, 4)
    for (const dim of tensor.dims) number(dim, 8)
    number(NUMBERS[tensor.type]!, 4)
    number(Math.min(offset, Number.MAX_SAFE_INTEGER), 8)
    offset += padded(tensor)
  }
  while (out.length % 32 !== 0) out.push(0)
  return new Uint8Array(out)
}

export function tensorBytes(tensor: Tensor): number {
  const type = ggmlTypeNamed(tensor.type) as GgmlType
  return (tensor.dims.reduce((product, dim) => product * dim, 1) / type.block) * type.bytes
}

/** A Llama of 2 layers, 256 wide, that llama.cpp loads: no tokenizer, tied output. */
export function tinyLlama(type: string): { readonly keys: Record<string, Value>; readonly tensors: Tensor[] } {
  const keys: Record<string, Value> = {
    'general.architecture': { text: 'llama' },
    'general.file_type': { u32: type === 'Q8_0' ? 7 : type === 'Q4_K' ? 15 : 1 },
    'llama.vocab_size': { u32: 512 },
    'llama.context_length': { u32: 2048 },
    'llama.embedding_length': { u32: 256 },
    'llama.block_count': { u32: 2 },
    'llama.feed_forward_length': { u32: 512 },
    'llama.attention.head_count': { u32: 4 },
    'llama.attention.head_count_kv': { u32: 2 },
    'llama.attention.layer_norm_rms_epsilon': { f32: 1e-5 },
    'llama.rope.dimension_count': { u32: 64 },
    'tokenizer.ggml.model': { text: 'no_vocab' },
  }
  const tensors: Tensor[] = [
    { name: 'token_embd.weight', type, dims: [256, 512] },
    { name: 'output_norm.weight', type: 'F32', dims: [256] },
  ]
  for (let layer = 0; layer < 2; layer++)
    for (const [name, dims] of [
      ['attn_q', [256, 256]],
      ['attn_k', [256, 128]],
      ['attn_v', [256, 128]],
      ['attn_output', [256, 256]],
      ['ffn_gate', [256, 512]],
      ['ffn_up', [256, 512]],
      ['ffn_down', [512, 256]],
      ['attn_norm', [256]],
      ['ffn_norm', [256]],
    ] as const)
      tensors.push({ name: `blk.${layer}.${name}.weight`, type: dims.length === 1 ? 'F32' : type, dims })
  return { keys, tensors }
}
