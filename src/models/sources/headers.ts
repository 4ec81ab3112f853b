import { bad, good, type Result } from '../../problem.ts'
import { GGUF_FIRST_READ, type GgufFacts, ggufParts, joinGguf, readGguf } from '../checkpoint/gguf.ts'
import { headerLength, parseSafetensors, tensorFacts } from '../checkpoint/safetensors.ts'
import type { CheckpointFacts } from '../facts.ts'

/** Bytes `start` to `end` (exclusive) of one file; fewer at its end. */
export type ReadRange = (start: number, end: number) => Promise<Result<Uint8Array>>

/** Headers of most single files end before; a larger one takes a second read. */
const FIRST_READ = 512 * 1024

/** Bytes and elements by data type of one safetensors file, from its header. Problem: `checkpoint-invalid`, or the read's. */
export async function safetensorsFacts(read: ReadRange): Promise<Result<CheckpointFacts>> {
  const first = await read(0, FIRST_READ)
  if (!first.ok) return first
  const length = headerLength(first.value)
  if (!length.ok) return length
  const end = 8 + length.value
  const start = end <= first.value.length ? first : await read(0, end)
  if (!start.ok) return start
  const headers = parseSafetensors(start.value)
  if (!headers.ok) return headers
  const { bytes, elementsByDtype } = tensorFacts(headers.value, null)
  return good({ totalBytes: bytes, elementsByDtype, tensors: null })
}

/** Facts of several files as of one. */
export function joinedCheckpoint(parts: readonly CheckpointFacts[]): CheckpointFacts {
  const elementsByDtype: Record<string, number> = {}
  for (const part of parts)
    for (const [dtype, count] of Object.entries(part.elementsByDtype ?? {}))
      elementsByDtype[dtype] = (elementsByDtype[dtype] ?? 0) + count
  return { totalBytes: parts.reduce((sum, part) => sum + (part.totalBytes ?? 0), 0), elementsByDtype, tensors: null }
}

/** Header of a GGUF model, which may be split over several files. Problem: `checkpoint-invalid`, or the read's. */
export async function ggufFacts(
  files: readonly string[],
  readerOf: (file: string) => ReadRange,
): Promise<Result<GgufFacts>> {
  const parts: GgufFacts[] = []
  for (const file of files) {
    const part = await ggufHeader(file, readerOf(file))
    if (!part.ok) return part
    parts.push(part.value)
  }
  const whole = joinGguf(parts)
  return whole === null ? bad('checkpoint-invalid', 'no GGUF file') : good(whole)
}

async function ggufHeader(file: string, read: ReadRange): Promise<Result<GgufFacts>> {
  for (let wanted = GGUF_FIRST_READ; ; ) {
    const bytes = await read(0, wanted)
    if (!bytes.ok) return bytes
    const answer = readGguf(bytes.value)
    if (!answer.ok) return { ok: false, problem: { ...answer.problem, message: `${file}: ${answer.problem.message}` } }
    if (answer.value.kind === 'facts') return good(answer.value.facts)
    if (bytes.value.length < wanted) return bad('checkpoint-invalid', `${file}: the file ends within its GGUF header`)
    wanted = answer.value.bytes
  }
}

/** What llama.cpp takes from a repository when no quantisation is asked for (common/arg.cpp). */
const USUAL = 'Q4_K_M'

/**
 * The GGUF file of a repository that a variant names (all its parts where it is split): a file name, or a quantisation
 * tag as in "org/name:Q4_K_M". Without a variant as llama.cpp chooses: Q4_K_M, else the first. null: no GGUF at all.
 * Problem: `model-not-found` with the tags there are.
 */
export function chooseGguf(files: readonly string[], variant: string | null): Result<readonly string[]> | null {
  const models = files.filter(file => /\.gguf$/i.test(file) && !/(^|\/|[-_.])mmproj[-_.]/i.test(file)).sort()
  if (models.length === 0) return null
  const named = variant !== null && /\.gguf$/i.test(variant)
  const chosen = named
    ? models.find(file => file === variant || file.endsWith(`/${variant}`))
    : (models.find(file => isTagged(file, variant ?? USUAL)) ?? (variant === null ? models[0] : undefined))
  if (chosen === undefined)
    return bad('model-not-found', `there is no GGUF ${named ? 'file' : 'quantisation'} ${JSON.stringify(variant)}`, {
      hint: `there are ${models.slice(0, 8).join(', ')}${models.length > 8 ? ` and ${models.length - 8} more` : ''}`,
    })
  return good(ggufParts(chosen) ?? [chosen])
}

/** Is the tag a word of the file's name: "x-Q4_K_M.gguf", "x.q4_k_m-00001-of-00003.gguf", "Q4_K_M/x.gguf"? */
function isTagged(file: string, tag: string): boolean {
  const name = `/${file.toLowerCase()}`
  const wanted = tag.toLowerCase()
  for (let at = name.indexOf(wanted); at >= 0; at = name.indexOf(wanted, at + 1)) {
    if (/[-./_]/.test(name[at - 1] ?? '') && /^([-./]|$)/.test(name.slice(at + wanted.length))) return true
  }
  return false
}
