import type { SettingName, Settings } from '../deployments/deployment.ts'
import type { Engine, EngineAnswer, EngineInput } from '../engines/engine.ts'
import type { Gpu } from '../hardware/gpu.ts'
import type { ModelFacts } from '../models/facts.ts'
import type { ModelShape } from '../models/shape.ts'
import type { Remedy, Status } from '../report/report.ts'
import { outsideShortage } from './findings.ts'
import { flagText } from './flags.ts'
import { type Limits, roomOf, statusOf } from './judge.ts'

/** A deployment for which another configuration is looked for. */
export interface Question {
  readonly engine: Engine
  readonly input: EngineInput
  /** The engine's answer to `input`. */
  readonly answer: EngineAnswer
  readonly limits: Limits
  /** The same model with quantised weights, where some are known. */
  readonly siblings?: readonly Sibling[]
}

export interface Sibling {
  readonly id: string
  readonly facts: ModelFacts
  readonly shape: ModelShape
}

/** What is changed at once. */
export interface Change {
  readonly settings?: Partial<Record<SettingName, unknown>>
  readonly gpu?: Gpu
  readonly gpusPerReplica?: number
  readonly sibling?: Sibling
  /** Requests of full length that must fit at once. */
  readonly concurrency?: number
}

/** A change with the engine's answer to it. */
export interface Trial {
  readonly change: Change
  readonly answer: EngineAnswer
  /** Null when there is no GPU to judge on. */
  readonly status: Status | null
  /** The engine would not start whatever the memory, or what lies beside its budget would not fit. */
  readonly refused: boolean
}

/** Options that say the same as a setting: a changed setting replaces them. */
const OPTIONS: Partial<Record<SettingName, string>> = {
  enforceEager: 'enforce-eager',
  expertParallel: 'enable-expert-parallel',
}

/** Asks the engine about the deployment with the change made. */
export function attempt(question: Question, change: Change): Trial {
  const { input } = question
  const settings: Record<string, unknown> = { ...input.settings }
  const options = { ...input.options }
  for (const [name, value] of Object.entries(change.settings ?? {})) {
    settings[name] = { value, from: 'assumed' }
    const option = OPTIONS[name as SettingName]
    if (option) delete options[option]
  }
  const changed: EngineInput = {
    ...input,
    settings: settings as Settings,
    options,
    gpu: change.gpu ?? input.gpu,
    gpusPerReplica: change.gpusPerReplica ?? input.gpusPerReplica,
    concurrency: change.concurrency ?? input.concurrency,
    ...(change.sibling ? { facts: change.sibling.facts, shape: change.sibling.shape } : {}),
  }
  const answer = question.engine.estimate(changed)
  const refused =
    answer.findings.some(finding => finding.severity === 'error') ||
    (outsideShortage(answer, changed.gpu) ?? 0) > Math.max(0, outsideShortage(question.answer, input.gpu) ?? 0)
  return { change, answer, status: statusOf(answer.estimate, question.limits)?.status ?? null, refused }
}

/** Does the trial start and fit? With `tight` also what fits only as expected. */
function works(trial: Trial, tight = false): boolean {
  return !trial.refused && (trial.status === 'fits' || (tight && trial.status === 'tight'))
}

/** A setting as the engine has it now; null when it has none. */
export function current(question: Question, name: SettingName): unknown {
  const setting = question.answer.settings[name]
  return setting?.effective ?? setting?.value ?? null
}

export function currentNumber(question: Question, name: SettingName, fallback: number): number {
  const value = current(question, name)
  return typeof value === 'number' && Number.isFinite(value) ? value : fallback
}

/** The trial as the report shows it. */
export function remedyOf(question: Question, trial: Trial, note: string): Remedy {
  const { change, answer } = trial
  const { input, engine } = question
  const list: Remedy['change'][number][] = []
  if (change.sibling)
    list.push({ setting: 'model', from: input.facts.id, to: change.sibling.id, flag: change.sibling.id })
  for (const [name, value] of Object.entries(change.settings ?? {})) {
    const setting = name as SettingName
    list.push({ setting, from: current(question, setting), to: value, flag: flagText(engine.name, setting, value) })
  }
  if (change.gpu) list.push({ setting: 'target', from: input.gpu?.name ?? null, to: change.gpu.name, flag: null })
  if (change.gpusPerReplica !== undefined && change.gpusPerReplica !== input.gpusPerReplica)
    list.push({ setting: 'gpusPerReplica', from: input.gpusPerReplica, to: change.gpusPerReplica, flag: null })
  return { change: list, totalBytes: answer.estimate.perGpu.totalBytes, status: trial.status ?? 'unknown', note }
}

/** Bytes that a trial could take more (or has too many, below 0) and still pass; null when the engine refuses it. */
export function marginOf(question: Question, trial: Trial, tight: boolean): number | null {
  const { budgetBytes, totalBytes } = trial.answer.estimate.perGpu
  if (trial.refused || budgetBytes === null) return null
  const room = roomOf(budgetBytes, question.limits)
  return tight ? budgetBytes - totalBytes.expected : room - totalBytes.high
}

/** One probe of a search: does it pass, and how many more steps (or fewer) would use its margin up? */
export interface Probe {
  readonly passes: boolean
  readonly steps: number | null
}

/**
 * The largest whole number in 1..high that passes; 0 when none does. Each probe proposes the next one by its margin, so
 * that a sum that grows evenly is solved in three or four; after six proposals the rest is halved. What passes must be
 * all numbers up to some number.
 */
export function largest(high: number, guess: number, probe: (n: number) => Probe): number {
  let good = 0
  let bad = high + 1
  let next = guess
  for (let tries = 0; bad - good > 1; tries++) {
    const n = Math.floor(Math.min(bad - 1, Math.max(good + 1, Number.isFinite(next) ? next : good + 1)))
    const { passes, steps } = probe(n)
    if (passes) good = n
    else bad = n
    next = steps === null || tries >= 6 ? Math.floor((good + bad) / 2) : n + Math.trunc(steps)
  }
  return good
}

/** The first of a ladder that passes; each step passes if an earlier one did, so the last one is asked first. */
export function firstOf<T>(
  ladder: readonly T[],
  attemptOne: (step: T) => Trial,
  passes: (trial: Trial) => boolean,
): Trial | null {
  if (ladder.length === 0) return null
  let best = attemptOne(ladder.at(-1)!)
  if (!passes(best)) return null
  let low = 0
  let high = ladder.length - 1
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const trial = attemptOne(ladder[middle]!)
    if (passes(trial)) {
      best = trial
      high = middle
    } else low = middle + 1
  }
  return best
}

/** The first of a short list that passes, asked one after the other; null when none does. */
export function firstInOrder<T>(
  list: readonly T[],
  attemptOne: (one: T) => Trial,
  passes: (trial: Trial) => boolean,
): Trial | null {
  for (const one of list) {
    const trial = attemptOne(one)
    if (passes(trial)) return trial
  }
  return null
}

/** What a trial must do to be offered. */
export interface Goal {
  /** False: it must fit with certainty; true: as expected is enough. */
  readonly tight: boolean
  readonly passes: (trial: Trial) => boolean
}
export const certainly: Goal = { tight: false, passes: trial => works(trial) }
export const probably: Goal = { tight: true, passes: trial => works(trial, true) }
