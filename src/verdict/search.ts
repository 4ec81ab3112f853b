import type { Gpu } from '../hardware/gpu.ts'
import { gpuNamed } from '../hardware/gpus.ts'
import type { Remedy } from '../report/report.ts'
import {
  attempt,
  type Change,
  currentNumber,
  firstOf,
  largest,
  type Question,
  remedyOf,
  type Trial,
  works,
} from './trial.ts'

/** Cards that are offered, by maker, smallest first: those that clouds rent by the hour. */
const OFFERED: Readonly<Record<'NVIDIA' | 'AMD', readonly Gpu[]>> = {
  NVIDIA: [
    'NVIDIA T4',
    'NVIDIA L4',
    'NVIDIA A100 40GB',
    'NVIDIA L40S',
    'NVIDIA H100 80GB',
    'NVIDIA RTX PRO 6000 Blackwell',
    'NVIDIA H200 141GB',
    'NVIDIA B200',
    'NVIDIA B300',
  ].map(gpuNamed),
  AMD: ['AMD MI210', 'AMD MI300X', 'AMD MI325X', 'AMD MI355X'].map(gpuNamed),
}
/** Contexts are solved to this many tokens: the usual KV block. */
const TOKENS = 16
const MOST_RANKS = 8

const offered = (gpu: Gpu | null): readonly Gpu[] => OFFERED[gpu?.maker === 'AMD' ? 'AMD' : 'NVIDIA']

/** Offered cards of the same maker with more memory, smallest first. */
export function largerGpus(gpu: Gpu): readonly Gpu[] {
  return offered(gpu).filter(card => card.memoryBytes > gpu.memoryBytes)
}

/** The trial with the longest context that passes, not above the present one; null when none passes or all do. */
export function longestContext(question: Question, change: Change, passes: (trial: Trial) => boolean): Trial | null {
  const now = currentNumber(question, 'maxModelLen', 0)
  if (now <= TOKENS) return null
  return contextUpTo(question, change, now - 1, passes)
}

/** The trial with the longest context up to `most` tokens that passes. */
export function contextUpTo(
  question: Question,
  change: Change,
  most: number,
  passes: (trial: Trial) => boolean,
): Trial | null {
  let best: Trial | null = null
  const test = (blocks: number): boolean => {
    const trial = attempt(question, { ...change, settings: { ...change.settings, maxModelLen: blocks * TOKENS } })
    const good = passes(trial)
    if (good) best = trial
    return good
  }
  const found = largest(Math.floor(most / TOKENS), guessed(question, change) / TOKENS, test)
  return found === 0 ? null : best
}

/** A first guess at the longest context: what the engine says fits, less what the high ends of the range take. */
function guessed(question: Question, change: Change): number {
  const plain = Object.keys(change).length === 0 ? question.answer : attempt(question, change).answer
  const { kvCache, perGpu } = plain.estimate
  const length = plain.settings.maxModelLen?.effective ?? plain.settings.maxModelLen?.value
  const fitting = kvCache?.maxModelLenThatFits
  if (typeof length !== 'number' || !kvCache?.bytesPerMaxLengthRequest || perGpu.budgetBytes === null)
    return fitting ?? 1
  const perToken = (kvCache.bytesPerMaxLengthRequest * question.input.concurrency) / length
  const over = perGpu.totalBytes.high - perGpu.budgetBytes
  return Math.max(1, length - over / perToken)
}

/** Larger sizes of an axis that can be tried: powers of two that divide the heads (tensor), or the layers allow. */
export function parallelSizes(question: Question, axis: 'tensorParallel' | 'pipelineParallel'): number[] {
  const { facts, layers } = question.input.shape
  const now = currentNumber(question, axis, 1)
  const most = Math.max(MOST_RANKS, question.input.gpusPerReplica ?? 0)
  const sizes: number[] = []
  for (let size = now * 2; size <= most; size *= 2) {
    const divides =
      axis === 'pipelineParallel' ? size <= layers.order.length : facts.heads === null || facts.heads % size === 0
    if (divides) sizes.push(size)
  }
  return sizes
}

/** The change to `size` ranks of an axis, with as many GPUs as all axes then use. */
export function withParallel(question: Question, axis: 'tensorParallel' | 'pipelineParallel', size: number): Change {
  const sizes = { tensorParallel: 1, pipelineParallel: 1, dataParallel: 1 }
  for (const name of ['tensorParallel', 'pipelineParallel', 'dataParallel'] as const)
    sizes[name] = currentNumber(question, name, 1)
  sizes[axis] = size
  return {
    settings: { [axis]: size },
    gpusPerReplica: sizes.tensorParallel * sizes.pipelineParallel * sizes.dataParallel,
  }
}

/**
 * The smallest sets of equal GPUs on which the deployment would fit: for each number of GPUs (1, 2, 4, 8; only the
 * declared one where the files set tensor parallelism) the smallest card. A set is left out when fewer GPUs of the same
 * or a smaller card do.
 */
export function gpuSets(question: Question): Remedy[] {
  const declared = question.input.settings.tensorParallel !== undefined
  const now = currentNumber(question, 'tensorParallel', 1)
  const counts = declared
    ? [now, ...parallelSizes(question, 'tensorParallel')]
    : [1, ...parallelSizes(question, 'tensorParallel')]
  const found: Remedy[] = []
  let smallest = Number.POSITIVE_INFINITY
  for (const count of counts) {
    const change = count === now ? {} : withParallel(question, 'tensorParallel', count)
    const trial = firstOf(
      offered(question.input.gpu),
      card => attempt(question, { ...change, gpu: card }),
      one => works(one),
    )
    if (trial?.change.gpu === undefined || trial.change.gpu.memoryBytes >= smallest) continue
    smallest = trial.change.gpu.memoryBytes
    found.push(remedyOf(question, trial, `fits on ${count === 1 ? 'one' : `${count} x`} ${trial.change.gpu.name}`))
    if (declared && found.length > 0) break
  }
  return found
}
