import type { Part } from '../../memory/parts.ts'
import { sum } from '../../memory/parts.ts'
import { gibText, grouped, sizeText } from '../../units/bytes.ts'
import { exactPart, perGpu, rangePart } from '../answer.ts'
import type { EngineAnswer } from '../engine.ts'
import type { Case } from './case.ts'
import { fixedParts } from './fixed.ts'
import { type Pool, poolOf, type TokenBytes, tokenBytes } from './pool.ts'
import { requestBudget } from './request.ts'
import { stageParts } from './weights.ts'

interface Stage {
  readonly parts: readonly Part[]
  readonly tokens: TokenBytes
  /** Bytes left for KV and states; null without a card. */
  readonly room: number | null
  readonly pool: Pool | null
  /** Bytes of one request of full length, and of those asked for. */
  readonly request: number
}

/** Adds it up for the fullest pipeline stage (SGLang 0.5.23, its memory pool): weights and pool within the static fraction. */
export function account(about: Case): EngineAnswer {
  const { input, r } = about
  const memory = input.gpu?.memoryBytes ?? null
  const budget = memory === null ? null : Math.max(0, Math.ceil(r.server.fraction * memory))
  const stages = stagesOf(about, budget)
  const at = fullest(stages)
  const stage = stages[at]!
  const cache = cacheParts(about, stage)
  const tokens = stages.every(one => one.pool !== null) ? Math.min(...stages.map(one => one.pool!.tokens)) : null
  shortPool(about, stages, tokens)
  const running = tokens === null ? null : Math.min(...stages.map(one => one.pool!.maxRunning))
  const starts = stages.every(one => one.pool?.problem === null)
  if (running !== null && running > 0)
    r.reader.fill('maxNumSeqs', running, 'what the pool serves at once on one data rank')
  return {
    settings: r.reader.settings(),
    findings: r.reader.findings,
    estimate: {
      method: 'engine',
      perGpu: perGpu(
        `pipeline stage ${at} of ${r.given.pipeline}, tensor rank 0 of ${r.given.tensor}`,
        [...stage.parts, ...cache],
        budget,
      ),
      kvCache: {
        bytesPerToken: Math.round(Math.max(...stages.map(one => one.tokens.perToken))),
        bytesPerMaxLengthRequest: Math.max(...stages.map(one => one.request)),
        availableBytes: stage.room,
        capacityTokens: tokens,
        maxConcurrency: tokens === null ? null : Math.min(tokens / r.maxModelLen, running ?? 0),
        fitsOneRequest: tokens === null ? null : starts && tokens >= r.maxModelLen,
        maxModelLenThatFits: tokens === null ? null : starts ? Math.min(tokens, r.context ?? tokens) : 0,
      },
      assumptions: [...r.assumptions, ...input.shape.notes],
    },
  }
}

function stagesOf(about: Case, budget: number | null): Stage[] {
  const { input, r, pool } = about
  const fixed = fixedParts(input, r)
  return stageParts(about).map((own, at) => {
    const parts = [...own, ...fixed]
    const tokens = tokenBytes(input.shape, r.traits, pool)[at]!
    const used = sum(parts.filter(part => part.inBudget).map(part => part.bytes)).expected
    const room = budget === null ? null : Math.max(0, budget - used)
    return {
      parts,
      tokens,
      room,
      pool: room === null ? null : poolOf(room, tokens, pool),
      request: requestBudget(r.maxModelLen, 1, tokens, pool).total,
    }
  })
}

function fullest(stages: readonly Stage[]): number {
  const load = (stage: Stage): number =>
    stage.request + sum(stage.parts.filter(part => part.inBudget).map(part => part.bytes)).expected
  return stages.reduce((best, stage, at) => (load(stage) > load(stages[best]!) ? at : best), 0)
}

/**
 * KV and states of the requests asked for. SGLang starts with any pool and rejects what is longer than it: for one
 * request the range runs from one page to the whole request, and what the pool has is expected where it is less.
 */
function cacheParts(about: Case, stage: Stage): Part[] {
  const { input, r, pool, kvDtype } = about
  const need = requestBudget(r.maxModelLen, input.concurrency, stage.tokens, pool)
  const least = requestBudget(pool.page, 1, stage.tokens, pool)
  const short = input.concurrency === 1 && stage.room !== null && stage.room < need.total
  const basis: Part['basis'] = input.shape.count === 'exact' ? 'exact' : 'derived'
  const source = `SGLang memory pool rules; KV ${kvDtype}, page size ${grouped(pool.page)}`
  const requests = input.concurrency > 1 ? ` x ${grouped(input.concurrency)} requests` : ''
  const text = `${grouped(need.tokens / input.concurrency)} tokens x ${grouped(stage.tokens.perToken)} B${requests}`
  const parts: Part[] = []
  const stateText = `${grouped(need.slots)} slots x ${grouped(stage.tokens.state)} B`
  if (!short) {
    if (need.kv > 0 || need.state === 0)
      parts.push(exactPart('kvCache', need.kv, basis, need.kv > 0 ? text : 'no layer keeps keys and values', source))
    if (need.state > 0) parts.push(exactPart('recurrentState', need.state, basis, stateText, source))
    return parts
  }
  const room = Math.max(stage.room ?? 0, least.total)
  const expected = need.total > 0 ? Math.floor((room * need.kv) / need.total) : 0
  const some = `; the pool has ${gibText(room)} GiB`
  if (need.kv > 0)
    parts.push(
      rangePart(
        'kvCache',
        { low: Math.min(least.kv, expected), expected, high: Math.max(need.kv, expected) },
        'derived',
        text + some,
        source,
      ),
    )
  if (need.state > 0) {
    const rest = room - expected
    parts.push(
      rangePart(
        'recurrentState',
        { low: Math.min(least.state, rest), expected: rest, high: Math.max(need.state, rest) },
        'derived',
        stateText + some,
        source,
      ),
    )
  }
  return parts
}

/** What becomes of requests that the pool cannot hold, or of a pool that cannot be made. */
function shortPool(about: Case, stages: readonly Stage[], tokens: number | null): void {
  const { r } = about
  if (tokens === null) return
  const bad = stages.find(stage => stage.pool!.problem !== null)
  const { say } = r.reader
  if (bad === undefined) {
    if (tokens < r.maxModelLen)
      say(
        'context-above-pool',
        'warning',
        `the pool holds ${grouped(tokens)} tokens: requests longer than that are rejected, the context is ${grouped(r.maxModelLen)}`,
        about.input.settings.maxModelLen,
      )
    return
  }
  const room = sizeText(bad.room ?? 0)
  if (bad.pool!.problem === 'no-slots')
    say(
      'state-pool-too-small',
      about.pool.stateSlots === null ? 'warning' : 'error',
      `${room} beside the weights hold ${bad.pool!.slots ?? 0} state slots, a request takes ${about.pool.slotsPerRequest}: SGLang refuses to start`,
    )
  else if (bad.pool!.problem === 'window-too-small')
    say(
      'window-pool-too-small',
      'warning',
      `${room} beside the weights leave the sliding-window pool less than one window: SGLang refuses to start`,
    )
  else
    say(
      'no-pool',
      'warning',
      `mem-fraction-static ${r.server.fraction} leaves ${room} for the KV cache: SGLang refuses to start`,
      about.input.settings.memoryFraction,
    )
}
