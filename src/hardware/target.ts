import type { DeclaredHardware, DeclaredName, Finding } from '../deployments/deployment.ts'
import type { Told } from '../policy/policy.ts'
import type { Place, Problem } from '../problem.ts'
import { sizeText } from '../units/bytes.ts'
import { type Gpu, visibleBytes } from './gpu.ts'
import { lookUpInstance } from './instances.ts'
import { bareGpu, lookUpGpu, type NamedGpu } from './look-up.ts'

/** The hardware a deployment is judged on. */
interface Target {
  /** Null: only the number of GPUs is known. */
  readonly gpu: Gpu | null
  /** GPUs of one engine instance over all its nodes; 0: no GPU by intent; null: the engine takes what it needs. */
  readonly gpusPerReplica: number | null
  readonly nodes: number | null
  readonly from: 'file' | 'policy' | 'flag'
  readonly at?: Place
  readonly text?: string
}

export interface ResolvedTarget {
  readonly target: Target | null
  /** Why the deployment is not ours to judge (CPU, TPU, Gaudi, …); null: it is. */
  readonly skip: string | null
  readonly findings: readonly Finding[]
  /** Why there is no card to judge on; null when there is one, and for skipped deployments. */
  readonly problem: Problem | null
}

/** A name in the files that turned out to be a card. */
interface Declared extends NamedGpu {
  readonly name: DeclaredName
}

const NO_GPU: Readonly<Record<string, string>> = {
  cpu: 'runs on the CPU',
  tpu: 'runs on TPUs',
  hpu: 'runs on Gaudi accelerators',
  neuron: 'runs on AWS Neuron devices',
  rbln: 'runs on Rebellions accelerators',
  npu: 'runs on Ascend accelerators',
  xpu: 'runs on Intel GPUs',
}
const TRUST: readonly DeclaredName['kind'][] = ['product-label', 'instance-type', 'accelerator-field']

/**
 * The card and the number of GPUs of a deployment. Precedence of the card: the command line's target; what the files
 * declare, in order of trust (product labels, machine types, other fields; several of one kind are alternatives, of
 * which the smallest counts); the policy's target. Names that are hints never count. A memory label decides between
 * variants of a card, and wins over the table when it is smaller by more than a rounding (2 %).
 * The number of GPUs: what the file asks for; else the machine's or the accelerator field's number (not more than the
 * engine is told to use); else the policy's; else the number in the target's text.
 *
 * @param chosen target of the command line or the policy
 * @param chosenGpus gpus-per-replica of the policy
 * @param wanted GPUs the engine is told to use (tensor x pipeline x data), null when the file is silent
 */
export function resolveTarget(
  declared: DeclaredHardware,
  chosen: Told<string> | null,
  chosenGpus: Told<number> | null,
  wanted: number | null = null,
): ResolvedTarget {
  const findings: Finding[] = []
  const nodes = declared.nodes
  const skipped = (skip: string): ResolvedTarget => ({
    target: { gpu: null, gpusPerReplica: 0, nodes, from: 'file', ...place(declared.gpusAt, declared.gpusText) },
    skip,
    findings,
    problem: null,
  })
  if (declared.gpusPerReplica === 0) return skipped(NO_GPU[declared.accelerator ?? ''] ?? 'asks for no GPU')
  const other = NO_GPU[declared.accelerator ?? '']
  if (other) return skipped(other)

  const fromFile = inFiles(declared, findings)
  if (fromFile?.gpu.kind === 'unsupported') return skipped(`runs on ${fromFile.gpu.name}: ${fromFile.gpu.source}`)

  const told = chosen === null ? null : lookUpGpu(chosen.value)
  if (chosen?.from === 'flag' && told && !told.ok) return { target: null, skip: null, findings, problem: told.problem }
  const useChosen = chosen !== null && told?.ok && (chosen.from === 'flag' || fromFile === null)
  const named: NamedGpu | null = useChosen && told?.ok ? told.value : fromFile
  const chosenCount = chosenGpus?.value ?? (told?.ok ? told.value.count : null)
  const gpusPerReplica =
    declared.gpusPerReplica ?? (useChosen ? null : machineGpus(fromFile, nodes, wanted)) ?? chosenCount
  const evidence = useChosen
    ? { from: chosen.from, ...place(chosen.at, chosen.text) }
    : {
        from: 'file' as const,
        ...(fromFile ? place(fromFile.name.at, fromFile.name.text) : place(declared.gpusAt, declared.gpusText)),
      }
  const partial: Target | null = gpusPerReplica === null ? null : { gpu: null, gpusPerReplica, nodes, ...evidence }
  const without = (problem: Problem): ResolvedTarget => ({ target: partial, skip: null, findings, problem })

  if (named === null)
    return without(
      told && !told.ok ? { ...told.problem, ...(chosen?.at ? { at: chosen.at } : {}) } : noTarget(declared),
    )
  if (useChosen && chosen.from === 'policy' && declared.accelerator === 'amd' && named.gpu.maker === 'NVIDIA')
    return without({
      code: 'no-target',
      message: `the file asks for AMD GPUs, the policy's target is ${named.gpu.name}`,
      hint: 'give the AMD card as target in a rule for this path',
    })
  if (!named.gpu.supported) return without(needsSize(named.gpu))
  if (named.note)
    findings.push(finding('gpu-assumed', 'notice', `${evidence.text ?? named.gpu.name}: ${named.note}`, evidence.at))
  const gpu = useChosen ? named.gpu : withLabels(named.gpu, declared, findings)
  return {
    target: { gpu: sharedPart(gpu, declared, findings), gpusPerReplica, nodes, ...evidence },
    skip: null,
    findings,
    problem: null,
  }
}

function place(at: Place | undefined, text: string | undefined): { at?: Place; text?: string } {
  return { ...(at ? { at } : {}), ...(text === undefined ? {} : { text }) }
}

function finding(code: string, severity: Finding['severity'], message: string, at?: Place): Finding {
  return { code, severity, message, ...(at ? { file: at.file, line: at.line } : {}) }
}

function noTarget(declared: DeclaredHardware): Problem {
  const hint = declared.names.find(name => name.kind === 'hint')
  const seen = hint ? ` (${hint.text} is only a hint)` : ''
  return {
    code: 'no-target',
    message: `the files do not say on which GPU it runs${seen}`,
    hint: 'give a target in the policy or with --target',
  }
}

function needsSize(gpu: Gpu): Problem {
  return {
    code: 'no-target',
    message: `${gpu.name}: ${gpu.source}`,
    hint: `give the memory that the engine may see, as in target: ${gpu.name.replace(/^\w+ /, '')} 100GiB`,
  }
}

/** GPUs of the machine or the accelerator field, over all nodes; null when the engine is told to use fewer. */
function machineGpus(named: Declared | null, nodes: number | null, wanted: number | null): number | null {
  if (named?.count == null) return null
  const all = named.count * (nodes ?? 1)
  return wanted !== null && wanted < all ? null : all
}

/** The card the files name: by the most trusted kind of name that the catalogue understands. */
function inFiles(declared: DeclaredHardware, findings: Finding[]): Declared | null {
  const byKind = TRUST.map(kind => understood(declared, kind, findings)).filter(found => found !== null)
  const [first, second] = byKind
  if (first === undefined) return withoutName(declared)
  // "a100" on a machine with 80 GB cards: the machine says which of them it is
  const same = second && first.note !== null && second.note === null && model(first.gpu) === model(second.gpu)
  const differ =
    first.note === null ? second?.gpu.name !== first.gpu.name : second && model(second.gpu) !== model(first.gpu)
  const slice = / MIG /.test(`${first.gpu.name}${second?.gpu.name}`)
  if (second && first.name.kind === 'product-label' && second.note === null && differ && !slice)
    findings.push(
      finding(
        'hardware-contradiction',
        'warning',
        `${first.name.text} is a ${first.gpu.name}, ${second.name.text} has ${second.gpu.name}: the label counts`,
        second.name.at,
      ),
    )
  return { ...first, ...(same ? { gpu: second.gpu, note: null } : {}), count: first.count ?? second?.count ?? null }
}

/** A card's name without its memory. */
const model = (gpu: Gpu): string => gpu.name.replace(/ \d+GB$/, '')

/** The smallest of the alternatives of one kind; null when none is a card. Unknown ones are notices. */
function understood(declared: DeclaredHardware, kind: DeclaredName['kind'], findings: Finding[]): Declared | null {
  let smallest: Declared | null = null
  for (const name of declared.names) {
    if (name.kind !== kind) continue
    if (kind === 'instance-type' && lookUpInstance(name.name) === null) {
      findings.push(
        finding(
          'instance-unknown',
          'notice',
          `machine type ${name.name.slice(0, 80)} is not known: it says nothing about GPUs`,
          name.at,
        ),
      )
      continue
    }
    const found = lookUpGpu(withProfile(name.name, declared))
    if (!found.ok) {
      if (!/family/.test(name.text))
        findings.push(
          finding(
            'gpu-unknown',
            'notice',
            `${found.problem.message}${found.problem.hint ? ` (${found.problem.hint})` : ''}`,
            name.at,
          ),
        )
      continue
    }
    const named = bySize(found.value, name.name, declared)
    if (smallest === null || named.gpu.memoryBytes < smallest.gpu.memoryBytes) smallest = { ...named, name }
  }
  return smallest
}

/** The name with the declared MIG profile, where it has none of its own; of a machine, the name of its card. */
function withProfile(name: string, declared: DeclaredHardware): string {
  if (declared.mig === undefined || /\d+g\.\d+gb/i.test(name)) return name
  return `${lookUpInstance(name)?.gpu.name ?? name} MIG ${declared.mig}`
}

/** Where the name left the memory open, the memory label decides: "a100" and 81920 MiB. */
function bySize(named: NamedGpu, name: string, declared: DeclaredHardware): NamedGpu {
  if (declared.memoryBytes === undefined || named.note === null || declared.mig !== undefined) return named
  const precise = lookUpGpu(`${name} ${Math.round(declared.memoryBytes / 1024 ** 3)}GB`)
  return precise.ok ? { ...named, gpu: precise.value.gpu, note: precise.value.note } : named
}

/** A MIG resource or a memory label alone. */
function withoutName(declared: DeclaredHardware): Declared | null {
  const at = declared.memoryAt ?? declared.gpusAt ?? { file: '', line: 1, column: 1 }
  if (declared.mig !== undefined) {
    const found = lookUpGpu(`MIG ${declared.mig}`)
    const text = declared.gpusText ?? `MIG ${declared.mig}`
    if (found.ok)
      return {
        ...found.value,
        count: null,
        name: { name: declared.mig, kind: 'accelerator-field', at: declared.gpusAt ?? at, text },
      }
  }
  if (declared.memoryBytes === undefined) return null
  const text = `${sizeText(declared.memoryBytes)} by the memory label`
  const gpu = {
    ...bareGpu(visibleBytes(declared.memoryBytes)),
    driverBytes: declared.memoryBytes,
    source: 'memory label; engine-visible memory by the rule: approximate',
  }
  return gpu.memoryBytes <= 0
    ? null
    : { gpu, count: null, note: null, name: { name: text, kind: 'product-label', at, text } }
}

/** The card with less memory where a label says so by more than a rounding of catalogues. */
function withLabels(gpu: Gpu, declared: DeclaredHardware, findings: Finding[]): Gpu {
  const label = declared.memoryBytes
  if (label === undefined || label >= 0.98 * gpu.driverBytes) return gpu
  const memoryBytes = declared.mig === undefined ? visibleBytes(label) : Math.min(label, gpu.memoryBytes)
  if (memoryBytes <= 0) return gpu
  findings.push(
    finding(
      'memory-label',
      'notice',
      `the memory label says ${sizeText(label)}, less than ${gpu.name} has: the label counts`,
      declared.memoryAt,
    ),
  )
  return {
    ...gpu,
    driverBytes: label,
    memoryBytes,
    source: 'memory label; engine-visible memory by the rule: approximate',
  }
}

/** MPS gives each client its part of the memory; time-slicing and shared devices give none a guarantee. */
function sharedPart(gpu: Gpu, declared: DeclaredHardware, findings: Finding[]): Gpu {
  const { shared } = declared
  if (!shared) return gpu
  if (shared.kind === 'mps' && shared.replicas !== null && shared.replicas > 1) {
    findings.push(finding('gpu-shared', 'notice', `MPS: 1/${shared.replicas} of ${gpu.name} each`, shared.at))
    const part = (bytes: number) => Math.floor(bytes / shared.replicas!)
    return {
      ...gpu,
      name: `${gpu.name} (1/${shared.replicas})`,
      driverBytes: part(gpu.driverBytes),
      memoryBytes: part(gpu.memoryBytes),
    }
  }
  const how =
    shared.kind === 'device' ? 'other containers use the same card' : 'time-slicing divides the card among several'
  findings.push(
    finding(
      'gpu-shared',
      'warning',
      `${how}, without memory isolation: the whole ${gpu.name} is counted here, what the others use comes off it`,
      shared.at,
    ),
  )
  return gpu
}
