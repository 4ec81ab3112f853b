import { type AssessPorts, assess } from './assess.ts'
import { compare, type Judged } from './baseline/compare.ts'
import type { Deployment, Extraction } from './deployments/deployment.ts'
import { type Bounds, extract } from './deployments/index.ts'
import { unusedExemptions } from './policy/exemptions.ts'
import type { Policy } from './policy/policy.ts'
import { problemText } from './problem.ts'
import { isExempted, type Report, type ReportDeployment, type ReportPolicy } from './report/report.ts'
import type { Repository } from './repository/repository.ts'
import { type Sharer, sharedCardFindings } from './verdict/findings.ts'
import { failures, failureTexts, increaseFinding, runVerdict } from './verdict/run.ts'
import { version } from './version.ts'

/**
 * The gate, from a repository to a report:
 *
 *   files -> deployments -> model facts, hardware, policy -> engine's accounting -> verdict -> comparison with the base
 *
 * Everything that touches the world is handed in. The base is the same pipeline over another repository.
 */
export interface CheckInput {
  readonly head: Repository
  readonly policy: Policy
  /** The tree to compare with, judged by the same policy. */
  readonly base: Repository | null
  readonly ports: AssessPorts
  /** Deployments that no file declares: models named on the command line or in the action's inputs. */
  readonly extra?: readonly Deployment[]
  readonly workload?: 'serve' | 'train' | null
  /** Whose policy decides, and what is to be said about it. */
  readonly policyFacts?: Omit<ReportPolicy, 'messages' | 'edited'> & { readonly messages?: ReportPolicy['messages'] }
  /** The policy of the head where a pull request changes it: its verdict is shown beside. */
  readonly headPolicy?: Policy | null
  /** How many files are looked at, and how large ones. */
  readonly bounds?: Bounds
}

export interface CheckOutcome {
  readonly report: Report
  /** Deployments with what they were judged from, in the report's order, for explain and --solve. */
  readonly judged: readonly Judged[]
}

interface Survey {
  readonly extraction: Extraction
  readonly judged: Judged[]
}

export async function check(input: CheckInput): Promise<CheckOutcome> {
  const head = await survey(input.head, input.policy, input)
  const base = input.base === null ? null : await survey(input.base, input.policy, input)
  const comparison = base === null ? null : compare(head.judged, base.judged)
  const shared = sharedCardFindings(head.judged.map(sharerOf))
  const { policy } = input
  const judged = head.judged.map((one, i) => {
    const row = { ...one.row, baseline: comparison?.baselines[i] ?? null }
    const more = [shared.get(row.id) ?? null, increaseFinding(row, policy.gate)].filter(finding => finding !== null)
    return { ...one, row: { ...row, findings: [...row.findings, ...more] } }
  })
  const rows = judged.map(one => one.row)
  const problems = head.extraction.problems
  const verdict = runVerdict(rows, head.extraction.notUnderstood, problems, policy.gate)
  const report: Report = {
    schemaVersion: 1,
    tool: { name: 'hf-vram-calc', version },
    verdict,
    enforced: !policy.warnOnly,
    counts: countsOf(rows, head.extraction),
    deployments: rows,
    notUnderstood: head.extraction.notUnderstood,
    problems,
    policy: await policyReport(input, rows, verdict, head),
    ...(comparison === null
      ? {}
      : { removed: comparison.removed.map(row => ({ id: row.id, model: row.model.id, status: row.verdict.status })) }),
  }
  return { report, judged }
}

async function survey(repository: Repository, policy: Policy, input: CheckInput): Promise<Survey> {
  const extraction = await extract(repository, input.bounds)
  const declared = [...extraction.deployments, ...(input.extra ?? [])].filter(
    deployment => !input.workload || deployment.workload === input.workload,
  )
  const judged = await Promise.all(declared.map(deployment => assess(deployment, policy, input.ports)))
  return { extraction, judged: judged.filter(one => one !== null) }
}

/** Containers that a file gives the same devices share them; other deployments are alone on theirs. */
function sharerOf({ row, sharesDevices }: Judged): Sharer {
  const fraction = row.settings.memoryFraction?.effective ?? row.settings.memoryFraction?.value
  return {
    id: row.id,
    card: sharesDevices ? row.location.file : null,
    refuses: row.engine.name === 'vllm',
    fraction: typeof fraction === 'number' ? fraction : null,
    place: row.location,
  }
}

function countsOf(rows: readonly ReportDeployment[], extraction: Extraction): Report['counts'] {
  const count = (status: ReportDeployment['verdict']['status']) =>
    rows.filter(row => row.verdict.status === status && !isExempted(row)).length
  return {
    deployments: rows.length,
    fits: count('fits'),
    tight: count('tight'),
    exceeds: count('exceeds'),
    unknown: count('unknown'),
    skipped: count('skipped'),
    exempted: rows.filter(isExempted).length,
    filesRead: extraction.counts.filesRead,
    filesParsed: extraction.counts.filesParsed,
  }
}

async function policyReport(
  input: CheckInput,
  rows: readonly ReportDeployment[],
  verdict: Report['verdict'],
  head: Survey,
): Promise<ReportPolicy> {
  const { policy, policyFacts } = input
  const failing = rows.filter(row => failures({ ...row, exemption: null }, policy.gate).length > 0).map(row => row.id)
  const unused = unusedExemptions(policy, failing).map(problem => ({
    level: 'warning' as const,
    message: problemText(problem),
  }))
  const causes = failureTexts(rows, policy.gate).map(message => ({ level: 'notice' as const, message }))
  return {
    file: policyFacts?.file ?? policy.file,
    from: policyFacts?.from ?? (policy.file === null ? 'defaults' : 'head'),
    edited: input.headPolicy ? await editedBy(input, input.headPolicy, verdict, head) : null,
    messages: [...(policyFacts?.messages ?? []), ...unused, ...causes],
  }
}

/** What the pull request's own policy would say, beside the base's that decides. */
async function editedBy(
  input: CheckInput,
  headPolicy: Policy,
  verdict: Report['verdict'],
  head: Survey,
): Promise<ReportPolicy['edited']> {
  const declared = [...head.extraction.deployments, ...(input.extra ?? [])]
  const judged = (await Promise.all(declared.map(deployment => assess(deployment, headPolicy, input.ports)))).filter(
    one => one !== null,
  )
  const own = runVerdict(
    judged.map(one => one.row),
    head.extraction.notUnderstood,
    head.extraction.problems,
    headPolicy.gate,
  )
  const word = (text: string, soft: boolean) => `${text}${soft ? ' (warn-only)' : ''}`
  return {
    verdictWithHeadPolicy: own,
    message: `this pull request changes the gate's policy. The base branch's policy applies: ${word(verdict, input.policy.warnOnly)}. With the changed policy the verdict would be: ${word(own, headPolicy.warnOnly)}.`,
  }
}
