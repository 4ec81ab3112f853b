import { exactly, type Part, type Range, sum, whole } from '../../memory/parts.ts'
import type { Parallelism } from '../../memory/shares.ts'
import { storageOf, type WeightStorage } from '../../models/checkpoint/storage.ts'
import { gibText, grouped } from '../../units/bytes.ts'
import type { Engine, EngineAnswer, EngineInput, KvCacheFigures } from '../engine.ts'
import { vllmDefaults } from './defaults.ts'
import { findings } from './findings.ts'
import { type KvRules, kvRules } from './kv/index.ts'
import { longestThatFits, requestBlocks, requestBytes, stateBytesOf } from './kv/request.ts'
import { communication, graphs, type Modelled, peak } from './peak.ts'
import { type Resolved, resolve } from './settings.ts'
import { adapterBytes, type Draft, draftOf, weightsOf } from './weights.ts'

export const vllm: Engine = { name: 'vllm', title: 'vLLM', defaults: vllmDefaults, estimate }

/** vLLM's own accounting of one deployment: engines.md 2, vllm-kv.md. */
function estimate(input: EngineInput): EngineAnswer {
  const r = resolve(input)
  const storage = storageFor(input, r)
  const capability = capabilityOf(input)
  const draft = draftOf(input, r, storage)
  const kv = kvRules(input.shape, r, storage, capability, draft.stacks)
  const found = [...r.findings, ...findings(input, r, kv, capability)]
  return account(input, r, storage, draft, kv, found)
}

/** Compute capability times ten; null when the card is not known. */
function capabilityOf(input: EngineInput): number | null {
  const text = input.gpu?.computeCapability
  const value = text === null || text === undefined ? Number.NaN : Number(text)
  return Number.isFinite(value) ? Math.round(value * 10) : null
}

/** The checkpoint's storage; a method nobody knows is a finding, and the plain dtype stands in for it. */
function storageFor(input: EngineInput, r: Resolved): WeightStorage {
  const asked = { dtype: r.dtype, quantization: r.quantization }
  const result = storageOf(input.shape, input.facts.config, asked)
  if (result.ok) return result.value
  r.findings.push({ code: 'quantization-unsupported', severity: 'error', message: result.problem.message })
  const plain = storageOf(input.shape, {}, { dtype: 'bfloat16', quantization: null })
  if (plain.ok) return plain.value
  throw new Error(plain.problem.message)
}

interface Fixed {
  readonly parts: readonly Part[]
  readonly total: Range
}

function account(
  input: EngineInput,
  r: Resolved,
  storage: WeightStorage,
  draft: Draft,
  kv: KvRules,
  found: EngineAnswer['findings'],
): EngineAnswer {
  const parallel: Parallelism = {
    tensor: r.tensor,
    pipeline: r.pipeline,
    expert: r.expertParallel ? r.tensor * r.data : 1,
    expertTensor: r.tensor * r.data,
  }
  const weights = weightsOf(input, r, storage, parallel)
  const asked = r.maxModelLen ?? r.context ?? 2048
  const stage = fullestStage(weights.bytes, kv, asked)
  const fixed = fixedParts(input, r, weights, draft, stage)
  const memory = input.gpu?.memoryBytes ?? null
  const budget = memory === null ? null : Math.ceil(r.fraction * memory)
  const available = availableBytes(r, kv, budget, fixed.total.expected, stage)
  const room = available === null ? null : available - (r.rules.nullBlock ? kv.plan.blockBytes[stage]! : 0)
  const fitting = room === null ? null : longestThatFits(kv.plan, r.context ?? 2 ** 24, room, stage, kv.request)
  const length = r.maxModelLen ?? Math.max(1, Math.min(fitting ?? asked, asked))
  if (r.maxModelLen === null)
    Object.assign(r.settings, {
      maxModelLen: { ...r.settings.maxModelLen, effective: length, note: 'the largest that fits' },
    })

  const request = Math.max(...kv.plan.blockBytes.map((_, i) => requestBytes(kv.plan, length, i, kv.request)), 0)
  const cacheParts = kvParts(input, r, kv, stage, length)
  const parts = [...fixed.parts, ...cacheParts]
  const pool = poolOf(r, kv, memory, budget, parts, available)
  const all = [...parts, ...pool.parts]
  const totalBytes = sum(all.filter(part => part.inBudget).map(part => part.bytes))
  return {
    settings: r.settings,
    findings: found,
    estimate: {
      method: 'engine',
      perGpu: {
        rank: `pipeline stage ${stage} of ${r.pipeline}, tensor rank 0 of ${r.tensor}`,
        parts: all,
        totalBytes,
        budgetBytes: pool.budget,
        headroomBytes:
          pool.budget === null
            ? null
            : {
                low: pool.budget - totalBytes.high,
                expected: pool.budget - totalBytes.expected,
                high: pool.budget - totalBytes.low,
              },
      },
      kvCache: figures(r, kv, stage, length, request, available, room, fitting),
      assumptions: [...r.assumptions, ...input.shape.notes],
    },
  }
}

/** The stage with most weights and KV together. */
function fullestStage(weights: readonly number[], kv: KvRules, length: number): number {
  let fullest = 0
  let most = -1
  weights.forEach((bytes, stage) => {
    const load = bytes + requestBytes(kv.plan, length, stage, kv.request)
    if (load > most) [fullest, most] = [stage, load]
  })
  return fullest
}

/** Everything but the KV pool. */
function fixedParts(
  input: EngineInput,
  r: Resolved,
  weights: ReturnType<typeof weightsOf>,
  draft: Draft,
  stage: number,
): Fixed {
  const last = stage === r.pipeline - 1
  const parts: Part[] = [weights.part(stage)]
  if (draft.bytes > 0 && (last || r.pipeline === 1)) parts.push(draft.part)
  const adapters = r.loras === null ? null : adapterBytes(input, r)
  if (adapters !== null) parts.push(modelled('adapters', adapters))
  parts.push(modelled('activations', peak(input.shape, input.facts.config, r)))
  parts.push(modelled('communication', communication(r), 'measured'))
  const inBudget = r.rules.graphsInBudget
  parts.push({ ...modelled('cudaGraphs', graphs(r), 'measured'), inBudget })
  return { parts, total: sum(parts.filter(part => part.inBudget).map(part => part.bytes)) }
}

function modelled(name: Part['name'], m: Modelled, basis: Part['basis'] = 'modelled'): Part {
  return { name, inBudget: true, bytes: whole(m.bytes), basis, formula: m.formula, source: m.source }
}

/** What the engine would have for KV: the flag's bytes or blocks, else what the budget leaves. Never below 0. */
function availableBytes(r: Resolved, kv: KvRules, budget: number | null, fixed: number, stage: number): number | null {
  if (r.poolBytes !== null) return r.poolBytes
  if (r.poolBlocks !== null && budget === null) return r.poolBlocks * kv.plan.blockBytes[stage]!
  return budget === null ? null : Math.max(0, Math.floor(budget - fixed))
}

function kvParts(input: EngineInput, r: Resolved, kv: KvRules, stage: number, length: number): Part[] {
  const total = requestBytes(kv.plan, length, stage, kv.request) * input.concurrency
  const states = stateBytesOf(kv.plan, stage, kv.request) * input.concurrency
  const basis = input.shape.count === 'exact' ? 'exact' : 'derived'
  const blocks = requestBlocks(kv.plan, length, kv.request)
  const block = kv.plan.blockBytes[stage]!
  const times = input.concurrency > 1 ? ` x ${input.concurrency} requests` : ''
  const source = `vLLM block rules, KV ${kv.dtype === 'auto' ? r.dtype : kv.dtype}, block ${kv.blocks.block}`
  const parts: Part[] = []
  if (total > states || states === 0)
    parts.push({
      name: 'kvCache',
      inBudget: true,
      bytes: exactly(total - states),
      basis,
      formula: `${grouped(blocks)} blocks x ${grouped(block)} B${times}${states > 0 ? ', less the states' : ''}`,
      source,
    })
  if (states > 0)
    parts.push({
      name: 'recurrentState',
      inBudget: true,
      bytes: exactly(states),
      basis,
      formula: `state blocks of ${grouped(block)} B${times}`,
      source,
    })
  if (r.rules.nullBlock && block > 0)
    parts.push({
      name: 'buffers',
      inBudget: true,
      bytes: exactly(block),
      basis,
      formula: `one block of ${grouped(block)} B is kept for padding`,
      source: 'vLLM from 0.30',
    })
  return parts
}

interface Pool {
  readonly parts: readonly Part[]
  readonly budget: number | null
}

/**
 * With a pool of given size the fraction does not count: the whole pool is taken, so its rest is a part too and the
 * card is the budget. A pool too small for the start condition is itself the limit.
 */
function poolOf(
  r: Resolved,
  kv: KvRules,
  memory: number | null,
  budget: number | null,
  parts: readonly Part[],
  available: number | null,
): Pool {
  const pool = r.poolBytes
  if (pool === null || available === null) return { parts: [], budget }
  const cache = new Set(['kvCache', 'recurrentState', 'buffers'])
  const needed = parts.filter(part => cache.has(part.name)).reduce((all, part) => all + part.bytes.expected, 0)
  const others = sum(parts.filter(part => part.inBudget && !cache.has(part.name)).map(part => part.bytes))
  if (needed > pool) return { parts: [], budget: memory === null ? null : Math.min(memory, others.low + pool) }
  const rest: Part = {
    name: 'buffers',
    inBudget: true,
    bytes: exactly(pool - needed),
    basis: 'exact',
    formula: `${gibText(pool)} GiB reserved, less the start condition`,
    source: 'kv-cache-memory-bytes',
  }
  return { parts: kv.plan.buckets.length > 0 ? [rest] : [], budget: memory }
}

function figures(
  r: Resolved,
  kv: KvRules,
  stage: number,
  length: number,
  request: number,
  available: number | null,
  room: number | null,
  fitting: number | null,
): KvCacheFigures {
  const { plan, request: s } = kv
  const blocksEach = requestBlocks(plan, length, s)
  const block = plan.blockBytes[stage]!
  const pool =
    r.poolBlocks ?? (available === null || block === 0 ? null : Math.floor(available / Math.max(...plan.blockBytes)))
  const concurrency = pool === null || blocksEach === 0 ? null : pool / blocksEach
  const fits =
    r.poolBlocks !== null
      ? r.poolBlocks >= blocksEach
      : room === null
        ? null
        : requestBytes(plan, length, stage, s) <= room
  return {
    bytesPerToken: tokenRate(kv, stage),
    bytesPerMaxLengthRequest: request,
    availableBytes: available,
    capacityTokens: concurrency === null ? null : Math.floor(concurrency * length),
    maxConcurrency: concurrency,
    fitsOneRequest: fits,
    maxModelLenThatFits: fitting,
  }
}

/** Bytes that one more token of a long request costs: the full-attention groups' share of a block. */
function tokenRate(kv: KvRules, stage: number): number {
  let bytes = 0
  for (const bucket of kv.plan.buckets)
    if (bucket.reach.kind === 'full')
      bytes += (bucket.groups * kv.plan.blockBytes[stage]!) / (bucket.block * kv.request.contextRanks)
  return Math.round(bytes)
}
