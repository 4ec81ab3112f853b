import { type Part, type Range, sum } from '../../memory/parts.ts'
import type { WeightStorage } from '../../models/checkpoint/storage.ts'
import { gibText, grouped } from '../../units/bytes.ts'
import { exactPart, perGpu, rangePart } from '../answer.ts'
import type { EngineAnswer, EngineInput } from '../engine.ts'
import { adapterBytes } from './adapters.ts'
import type { Draft } from './draft.ts'
import { requestFormula } from './kv/formula.ts'
import type { KvRules } from './kv/index.ts'
import { longestThatFits, requestBlocks, requestBytes, stateBytesOf } from './kv/request.ts'
import { communication, graphs, type Modelled, peak } from './peak.ts'
import { parallelismOf, type Resolved, UNSTATED_LENGTH } from './settings.ts'
import { weightsOf } from './weights.ts'

/** All that one accounting is made of. */
export interface Case {
  readonly input: EngineInput
  readonly r: Resolved
  /** The weights as they lie on the card. */
  readonly storage: WeightStorage
  readonly draft: Draft
  readonly kv: KvRules
}

/** One pipeline stage: what it holds besides the cache, and what that leaves for the cache. */
interface Stage {
  readonly parts: readonly Part[]
  readonly total: Range
  /** Bytes for the cache pool; null without a card. */
  readonly available: number | null
}

/** Lengths are solved up to this where the model has no limit of its own. */
const LONGEST = 2 ** 24

/** Adds it all up for the fullest pipeline stage (vLLM v1/worker/gpu_worker.py). */
export function account(about: Case): EngineAnswer {
  const { input, r } = about
  const memory = input.gpu?.memoryBytes ?? null
  const fractionBytes = memory === null ? null : Math.ceil(r.fraction * memory)
  const stages = stagesOf(about, fractionBytes)
  const fitting = longest(about, stages)
  const asked = r.maxModelLen ?? r.context ?? UNSTATED_LENGTH
  const length = r.maxModelLen ?? Math.max(1, Math.min(solved(about, stages, fitting) ?? asked, asked))
  const at = fullest(about, stages, length)
  const stage = stages[at]!

  const cache = cacheParts(about, at, length)
  const { rest, budget } = pool(about, stage, cache, memory, fractionBytes)
  const parts = [...stage.parts, ...cache.parts, ...rest]
  return {
    settings: settled(about, length),
    findings: r.findings,
    estimate: {
      method: 'engine',
      perGpu: perGpu(`pipeline stage ${at} of ${r.pipeline}, tensor rank 0 of ${r.tensor}`, parts, budget),
      kvCache: figures(about, stages, at, length, fitting),
      assumptions: [...r.assumptions, ...input.shape.notes],
    },
  }
}

/** The settings with what the checkpoint and the card made of them: solved length, KV dtype, block. */
function settled({ r, kv }: Case, length: number): EngineAnswer['settings'] {
  const { maxModelLen, kvCacheDtype, blockSize } = r.settings
  const block = kv.blocks.block
  return {
    ...r.settings,
    ...(r.maxModelLen === null && maxModelLen !== undefined
      ? { maxModelLen: { ...maxModelLen, effective: length, note: 'the largest that fits with certainty' } }
      : {}),
    ...(kvCacheDtype !== undefined && kv.dtype !== kvCacheDtype.value
      ? { kvCacheDtype: { ...kvCacheDtype, effective: kv.dtype } }
      : {}),
    blockSize:
      blockSize === undefined
        ? { value: block, from: 'engine-default', note: 'vLLM, by attention kernel and state size' }
        : block === blockSize.value
          ? blockSize
          : { ...blockSize, effective: block },
  }
}

/** What every stage holds besides the cache. Stages differ in their weights only. */
function stagesOf(about: Case, fractionBytes: number | null): Stage[] {
  const { input, r, draft, kv } = about
  const weights = weightsOf(input, r, about.storage, parallelismOf(r))
  const common: Part[] = []
  if (r.loras !== null) common.push(modelled('adapters', adapterBytes(input.shape, r), 'modelled'))
  common.push(modelled('activations', peak(input.shape, input.facts.config, r), 'modelled'))
  common.push(modelled('communication', communication(r), 'measured'))
  common.push(modelled('cudaGraphs', graphs(r), 'measured', r.rules.graphsInBudget))
  return weights.bytes.map((_, at) => {
    const withDraft = draft.part !== null && at === r.pipeline - 1 ? [draft.part] : []
    const parts = [weights.part(at), ...withDraft, ...common]
    const total = sum(parts.filter(part => part.inBudget).map(part => part.bytes))
    const left = fractionBytes === null ? null : Math.max(0, Math.floor(fractionBytes - total.expected))
    const blocks = r.poolBlocks === null ? null : r.poolBlocks * kv.plan.blockBytes[at]!
    return { parts, total, available: r.poolBytes ?? blocks ?? left }
  })
}

const modelled = (name: Part['name'], m: Modelled, basis: Part['basis'], inBudget = true): Part =>
  rangePart(name, m.bytes, basis, m.formula, m.source, inBudget)

/** Bytes of the cache pool that a request may use on a stage: one block is kept back by newer releases. */
function room(about: Case, stage: Stage, at: number): number | null {
  const { r, kv } = about
  if (stage.available === null) return null
  return stage.available - (r.rules.nullBlock && r.poolBlocks === null ? kv.plan.blockBytes[at]! : 0)
}

/** The longest request that fits on every stage; null without a card. */
function longest(about: Case, stages: readonly Stage[]): number | null {
  const { r, kv } = about
  let length = r.context ?? LONGEST
  for (const [at, stage] of stages.entries()) {
    const free = room(about, stage, at)
    if (free === null) return null
    length = longestThatFits(kv.plan, length, free, at, kv.request)
  }
  return length
}

/** `auto`: what fits at the high end of the range, as --solve answers; where nothing does, what is expected to fit. */
function solved(about: Case, stages: readonly Stage[], fitting: number | null): number | null {
  const { maxModelLen, poolBytes, poolBlocks } = about.r
  if ((maxModelLen ?? poolBytes ?? poolBlocks) !== null || fitting === null) return fitting
  const wide = stages.map(stage => ({
    ...stage,
    available: Math.max(0, stage.available! - (stage.total.high - stage.total.expected)),
  }))
  return longest(about, wide) || fitting
}

/** The stage with most in its budget, cache included. */
function fullest(about: Case, stages: readonly Stage[], length: number): number {
  const { input, kv } = about
  let found = 0
  let most = -1
  for (const [at, stage] of stages.entries()) {
    const load = stage.total.expected + input.concurrency * requestBytes(kv.plan, length, at, kv.request)
    if (load > most) [found, most] = [at, load]
  }
  return found
}

interface CacheParts {
  readonly parts: readonly Part[]
  readonly bytes: number
}

/** The start condition (or the concurrency asked for): KV, states, and the block that is kept back. */
function cacheParts(about: Case, at: number, length: number): CacheParts {
  const { input, r, kv } = about
  const total = requestBytes(kv.plan, length, at, kv.request) * input.concurrency
  const states = stateBytesOf(kv.plan, at, kv.request) * input.concurrency
  const block = kv.plan.blockBytes[at]!
  const basis = input.shape.count === 'exact' && !kv.unknownDtype ? 'exact' : 'derived'
  const formula = (wanted: 'attention' | 'state'): string =>
    times(requestFormula(kv.plan, length, at, kv.request, wanted), input.concurrency)
  const source = `vLLM ${r.rules.chargesGroups ? 'block' : 'layer'} rules; KV ${kv.dtype === 'auto' ? r.dtype : kv.dtype}, blocks of ${grouped(kv.blocks.block)} tokens`
  const part = (name: Part['name'], bytes: number, text: string): Part => exactPart(name, bytes, basis, text, source)
  const parts: Part[] = []
  if (total > states || states === 0) parts.push(part('kvCache', total - states, formula('attention')))
  if (states > 0) parts.push(part('recurrentState', states, formula('state')))
  const kept = r.rules.nullBlock ? block : 0
  if (kept > 0) parts.push(part('buffers', kept, `1 block x ${grouped(block)} B kept for padding`))
  return { parts, bytes: total + kept }
}

const times = (formula: string, requests: number): string =>
  requests === 1 ? formula : `${grouped(requests)} requests x ${formula.includes(' + ') ? `(${formula})` : formula}`

/**
 * With a pool of given bytes the fraction does not count: the whole pool is taken, so what the start condition leaves of
 * it is a part too, and the card is the budget. A pool too small for the start condition is itself the limit.
 */
function pool(
  about: Case,
  stage: Stage,
  cache: CacheParts,
  memory: number | null,
  fractionBytes: number | null,
): { readonly rest: readonly Part[]; readonly budget: number | null } {
  const { r } = about
  const given = r.poolBytes ?? (r.poolBlocks === null ? null : stage.available)
  if (given === null) return { rest: [], budget: fractionBytes }
  const budget = r.poolBytes === null ? fractionBytes : memory
  if (cache.bytes > given)
    return { rest: [], budget: budget === null ? null : Math.min(budget, stage.total.low + given) }
  if (given === cache.bytes) return { rest: [], budget }
  const rest = exactPart(
    'buffers',
    given - cache.bytes,
    'exact',
    `${gibText(given)} GiB of the pool, less the start condition`,
    r.poolBytes === null ? 'num-gpu-blocks-override' : 'kv-cache-memory-bytes',
  )
  return { rest: [rest], budget }
}

function figures(
  about: Case,
  stages: readonly Stage[],
  at: number,
  length: number,
  fitting: number | null,
): EngineAnswer['estimate']['kvCache'] {
  const { r, kv } = about
  const { plan, request } = kv
  const each = requestBlocks(plan, length, request)
  const bytes = stages.map((_, i) => requestBytes(plan, length, i, request))
  let blocks = r.poolBlocks
  if (blocks === null && each > 0)
    for (const [i, stage] of stages.entries()) {
      const block = plan.blockBytes[i]!
      if (stage.available === null || block === 0) continue
      const own = Math.floor(stage.available / block)
      blocks = blocks === null ? own : Math.min(blocks, own)
    }
  const rooms = stages.map((stage, i) => room(about, stage, i))
  const concurrency = blocks === null || each === 0 ? null : blocks / each
  return {
    bytesPerToken: tokenRate(kv, at),
    bytesPerMaxLengthRequest: Math.max(...bytes),
    availableBytes: stages[at]!.available,
    capacityTokens: concurrency === null || blocks === null ? null : capacity(about, blocks, concurrency, length),
    maxConcurrency: concurrency,
    fitsOneRequest: rooms.some(free => free === null) ? null : bytes.every((need, i) => need <= rooms[i]!),
    maxModelLenThatFits: fitting,
  }
}

/**
 * "GPU KV cache size: N tokens": concurrency times the length; older releases (0.13 and before, in public
 * logs) printed the blocks of one group in tokens of the smallest block.
 */
function capacity(about: Case, blocks: number, concurrency: number, length: number): number {
  const { kv, r } = about
  if (r.rules.capacityByConcurrency) return Math.floor(concurrency * length)
  const groups = kv.plan.buckets.reduce((count, bucket) => count + bucket.groups, 0)
  const block = Math.min(...kv.plan.buckets.map(bucket => bucket.block))
  return Math.floor(blocks / groups) * block * kv.request.contextRanks
}

/** Bytes that one more token of a long request costs: the full-attention groups' share of a block. */
function tokenRate(kv: KvRules, at: number): number {
  let bytes = 0
  for (const bucket of kv.plan.buckets)
    if (bucket.reach.kind === 'full')
      bytes += (bucket.groups * kv.plan.blockBytes[at]!) / (bucket.block * kv.request.contextRanks)
  return Math.round(bytes)
}
