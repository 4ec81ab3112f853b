import { bad, good, type Result } from '../../problem.ts'
import { ByteReader, ShortRead } from './byte-reader.ts'
import { type GgmlType, ggmlTypeOf } from './ggml-types.ts'

/** One tensor of a GGUF file; `dims` innermost first, as the file has them. */
export interface GgufTensor {
  readonly name: string
  readonly type: string
  readonly dims: readonly number[]
  readonly bytes: number
}

/** What the header of a GGUF file says (of all parts, where a model is split over files). */
export interface GgufFacts {
  readonly architecture: string
  /** Metadata with the `<architecture>.` prefix taken off, and `general.*` under their own names; no tokenizer lists. */
  readonly keys: Readonly<Record<string, unknown>>
  readonly tensors: readonly GgufTensor[]
  /** Sum of the tensors' bytes. */
  readonly bytes: number
  readonly parameters: number
  /** `general.file_type` ("Q4_K_M"), null when absent. */
  readonly fileType: string | null
  /** Entries of the tokenizer's list, for files without a vocab_size. */
  readonly vocabulary: number | null
  /** Files of a split model, 1 when it is whole. */
  readonly files: number
}

/** Bytes of a header that are enough for most files; a larger header is asked for by its length. */
export const GGUF_FIRST_READ = 4 * 2 ** 20
const MOST_HEADER = 256 * 2 ** 20
const MOST_KEYS = 65_536
const MOST_TENSORS = 262_144
const MOST_TEXT = 1 << 20
const KEPT_LIST = 4096
const MOST_DIMENSION = 2 ** 40

/** `general.file_type` of llama.cpp (llama_ftype). */
const FILE_TYPES: Readonly<Record<number, string>> = {
  0: 'F32',
  1: 'F16',
  2: 'Q4_0',
  3: 'Q4_1',
  7: 'Q8_0',
  8: 'Q5_0',
  9: 'Q5_1',
  10: 'Q2_K',
  11: 'Q3_K_S',
  12: 'Q3_K_M',
  13: 'Q3_K_L',
  14: 'Q4_K_S',
  15: 'Q4_K_M',
  16: 'Q5_K_S',
  17: 'Q5_K_M',
  18: 'Q6_K',
  19: 'IQ2_XXS',
  20: 'IQ2_XS',
  21: 'Q2_K_S',
  22: 'IQ3_XS',
  23: 'IQ3_XXS',
  24: 'IQ1_S',
  25: 'IQ4_NL',
  26: 'IQ3_S',
  27: 'IQ3_M',
  28: 'IQ2_S',
  29: 'IQ2_M',
  30: 'IQ4_XS',
  31: 'IQ1_M',
  32: 'BF16',
  36: 'TQ1_0',
  37: 'TQ2_0',
  38: 'MXFP4',
}

/** What a read of a header can end in: the facts, or that more bytes of the file are needed. */
export type GgufRead =
  | { readonly kind: 'facts'; readonly facts: GgufFacts }
  | { readonly kind: 'more'; readonly bytes: number }

/**
 * Reads the header of a GGUF file (versions 2 and 3, little endian) from its first bytes. `more` asks for at least that
 * many bytes. Problems: `checkpoint-invalid` for what is no GGUF header or goes beyond the limits.
 */
export function readGguf(bytes: Uint8Array): Result<GgufRead> {
  try {
    return good({ kind: 'facts', facts: header(new ByteReader(bytes)) })
  } catch (error) {
    if (error instanceof ShortRead) {
      const wanted = Math.max(error.needed, 2 * bytes.length)
      return wanted > MOST_HEADER || bytes.length >= MOST_HEADER
        ? bad('checkpoint-invalid', `GGUF header of more than ${MOST_HEADER} bytes`)
        : good({ kind: 'more', bytes: wanted })
    }
    if (error instanceof Malformed) return bad('checkpoint-invalid', `GGUF header: ${error.message}`)
    throw error
  }
}

class Malformed extends Error {}

function header(reader: ByteReader): GgufFacts {
  if (reader.u32() !== 0x46554747) throw new Malformed('does not begin with GGUF')
  const version = reader.u32()
  if (version !== 2 && version !== 3) throw new Malformed(`version ${version} is not known (2 and 3 are)`)
  const tensorCount = bounded(reader.u64(), MOST_TENSORS, 'tensors')
  const keyCount = bounded(reader.u64(), MOST_KEYS, 'keys')
  const all: Record<string, unknown> = {}
  let vocabulary: number | null = null
  for (let i = 0; i < keyCount; i++) {
    const key = text(reader)
    const value = readValue(reader, reader.u32(), 0)
    if (key === 'tokenizer.ggml.tokens' && value instanceof SkippedList) vocabulary = value.length
    if (!(value instanceof SkippedList)) all[key] = value
    else if (key === 'tokenizer.ggml.tokens') all[key] = undefined
  }
  const tensors: GgufTensor[] = []
  for (let i = 0; i < tensorCount; i++) tensors.push(readTensor(reader))
  return factsFrom(all, tensors, vocabulary)
}

function bounded(count: number, most: number, what: string): number {
  if (count > most) throw new Malformed(`${count} ${what}, expected at most ${most}`)
  return count
}

function text(reader: ByteReader): string {
  const length = bounded(reader.u64(), MOST_TEXT, 'bytes of text')
  return reader.text(length)
}

/** A list whose entries were passed over. */
class SkippedList {
  readonly length: number
  constructor(length: number) {
    this.length = length
  }
}

/** Sizes of the fixed types by their number: u8 i8 u16 i16 u32 i32 f32 bool, text, list, u64 i64 f64. */
const FIXED: Readonly<Record<number, number>> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 }

function readValue(reader: ByteReader, type: number, depth: number): unknown {
  switch (type) {
    case 0:
      return reader.u8()
    case 1:
      return reader.i8()
    case 2:
      return reader.u16()
    case 3:
      return reader.i16()
    case 4:
      return reader.u32()
    case 5:
      return reader.i32()
    case 6:
      return reader.f32()
    case 7:
      return reader.u8() !== 0
    case 8:
      return text(reader)
    case 9:
      return readList(reader, depth)
    case 10:
      return reader.u64()
    case 11:
      return reader.i64()
    case 12:
      return reader.f64()
    default:
      throw new Malformed(`value type ${type} is not known`)
  }
}

/** Lists of numbers up to 4,096 entries are kept (per-layer counts); longer ones and texts are passed over. */
function readList(reader: ByteReader, depth: number): unknown {
  const type = reader.u32()
  const length = bounded(reader.u64(), 2 ** 31, 'entries of a list')
  const size = FIXED[type]
  if (size !== undefined && length > KEPT_LIST) {
    reader.skip(length * size)
    return new SkippedList(length)
  }
  if (size !== undefined) return Array.from({ length }, () => readValue(reader, type, depth + 1))
  if (type === 8) {
    for (let i = 0; i < length; i++) reader.skip(bounded(reader.u64(), MOST_TEXT, 'bytes of text'))
    return new SkippedList(length)
  }
  if (type !== 9 || depth > 3) throw new Malformed(`list of type ${type} is not known`)
  for (let i = 0; i < length; i++) readList(reader, depth + 1)
  return new SkippedList(length)
}

function readTensor(reader: ByteReader): GgufTensor {
  const name = text(reader)
  const rank = reader.u32()
  if (rank > 8) throw new Malformed(`tensor ${name.slice(0, 80)} has ${rank} dimensions`)
  const dims = Array.from({ length: rank }, () => reader.u64())
  const number = reader.u32()
  reader.skip(8)
  const type = ggmlTypeOf(number)
  if (type === null) throw new Malformed(`tensor ${name.slice(0, 80)} has the type ${number}, which is not known`)
  return { name, type: type.name, dims, bytes: tensorBytes(name, dims, type) }
}

function tensorBytes(name: string, dims: readonly number[], type: GgmlType): number {
  const elements = dims.reduce((product, dim) => product * dim, 1)
  if (!(elements >= 0 && elements <= MOST_DIMENSION)) throw new Malformed(`tensor ${name.slice(0, 80)} is too large`)
  const row = dims[0] ?? 1
  if (row % type.block !== 0)
    throw new Malformed(`tensor ${name.slice(0, 80)}: rows of ${row} do not divide into blocks of ${type.name}`)
  return (elements / type.block) * type.bytes
}

function factsFrom(
  all: Readonly<Record<string, unknown>>,
  tensors: readonly GgufTensor[],
  vocabulary: number | null,
): GgufFacts {
  const architecture = all['general.architecture']
  if (typeof architecture !== 'string' || architecture === '') throw new Malformed('general.architecture is missing')
  const prefix = `${architecture}.`
  const keys: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(all)) {
    if (key.startsWith(prefix)) keys[key.slice(prefix.length)] = value
    else if (!key.startsWith('tokenizer.') && value !== undefined) keys[key] = value
  }
  const fileType = all['general.file_type']
  const files = all['split.count']
  return {
    architecture,
    keys,
    tensors,
    bytes: tensors.reduce((sum, tensor) => sum + tensor.bytes, 0),
    parameters: tensors.reduce((sum, tensor) => sum + tensor.dims.reduce((product, dim) => product * dim, 1), 0),
    fileType: typeof fileType === 'number' ? (FILE_TYPES[fileType & 1023] ?? null) : null,
    vocabulary:
      vocabulary ?? (Array.isArray(all['tokenizer.ggml.tokens']) ? all['tokenizer.ggml.tokens'].length : null),
    files: typeof files === 'number' && files > 0 ? files : 1,
  }
}

/** Names of all files of a split model, from the name of any: "m-00001-of-00003.gguf"; null when it is whole. */
export function ggufParts(name: string): readonly string[] | null {
  const match = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/i.exec(name)
  const count = match ? Number(match[3]) : 0
  if (!match || count < 1 || count > 1000) return null
  return Array.from({ length: count }, (_, i) => `${match[1]}-${String(i + 1).padStart(5, '0')}-of-${match[3]}.gguf`)
}

/** The headers of all files of a split model as one; the first holds the keys. Null for an empty list. */
export function joinGguf(parts: readonly GgufFacts[]): GgufFacts | null {
  const first = parts[0]
  if (first === undefined) return null
  return {
    ...first,
    tensors: parts.flatMap(part => part.tensors),
    bytes: parts.reduce((sum, part) => sum + part.bytes, 0),
    parameters: parts.reduce((sum, part) => sum + part.parameters, 0),
  }
}
