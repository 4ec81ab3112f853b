import type { CacheLayer, Reach } from './layers.ts'

/** A cache of some layers with its block decided. */
interface Paged {
  readonly reach: Reach
  readonly latent: boolean
  /** Tokens of one block (of a state: unused). */
  readonly block: number
  /** Bytes of one block in one layer, padding included. */
  readonly page: number
  readonly checkpoints: number
  readonly counts: readonly number[]
}

/** Layers that share block tables: `groups` groups, each holding a part of every member's layers. */
export interface Bucket {
  readonly groups: number
  readonly reach: Reach
  readonly block: number
  readonly checkpoints: number
  readonly members: readonly Paged[]
}

export interface Plan {
  readonly buckets: readonly Bucket[]
  /** Bytes of one block over all its layers, by pipeline stage. */
  readonly blockBytes: readonly number[]
}

export interface GroupSettings {
  /** Tokens of a block, where the layer has no block of its own. */
  readonly block: number
  /** Bytes to which pages of states are padded; null: models without states, or without attention. */
  readonly statePage: number | null
  /** False: windows and chunks are kept as full attention where kinds are mixed. */
  readonly hybridManager: boolean
  /** Pipeline stages. */
  readonly stages: number
}

/** Groups layers as vLLM does (vLLM 0.33, v1/core/kv_cache_utils.py). No layers: no buckets. */
export function plan(layers: readonly CacheLayer[], s: GroupSettings): Plan {
  let paged = layers.map(layer => page(layer, s))
  if (!s.hybridManager) paged = withoutWindows(paged)
  const buckets = bucketsOf(paged)
  return { buckets, blockBytes: blockBytes(buckets, s.stages) }
}

function page(layer: CacheLayer, s: GroupSettings): Paged {
  const { reach, latent, checkpoints, counts } = layer
  if (reach.kind === 'state')
    return { reach, latent, checkpoints, counts, block: s.block, page: Math.max(layer.bytes, s.statePage ?? 0) }
  const block = layer.ownBlock ?? s.block
  return { reach, latent, checkpoints, counts, block, page: layer.ownPage ?? block * layer.bytes }
}

/** Windows and chunks beside full attention become full attention; a model of windows only keeps its rule. */
function withoutWindows(paged: readonly Paged[]): Paged[] {
  if (new Set(paged.map(one => reachKey(one.reach))).size <= 1) return [...paged]
  return merged(
    paged.map(one =>
      one.reach.kind === 'sliding' || one.reach.kind === 'chunked' ? { ...one, reach: { kind: 'full' as const } } : one,
    ),
  )
}

function reachKey(reach: Reach): string {
  switch (reach.kind) {
    case 'sliding':
      return `sliding ${reach.window}`
    case 'chunked':
      return `chunked ${reach.chunk}`
    default:
      return reach.kind
  }
}

/** Equal ones as one. */
function merged(paged: readonly Paged[]): Paged[] {
  const found = new Map<string, Paged>()
  for (const one of paged) {
    const key = `${reachKey(one.reach)} ${one.latent} ${one.block} ${one.page} ${one.checkpoints}`
    const same = found.get(key)
    found.set(key, same ? { ...same, counts: same.counts.map((n, i) => n + one.counts[i]!) } : one)
  }
  return [...found.values()]
}

function bucketsOf(paged: readonly Paged[]): Bucket[] {
  const first = paged[0]
  if (first === undefined) return []
  const uniform = paged.every(one => reachKey(one.reach) === reachKey(first.reach) && one.block === first.block)
  if (uniform) return [bucket(paged, 1)]
  const packed = paged.some(one => one.latent && one.reach.kind === 'sliding')
  return packed ? packedBuckets(paged) : pagedBuckets(paged)
}

const bucket = (members: readonly Paged[], groups: number): Bucket => {
  const { reach, block, checkpoints } = members[0]!
  return { groups, reach, block, checkpoints, members }
}

const layerCount = (one: Paged): number => one.counts.reduce((a, b) => a + b, 0)

/** Pages of one size, layers bucketed by kind, each bucket cut into groups of the smallest bucket's size. */
function pagedBuckets(paged: readonly Paged[]): Bucket[] {
  const equal = merged(unified(paged))
  const sizes = equal.map(layerCount)
  const smallest = Math.min(...sizes)
  const largest = Math.max(...sizes)
  const group = largest < 1.5 * smallest ? largest : smallest
  return equal.map((one, i) => bucket([one], Math.ceil(sizes[i]! / Math.max(1, group))))
}

/**
 * Enlarges every page to the largest: by more tokens a block where the sizes divide, else by padding (always by
 * padding for states).
 */
function unified(paged: readonly Paged[]): Paged[] {
  const target = Math.max(...paged.map(one => one.page))
  return paged.map(one => {
    if (one.page === target) return one
    const enlarge = one.reach.kind !== 'state' && target % one.page === 0
    return { ...one, page: target, block: enlarge ? one.block * (target / one.page) : one.block }
  })
}

/** Mixed pages in one block (DeepSeek-V4): the widest full group sets the block, the others are cut to fit into it. */
function packedBuckets(paged: readonly Paged[]): Bucket[] {
  const byTable = new Map<string, Paged[]>()
  for (const one of paged) {
    const key = `${reachKey(one.reach)} ${one.block}`
    byTable.set(key, [...(byTable.get(key) ?? []), one])
  }
  const bytes = (members: readonly Paged[]): number => members.reduce((sum, one) => sum + one.page * layerCount(one), 0)
  const widest = Math.max(...[...byTable.values()].filter(list => list[0]!.reach.kind === 'full').map(bytes), 1)
  return [...byTable.values()].map(members => bucket(members, Math.ceil(bytes(members) / widest)))
}

/** By stage: the widest group; a stage's layers of a bucket are dealt out to its groups in turn. */
function blockBytes(buckets: readonly Bucket[], stages: number): number[] {
  return Array.from({ length: stages }, (_, stage) =>
    Math.max(
      0,
      ...buckets.map(one =>
        one.members.reduce((sum, member) => sum + Math.ceil(member.counts[stage]! / one.groups) * member.page, 0),
      ),
    ),
  )
}
