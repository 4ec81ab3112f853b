import type { Gpu } from '../hardware/gpu.ts'
import { gpuNamed } from '../hardware/gpus.ts'
import type { Remedy } from '../report/report.ts'
import { gpusUsed } from './findings.ts'
import { flagText } from './flags.ts'
import {
  attempt,
  type Change,
  certainly,
  currentNumber,
  firstInOrder,
  type Goal,
  largest,
  marginOf,
  type Question,
  remedyOf,
  type Trial,
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

/** Offered cards of the maker of this one (NVIDIA where none is known), smallest first. */
export const offeredGpus = (gpu: Gpu | null): readonly Gpu[] => OFFERED[gpu?.maker === 'AMD' ? 'AMD' : 'NVIDIA']

/** Offered cards of the same maker with more memory, smallest first; without those that are clearly too small. */
export function largerGpus(question: Question, gpu: Gpu): readonly Gpu[] {
  const { totalBytes, budgetBytes } = question.answer.estimate.perGpu
  const share = budgetBytes === null ? 1 : Math.min(1, budgetBytes / gpu.memoryBytes)
  return offeredGpus(gpu).filter(
    card => card.memoryBytes > gpu.memoryBytes && card.memoryBytes * share >= 0.95 * totalBytes.low,
  )
}

/** The trial with the longest context below the present one that meets the goal; null when none does. */
export function longestContext(question: Question, change: Change, goal: Goal): Trial | null {
  const now = currentNumber(question, 'maxModelLen', 0)
  return now <= TOKENS ? null : contextUpTo(question, change, now - 1, goal)
}

/** The trial with the longest context up to `most` tokens that meets the goal. */
export function contextUpTo(question: Question, change: Change, most: number, goal: Goal): Trial | null {
  let best: Trial | null = null
  const { kvCache } = question.answer.estimate
  const now = currentNumber(question, 'maxModelLen', most)
  const perStep = (((kvCache?.bytesPerMaxLengthRequest ?? 0) * question.input.concurrency) / now) * TOKENS
  const probe = (blocks: number) => {
    const trial = attempt(question, { ...change, settings: { ...change.settings, maxModelLen: blocks * TOKENS } })
    const passes = goal.passes(trial)
    if (passes) best = trial
    const margin = marginOf(question, trial, goal.tight)
    return { passes, steps: margin === null || perStep <= 0 ? null : margin / (perStep * rateOf(question, trial)) }
  }
  const fitting = kvCache?.maxModelLenThatFits
  const found = largest(Math.floor(most / TOKENS), (fitting ? Math.min(fitting, most) : most / 2) / TOKENS, probe)
  return found === 0 ? null : best
}

/** How much more or less a token costs in a trial than now: other ranks, another KV dtype. */
function rateOf(question: Question, trial: Trial): number {
  const now = question.answer.estimate.kvCache?.bytesPerToken
  const then = trial.answer.estimate.kvCache?.bytesPerToken
  return now && then ? then / now : 1
}

/**
 * Sizes of an axis from `least` on that can be tried: powers of two times the least that divide the heads (tensor) or
 * that the layers allow (pipeline). Without those whose weights alone are more than the budget.
 */
export function rankSizes(question: Question, axis: 'tensorParallel' | 'pipelineParallel', least: number): number[] {
  const { facts, layers } = question.input.shape
  const now = currentNumber(question, axis, 1)
  const most = Math.max(MOST_RANKS, question.input.gpusPerReplica ?? 0)
  const budget = question.answer.estimate.perGpu.budgetBytes
  const sizes: number[] = []
  // instances of MIG do not talk to each other
  const top = question.input.gpu?.name.includes(' MIG ') ? now : most
  for (let size = Math.max(1, least); size <= top; size *= 2) {
    const divides =
      axis === 'pipelineParallel' ? size <= layers.order.length : facts.heads === null || facts.heads % size === 0
    const light = budget === null || (fixedBytes(question) * now) / size <= budget
    if (divides && light) sizes.push(size)
  }
  return sizes
}

/** Larger sizes of an axis than now. */
export function parallelSizes(question: Question, axis: 'tensorParallel' | 'pipelineParallel'): number[] {
  return rankSizes(question, axis, currentNumber(question, axis, 1) * 2)
}

/**
 * The change to `size` ranks of an axis, with as many GPUs as all axes then use. Engines without ranks (llama.cpp) spread
 * the layers over the GPUs they get.
 */
export function withParallel(question: Question, axis: 'tensorParallel' | 'pipelineParallel', size: number): Change {
  if (flagText(question.engine.name, axis, size) === null) return { gpusPerReplica: size }
  const settings = { ...question.answer.settings, [axis]: { value: size, from: 'assumed' } }
  return { settings: { [axis]: size }, gpusPerReplica: gpusUsed(settings) ?? size }
}

/**
 * The smallest sets of equal GPUs on which the deployment would fit: for each number of GPUs (1, 2, 4, 8; only the
 * first that fits where the files set tensor parallelism) the smallest card. A set is left out when fewer GPUs of the
 * same or a smaller card do.
 */
export function gpuSets(question: Question): Remedy[] {
  const declared = question.input.settings.tensorParallel !== undefined
  const now = currentNumber(question, 'tensorParallel', 1)
  const found: Remedy[] = []
  let smallest = Number.POSITIVE_INFINITY
  for (const count of [now, ...parallelSizes(question, 'tensorParallel')]) {
    const change = count === now ? {} : withParallel(question, 'tensorParallel', count)
    const least = (fixedBytes(question) * now) / count
    const cards = offeredGpus(question.input.gpu).filter(
      card => card.memoryBytes > least && card.memoryBytes < smallest,
    )
    const trial = firstInOrder(cards, card => attempt(question, { ...change, gpu: card }), certainly.passes)
    const card = trial?.change.gpu
    if (trial === null || card === undefined) continue
    smallest = card.memoryBytes
    const gpus = change.gpusPerReplica ?? question.input.gpusPerReplica ?? count
    found.push(remedyOf(question, trial, `fits on ${gpus === 1 ? 'one' : `${gpus} x`} ${card.name}`))
    if (declared) break
  }
  return found
}

/** Bytes that more ranks divide at best: the weights. */
function fixedBytes(question: Question): number {
  const weights = question.answer.estimate.perGpu.parts.filter(part => part.name === 'weights')
  return weights.reduce((total, part) => total + part.bytes.low, 0)
}
