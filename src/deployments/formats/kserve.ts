import type { Command } from '../command.ts'
import { assemble, recognise } from '../command-lines/index.ts'
import { readVllmUses, vllmStyle } from '../command-lines/vllm.ts'
import type { DeclaredHardware, Deployment, EngineName } from '../deployment.ts'
import { walkFlags } from '../flags/flags.ts'
import { vllmFlags } from '../flags/vllm.ts'
import type { Context, DocumentFormat } from '../format.ts'
import { splitText } from '../shell/words.ts'
import type { Text } from '../text.ts'
import { listAt, MapNode, mapAt, type Node, stringAt, textAt } from '../tree.ts'
import { Collector, modelFrom, positive } from '../values.ts'
import { ConfigMaps, neighbours } from './config-maps.ts'
import { containerCommand, podDeployments } from './pod.ts'

const KINDS =
  /^(?:InferenceService|LLMInferenceService|LLMInferenceServiceConfig|ServingRuntime|ClusterServingRuntime)$/

export const kserve: DocumentFormat = {
  kind: 'document',
  name: 'kserve',
  title: 'KServe InferenceService with its ServingRuntime, and LLMInferenceService',
  marks: ['serving.kserve.io'],
  claims: root =>
    /^serving\.kserve\.io\//.test(stringAt(root, 'apiVersion') ?? '') && KINDS.test(stringAt(root, 'kind') ?? ''),
  read: async (root, context) => {
    const kind = stringAt(root, 'kind')
    const name = `${kind}/${stringAt(root, 'metadata', 'name') ?? ''}`
    if (kind === 'InferenceService') return inferenceService(root, name, context)
    if (kind === 'LLMInferenceService') return llmInferenceService(root, name, context)
    // A runtime or a base configuration is only a part of the services that name it.
    return []
  },
}

async function inferenceService(root: Node, name: string, context: Context): Promise<Deployment[]> {
  const predictor = mapAt(root, 'spec', 'predictor')
  if (!predictor) return []
  const maps = new ConfigMaps(context)
  const metadata = mapAt(root, 'metadata')
  if (listAt(predictor, 'containers').length > 0 || mapAt(predictor, 'container'))
    return podDeployments(predictor, { kind: '', name }, 'kserve', maps, context, metadata)
  const model = mapAt(predictor, 'model') ?? mapAt(predictor, 'huggingface') ?? mapAt(predictor, 'vllm')
  if (!model) return []
  const runtime = await runtimeContainer(stringAt(model, 'runtime'), context)
  const merged = new MapNode(
    [
      ...(runtime?.entries ?? []).filter(({ key }) => model.get(key.value) === undefined || key.value === 'args'),
      ...model.entries.filter(({ key }) => key.value !== 'args'),
    ],
    model.start,
  )
  const base = await containerCommand(merged, predictor, { kind: '', name }, maps, metadata)
  const own = await containerCommand(
    new MapNode(
      model.entries.filter(({ key }) => key.value === 'args' || key.value === 'env'),
      model.start,
    ),
    predictor,
    { kind: '', name },
    maps,
    metadata,
  )
  const command: Command = {
    ...base,
    at: model.start,
    argv: [...base.argv, ...own.argv],
    hardware: workers(base.hardware, predictor),
  }
  const engine = engineOf(model, command)
  if (!engine) return []
  const started = recognise({ ...command, image: null })
  const uses = walkFlags(started ? started.start.args : command.argv, vllmFlags, vllmStyle).uses.map(use => ({
    ...use,
    name: RENAMED.get(use.name) ?? use.name,
    known: true,
  }))
  const collector = new Collector()
  const reading = readVllmUses(uses, null, collector, null)
  for (const [key, setting] of [
    ['tensorParallelSize', 'tensorParallel'],
    ['pipelineParallelSize', 'pipelineParallel'],
  ] as const) {
    const value = textAt(predictor, 'workerSpec', key)
    if (value && !collector.settings[setting])
      collector.set(setting, { value, text: `${key}: ${value.value}` }, positive)
  }
  const uri = textAt(model, 'storageUri') ?? textAt(model, 'storage', 'path')
  const local = reading.model.id === null || reading.model.id.startsWith('/mnt/models')
  // A NIM's storage holds its cache; the runtime's name only hints at the model.
  const identity =
    engine === 'nim'
      ? { id: null, revision: null, hint: stringAt(model, 'runtime') ?? '' }
      : local && uri
        ? modelFromUri(uri, collector)
        : reading.model
  return [
    assemble(
      { engine, environment: /^(?:VLLM|NIM)_/ },
      command,
      { ...reading, model: identity },
      { format: 'kserve', name },
    ),
  ]
}

/** Options of KServe's own server in vLLM's spelling. */
const RENAMED = new Map([
  ['max-length', 'max-model-len'],
  ['model-id', 'model'],
  ['model-revision', 'revision'],
])

/** Which engine the format or runtime stands for; null when it is no language model's. */
function engineOf(model: MapNode, command: Command): EngineName | null {
  const format = (stringAt(model, 'modelFormat', 'name') ?? '').toLowerCase()
  const runtime = (stringAt(model, 'runtime') ?? '').toLowerCase()
  if (format === 'huggingface' || /huggingfaceserver/.test(runtime)) return 'kserve-hf'
  if (/nim\b|nvidia-nim/.test(format) || /nvidia-nim/.test(runtime)) return 'nim'
  if (/vllm/.test(format) || /vllm/.test(runtime)) return 'vllm'
  if (/sglang/.test(format) || /sglang/.test(runtime)) return 'sglang'
  if (/tgi|text-generation/.test(runtime)) return 'tgi'
  const started = recognise(command)
  return started && (command.image || command.argv.length > 0) ? started.line.engine : null
}

/** `hf://org/name:revision`, or whatever the storage is called. */
function modelFromUri(uri: Text, collector: Collector): Deployment['model'] {
  const match = /^hf:\/\/([^:]+):([\w.-]+)$/.exec(uri.value)
  const model = modelFrom(match ? uri.slice(0, 5 + match[1]!.length) : uri, collector)
  return match ? { ...model, revision: match[2]! } : model
}

/** First container of the ServingRuntime of that name in the same file, else in the files beside it. */
async function runtimeContainer(name: string | undefined, context: Context): Promise<MapNode | undefined> {
  if (name === undefined) return undefined
  const runtime = (roots: readonly (Node | null)[]): Node | null | undefined =>
    roots.find(
      root =>
        /^(?:Cluster)?ServingRuntime$/.test(stringAt(root, 'kind') ?? '') &&
        stringAt(root, 'metadata', 'name') === name,
    )
  const found =
    runtime(context.documents().map(one => one.root)) ??
    runtime(await neighbours(context, '(?:Cluster)?ServingRuntime'))
  const [first] = listAt(found, 'spec', 'containers')
  return first?.kind === 'map' ? first : undefined
}

/** A worker spec makes one engine of several pods. */
function workers(hardware: DeclaredHardware, predictor: MapNode): DeclaredHardware {
  const pipeline = textAt(predictor, 'workerSpec', 'pipelineParallelSize')
  const nodes = pipeline && /^\d{1,3}$/.test(pipeline.value) ? Number(pipeline.value) : 1
  if (nodes < 2) return hardware
  return {
    ...hardware,
    nodes,
    gpusPerReplica: hardware.gpusPerReplica === null ? null : hardware.gpusPerReplica * nodes,
  }
}

async function llmInferenceService(root: Node, name: string, context: Context): Promise<Deployment[]> {
  const spec = mapAt(root, 'spec')
  if (!spec) return []
  const found = await role(spec, spec, name, context, mapAt(root, 'metadata'))
  const prefill = mapAt(spec, 'prefill')
  return prefill ? [found, await role(prefill, spec, `${name}/prefill`, context, mapAt(root, 'metadata'))] : [found]
}

/** The decode (or only) role of the service, or its prefill: template, parallelism, worker pods. */
async function role(
  part: MapNode,
  spec: MapNode,
  name: string,
  context: Context,
  metadata: MapNode | undefined,
): Promise<Deployment> {
  const template = mapAt(part, 'template') ?? spec
  const containers = listAt(template, 'containers')
  const main = containers.find(one => stringAt(one, 'name') === 'main') ?? containers[0]
  const container = main?.kind === 'map' ? main : new MapNode([], spec.start)
  const command = await containerCommand(container, template, { kind: '', name }, new ConfigMaps(context), metadata)
  const started = recognise(command)
  const extra = command.env.get('VLLM_ADDITIONAL_ARGS')
  const args = [...(started ? started.start.args : command.argv), ...(extra ? splitText(extra) : [])]
  const walked = walkFlags(args, vllmFlags, vllmStyle)
  const collector = new Collector()
  const reading = readVllmUses(walked.uses, null, collector, null)
  const parallelism = mapAt(part, 'parallelism')
  for (const [key, setting] of [
    ['tensor', 'tensorParallel'],
    ['pipeline', 'pipelineParallel'],
    ['data', 'dataParallel'],
  ] as const) {
    const value = textAt(parallelism, key)
    if (value && !collector.settings[setting])
      collector.set(setting, { value, text: `parallelism.${key}: ${value.value}` }, positive)
  }
  const expert = textAt(parallelism, 'expert')
  if (expert && !collector.settings.expertParallel)
    collector.put('expertParallel', expert.value === 'true', {
      value: expert,
      text: `parallelism.expert: ${expert.value}`,
    })
  const uri = textAt(spec, 'model', 'uri')
  const model = uri ? modelFromUri(uri, collector) : reading.model
  for (const adapter of listAt(spec, 'model', 'lora', 'adapters')) {
    const path = textAt(adapter, 'uri')
    if (path) collector.adapters.push(modelFrom(path, collector))
  }
  const local = Number(stringAt(parallelism, 'dataLocal') ?? stringAt(parallelism, 'data') ?? '1')
  const pods = mapAt(part, 'worker') ? podsOf(parallelism, local) : 1
  const hardware =
    pods < 2
      ? command.hardware
      : {
          ...command.hardware,
          nodes: pods,
          gpusPerReplica: command.hardware.gpusPerReplica === null ? null : command.hardware.gpusPerReplica * pods,
        }
  return assemble(
    { engine: 'vllm', environment: /^VLLM_/ },
    { ...command, hardware, at: uri ?? command.at },
    { ...reading, model },
    { format: 'kserve', name },
  )
}

/** Pods of one group: data / dataLocal, or one for each pipeline stage. */
function podsOf(parallelism: MapNode | undefined, local: number): number {
  const data = Number(stringAt(parallelism, 'data') ?? '1')
  const pipeline = Number(stringAt(parallelism, 'pipeline') ?? '1')
  const pods = data > 1 && local >= 1 ? data / local : pipeline
  return Number.isSafeInteger(pods) && pods >= 1 && pods <= 1000 ? pods : 1
}
