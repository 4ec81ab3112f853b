/** Small checkpoint files made byte by byte, for tests of what reads them. */

export interface MadeTensor {
  readonly name: string
  readonly dtype: 'BF16' | 'F32' | 'F8_E4M3'
  readonly shape: readonly number[]
}
const BYTES = { BF16: 2, F32: 4, F8_E4M3: 1 }

/** A safetensors file with its header; `padding` makes the header that much longer. */
export function safetensorsFile(tensors: readonly MadeTensor[], padding = 0): Buffer {
  let end = 0
  const entries = tensors.map(({ name, dtype, shape }): [string, object] => {
    const start = end
    end += BYTES[dtype] * shape.reduce((product, dim) => product * dim, 1)
    return [name, { dtype, shape, data_offsets: [start, end] }]
  })
  const header = Buffer.from(`${JSON.stringify(Object.fromEntries(entries))}${' '.repeat(padding)}`)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  return Buffer.concat([length, header, Buffer.alloc(end)])
}

const u32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
const u64 = (value: number) => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}
const text = (value: string) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)])

/** A GGUF file (version 3) with text and u32 keys, and tensors of type F16; `words` fills the tokenizer's list. */
export function ggufFile(
  keys: Readonly<Record<string, string | number>>,
  tensors: readonly { readonly name: string; readonly dims: readonly number[] }[],
  words = 0,
): Buffer {
  const pairs = Object.entries(keys).map(([key, value]) =>
    Buffer.concat([text(key), ...(typeof value === 'string' ? [u32(8), text(value)] : [u32(4), u32(value)])]),
  )
  const list = Buffer.concat([
    text('tokenizer.ggml.tokens'),
    u32(9),
    u32(8),
    u64(words),
    ...Array.from({ length: words }, (_, i) => text(`word${i}`)),
  ])
  const infos = tensors.map(({ name, dims }) =>
    Buffer.concat([text(name), u32(dims.length), ...dims.map(u64), u32(1), u64(0)]),
  )
  const counts = [u64(tensors.length), u64(pairs.length + (words > 0 ? 1 : 0))]
  return Buffer.concat([Buffer.from('GGUF'), u32(3), ...counts, ...pairs, ...(words > 0 ? [list] : []), ...infos])
}
