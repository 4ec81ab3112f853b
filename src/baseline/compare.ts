import type { Setting } from '../deployments/deployment.ts'
import type { EngineInput } from '../engines/engine.ts'
import type { Baseline, ReportDeployment } from '../report/report.ts'
import type { Question } from '../verdict/trial.ts'

/** A judged deployment with what it was judged from, so that a change can be taken apart. */
export interface Judged {
  readonly row: ReportDeployment
  /** Null when it could not be estimated. */
  readonly question: Question | null
  /** Its file gives other containers the same devices. */
  readonly sharesDevices: boolean
}

type Cause = Baseline['causes'][number]

/**
 * The baseline of every deployment at the head: matched by id, else by content under another id (a renamed file or
 * object). The result is in the order of `head`; `removed` are base deployments that nothing matches.
 */
export function compare(
  head: readonly Judged[],
  base: readonly Judged[],
): { readonly baselines: readonly Baseline[]; readonly removed: readonly ReportDeployment[] } {
  const left = new Map(base.map(judged => [judged.row.id, judged]))
  const matches = new Map<Judged, { readonly judged: Judged; readonly renamed: boolean }>()
  for (const judged of head) {
    const same = left.get(judged.row.id)
    if (!same) continue
    matches.set(judged, { judged: same, renamed: false })
    left.delete(judged.row.id)
  }
  for (const judged of head) {
    if (matches.has(judged)) continue
    const twin = [...left.values()].find(other => content(other.row) === content(judged.row))
    if (!twin) continue
    matches.set(judged, { judged: twin, renamed: true })
    left.delete(twin.row.id)
  }
  return {
    baselines: head.map(judged => {
      const match = matches.get(judged)
      return match
        ? baselineOf(judged, match.judged, match.renamed)
        : { status: 'unknown', totalBytes: null, deltaBytes: null, change: 'new', causes: [] }
    }),
    removed: [...left.values()].map(judged => judged.row),
  }
}

/** What a deployment declares, without where it stands. */
function content(row: ReportDeployment): string {
  const settings = Object.entries(row.settings)
    .filter(([, setting]) => setting.from === 'file')
    .map(([name, setting]) => [name, setting.value])
  return JSON.stringify([
    row.engine.name,
    row.model.id,
    row.target?.gpu ?? null,
    row.target?.gpusPerReplica ?? null,
    settings.sort(),
  ])
}

function baselineOf(head: Judged, base: Judged, renamed: boolean): Baseline {
  const after = head.row.estimate?.perGpu.totalBytes ?? null
  const before = base.row.estimate?.perGpu.totalBytes ?? null
  const causes = before && after ? causesOf(head, base) : []
  const deltaBytes = before && after ? after.expected - before.expected : null
  const changed = causes.length > 0 || deltaBytes !== 0 || head.row.verdict.status !== base.row.verdict.status
  return {
    status: base.row.verdict.status,
    totalBytes: before,
    deltaBytes,
    change: renamed ? 'renamed' : changed ? 'changed' : 'unchanged',
    causes,
  }
}

/** Aspects that change what is there rather than what is needed. */
const MOVES_BUDGET: ReadonlySet<string> = new Set(['gpu', 'memoryFraction'])

interface Step {
  readonly setting: string
  readonly from: unknown
  readonly to: unknown
  readonly input: EngineInput
}

/**
 * Takes a change apart: from the base's input each differing aspect is set to the head's in turn and estimated again,
 * so that the deltas of the causes sum to the whole delta. An aspect without effect is left out, except hardware: a
 * change of the GPU alone moves the budget, not the need, and is named with delta 0.
 */
function causesOf(head: Judged, base: Judged): Cause[] {
  if (!head.question || !base.question) return []
  const { engine } = head.question
  if (engine.name !== base.question.engine.name) {
    const delta = head.row.estimate!.perGpu.totalBytes.expected - base.row.estimate!.perGpu.totalBytes.expected
    return [{ setting: 'engine', from: base.question.engine.name, to: engine.name, deltaBytes: delta }]
  }
  const total = (input: EngineInput) => engine.estimate(input).estimate.perGpu.totalBytes.expected
  const causes: Cause[] = []
  let before = total(base.question.input)
  for (const step of stepsFrom(
    { row: base.row, input: base.question.input },
    { row: head.row, input: head.question.input },
  )) {
    const after = total(step.input)
    if (after !== before || MOVES_BUDGET.has(step.setting))
      causes.push({ setting: step.setting, from: step.from, to: step.to, deltaBytes: after - before })
    before = after
  }
  return causes
}

interface Estimated {
  readonly row: ReportDeployment
  readonly input: EngineInput
}

function stepsFrom(base: Estimated, head: Estimated): Step[] {
  const from = base.input
  const to = head.input
  const steps: Step[] = []
  let input = from
  const step = (setting: string, was: unknown, is: unknown, next: Partial<EngineInput>) => {
    input = { ...input, ...next }
    steps.push({ setting, from: was ?? null, to: is ?? null, input })
  }
  if (base.row.model.id !== head.row.model.id || from.facts.revision !== to.facts.revision)
    step('model', base.row.model.id, head.row.model.id, { shape: to.shape, facts: to.facts })
  else input = { ...input, shape: to.shape, facts: to.facts }
  if (from.version !== to.version) step('engineVersion', from.version, to.version, { version: to.version })
  const names = new Set([...Object.keys(from.settings), ...Object.keys(to.settings)])
  for (const name of names) {
    const was = (from.settings as Record<string, Setting | undefined>)[name]
    const is = (to.settings as Record<string, Setting | undefined>)[name]
    if (JSON.stringify(was?.value) === JSON.stringify(is?.value)) continue
    const settings = { ...input.settings } as Record<string, Setting | undefined>
    if (is === undefined) delete settings[name]
    else settings[name] = is
    step(name, was?.value, is?.value, { settings: settings as EngineInput['settings'] })
  }
  const options = new Set([...Object.keys(from.options), ...Object.keys(to.options)])
  for (const name of options) {
    const was = from.options[name]
    const is = to.options[name]
    if (JSON.stringify(was?.value) === JSON.stringify(is?.value)) continue
    const next = { ...input.options }
    if (is === undefined) delete next[name]
    else next[name] = is
    step(name, was?.value, is?.value, { options: next })
  }
  if (JSON.stringify(from.environment) !== JSON.stringify(to.environment))
    step('environment', null, null, { environment: to.environment })
  if (from.gpu?.name !== to.gpu?.name || from.gpu?.memoryBytes !== to.gpu?.memoryBytes)
    step('gpu', from.gpu?.name, to.gpu?.name, { gpu: to.gpu })
  if (from.gpusPerReplica !== to.gpusPerReplica)
    step('gpusPerReplica', from.gpusPerReplica, to.gpusPerReplica, { gpusPerReplica: to.gpusPerReplica })
  if (from.concurrency !== to.concurrency)
    step('min-concurrency', from.concurrency, to.concurrency, { concurrency: to.concurrency })
  if (from.draft !== to.draft) input = { ...input, draft: to.draft }
  return steps
}
