import type { Setting, Settings } from '../deployments/deployment.ts'
import type { Estimate } from '../engines/engine.ts'
import type { Gpu } from '../hardware/gpu.ts'
import { type Part, type PartName, partText } from '../memory/parts.ts'
import type { Problem } from '../problem.ts'
import type { Status, Verdict } from '../report/report.ts'
import { gibText, grouped, sizeText } from '../units/bytes.ts'

/** A size in bytes, or a share of the budget. */
type Headroom = { readonly bytes: number } | { readonly fraction: number } | null

/** What the policy asks for beyond the engine's own condition. */
export interface Limits {
  /** Room that must stay free for `fits`. */
  readonly headroom: Headroom
  /** Share of the budget above which what fits is reported as tight; null: never. */
  readonly warnAt: number | null
}
export const noLimits: Limits = { headroom: null, warnAt: null }

/** What a verdict is made of. */
export interface Case {
  readonly estimate: Estimate | null
  /** The engine's settings with its defaults, for messages. */
  readonly settings: Settings
  readonly gpu: Gpu | null
  /** Why it is not ours to judge; null: it is. */
  readonly skip: string | null
  /** Why it cannot be judged (the model's or the target's problem); the first counts. */
  readonly problems: readonly Problem[]
  /** Requests of full length that the total holds (policy min-concurrency). */
  readonly concurrency: number
  readonly limits: Limits
}

/** Bytes of the policy's headroom on a budget. */
function headroomBytes(headroom: Headroom, budget: number): number {
  if (headroom === null) return 0
  return 'bytes' in headroom ? headroom.bytes : Math.ceil(headroom.fraction * budget)
}

/** What the high end of the total may take for `fits`: the budget less the headroom. */
export function roomOf(budget: number, limits: Limits): number {
  return budget - headroomBytes(limits.headroom, budget)
}

/**
 * Status by the rules of design section 6: the total against the engine's budget on the fullest GPU. `fits`: the high
 * end is within the budget less the headroom, and the expected total is not above `warnAt` of it; `tight`: the expected
 * total is within the budget; `exceeds`: it is not, or the engine's own check of its KV pool fails. Null without budget.
 */
export function statusOf(estimate: Estimate, limits: Limits): { status: Status; certain: boolean } | null {
  const { totalBytes, budgetBytes } = estimate.perGpu
  if (budgetBytes === null) return null
  if (totalBytes.expected > budgetBytes) return { status: 'exceeds', certain: totalBytes.low > budgetBytes }
  if (estimate.kvCache?.fitsOneRequest === false && !startsWithLess(estimate))
    return { status: 'exceeds', certain: false }
  const near = limits.warnAt !== null && totalBytes.expected > limits.warnAt * budgetBytes
  return totalBytes.high <= roomOf(budgetBytes, limits) && !near
    ? { status: 'fits', certain: true }
    : { status: 'tight', certain: false }
}

/** An engine whose cache is a range starts with a smaller pool and rejects longer requests later (SGLang). */
function startsWithLess(estimate: Estimate): boolean {
  return estimate.perGpu.parts.some(part => CACHE.includes(part.name) && part.bytes.low < part.bytes.high)
}

/** The verdict on one deployment, with the reasons a person needs: what it needs, what there is, what causes it. */
export function judge(about: Case): Verdict {
  if (about.skip !== null) return verdict('skipped', true, 'no-gpu', about.skip)
  const problem = about.problems[0]
  if (problem) return unknown(problem)
  const { estimate } = about
  if (estimate === null)
    return unknown({ code: 'engine-unsupported', message: 'the memory of this engine is not modelled' })
  const outcome = statusOf(estimate, about.limits)
  if (outcome === null || estimate.perGpu.budgetBytes === null)
    return unknown({
      code: 'no-target',
      message: 'without a GPU there is no budget to compare with',
      hint: 'give a target in the policy or with --target',
    })
  const budget = estimate.perGpu.budgetBytes
  if (outcome.status === 'fits') return verdict('fits', true, 'fits', fitsText(about, estimate, budget))
  if (outcome.status === 'tight') return verdict('tight', false, ...tightText(about, estimate, budget))
  const reasons = [exceedsReason(about, estimate, budget), ...settingReason(about, estimate, budget)]
  return { status: 'exceeds', certain: outcome.certain, reasons }
}

function verdict(status: Status, certain: boolean, code: string, message: string): Verdict {
  return { status, certain, reasons: [{ code, message }] }
}

function unknown(problem: Problem): Verdict {
  return verdict('unknown', false, problem.code, `${problem.message}${problem.hint ? `: ${problem.hint}` : ''}`)
}

const CACHE: readonly PartName[] = ['kvCache', 'recurrentState']
const partName = (part: Part): string => partText(part.name)

const inBudget = (estimate: Estimate): Part[] => estimate.perGpu.parts.filter(part => part.inBudget)
const expected = (parts: readonly Part[]): number => parts.reduce((total, part) => total + part.bytes.expected, 0)

/** "0.92 of the 79.18 GiB of NVIDIA H100 80GB": what the budget is. */
function budgetText(about: Case, budget: number): string {
  const fraction = about.settings.memoryFraction?.effective ?? about.settings.memoryFraction?.value
  const { gpu } = about
  if (gpu === null) return sizeText(budget)
  if (typeof fraction === 'number' && Math.abs(Math.ceil(fraction * gpu.memoryBytes) - budget) <= 2)
    return `${sizeText(budget)} (${fraction} of the ${sizeText(gpu.memoryBytes)} of ${gpu.name})`
  return `${sizeText(budget)} (${gpu.name}, ${sizeText(gpu.memoryBytes)})`
}

/** "one request of 131,072 tokens" or "4 requests of 8,192 tokens (min-concurrency)". */
function requestsText(about: Case): string {
  const length = lengthOf(about.settings.maxModelLen)
  const of = length === null ? '' : ` of ${grouped(length)} tokens`
  return about.concurrency === 1 ? `one request${of}` : `${grouped(about.concurrency)} requests${of} (min-concurrency)`
}

function lengthOf(setting: Setting<number | 'auto'> | undefined): number | null {
  const value = setting?.effective ?? setting?.value
  return typeof value === 'number' ? value : null
}

function fitsText(about: Case, estimate: Estimate, budget: number): string {
  const { totalBytes } = estimate.perGpu
  const range = totalBytes.low === totalBytes.high ? '' : ` (up to ${gibText(totalBytes.high)})`
  const text = `needs ${sizeText(totalBytes.expected)}${range} of ${budgetText(about, budget)}`
  const kv = estimate.kvCache
  if (kv?.maxConcurrency == null || kv.maxConcurrency < 1) return text
  const length = lengthOf(about.settings.maxModelLen)
  return `${text}; room for ${kv.maxConcurrency.toFixed(1)} requests${length === null ? '' : ` of ${grouped(length)} tokens`} at once`
}

function tightText(about: Case, estimate: Estimate, budget: number): [code: string, message: string] {
  const { totalBytes } = estimate.perGpu
  const needs = `needs ${sizeText(totalBytes.expected)}, up to ${sizeText(totalBytes.high)}, of ${budgetText(about, budget)}`
  if (totalBytes.high > budget) {
    const wide = inBudget(estimate)
      .filter(part => part.bytes.high > part.bytes.expected)
      .sort((a, b) => b.bytes.high - b.bytes.expected - (a.bytes.high - a.bytes.expected))[0]
    const why = wide
      ? `: ${partName(wide)} may take ${gibText(wide.bytes.expected)} to ${sizeText(wide.bytes.high)}`
      : ''
    return ['tight', `${needs}${why}`]
  }
  const reserve = headroomBytes(about.limits.headroom, budget)
  if (totalBytes.high > budget - reserve)
    return ['headroom', `${needs}: less than the headroom of ${sizeText(reserve)} stays free`]
  const share = Math.round((100 * totalBytes.expected) / budget)
  return [
    'warn-at',
    `${needs}: ${share} %, above the warning line of ${Math.round(100 * (about.limits.warnAt ?? 1))} %`,
  ]
}

/** What is short, in the engine's order: weights, then the working memory, then the KV cache. */
function exceedsReason(about: Case, estimate: Estimate, budget: number): Verdict['reasons'][number] {
  const parts = inBudget(estimate)
  const total = estimate.perGpu.totalBytes.expected
  const fixed = parts.filter(part => !CACHE.includes(part.name))
  const weights = fixed.filter(part => part.name === 'weights')
  const short = `short by ${sizeText(total - budget)}`
  const listed = fixed
    .filter(part => gibText(part.bytes.expected) !== gibText(0))
    .sort((a, b) => b.bytes.expected - a.bytes.expected)
    .map(part => `${partName(part)} ${gibText(part.bytes.expected)}`)
    .join(', ')
  if (
    total <= budget ||
    (about.settings.kvCacheMemoryBytes !== undefined && estimate.kvCache?.fitsOneRequest === false)
  ) {
    const pool = estimate.kvCache?.availableBytes ?? 0
    const one = estimate.kvCache?.bytesPerMaxLengthRequest ?? 0
    return {
      code: 'kv-pool-too-small',
      message: `one request${lengthOf(about.settings.maxModelLen) === null ? '' : ` of ${grouped(lengthOf(about.settings.maxModelLen)!)} tokens`} needs ${sizeText(one)} of KV cache; the pool has ${sizeText(pool)}`,
    }
  }
  if (expected(weights) > budget)
    return {
      code: 'weights-exceed',
      message: `the weights alone need ${sizeText(expected(weights))} per GPU, more than ${budgetText(about, budget)}; with all the rest ${sizeText(total)}, ${short}`,
    }
  const needed = total - expected(fixed)
  if (expected(fixed) > budget)
    return {
      code: 'no-room-for-kv-cache',
      message: `no memory is left for the KV cache: ${listed} GiB are more than ${budgetText(about, budget)}; with ${sizeText(needed)} for ${requestsText(about)}, ${short}`,
    }
  return {
    code: 'kv-cache-exceeds',
    message: `${requestsText(about)} ${about.concurrency === 1 ? 'needs' : 'need'} ${sizeText(needed)} of KV cache; ${sizeText(budget - expected(fixed))} is left of ${budgetText(about, budget)} after ${listed} GiB: ${short}`,
  }
}

/** Which setting causes it, and where it stands. */
function settingReason(about: Case, estimate: Estimate, budget: number): Verdict['reasons'][number][] {
  const fixed = expected(inBudget(estimate).filter(part => !CACHE.includes(part.name)))
  if (fixed > budget) return []
  const setting = about.settings.maxModelLen
  const length = lengthOf(setting)
  if (setting === undefined || length === null) return []
  const most = estimate.kvCache?.maxModelLenThatFits
  const largest = about.concurrency === 1 && most ? `; about ${grouped(most)} tokens are expected to fit` : ''
  if (setting.from === 'file') {
    const where = setting.file ? ` (${setting.file}:${setting.line})` : ''
    return [{ code: 'set-by', message: `set by ${setting.text ?? `a context length of ${length}`}${where}${largest}` }]
  }
  const whose =
    setting.from === 'policy' || setting.from === 'flag'
      ? `the ${setting.from === 'flag' ? 'command line' : 'policy'} says`
      : 'the files set no context length: the engine takes'
  return [{ code: 'set-by', message: `${whose} ${grouped(length)} tokens${largest}` }]
}
