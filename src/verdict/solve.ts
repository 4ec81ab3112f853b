import { bad, good, type Result } from '../problem.ts'
import type { Choice } from '../report/explain.ts'
import type { Remedy } from '../report/report.ts'
import { grouped } from '../units/bytes.ts'
import { contextUpTo, offeredGpus, rankSizes, withParallel } from './search.ts'
import {
  attempt,
  type Change,
  certainly,
  currentNumber,
  largest,
  marginOf,
  type Question,
  remedyOf,
  type Trial,
} from './trial.ts'

/** What `--solve` can ask for. */
export const SOLVABLE = ['max-model-len', 'max-num-seqs', 'tensor-parallel', 'gpu'] as const
export type Solvable = (typeof SOLVABLE)[number]

/** Context that is searched where the model states no limit. */
const UNLIMITED_CONTEXT = 2 ** 20
const MOST_SEQUENCES = 4096

/**
 * The inverse question: the longest context, the most requests of full length at once, the fewest tensor ranks, or the
 * smallest GPU that fits with certainty, everything else as it is. Problems: `no-target` without a GPU (except for
 * `gpu`), `setting-invalid` where nothing fits.
 */
export function solve(kind: Solvable, question: Question): Result<Remedy> {
  if (question.input.gpu === null && kind !== 'gpu')
    return bad('no-target', `${kind} cannot be solved without a GPU`, { hint: 'give one with --target' })
  const solved = SOLVERS[kind](question)
  if (solved) return good(remedyOf(question, solved.trial, solved.note))
  const hint = {
    'max-model-len': 'more GPUs or a larger one',
    'max-num-seqs': 'a shorter context',
    'tensor-parallel': 'a larger GPU',
    gpu: 'more GPUs',
  }[kind]
  const refusal = question.answer.findings.find(finding => finding.severity === 'error')?.message
  return bad('setting-invalid', `no ${kind} fits with the other settings as they are`, {
    hint: refusal ? `the engine refuses them: ${refusal}` : `it takes ${hint}`,
  })
}

interface Solved {
  readonly trial: Trial
  readonly note: string
}

const SOLVERS: Readonly<Record<Solvable, (question: Question) => Solved | null>> = {
  'max-model-len': question => {
    const most = question.input.shape.facts.contextLength ?? UNLIMITED_CONTEXT
    const trial = contextUpTo(question, {}, Math.max(most, currentNumber(question, 'maxModelLen', 1)), certainly)
    return trial && { trial, note: 'longest context that fits' }
  },
  'max-num-seqs': question => {
    const trial = mostSequences(question)
    const length = currentNumber(question, 'maxModelLen', 0)
    return trial && { trial, note: `most requests of ${grouped(length)} tokens that fit at once` }
  },
  'tensor-parallel': question => {
    for (const size of rankSizes(question, 'tensorParallel', 1)) {
      const trial = attempt(question, withParallel(question, 'tensorParallel', size))
      if (certainly.passes(trial))
        return { trial, note: `fewest ranks that fit on ${question.input.gpu?.name ?? 'the GPU'}` }
    }
    return null
  },
  gpu: question => {
    for (const gpu of offeredGpus(question.input.gpu)) {
      const trial = attempt(question, { gpu })
      if (certainly.passes(trial)) return { trial, note: 'smallest GPU that fits' }
    }
    return null
  },
}

/** The largest number of sequences that the pool holds at full length and the engine can be told to run at once. */
function mostSequences(question: Question): Trial | null {
  let best: Trial | null = null
  const perRequest = question.answer.estimate.kvCache?.bytesPerMaxLengthRequest ?? 0
  const guess = Math.floor(question.answer.estimate.kvCache?.maxConcurrency ?? 1)
  largest(MOST_SEQUENCES, guess, n => {
    const trial = attempt(question, { settings: { maxNumSeqs: n }, concurrency: n })
    const passes = certainly.passes(trial)
    if (passes) best = trial
    const margin = marginOf(question, trial, false)
    return { passes, steps: margin === null || perRequest <= 0 ? null : margin / perRequest }
  })
  return best
}

/**
 * Choices between context, GPUs and concurrency, for explain: per number of GPUs the longest context for one request,
 * and how many requests of the declared length run at once; as expected, not at the high end. What another choice beats
 * in every respect is left out.
 */
export function choices(question: Question): Choice[] {
  const gpu = question.input.gpu
  if (gpu === null) return []
  const points: { count: number; length: number; concurrency: number; note: string }[] = []
  for (const size of rankSizes(question, 'tensorParallel', 1)) {
    const change: Change = withParallel(question, 'tensorParallel', size)
    const now = attempt(question, change)
    const kv = now.answer.estimate.kvCache
    const count = change.gpusPerReplica ?? size
    if (now.refused || kv === null) continue
    const declared = currentNumber({ ...question, answer: now.answer }, 'maxModelLen', 0)
    const longest = Math.min(
      kv.maxModelLenThatFits ?? 0,
      question.input.shape.facts.contextLength ?? Number.POSITIVE_INFINITY,
    )
    const note = size === 1 ? '' : `tensor parallel ${size}`
    if (kv.maxConcurrency !== null && kv.maxConcurrency >= 1 && declared > 0)
      points.push({ count, length: declared, concurrency: kv.maxConcurrency, note })
    if (longest <= 0 || longest === declared) continue
    const there = attempt(question, { ...change, settings: { ...change.settings, maxModelLen: longest } })
    const concurrency = there.answer.estimate.kvCache?.maxConcurrency
    if (!there.refused && concurrency != null && concurrency >= 1)
      points.push({ count, length: longest, concurrency, note })
  }
  const kept = points.filter(point => !points.some(other => other !== point && beats(other, point)))
  return kept.map(point => ({
    gpus: `${point.count} x ${gpu.name}`,
    maxModelLen: point.length,
    concurrency: point.concurrency,
    note: point.note,
  }))
}

type Point = { readonly count: number; readonly length: number; readonly concurrency: number }

function beats(a: Point, b: Point): boolean {
  const asGood = a.count <= b.count && a.length >= b.length && a.concurrency >= b.concurrency
  return asGood && (a.count < b.count || a.length > b.length || a.concurrency > b.concurrency)
}
