import { bad, good, type Result } from '../../problem.ts'
import type { TensorHeader } from '../facts.ts'

const MOST_HEADER = 25e6
const MOST_DIMENSION = 2 ** 32
const MOST_ELEMENTS = 2 ** 52

/** Bits of an element by the name in the file (safetensors 0.6, Dtype::bitsize). */
const DTYPE_BITS: Readonly<Record<string, number>> = {
  BOOL: 8,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  I64: 64,
  U64: 64,
  F64: 64,
  C64: 64,
}

/** Bytes of the header itself, from the first 8 bytes of a file; a problem when that cannot be. */
export function headerLength(start: Uint8Array): Result<number> {
  if (start.length < 8) return bad('checkpoint-invalid', 'safetensors: the file is shorter than 8 bytes')
  const length = Number(new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true))
  return length >= 2 && length <= MOST_HEADER
    ? good(length)
    : bad('checkpoint-invalid', `safetensors: header of ${length} bytes, expected 2 to ${MOST_HEADER}`)
}

/**
 * The tensors of a safetensors file from its beginning (8 bytes of length and the header). Names, shapes and sizes are
 * checked against each other: bytes must be dtype x shape, and the offsets must follow without a gap or an overlap.
 * Problems: `checkpoint-invalid`.
 */
export function parseSafetensors(start: Uint8Array): Result<readonly TensorHeader[]> {
  const length = headerLength(start)
  if (!length.ok) return length
  if (start.length < 8 + length.value)
    return bad(
      'checkpoint-invalid',
      `safetensors: ${start.length} bytes at hand, the header ends at ${8 + length.value}`,
    )
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(start.subarray(8, 8 + length.value)))
  } catch {
    return bad('checkpoint-invalid', 'safetensors: the header is no JSON')
  }
  if (!isRecord(json)) return bad('checkpoint-invalid', 'safetensors: the header is no object')
  const found: { readonly tensor: TensorHeader; readonly from: number; readonly to: number }[] = []
  for (const [name, value] of Object.entries(json)) {
    if (name === '__metadata__') continue
    const tensor = parseTensor(name, value)
    if (!tensor.ok) return tensor
    found.push(tensor.value)
  }
  found.sort((a, b) => a.from - b.from || a.to - b.to)
  let end = 0
  for (const { tensor, from, to } of found) {
    if (from !== end) return bad('checkpoint-invalid', `safetensors: ${tensor.name} begins at ${from}, expected ${end}`)
    end = to
  }
  return good(found.map(({ tensor }) => tensor))
}

function parseTensor(name: string, value: unknown): Result<{ tensor: TensorHeader; from: number; to: number }> {
  const wrong = (what: string): Result<never> => bad('checkpoint-invalid', `safetensors: ${name.slice(0, 120)} ${what}`)
  if (!isRecord(value)) return wrong('is no object')
  const { dtype, shape, data_offsets: offsets } = value
  const bits = typeof dtype === 'string' && Object.hasOwn(DTYPE_BITS, dtype) ? DTYPE_BITS[dtype] : undefined
  if (typeof dtype !== 'string' || bits === undefined)
    return wrong(`has the dtype ${JSON.stringify(dtype)}, which is not known`)
  if (!isCounts(shape, MOST_DIMENSION) || shape.length > 16) return wrong('has no valid shape')
  if (!isCounts(offsets, Number.MAX_SAFE_INTEGER) || offsets.length !== 2) return wrong('has no valid data_offsets')
  const elements = shape.reduce((product, dim) => product * dim, 1)
  const [from, to] = offsets as [number, number]
  if (elements > MOST_ELEMENTS || to - from !== Math.ceil((elements * bits) / 8))
    return wrong(`holds ${to - from} bytes, its shape needs ${(elements * bits) / 8}`)
  return good({ tensor: { name, dtype, shape, bytes: to - from }, from, to })
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isCounts = (value: unknown, most: number): value is number[] =>
  Array.isArray(value) && value.every(n => typeof n === 'number' && Number.isSafeInteger(n) && n >= 0 && n <= most)

/** What a `*.index.json` of a sharded checkpoint says. */
export interface ShardIndex {
  /** `metadata.total_size`: sum of tensor bytes; null when absent. `total_parameters` is never used: writers differ. */
  readonly totalBytes: number | null
  readonly files: readonly string[]
  readonly tensorNames: readonly string[]
}

/** Reads a parsed index; a `total_size` that is no byte count is absent. Problem: `checkpoint-invalid`. */
export function parseShardIndex(json: unknown): Result<ShardIndex> {
  const map = isRecord(json) ? json['weight_map'] : undefined
  if (!isRecord(json) || !isRecord(map)) return bad('checkpoint-invalid', 'index.json has no weight_map')
  const files = new Set<string>()
  for (const file of Object.values(map)) {
    if (typeof file !== 'string' || file.includes('..') || file.startsWith('/'))
      return bad('checkpoint-invalid', 'index.json names a file that is no name in the repository')
    files.add(file)
  }
  const metadata = json['metadata']
  const size = isRecord(metadata) ? metadata['total_size'] : undefined
  const valid = typeof size === 'number' && Number.isSafeInteger(size) && size > 0
  return good({ totalBytes: valid ? size : null, files: [...files].sort(), tensorNames: Object.keys(map) })
}

type TensorRole = 'embedding' | 'head' | 'layer' | 'expert' | 'prediction' | 'tower' | 'buffer' | 'other'

/** Sums over tensor headers. */
export interface TensorFacts {
  readonly bytes: number
  readonly elements: number
  readonly bytesByDtype: Readonly<Record<string, number>>
  readonly elementsByDtype: Readonly<Record<string, number>>
  readonly bytesByRole: Readonly<Record<TensorRole, number>>
}

/** Bytes by dtype and by role. `layers` is the decoder's layer count: a higher layer number is a prediction layer. */
export function tensorFacts(headers: readonly TensorHeader[], layers: number | null): TensorFacts {
  const bytesByDtype: Record<string, number> = {}
  const elementsByDtype: Record<string, number> = {}
  const bytesByRole = { embedding: 0, head: 0, layer: 0, expert: 0, prediction: 0, tower: 0, buffer: 0, other: 0 }
  let bytes = 0
  let elements = 0
  for (const header of headers) {
    bytes += header.bytes
    const count = header.shape.reduce((product, dim) => product * dim, 1)
    elements += count
    elementsByDtype[header.dtype] = (elementsByDtype[header.dtype] ?? 0) + count
    bytesByDtype[header.dtype] = (bytesByDtype[header.dtype] ?? 0) + header.bytes
    bytesByRole[tensorRole(header.name, layers)] += header.bytes
  }
  return { bytes, elements, bytesByDtype, elementsByDtype, bytesByRole }
}

const TOWER =
  /(^|\.)(visual|vision_tower|vision_model|vision_backbone|multi_modal_projector|mm_projector|audio_tower|vision_encoder|image_newline)(\.|$)/
const BUFFER = /(^|\.)(inv_freq|position_ids|masked_bias|attn\.bias|attention\.bias)$/

/** The role a tensor's name tells: `mtp.*` and layers past the last are prediction layers. */
function tensorRole(name: string, layers: number | null): TensorRole {
  if (BUFFER.test(name)) return 'buffer'
  if (TOWER.test(name)) return 'tower'
  const layer = /(?:^|\.)(?:layers|h|blocks)\.(\d{1,5})\./.exec(name)
  if (/(^|\.)mtp\./.test(name) || (layer && layers !== null && Number(layer[1]) >= layers)) return 'prediction'
  if (/\.experts\./.test(name)) return 'expert'
  if (layer) return 'layer'
  if (/(embed_tokens|word_embeddings|wte|embeddings|tok_embeddings)\b/.test(name)) return 'embedding'
  return /(^|\.)(lm_head|embed_out|output)\.\w+$/.test(name) ? 'head' : 'other'
}
