import { type Part, sum } from '../memory/parts.ts'
import { grouped } from '../units/bytes.ts'
import { exactPart, perGpu } from './answer.ts'
import { kvBytes, longestIn, type StageCache } from './blocks.ts'
import type { EngineAnswer, EngineInput } from './engine.ts'
import type { SettingsReader } from './settings-reader.ts'

/**
 * Engines that load everything else first and then give the cache a fraction of what is free: TensorRT-LLM, TGI,
 * LMDeploy. The budget is the card; what the fraction leaves free is a part of its own.
 */
export interface Pooled {
  readonly input: EngineInput
  readonly reader: SettingsReader
  readonly tensor: number
  /** Parts of every pipeline stage beside the cache. */
  readonly stages: readonly (readonly Part[])[]
  readonly caches: readonly StageCache[]
  readonly block: number
  /** Fraction of the free memory that the pool takes. */
  readonly fraction: number
  /** How the fraction reads in a formula: "free_gpu_memory_fraction 0.9". */
  readonly fractionText: string
  /** Null: the longest that fits. */
  readonly maxModelLen: number | null
  /** Most the model takes; null without a limit. */
  readonly context: number | null
  /** Requests that run at once at most. */
  readonly sequences: number
  /** Tokens that the pool is limited to by an option; null: none. */
  readonly maxTokens: number | null
  readonly kvText: string
  readonly source: string
  readonly assumptions: readonly string[]
}

const LONGEST = 2 ** 24

/** Adds it up for the fullest pipeline stage. */
export function poolAnswer(about: Pooled): EngineAnswer {
  const { input, reader, stages, caches, block, fraction } = about
  const memory = input.gpu?.memoryBytes ?? null
  const used = stages.map(parts => sum(parts.filter(part => part.inBudget).map(part => part.bytes)).expected)
  const pools = used.map((bytes, at) => (memory === null ? null : poolBytes(about, caches[at]!, memory - bytes)))
  const limit = about.context ?? LONGEST
  const fitting = pools.every(pool => pool !== null)
    ? Math.min(...pools.map((pool, at) => longestIn(caches[at]!, limit, pool, block)))
    : null
  const length = about.maxModelLen ?? Math.max(1, Math.min(fitting ?? limit, limit))
  if (about.maxModelLen === null) reader.fill('maxModelLen', length, 'the largest that fits')
  const requests = caches.map(cache => kvBytes(cache, length, block) + cache.state)
  const at = requests.reduce((best, bytes, i) => (used[i]! + bytes > used[best]! + requests[best]! ? i : best), 0)
  const cache = caches[at]!
  const parts = [...stages[at]!, ...cacheParts(about, cache, length, fraction)]
  const concurrency = concurrencyOf(pools, requests)
  return {
    settings: reader.settings(),
    findings: reader.findings,
    estimate: {
      method: 'engine',
      perGpu: perGpu(`pipeline stage ${at} of ${stages.length}, tensor rank 0 of ${about.tensor}`, parts, memory),
      kvCache: {
        bytesPerToken: Math.round(cache.full),
        bytesPerMaxLengthRequest: Math.max(...requests),
        availableBytes: pools[at]!,
        capacityTokens: concurrency === null ? null : Math.floor(concurrency * length),
        maxConcurrency: concurrency === null ? null : Math.min(concurrency, about.sequences),
        fitsOneRequest: pools.every(pool => pool === null) ? null : requests.every((bytes, i) => bytes <= pools[i]!),
        maxModelLenThatFits: fitting,
      },
      assumptions: [...about.assumptions, ...input.shape.notes],
    },
  }
}

function poolBytes(about: Pooled, cache: StageCache, free: number): number {
  const pool = Math.max(0, Math.floor(about.fraction * free))
  return about.maxTokens === null ? pool : Math.min(pool, Math.ceil(about.maxTokens * cache.full) + cache.state)
}

function concurrencyOf(pools: readonly (number | null)[], requests: readonly number[]): number | null {
  const each = pools.map((pool, at) => (pool === null || requests[at] === 0 ? null : pool / requests[at]!))
  const counts = each.filter(count => count !== null)
  return counts.length < each.length || counts.length === 0 ? null : Math.min(...counts)
}

function cacheParts(about: Pooled, cache: StageCache, length: number, fraction: number): Part[] {
  const { input, block } = about
  const n = input.concurrency
  const kv = kvBytes(cache, length, block) * n
  const basis: Part['basis'] = input.shape.count === 'exact' ? 'exact' : 'derived'
  const requests = n > 1 ? ` x ${grouped(n)} requests` : ''
  const tokens = grouped(Math.ceil(length / block) * block)
  const windows = cache.windows.length > 0 ? ', windows besides' : ''
  const parts: Part[] = []
  if (kv > 0 || cache.state === 0) {
    const text =
      kv > 0 ? `${tokens} tokens x ${grouped(cache.full)} B${windows}${requests}` : 'no layer keeps keys and values'
    parts.push(exactPart('kvCache', kv, basis, text, `${about.source}; ${about.kvText}`))
  }
  if (cache.state > 0)
    parts.push(
      exactPart('recurrentState', cache.state * n, basis, `${grouped(cache.state)} B${requests}`, about.source),
    )
  const bytes = kv + cache.state * n
  if (fraction < 1 && bytes > 0)
    parts.push(
      exactPart(
        'fragmentation',
        Math.ceil(bytes / fraction) - bytes,
        'derived',
        `${grouped(bytes)} B x (1 / ${fraction} - 1) stay free beside the pool`,
        about.fractionText,
      ),
    )
  return parts
}
