import type { Judged } from './baseline/compare.ts'
import type { Deployment, Finding, Settings } from './deployments/deployment.ts'
import type { EngineAnswer, EngineInput } from './engines/engine.ts'
import { engineOf } from './engines/index.ts'
import { type ResolvedTarget, resolveTarget } from './hardware/target.ts'
import { checkpointBytes } from './models/checkpoint/checkpoint-bytes.ts'
import { shapeOfGguf } from './models/checkpoint/gguf-shape.ts'
import { activeParameterCount, parameterCount } from './models/count.ts'
import type { ModelFacts } from './models/facts.ts'
import { shapeOf } from './models/families/index.ts'
import type { ModelShape } from './models/shape.ts'
import { effectiveForDeployment, standIn, withStandIn } from './policy/deployment-policy.ts'
import { exemptionFor } from './policy/exemptions.ts'
import type { Effective, Policy } from './policy/policy.ts'
import type { Problem, Result } from './problem.ts'
import type { ReportDeployment, ReportModel, ReportTarget } from './report/report.ts'
import { commonFindings, gpusUsed } from './verdict/findings.ts'
import { judge, type Limits } from './verdict/judge.ts'
import { remediesFor } from './verdict/remedies.ts'
import type { Question, Sibling } from './verdict/trial.ts'

/** What is asked of the sources of model facts. */
interface ModelQuestion {
  readonly id: string
  readonly revision: string | null
  /** File or quantisation of a GGUF repository. */
  readonly variant: string | null
}

/** How a model's facts are found; a promise, because the Hub may be asked. */
type FindModel = (question: ModelQuestion) => Promise<Result<ModelFacts>>

export interface AssessPorts {
  readonly findModel: FindModel
  /** Facts of the same model with quantised weights; none where nothing is known. */
  readonly quantisedVariants?: (id: string) => readonly ModelFacts[]
  readonly now: Date
}

interface Known {
  readonly facts: ModelFacts
  readonly shape: ModelShape
}

/** One deployment from what a file declares to its place in the report; null when the policy ignores it. */
export async function assess(declared: Deployment, policy: Policy, ports: AssessPorts): Promise<Judged | null> {
  const deployment = withStandIn(declared, policy)
  const effective = effectiveForDeployment(policy, deployment)
  if (effective.ignore) return null
  const settings = settled(deployment.settings, effective)
  const target = resolveTarget(
    deployment.hardware,
    effective.target ?? null,
    effective.gpusPerReplica ?? null,
    gpusUsed(settings),
  )
  const model = await modelOf(deployment, policy, ports.findModel)
  const draft = deployment.draftModel?.id
    ? await modelOf({ ...deployment, model: deployment.draftModel, unresolved: [] }, policy, ports.findModel)
    : null
  const engine = deployment.workload === 'train' ? null : engineOf(deployment.engine.name)
  const sharesDevices = deployment.hardware.shared?.kind === 'device'
  const about: Subject = {
    deployment,
    settings,
    target,
    model,
    draft,
    effective,
    exemption: exemptionFor(policy, deployment.id, ports.now),
    policy,
  }

  if (!model.ok || engine === null) return { row: rowOf(about, null, null), question: null, sharesDevices }
  const input: EngineInput = {
    shape: model.value.shape,
    facts: model.value.facts,
    settings,
    options: deployment.options,
    environment: deployment.environment,
    version: deployment.engine.version,
    gpu: target.target?.gpu ?? null,
    gpusPerReplica: target.target?.gpusPerReplica ?? null,
    concurrency: effective.minConcurrency?.value ?? 1,
    draft: draft?.ok ? draft.value : null,
  }
  const answer = engine.estimate(input)
  const row = rowOf(about, answer, input)
  const wanted = wantsRemedies(row, about)
  const question: Question = {
    engine,
    input,
    answer,
    limits: limitsOf(about),
    siblings: wanted ? siblingsOf(deployment, ports) : [],
  }
  return { row: { ...row, remedies: wanted ? remediesFor(question) : [] }, question, sharesDevices }
}

/** The same model with quantised weights, as far as the catalogue knows it. */
function siblingsOf(deployment: Deployment, ports: AssessPorts): Sibling[] {
  const { id } = deployment.model
  const found = id === null ? [] : (ports.quantisedVariants?.(id) ?? [])
  return found.flatMap(facts => {
    const shape = shapeOf(facts.config)
    return shape.ok ? [{ id: facts.id, facts, shape: shape.value }] : []
  })
}

/** What does not fit wants a change that does; what names no GPU wants the GPUs that would do. */
function wantsRemedies(row: ReportDeployment, { target }: Subject): boolean {
  const { status, reasons } = row.verdict
  return (
    status === 'exceeds' ||
    status === 'tight' ||
    (status === 'unknown' && target.problem?.code === 'no-target' && reasons[0]?.code === 'no-target')
  )
}

/** Everything known of a deployment before an engine is asked. */
interface Subject {
  readonly deployment: Deployment
  readonly settings: Settings
  readonly target: ResolvedTarget
  readonly model: Result<Known>
  readonly draft: Result<Known> | null
  readonly effective: Effective
  readonly exemption: ReportDeployment['exemption']
  readonly policy: Policy
}

const limitsOf = (about: Subject): Limits => ({
  headroom: about.effective.headroom?.value ?? null,
  warnAt: about.policy.warnAt,
})

/** What the file says over what the policy assumes; the command line's settings over both. */
function settled(declared: Settings, effective: Effective): Settings {
  const chosen = Object.entries(effective.settings).filter(([, setting]) => setting?.from === 'flag')
  return { ...effective.settings, ...declared, ...Object.fromEntries(chosen) }
}

async function modelOf(deployment: Deployment, policy: Policy, findModel: FindModel): Promise<Result<Known>> {
  const { model, unresolved } = deployment
  const told = model.id !== null && policy.models.has(model.id)
  if (unresolved.length > 0 && !told && (model.id === null || /[$<{]/.test(model.id))) {
    const names = [...new Set(unresolved.map(entry => entry.name))].join(', ')
    return problem(
      'unresolved-placeholder',
      `nothing resolves ${names}`,
      `give it a default where it is read, or say in the policy what it stands for: models: { ${JSON.stringify(model.id ?? standIn(unresolved[0]!.name))}: { id: org/name } }`,
    )
  }
  if (model.id === null)
    return problem(
      'no-model',
      'no model is named',
      `name it where the engine is started, or leave the deployment out by a rule with ignore: true${model.hint ? `; perhaps ${model.hint}` : ''}`,
    )
  const found = await findModel({ id: model.id, revision: model.revision, variant: model.variant ?? null })
  if (!found.ok) return found
  const { config, gguf } = found.value
  const shape = gguf && config['model_type'] === undefined ? shapeOfGguf(gguf) : shapeOf(config)
  return shape.ok ? { ok: true, value: { facts: found.value, shape: shape.value } } : shape
}

function problem(code: Problem['code'], message: string, hint: string): Result<never> {
  return { ok: false, problem: { code, message, hint } }
}

/** Why a deployment cannot be judged, first what no answer to the others would help. */
function obstacles(about: Subject): Problem[] {
  const { deployment, model, target } = about
  const unsupported = (what: string): Problem => ({
    code: 'engine-unsupported',
    message: `${what} is recognised; its memory is not modelled`,
    hint: 'a rule with ignore: true in the policy leaves it out',
  })
  return [
    ...(deployment.workload === 'train' ? [unsupported(`training by ${deployment.engine.name}`)] : []),
    ...(deployment.workload === 'serve' && engineOf(deployment.engine.name) === null
      ? [unsupported(deployment.engine.name)]
      : []),
    ...(model.ok ? [] : [model.problem]),
    ...(target.problem ? [target.problem] : []),
  ]
}

function rowOf(about: Subject, answer: EngineAnswer | null, input: EngineInput | null): ReportDeployment {
  const { deployment, target } = about
  const gpu = target.target?.gpu ?? null
  const verdict = judge({
    estimate: answer?.estimate ?? null,
    settings: answer?.settings ?? about.settings,
    gpu,
    skip: target.skip,
    problems: obstacles(about),
    concurrency: input?.concurrency ?? 1,
    limits: limitsOf(about),
  })
  const common =
    target.skip === null
      ? commonFindings({ deployment, answer, gpu, gpusPerReplica: target.target?.gpusPerReplica ?? null })
      : []
  return {
    id: deployment.id,
    location: deployment.location,
    format: deployment.format,
    workload: deployment.workload,
    engine: { name: deployment.engine.name, version: deployment.engine.version },
    model: modelRow(deployment.model.id, deployment.model.revision, about.model),
    draftModel:
      deployment.draftModel === null
        ? null
        : modelRow(deployment.draftModel.id, deployment.draftModel.revision, about.draft),
    adapters: deployment.adapters.map(adapter => ({ id: adapter.id })),
    unresolved: deployment.unresolved.map(({ name, at }) => ({
      name,
      ...(at ? { file: at.file, line: at.line } : {}),
    })),
    settings: answer?.settings ?? about.settings,
    target: targetRow(target),
    estimate: answer?.estimate ?? null,
    verdict,
    findings: [
      ...deployment.findings,
      ...target.findings,
      ...(answer?.findings ?? []),
      ...common,
      ...(answer === null ? [] : draftFinding(about)),
    ],
    remedies: [],
    baseline: null,
    exemption: about.exemption,
  }
}

/** A draft model whose facts are missing comes on top of what is counted. */
function draftFinding({ deployment, draft }: Subject): Finding[] {
  if (draft === null || draft.ok) return []
  const { file, line } = deployment.location
  const why = `${draft.problem.message}${draft.problem.hint ? ` (${draft.problem.hint})` : ''}`
  const message = `the draft model ${deployment.draftModel?.id} is not counted: ${why}`
  return [{ code: 'draft-unknown', severity: 'warning', message, file, line }]
}

function modelRow(id: string | null, revision: string | null, model: Result<Known> | null): ReportModel {
  if (!model?.ok)
    return {
      id,
      revision,
      family: null,
      parameters: null,
      activeParameters: null,
      count: 'unknown',
      checkpointBytes: null,
      source: null,
      asOf: null,
    }
  const { facts, shape } = model.value
  return {
    id,
    revision: revision ?? facts.revision,
    family: shape.family,
    parameters: parameterCount(shape),
    activeParameters: activeParameterCount(shape),
    count: shape.count,
    checkpointBytes:
      facts.gguf?.bytes ?? facts.checkpoint.totalBytes ?? checkpointBytes(shape, facts.config)?.bytes ?? null,
    source: facts.source,
    asOf: facts.asOf,
  }
}

function targetRow({ target }: ResolvedTarget): ReportTarget | null {
  if (target === null) return null
  return {
    gpu: target.gpu?.name ?? null,
    gpusPerReplica: target.gpusPerReplica,
    nodes: target.nodes,
    memoryBytes: target.gpu?.memoryBytes ?? null,
    from: target.from,
    ...(target.at ? { file: target.at.file, line: target.at.line } : {}),
    ...(target.text === undefined ? {} : { text: target.text }),
  }
}
