import { bad, good, type Result } from '../problem.ts'
import { parseBytes, sizeText } from '../units/bytes.ts'
import { closest } from '../units/suggest.ts'
import type { Gpu } from './gpu.ts'
import { gpus } from './gpus.ts'
import { lookUpInstance } from './instances.ts'
import { migProfile, sliceOf, sliceWithoutCard } from './mig.ts'
import type { GpuRow } from './row.ts'

/** What a text names: a card (or a part of one), and how many where the text says so. */
export interface NamedGpu {
  readonly gpu: Gpu
  readonly count: number | null
  /** An assumption that was needed: "A100 without a memory size: 40GB is assumed, the smallest". */
  readonly note: string | null
}

/** Words that say nothing about which card it is. Memory types, form factors, series, makers, editions. */
const NOISE = new Set(
  (
    'nvidia amd intel google aws huawei apple tesla geforce instinct radeon quadro gpu gpus graphics generation edition server workstation maxq se ws shared ' +
    'oam pcie pcie3 pcie4 pcie5 sxm sxm2 sxm3 sxm4 sxm5 sxm6 nvlink nvl4 nvl72 hbm hbm2 hbm2e hbm3 hbm3e gddr6 mega ac ib accelerator com blackwell ' +
    'hopper ampere ada lovelace turing volta'
  ).split(' '),
)
/** Words that tell cards apart, but stand for nothing when no card of that name has them. */
const SOMETIMES_NOISE = new Set(['blackwell', 'ada', 'quadro', 'nvl72', 'lovelace'])

const byKey = new Map<string, GpuRow[]>()
for (const row of gpus) for (const key of row.keys) byKey.set(key, [...(byKey.get(key) ?? []), row])

/** Splits "4x H100", "H100:8", "H200-141GB x8", "L4x2" into the name and the count. */
function splitCount(text: string): { name: string; count: number | null } {
  const after =
    /^(.*\S)\s*[:=]\s*(\d{1,4})$/.exec(text) ??
    /^(.*\S)[\s_-]+[x×*]\s*(\d{1,4})$/i.exec(text) ??
    /^(.*(?:\d|gb|gib))[x×*](\d{1,2})$/i.exec(text)
  if (after) return { name: after[1]!, count: Number(after[2]) }
  const before = /^(\d{1,4})\s*[x×*]\s*(?=.*[a-z])(\S.*)$/i.exec(text)
  return before ? { name: before[2]!, count: Number(before[1]) } : { name: text, count: null }
}

interface Words {
  readonly words: readonly string[]
  /** The memory among them, in GB as sold, and as written ("110gib"). */
  readonly gigabytes: number | null
  readonly size: string
}

/** Lower-case words of a name and the memory among them: "NVIDIA-H100-80GB-HBM3" is nvidia, h100, hbm3 and 80. */
function wordsOf(name: string): Words {
  const words: string[] = []
  let gigabytes: number | null = null
  let size = ''
  for (const word of name
    .toLowerCase()
    .replace('max-q', 'maxq')
    .split(/[^a-z0-9]+/)) {
    const memory = /^(\d{1,3})(?:gb|gib|g)$/.exec(word)
    if (memory && gigabytes === null) {
      gigabytes = Number(memory[1])
      size = word
    } else if (word !== '') words.push(word)
  }
  return { words, gigabytes, size }
}

/** A size of a card; "3090 Ti" is none. */
const SIZE = /^\s*\d+(?:\.\d+)?\s*(?:[gmt]i?b|[gm]i)\s*$/i

const joined = (words: readonly string[], drop: (word: string) => boolean) => words.filter(word => !drop(word)).join('')

/** The cards of one key whose name these words are, most literal reading first. */
function cardsNamed(words: readonly string[]): GpuRow[] | null {
  for (const drop of [
    (word: string) => NOISE.has(word) && !SOMETIMES_NOISE.has(word),
    (word: string) => NOISE.has(word),
  ]) {
    const rows = byKey.get(joined(words, drop))
    if (rows) return rows
  }
  return null
}

/** A card's name inside a longer label ("gpu-pool-2080ti-a"): the longest run of words that is one; null if not unique. */
function cardsInside(words: readonly string[]): GpuRow[] | null {
  const useful = words.filter(word => !NOISE.has(word) || SOMETIMES_NOISE.has(word)).slice(0, 24)
  for (let length = Math.min(4, useful.length - 1); length >= 1; length--) {
    const found = new Map<string, GpuRow[]>()
    for (let i = 0; i + length <= useful.length; i++) {
      const key = useful.slice(i, i + length).join('')
      const rows =
        key.length >= 3 || key === 't4' || key === 'l4' ? byKey.get(key)?.filter(row => row.supported) : undefined
      if (rows && rows.length > 0 && !/^\d+$/.test(useful[i]! + (useful[i - 1] ?? 'x'))) found.set(rows[0]!.name, rows)
    }
    if (found.size === 1) return [...found.values()][0]!
    if (found.size > 1) return null
  }
  return null
}

/** Of several cards of one name, the one with this memory (12 % apart at most); without memory the smallest. */
function variant(rows: readonly GpuRow[], gigabytes: number | null): { row: GpuRow; note: string | null } | null {
  const smallestFirst = [...rows].sort((a, b) => a.memoryBytes - b.memoryBytes)
  if (gigabytes === null) {
    const row = smallestFirst[0]!
    const sizes = smallestFirst.map(each => `${each.nominalGB} GB`)
    return {
      row,
      note: rows.length > 1 ? `memory not named (${sizes.join(', ')} exist): the smallest is assumed` : null,
    }
  }
  const apart = (row: GpuRow) => Math.abs(row.nominalGB - gigabytes)
  const row = smallestFirst.reduce((best, each) => (apart(each) < apart(best) ? each : best))
  return apart(row) <= 0.12 * row.nominalGB ? { row, note: null } : null
}

/** A card whose only known fact is the memory that engines see. */
export function bareGpu(memoryBytes: number): Gpu {
  return {
    name: `GPU with ${sizeText(memoryBytes)}`,
    maker: 'unknown',
    driverBytes: memoryBytes,
    memoryBytes,
    computeCapability: null,
    supported: true,
    source: 'given as the memory that the engine sees',
  }
}

/** A card with unified memory, of which the memory that engines see is given. */
function withMemory(row: GpuRow, memoryBytes: number): Gpu {
  return { ...row, driverBytes: memoryBytes, memoryBytes, supported: true, source: 'unified memory: the size as given' }
}

/** A card, cut to the part of it that a machine or a vGPU has. */
function cut(gpu: GpuRow, share: number): Gpu {
  if (share >= 1) return gpu
  const part = (bytes: number) => Math.floor(bytes * share)
  return {
    ...gpu,
    name: `${gpu.name} (1/${Math.round(1 / share)})`,
    driverBytes: part(gpu.driverBytes),
    memoryBytes: part(gpu.memoryBytes),
    source: `1/${Math.round(1 / share)} of ${gpu.name}: approximate`,
  }
}

function unknownGpu(text: string): Result<never> {
  const names = gpus.flatMap(row => [row.name.replace(/^(NVIDIA|AMD) /, ''), ...row.keys])
  const near = closest(text, names)
  const shown = near === null ? null : (byKey.get(near)?.[0]?.name ?? near)
  const size = 'give the memory that the engine sees, as in 79.18GiB'
  return bad('gpu-unknown', `unknown GPU "${text.slice(0, 80)}"`, {
    hint: shown === null ? `use a name that "list gpus" shows, or ${size}` : `did you mean ${shown}? Else ${size}`,
  })
}

function sliceNamed(text: string, count: number | null): Result<NamedGpu> | null {
  const mig = migProfile(text)
  if (mig === null) return null
  const { words, gigabytes } = wordsOf(mig.rest)
  const rows = cardsNamed(words) ?? cardsInside(words)
  if (rows === null) return good({ ...sliceWithoutCard(gpus, mig.profile), count })
  const fitting = rows.filter(row => sliceOf(row, mig.profile) !== null)
  const chosen = fitting.length > 0 ? variant(fitting, gigabytes) : null
  const gpu = chosen ? sliceOf(chosen.row, mig.profile) : null
  if (gpu) return good({ gpu, count, note: null })
  return bad('gpu-unknown', `${rows[0]!.name} has no MIG profile ${mig.profile.name}`, {
    hint: 'check the profile, or give the memory in GiB',
  })
}

/** A vGPU by its profile: the card and the GB of its frame buffer ("GRID A10-12Q", "NVIDIA-L40S-24C"). */
function vgpuNamed(text: string, count: number | null): Result<NamedGpu> | null {
  const profile = /^(?:grid[\s_-])?(.*[a-z]\d+[a-z]*)-(\d{1,3})[qcab]$/i.exec(text)
  const size = Number(profile?.[2])
  const rows = profile && cardsNamed(wordsOf(profile[1]!).words)
  const row = rows?.filter(one => one.supported && one.nominalGB >= size).sort((a, b) => a.nominalGB - b.nominalGB)[0]
  return row ? good({ gpu: cut(row, size / row.nominalGB), count, note: null }) : null
}

/**
 * The GPU that a text names: any report name, alias, node label value (GFD product with -SHARED or -MIG-1g.10gb, GKE,
 * Karpenter, AKS, CoreWeave), a machine type, "name x count", "H100:8", a MIG profile, or a bare size ("79.18GiB": the
 * memory that the engine sees). Case, dashes, form factors and memory types do not matter.
 * Problems: `gpu-unknown` with the nearest name. An A100 without its memory is the 40 GB one: as in GKE's
 * nvidia-tesla-a100 and SkyPilot's A100, and the smaller card never passes wrongly; the note says so.
 */
export function lookUpGpu(text: string): Result<NamedGpu> {
  const whole = text.trim().replace(/!$/, '')
  if (whole === '' || whole.length > 200) return unknownGpu(whole)
  const instance = lookUpInstance(whole)
  if (instance) return good({ gpu: cut(instance.gpu, instance.share), count: instance.count, note: null })
  const { name, count } = splitCount(whole)
  if (count === 0)
    return bad('gpu-unknown', `"${whole.slice(0, 80)}" asks for 0 GPUs`, { hint: 'give a count of 1 or more' })
  const bytes = SIZE.test(name) ? parseBytes(name) : null
  if (bytes !== null) {
    if (bytes > 0) return good({ gpu: bareGpu(bytes), count, note: null })
    return bad('gpu-unknown', `a GPU with ${name} of memory does not exist`, { hint: 'give a size such as 79.18GiB' })
  }
  const slice = sliceNamed(name, count) ?? vgpuNamed(name, count)
  if (slice) return slice
  const { words, gigabytes, size } = wordsOf(name)
  const literal = gigabytes === null ? undefined : byKey.get(`${joined(words, word => NOISE.has(word))}${gigabytes}gb`)
  const exact = literal ?? byKey.get(words.join('')) ?? cardsNamed(words)
  const rows = exact ?? cardsInside(words)
  if (rows === null) return unknownGpu(whole)
  const unified = rows.find(row => row.kind === 'unified')
  const given = parseBytes(size)
  if (unified && given) return good({ gpu: withMemory(unified, given), count, note: null })
  const chosen = variant(rows, literal ? null : gigabytes)
  if (chosen) {
    const note = chosen.note ?? (exact ? null : `read "${name}" as ${chosen.row.name}`)
    return good({ gpu: chosen.row, count, note })
  }
  // Half of a card by its memory, as some platforms name the MIG slice: "H100_40GB".
  const profile = { name: `3g.${gigabytes}gb`, gigabytes: gigabytes ?? 0 }
  const halved =
    gigabytes === null
      ? undefined
      : rows.find(row => row.nominalGB === gigabytes * 2 && Number(row.computeCapability) >= 8)
  const half = halved ? sliceOf(halved, profile) : null
  if (half) return good({ gpu: half, count, note: `half of a card: MIG ${profile.name}` })
  const sizes = rows.map(row => `${row.nominalGB} GB`).join(' or ')
  return bad('gpu-unknown', `"${whole.slice(0, 80)}": this card has ${sizes}, not ${gigabytes} GB`, {
    hint: 'correct the size, or give the memory that the engine sees, as in 47.5GiB',
  })
}
