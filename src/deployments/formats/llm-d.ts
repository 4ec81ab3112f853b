import type { Command } from '../command.ts'
import { assemble, recognise } from '../command-lines/index.ts'
import { vllm } from '../command-lines/vllm.ts'
import { type DeclaredHardware, type Deployment, noHardware } from '../deployment.ts'
import type { Context, DocumentFormat } from '../format.ts'
import { engineStarts } from '../launch.ts'
import { at, listAt, type MapNode, mapAt, type Node, stringAt, textAt } from '../tree.ts'
import { type Collector, modelFrom, positive } from '../values.ts'
import { ConfigMaps } from './config-maps.ts'
import { containerCommand } from './pod.ts'
import { labelHardware } from './pod-hardware.ts'

export const llmD: DocumentFormat = {
  kind: 'document',
  name: 'llm-d',
  title: 'llm-d modelservice values: model artifacts, decode and prefill roles',
  marks: ['modelartifacts'],
  claims: root =>
    mapAt(root, 'modelArtifacts') !== undefined && (mapAt(root, 'decode') ?? mapAt(root, 'prefill')) !== undefined,
  read: async (root, context) => {
    const found: Deployment[] = []
    for (const name of ['decode', 'prefill']) {
      const role = mapAt(root, name)
      if (role && stringAt(role, 'create') !== 'false' && stringAt(role, 'replicas') !== '0')
        found.push(...(await roleDeployments(root, role, name, context)))
    }
    return found
  },
}

async function roleDeployments(root: Node, role: MapNode, name: string, context: Context): Promise<Deployment[]> {
  const uri = textAt(root, 'modelArtifacts', 'uri')
  const named = textAt(root, 'modelArtifacts', 'name')
  const found: Deployment[] = []
  for (const container of listAt(role, 'containers')) {
    if (container.kind !== 'map') continue
    const base = await containerCommand(container, role, { kind: '', name }, new ConfigMaps(context))
    const [inner = base] = engineStarts(base)
    const started = recognise(inner)
    const mode = stringAt(container, 'modelCommand')
    if (!started && mode !== 'vllmServe' && mode !== 'imageDefault') continue
    const command: Command = { ...inner, hardware: hardware(inner.hardware, root, role) }
    const line = started?.line ?? vllm
    const reading = await line.read(
      { command, args: started ? started.start.args : command.argv, form: 'flags' },
      context,
    )
    if (!reading) continue
    parallelism(role, reading.collector)
    const hub = uri && /^(?:hf|pvc\+hf):\/\//.test(uri.value) ? uri : undefined
    const source = hub ?? named ?? uri
    const own =
      reading.model.id === null || reading.model.id.startsWith('/')
        ? modelFrom(source, reading.collector)
        : reading.model
    const model = own.id ? { ...own, id: own.id.replace(/^pvc\+hf:\/\/[^/]+\//, '') } : own
    found.push(
      assemble(
        line,
        command,
        { ...reading, model },
        { format: 'llm-d', name: `${name}/${stringAt(container, 'name') ?? 'engine'}` },
      ),
    )
  }
  return found
}

function parallelism(role: MapNode, collector: Collector): void {
  for (const [key, setting] of [
    ['tensor', 'tensorParallel'],
    ['data', 'dataParallel'],
    ['pipeline', 'pipelineParallel'],
  ] as const) {
    const value = textAt(role, 'parallelism', key)
    if (value && !collector.settings[setting])
      collector.set(setting, { value, text: `parallelism.${key}: ${value.value}` }, positive)
  }
}

/** The container's request, else the chart's own default: tensor x local data parallel GPUs in each pod. */
function hardware(declared: DeclaredHardware, root: Node, role: MapNode): DeclaredHardware {
  const type = stringAt(root, 'accelerator', 'type') ?? 'nvidia'
  const accelerator = {
    nvidia: 'nvidia',
    amd: 'amd',
    'intel-gaudi': 'hpu',
    google: 'tpu',
    cpu: 'cpu',
    'intel-i915': 'xpu',
    'intel-xe': 'xpu',
  }[type] as DeclaredHardware['accelerator']
  const workers = Number(stringAt(role, 'parallelism', 'workers') ?? '1')
  const pods = Number.isSafeInteger(workers) && workers > 1 ? workers : 1
  const tensor = Number(stringAt(role, 'parallelism', 'tensor') ?? '1')
  const local = Number(stringAt(role, 'parallelism', 'dataLocal') ?? '1')
  const label = at(role, 'acceleratorTypes')
  const key = textAt(label, 'labelKey')
  const labels = key
    ? listAt(label, 'labelValues').flatMap(value => (value.kind === 'scalar' ? [{ key, value: value.text }] : []))
    : []
  const named = declared.names.length > 0 ? declared.names : labelHardware(labels).names
  const perPod = declared.gpusPerReplica ?? (Number.isSafeInteger(tensor * local) ? tensor * local : null)
  if (accelerator !== 'nvidia' && accelerator !== 'amd' && accelerator !== undefined)
    return { ...noHardware, accelerator, gpusPerReplica: 0 }
  return {
    ...declared,
    names: named,
    accelerator: declared.accelerator ?? accelerator ?? 'nvidia',
    gpusPerReplica: perPod === null ? null : perPod * pods,
    nodes: pods > 1 ? pods : declared.nodes,
  }
}
