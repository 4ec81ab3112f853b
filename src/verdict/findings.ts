import type { Deployment, Finding } from '../deployments/deployment.ts'
import type { EngineAnswer } from '../engines/engine.ts'
import type { Gpu } from '../hardware/gpu.ts'
import { partText } from '../memory/parts.ts'
import { GiB, sizeText } from '../units/bytes.ts'

/** What the engine-independent findings look at. */
export interface Checked {
  readonly deployment: Deployment
  readonly answer: EngineAnswer | null
  readonly gpu: Gpu | null
  readonly gpusPerReplica: number | null
}

const size = (setting: { readonly value: unknown; readonly effective?: unknown } | undefined): number => {
  const value = setting?.effective ?? setting?.value
  return typeof value === 'number' && value >= 1 ? value : 1
}

/** GPUs that the settings make the engine use; null when none of them is set. */
export function gpusUsed(settings: Deployment['settings']): number | null {
  const { tensorParallel, pipelineParallel, dataParallel } = settings
  if (!tensorParallel && !pipelineParallel && !dataParallel) return null
  // data ranks of attention live inside the tensor ranks
  const replicas = settings.attentionDataParallel ? 1 : size(dataParallel)
  return size(tensorParallel) * size(pipelineParallel) * replicas
}

/**
 * Findings that hold for every engine and that the engine has not given itself: GPUs unequal to what the parallel sizes
 * use (`gpus-unequal-parallelism`), ranks on MIG instances (`mig-ranks`), parts outside the budget that the rest of the card cannot hold (`outside-budget`), and
 * a share of the card that is not free when the engine starts (`free-memory`).
 */
export function commonFindings(checked: Checked): Finding[] {
  const { deployment, answer, gpu, gpusPerReplica } = checked
  const said = new Set([...deployment.findings, ...(answer?.findings ?? [])].map(finding => finding.code))
  const list: Finding[] = []
  const settings = answer?.settings ?? deployment.settings
  const used = gpusUsed(settings)
  const { file, line } = deployment.hardware.gpusAt ?? deployment.location
  const { tensorParallel, pipelineParallel, dataParallel } = settings
  const attentionParallel = deployment.settings.attentionDataParallel !== undefined
  if (
    !said.has('gpus-unequal-parallelism') &&
    used !== null &&
    gpusPerReplica &&
    used !== gpusPerReplica &&
    !attentionParallel
  ) {
    const product = `tensor ${size(tensorParallel)} x pipeline ${size(pipelineParallel)} x data ${size(dataParallel)}`
    list.push({
      code: 'gpus-unequal-parallelism',
      severity: gpusPerReplica < used ? 'error' : 'warning',
      message: `${gpusPerReplica} GPUs are asked for, ${deployment.engine.name} uses ${used} (${product})`,
      file,
      line,
    })
  }
  const ranks = size(tensorParallel) * size(pipelineParallel)
  if (gpu?.name.includes(' MIG ') && ranks > 1)
    list.push({
      code: 'mig-ranks',
      severity: 'warning',
      message: `${ranks} ranks on MIG instances, which cannot reach each other's memory: NCCL takes them from 2.32 on, as an experiment`,
      file,
      line,
    })
  const card = [outsideFinding(answer, gpu, deployment), freeFinding(answer, gpu, deployment)]
  return [...list, ...card.filter(finding => finding !== null)]
}

/** What a process holds on a card before it loads anything: 0.1 GiB at least, up to half a GiB (engine logs). */
const CONTEXT_LEAST = Math.round(0.1 * GiB)
const CONTEXT_MOST = Math.round(0.45 * GiB)

/**
 * vLLM compares the free memory at its start with the share it is to take, before it loads anything ("Free memory on
 * device … is less than desired GPU memory utilization"); its own CUDA context is already on the card by then.
 */
function freeFinding(answer: EngineAnswer | null, gpu: Gpu | null, deployment: Deployment): Finding | null {
  const budget = answer?.estimate.perGpu.budgetBytes
  if (deployment.engine.name !== 'vllm' || answer?.settings.kvCacheMemoryBytes || budget == null || gpu === null)
    return null
  const rest = gpu.memoryBytes - budget
  const fraction = answer?.settings.memoryFraction
  if (rest >= CONTEXT_MOST || fraction === undefined) return null
  return {
    code: 'free-memory',
    severity: rest < CONTEXT_LEAST ? 'error' : 'warning',
    message: `${sizeText(budget)} are to be free at the start, of ${sizeText(gpu.memoryBytes)}: the engine's own CUDA context takes 0.1 to 0.45 GiB of them, and vLLM refuses to start when less is free`,
    file: fraction.file ?? deployment.location.file,
    line: fraction.line ?? deployment.location.line,
  }
}

/**
 * Bytes beside the budget (graphs, context) that the rest of the card is expected to lack; null without a budget. An
 * engine with a share of the card as its budget fills it up; one with the whole card takes only its total.
 */
export function outsideShortage(answer: EngineAnswer, gpu: Gpu | null): number | null {
  const { parts, budgetBytes } = answer.estimate.perGpu
  if (budgetBytes === null || gpu === null) return null
  const bytes = parts.reduce((total, part) => (part.inBudget ? total : total + part.bytes.expected), 0)
  return bytes === 0 ? null : bytes - restOf(answer, gpu, budgetBytes)
}

/** What the engine leaves of the card. */
function restOf(answer: EngineAnswer, gpu: Gpu, budget: number): number {
  return gpu.memoryBytes - (budget < gpu.memoryBytes ? budget : answer.estimate.perGpu.totalBytes.expected)
}

function outsideFinding(answer: EngineAnswer | null, gpu: Gpu | null, deployment: Deployment): Finding | null {
  const short = answer === null ? null : outsideShortage(answer, gpu)
  if (answer === null || gpu === null || short === null || short <= 0) return null
  const { parts, budgetBytes } = answer.estimate.perGpu
  const outside = parts.filter(part => !part.inBudget)
  const bytes = outside.reduce((total, part) => total + part.bytes.expected, 0)
  const rest = restOf(answer, gpu, budgetBytes ?? 0)
  const fraction = answer.settings.memoryFraction
  return {
    code: 'outside-budget',
    severity: 'warning',
    message: `${outside.map(part => partText(part.name)).join(' and ')} take about ${sizeText(bytes)} beside the engine's budget; ${sizeText(Math.max(0, rest))} is left on the card`,
    file: fraction?.file ?? deployment.location.file,
    line: fraction?.line ?? deployment.location.line,
  }
}

/** One engine of several that may share cards. */
export interface Sharer {
  readonly id: string
  /** Card and place by which sharers are recognised: device list in one compose file, or a shared resource. Null: alone. */
  readonly card: string | null
  /** The engine refuses to start where its share of the whole card is not free (vLLM); others take what is left. */
  readonly refuses: boolean
  /** Share of the card's memory that the engine takes; null when it takes what it needs. */
  readonly fraction: number | null
  readonly place: { readonly file: string; readonly line: number }
}

/**
 * Several engines on one card whose fractions add up to more than the card: each fraction is of the whole card. An
 * error where those that refuse it are alone too many. Returns the finding for each engine by its id.
 */
export function sharedCardFindings(sharers: readonly Sharer[]): ReadonlyMap<string, Finding> {
  const byCard = new Map<string, Sharer[]>()
  for (const sharer of sharers)
    if (sharer.card !== null) byCard.set(sharer.card, [...(byCard.get(sharer.card) ?? []), sharer])
  const found = new Map<string, Finding>()
  for (const group of byCard.values()) {
    const total = group.reduce((sum, sharer) => sum + (sharer.fraction ?? 0), 0)
    if (group.length < 2 || total <= 1) continue
    const refused = group.reduce((sum, sharer) => sum + (sharer.refuses ? (sharer.fraction ?? 0) : 0), 0) > 1
    for (const sharer of group) {
      const others = group.filter(other => other !== sharer).map(other => other.id)
      found.set(sharer.id, {
        code: 'card-oversubscribed',
        severity: refused && sharer.refuses ? 'error' : 'warning',
        message: `${group.length} engines share a card and together take ${Number(total.toFixed(2))} of its memory; a fraction is of the whole card (also: ${others.slice(0, 3).join(', ')})`,
        file: sharer.place.file,
        line: sharer.place.line,
      })
    }
  }
  return found
}
