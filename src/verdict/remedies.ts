import type { SettingName } from '../deployments/deployment.ts'
import { computesFp8, type Gpu } from '../hardware/gpu.ts'
import type { Remedy } from '../report/report.ts'
import { GiB, gibText, grouped } from '../units/bytes.ts'
import { eightBitKv, flagText } from './flags.ts'
import { statusOf } from './judge.ts'
import { gpuSets, largerGpus, longestContext, parallelSizes, withParallel } from './search.ts'
import {
  attempt,
  certainly,
  current,
  currentNumber,
  firstInOrder,
  firstOf,
  type Goal,
  probably,
  type Question,
  remedyOf,
  type Trial,
} from './trial.ts'

/** Highest memory fraction that is offered: above it the rest of the card does not hold what lies beside the budget. */
const HIGHEST_FRACTION = 0.95
/** Shortest context worth offering. */
const SHORTEST_CONTEXT = 512
const MOST_REMEDIES = 6

/** One kind of change: tries it and says what it costs; null when it does not help. */
type Kind = (question: Question, goal: Goal) => Remedy | null

/**
 * What would fit instead: for each kind of change the smallest that does, asked of the engine again, ordered by how
 * little it costs the user. Changes that the engine would refuse are left out. Where nothing fits with certainty, what
 * fits as expected is offered (status `tight`). Without a GPU: the smallest sets of GPUs that would fit.
 */
export function remediesFor(question: Question): Remedy[] {
  if (question.input.gpu === null) return gpuSets(question)
  const status = statusOf(question.answer.estimate, question.limits)?.status
  if (status === 'fits') return []
  const sure = collect(question, certainly)
  // what is tight as it is gains nothing by another tight one
  return sure.length > 0 || status === 'tight' ? sure : collect(question, probably)
}

function collect(question: Question, goal: Goal): Remedy[] {
  // a context that nobody asked for is the cheapest thing to give up
  const unasked = !['file', 'policy', 'flag'].includes(question.answer.settings.maxModelLen?.from ?? 'file')
  const kinds: Kind[] = [
    pool,
    fraction,
    ...(unasked ? [context] : []),
    sequences,
    batchTokens,
    kvDtype,
    ...(unasked ? [] : [context]),
    eager,
    fractionAndSequences,
    sibling,
    quantised,
    parallel,
    expertParallel,
    gpu,
    offload,
  ]
  const found: Remedy[] = []
  for (const kind of kinds) {
    // two changes only where no single one on the same card does
    if (found.length === MOST_REMEDIES || (kind === fractionAndSequences && found.length > 0)) continue
    const remedy = kind(question, goal)
    if (remedy) found.push(remedy)
  }
  const cheap = found.some(remedy => remedy.change.some(change => !/^(?:target|cpuOffloadBytes)$/.test(change.setting)))
  if (cheap) return found
  const combined = both(question, goal)
  // neither one change nor two: other numbers of other cards
  return combined ? [combined, ...found] : [...found, ...otherSets(question, found)].slice(0, MOST_REMEDIES)
}

function otherSets(question: Question, found: readonly Remedy[]): Remedy[] {
  const hasGpu = found.some(remedy => remedy.change.some(change => change.setting === 'target'))
  return gpuSets(question).filter(remedy => !hasGpu || remedy.change.length > 1)
}

const has = (question: Question, setting: SettingName, value: unknown = 1): boolean =>
  flagText(question.engine.name, setting, value) !== null

/** A KV pool of given bytes that is too small, or larger than the card has room for. */
const pool: Kind = (question, goal) => {
  const given = current(question, 'kvCacheMemoryBytes')
  const kv = question.answer.estimate.kvCache
  if (typeof given !== 'number' || kv?.bytesPerMaxLengthRequest == null) return null
  const bytes = Math.ceil((kv.bytesPerMaxLengthRequest * question.input.concurrency * 1.01) / 2 ** 20) * 2 ** 20
  const trial = attempt(question, { settings: { kvCacheMemoryBytes: bytes } })
  return goal.passes(trial) ? remedyOf(question, trial, 'a pool that holds the request') : null
}

const fraction: Kind = (question, goal) => {
  const { gpu } = question.input
  const now = current(question, 'memoryFraction')
  if (gpu === null || typeof now !== 'number' || !(now > 0) || !has(question, 'memoryFraction')) return null
  const steps: number[] = []
  for (let percent = Math.floor(now * 100) + 1; percent <= HIGHEST_FRACTION * 100; percent++) steps.push(percent / 100)
  const trial = firstOf(steps, value => attempt(question, { settings: { memoryFraction: value } }), goal.passes)
  if (trial === null) return null
  const left = gpu.memoryBytes * (1 - (trial.change.settings?.memoryFraction as number))
  return remedyOf(question, trial, `leaves ${gibText(left)} GiB of the card for everything else`)
}

const context: Kind = (question, goal) => {
  const trial = longestContext(question, {}, goal)
  if (trial === null) return null
  const length = trial.change.settings?.maxModelLen as number
  return length < SHORTEST_CONTEXT
    ? null
    : remedyOf(question, trial, `the longest context ${goal.tight ? 'expected' : 'sure'} to fit`)
}

/** The setting halved until it fits, but not below `least`; with another share of the card where one is given. */
function halved(
  question: Question,
  setting: SettingName,
  least: number,
  goal: Goal,
  memoryFraction?: number,
): Trial | null {
  const now = current(question, setting)
  if (typeof now !== 'number' || !has(question, setting)) return null
  const steps: number[] = []
  for (let value = 2 ** Math.ceil(Math.log2(now) - 1); value >= least; value /= 2) steps.push(value)
  const share = memoryFraction === undefined ? {} : { memoryFraction }
  return firstOf(steps, value => attempt(question, { settings: { ...share, [setting]: value } }), goal.passes)
}

const sequences: Kind = (question, goal) => {
  const trial = halved(question, 'maxNumSeqs', Math.max(8, question.input.concurrency), goal)
  return trial && remedyOf(question, trial, 'fewer requests at once')
}

/** The largest part of the card with the most requests at once that fits in it, where neither is enough alone. */
const fractionAndSequences: Kind = (question, goal) => {
  const now = current(question, 'memoryFraction')
  if (typeof now !== 'number' || now >= HIGHEST_FRACTION || !has(question, 'memoryFraction')) return null
  const trial = halved(question, 'maxNumSeqs', Math.max(8, question.input.concurrency), goal, HIGHEST_FRACTION)
  return trial && remedyOf(question, trial, 'more of the card, and fewer requests at once')
}

const batchTokens: Kind = (question, goal) => {
  const least = Math.max(512, currentNumber(question, 'maxNumSeqs', 1))
  const trial = halved(question, 'maxNumBatchedTokens', least, goal)
  return trial && remedyOf(question, trial, 'smaller steps of long prompts; slower first tokens')
}

const kvDtype: Kind = (question, goal) => {
  const to = eightBitKv(question.engine.name)
  const now = String(current(question, 'kvCacheDtype') ?? 'auto')
  if (to === null || /8|4/.test(now.replace('bfloat16', ''))) return null
  const trial = attempt(question, { settings: { kvCacheDtype: to } })
  return goal.passes(trial) ? remedyOf(question, trial, '8-bit KV cache: half the size, slightly less accurate') : null
}

const eager: Kind = (question, goal) => {
  if (!has(question, 'enforceEager') || current(question, 'enforceEager') === true) return null
  const trial = attempt(question, { settings: { enforceEager: true } })
  return goal.passes(trial) ? remedyOf(question, trial, 'no CUDA graphs: slower decoding') : null
}

const sibling: Kind = (question, goal) => {
  for (const one of question.siblings ?? []) {
    const trial = attempt(question, { sibling: one })
    if (goal.passes(trial)) return remedyOf(question, trial, 'the same model with quantised weights')
  }
  return null
}

/**
 * Weights quantised to fp8 while loading, on cards that compute in fp8. The 16-bit weights must fit for a moment: some
 * releases quantise only after all of them are loaded.
 */
const quantised: Kind = (question, goal) => {
  const { gpu, facts } = question.input
  if (gpu === null || computesFp8(gpu) !== true || !has(question, 'quantization')) return null
  const own = facts.config['quantization_config'] ?? facts.config['quantization']
  const stored = weightBytes(question)
  if (current(question, 'quantization') !== null || (own !== undefined && own !== null) || facts.gguf !== undefined)
    return null
  if (stored > HIGHEST_FRACTION * gpu.memoryBytes) return null
  const trial = attempt(question, { settings: { quantization: 'fp8' } })
  return goal.passes(trial)
    ? remedyOf(question, trial, 'weights quantised to fp8 on loading: half the size, slightly less accurate')
    : null
}

function weightBytes(question: Question): number {
  return question.answer.estimate.perGpu.parts
    .filter(part => part.name === 'weights')
    .reduce((sum, part) => sum + part.bytes.expected, 0)
}

/** More tensor ranks; where they do not divide the heads or are not enough, pipeline stages. */
const parallel: Kind = (question, goal) => {
  const axes = (['tensorParallel', 'pipelineParallel'] as const).filter(axis => has(question, axis))
  // Engines without ranks take more GPUs by themselves.
  for (const axis of axes.length > 0 ? axes : (['tensorParallel'] as const)) {
    for (const size of parallelSizes(question, axis)) {
      const trial = attempt(question, withParallel(question, axis, size))
      if (goal.passes(trial)) return remedyOf(question, trial, gpusNote(question, trial))
    }
  }
  return null
}

function gpusNote(question: Question, trial: Trial): string {
  const { gpu, gpusPerReplica } = question.input
  const needed = trial.change.gpusPerReplica ?? 1
  const name = gpu?.name ?? 'GPUs'
  return gpusPerReplica !== null && needed <= gpusPerReplica
    ? `uses ${needed} of the ${gpusPerReplica} GPUs that are asked for`
    : `needs ${needed} x ${name}`
}

const expertParallel: Kind = (question, goal) => {
  const { experts } = question.input.shape.facts
  const ranks = currentNumber(question, 'tensorParallel', 1) * currentNumber(question, 'dataParallel', 1)
  if (experts === null || ranks < 2 || !has(question, 'expertParallel') || current(question, 'expertParallel') === true)
    return null
  const trial = attempt(question, { settings: { expertParallel: true } })
  return goal.passes(trial) ? remedyOf(question, trial, 'whole experts on each GPU') : null
}

/** The smallest larger card, with everything else as it is. */
const gpu: Kind = (question, goal) => {
  const trial = firstInOrder(
    largerGpus(question, question.input.gpu as Gpu),
    card => attempt(question, { gpu: card }),
    goal.passes,
  )
  return trial && remedyOf(question, trial, 'the smallest larger GPU that fits')
}

const offload: Kind = (question, goal) => {
  const { perGpu } = question.answer.estimate
  if (
    perGpu.budgetBytes === null ||
    !has(question, 'cpuOffloadBytes') ||
    currentNumber(question, 'cpuOffloadBytes', 0) > 0
  )
    return null
  const most = Math.floor(weightBytes(question) / 2 / GiB)
  const least = Math.max(1, Math.ceil((perGpu.totalBytes.expected - perGpu.budgetBytes) / GiB))
  const steps = [0, 1, 2, 3, 4, 6, 8].map(more => least + more).filter(size => size <= most)
  const trial = firstOf(steps, size => attempt(question, { settings: { cpuOffloadBytes: size * GiB } }), goal.passes)
  return trial && remedyOf(question, trial, 'part of the weights in CPU memory: much slower')
}

/** Two changes at once, where none is enough: more GPUs and a shorter context. */
function both(question: Question, goal: Goal): Remedy | null {
  for (const size of parallelSizes(question, 'tensorParallel')) {
    const trial = longestContext(question, withParallel(question, 'tensorParallel', size), goal)
    const length = trial?.change.settings?.maxModelLen
    if (trial && typeof length === 'number' && length >= SHORTEST_CONTEXT)
      return remedyOf(
        question,
        trial,
        `${gpusNote(question, trial)}, with the longest context that fits there (${grouped(length)} tokens)`,
      )
  }
  return null
}
