import type { Command } from '../command.ts'
import type { EngineReading } from '../command-lines/command-line.ts'
import { assemble } from '../command-lines/index.ts'
import { readVllmMap, readVllmUses } from '../command-lines/vllm.ts'
import { type DeclaredHardware, type Deployment, noHardware } from '../deployment.ts'
import type { Context, DocumentFormat } from '../format.ts'
import type { Text } from '../text.ts'
import { at, listAt, type MapNode, mapAt, type Node, stringAt, textAt, textsOf } from '../tree.ts'
import { Collector, fraction, modelFrom, type Parse, positive, vllmInteger, word } from '../values.ts'
import { parseYaml } from '../yaml.ts'
import { podGpus } from './pod.ts'
import { nodeHardware, podHardware } from './pod-hardware.ts'
import { bareCommand } from './shell.ts'

const FORMAT = 'ray'

export const ray: DocumentFormat = {
  kind: 'document',
  name: FORMAT,
  title: 'Ray Serve LLM: RayService, serve configuration files, RayLLM model files, engines configured by variables',
  marks: ['llm_config', 'engine_kwargs', 'engine_config', 'serveconfigv2'],
  claims: root =>
    (stringAt(root, 'kind') === 'RayService' && textAt(root, 'spec', 'serveConfigV2') !== undefined) ||
    listAt(root, 'applications').some(one => at(one, 'import_path')) ||
    listAt(root, 'llm_configs').length > 0 ||
    isModelFile(root) ||
    modelFiles(root).length > 0,
  read: async (root, context) => {
    const name = stringAt(root, 'metadata', 'name') ?? 'serve'
    const files = modelFiles(root)
    if (files.length > 0) return files.flatMap(file => (isModelFile(file) ? [modelFile(file, name, context)] : []))
    if (isModelFile(root)) return [modelFile(root, name, context)]
    const text = textAt(root, 'spec', 'serveConfigV2')
    const config = text ? (parseYaml(text)[0]?.root ?? null) : root
    const cluster = mapAt(root, 'spec', 'rayClusterConfig')
    const found = serveConfig(config, cluster, name)
    return found.length > 0 || !cluster ? found : containerVariables(cluster, config, name, context)
  },
}

/** Applications of a serve configuration: structured LLM configs, else engines that read variables. */
function serveConfig(config: Node | null, cluster: MapNode | undefined, name: string): Deployment[] {
  const applications = listAt(config, 'applications')
  const loose = listAt(config, 'llm_configs')
  if (applications.length === 0) return loose.flatMap(one => llmConfig(one, cluster, name))
  return applications.flatMap(application => {
    const configs = listAt(application, 'args', 'llm_configs')
    const base = `${name}/${stringAt(application, 'name') ?? 'app'}`
    if (configs.length > 0) return configs.flatMap(one => llmConfig(one, cluster, base))
    const env = mapAt(application, 'runtime_env', 'env_vars')
    return env && (mentionsVllm(application) || LLM_VARIABLES.some(name => env.get(name)))
      ? variableModels(variablesOf(env), application, cluster, base)
      : []
  })
}

/** One LLM config: model, engine options, accelerator; the worker pods' hardware where a cluster is declared. */
export function llmConfig(config: Node, cluster: MapNode | undefined, name: string): Deployment[] {
  const loading = mapAt(config, 'model_loading_config')
  if (config.kind !== 'map' || !loading) return []
  const source =
    textAt(loading, 'model_source') ?? textAt(loading, 'model_source', 'bucket_uri') ?? textAt(loading, 'model_id')
  const kwargs = mapAt(config, 'engine_kwargs')
  const reading: EngineReading = kwargs ? readVllmMap(kwargs) : readVllmUses([], null, new Collector(), null)
  const { tensorParallel, pipelineParallel } = reading.collector.settings
  const accelerator = textAt(config, 'accelerator_type')
  const count = (tensorParallel?.value ?? 1) * (pipelineParallel?.value ?? 1)
  const workers = workerHardware(cluster)
  const hardware: DeclaredHardware = {
    ...workers,
    ...(accelerator ? { names: [named(accelerator, 'accelerator_type'), ...workers.names] } : {}),
    accelerator: workers.accelerator ?? (/^tpu/i.test(accelerator?.value ?? '') ? 'tpu' : 'nvidia'),
    gpusPerReplica: count,
    gpusText: 'tensor x pipeline parallel workers of one replica',
  }
  const command: Command = {
    ...bareCommand(source ?? loading.start),
    hardware,
    image: workerImage(cluster),
    env: variablesOf(mapAt(config, 'runtime_env', 'env_vars')),
  }
  const full = { ...reading, model: modelFrom(source, reading.collector) }
  return [
    assemble({ engine: 'ray-llm', environment: /^VLLM_/ }, command, full, {
      format: FORMAT,
      name: `${name}/${stringAt(loading, 'model_id') ?? 'model'}`,
    }),
  ]
}

/** RayLLM's own model files: engine_config beside scaling_config. */
function isModelFile(root: Node | null): root is MapNode {
  return (
    root?.kind === 'map' &&
    mapAt(root, 'engine_config') !== undefined &&
    (textAt(root, 'engine_config', 'model_id') ?? textAt(root, 'engine_config', 'hf_model_id')) !== undefined
  )
}

/** Model files inside a ConfigMap. */
function modelFiles(root: Node): MapNode[] {
  if (stringAt(root, 'kind') !== 'ConfigMap') return []
  return (mapAt(root, 'data')?.entries ?? []).flatMap(({ value }) => {
    if (value.kind !== 'scalar' || !value.text.value.includes('engine_config')) return []
    const parsed = parseYaml(value.text)[0]?.root ?? null
    return isModelFile(parsed) ? [parsed] : []
  })
}

function modelFile(root: MapNode, name: string, context: Context): Deployment {
  const engine = mapAt(root, 'engine_config')
  const kwargs = mapAt(engine, 'engine_kwargs')
  const reading = kwargs ? readVllmMap(kwargs) : readVllmUses([], null, new Collector(), null)
  const total = textAt(engine, 'max_total_tokens')
  if (total) reading.collector.set('maxModelLen', { value: total, text: `max_total_tokens: ${total.value}` }, positive)
  const scaling = mapAt(root, 'scaling_config')
  const per = Number(stringAt(scaling, 'num_gpus_per_worker') ?? '1')
  const workers = Number(stringAt(scaling, 'num_workers') ?? '1')
  const custom = [
    ...(mapAt(scaling, 'resources_per_worker')?.entries ?? []),
    ...(mapAt(root, 'deployment_config', 'ray_actor_options', 'resources')?.entries ?? []),
  ]
  const accelerator = custom.find(({ key }) => key.value.startsWith('accelerator_type'))?.key
  const model = textAt(engine, 'hf_model_id') ?? textAt(engine, 'model_id')
  const hardware: DeclaredHardware = {
    ...noHardware,
    accelerator: 'nvidia',
    names: accelerator
      ? [named(accelerator.slice(accelerator.value.search(/[_:]\w+$/) + 1), 'resources_per_worker')]
      : [],
    gpusPerReplica: Number.isSafeInteger(per * workers) ? Math.max(1, per * workers) : null,
  }
  const command = { ...bareCommand(model ?? context.text), hardware }
  return assemble(
    { engine: 'ray-llm', environment: /^VLLM_/ },
    command,
    { ...reading, model: modelFrom(model, reading.collector) },
    { format: FORMAT, name },
  )
}

function named(name: Text, key: string): DeclaredHardware['names'][number] {
  return { name: name.value, kind: 'accelerator-field', at: name.place, text: `${key}: ${name.value}` }
}

/** GPUs and labels of the worker groups: what an actor without own statement may run on. */
function workerHardware(cluster: MapNode | undefined): DeclaredHardware {
  for (const group of listAt(cluster, 'workerGroupSpecs')) {
    const pod = mapAt(group, 'template', 'spec')
    const gpus = podGpus(pod)
    if (pod && gpus) return podHardware(nodeHardware(pod), gpus)
  }
  return noHardware
}

function workerImage(cluster: MapNode | undefined): Text | null {
  for (const group of listAt(cluster, 'workerGroupSpecs'))
    for (const container of listAt(group, 'template', 'spec', 'containers')) return textAt(container, 'image') ?? null
  return null
}

/** Variables of scripts that serve a language model, whatever the script is called. */
const LLM_VARIABLES = ['TENSOR_PARALLELISM', 'TENSOR_PARALLEL_SIZE', 'MAX_MODEL_LEN', 'TPU_CHIPS', 'TPU_HEADS']

function mentionsVllm(application: Node): boolean {
  const pip = [
    ...textsOf(at(application, 'runtime_env', 'pip')),
    ...textsOf(at(application, 'runtime_env', 'pip', 'packages')),
  ]
  const words = [
    stringAt(application, 'import_path') ?? '',
    ...pip.map(text => text.value),
    ...listAt(application, 'deployments').map(one => stringAt(one, 'name') ?? ''),
  ]
  return words.some(text => /vllm/i.test(text))
}

function variablesOf(map: MapNode | undefined): Map<string, Text> {
  return new Map(
    (map?.entries ?? []).flatMap(({ key, value }) =>
      value.kind === 'scalar' && value.value !== null ? [[key.value, value.text] as [string, Text]] : [],
    ),
  )
}

/** Names under which such scripts read their options. */
const VARIABLES: readonly (readonly [string, RegExp, Parse<number>])[] = [
  ['tensorParallel', /^TENSOR_PARALLEL(?:ISM|_SIZE)?$/, positive],
  ['pipelineParallel', /^PIPELINE_PARALLEL(?:ISM|_SIZE)?$/, positive],
  ['maxModelLen', /^MAX_MODEL_LEN(?:GTH)?$/, vllmInteger],
  ['maxNumSeqs', /^MAX_NUM_SEQS?$/, positive],
  ['maxNumBatchedTokens', /^MAX_NUM_BATCHED_TOKENS$/, positive],
  ['memoryFraction', /^GPU_MEMORY_UTILIZATION$/, fraction],
  ['blockSize', /^BLOCK_SIZE$/, positive],
]

/** Engines of scripts that read `MODEL_ID`, `TENSOR_PARALLELISM` …, or `MODEL_1_ID` … for several. */
function variableModels(
  env: ReadonlyMap<string, Text>,
  application: Node | null,
  cluster: MapNode | undefined,
  name: string,
): Deployment[] {
  const groups = new Map<string, Map<string, Text>>()
  for (const [key, value] of env) {
    const numbered = /^(MODEL_\d+_)(.+)$/.exec(key)
    const group = groups.get(numbered?.[1] ?? '') ?? new Map<string, Text>()
    group.set(numbered?.[2] ?? key, value)
    groups.set(numbered?.[1] ?? '', group)
  }
  const shared = groups.get('') ?? new Map<string, Text>()
  const found: Deployment[] = []
  for (const [prefix, own] of groups) {
    const model = prefix === '' ? (own.get('MODEL_ID') ?? own.get('MODEL_NAME') ?? own.get('MODEL')) : own.get('ID')
    if (!model) continue
    found.push(
      variableModel(
        model,
        prefix === '' ? own : new Map([...shared, ...own]),
        application,
        cluster,
        { format: FORMAT, name: prefix === '' ? name : `${name}/${prefix.slice(0, -1)}` },
        env,
      ),
    )
  }
  return found
}

function variableModel(
  model: Text,
  options: ReadonlyMap<string, Text>,
  application: Node | null,
  cluster: MapNode | undefined,
  finder: { format: string; name: string },
  env: ReadonlyMap<string, Text>,
): Deployment {
  const collector = new Collector()
  for (const [key, value] of options) {
    const row = VARIABLES.find(([, pattern]) => pattern.test(key))
    if (row) collector.set(row[0] as 'maxNumSeqs', { value, text: `${key}: ${value.value}` }, row[2])
    if (key === 'DTYPE') collector.set('dtype', { value, text: `DTYPE: ${value.value}` }, word)
    if (key === 'QUANTIZATION') collector.set('quantization', { value, text: `QUANTIZATION: ${value.value}` }, word)
  }
  const workers = workerHardware(cluster)
  const actor = listAt(application, 'deployments')
    .map(one => stringAt(one, 'ray_actor_options', 'num_gpus'))
    .find(one => one !== undefined)
  const { tensorParallel, pipelineParallel } = collector.settings
  const stated =
    actor !== undefined && /^\d+$/.test(actor) && Number(actor) > 0 ? Number(actor) : workers.gpusPerReplica
  const gpusPerReplica =
    workers.gpusPerReplica === 0 ? 0 : tensorParallel ? tensorParallel.value * (pipelineParallel?.value ?? 1) : stated
  const pip = textsOf(at(application, 'runtime_env', 'pip'))
    .map(text => /^vllm==([\d.]+(?:\.?post\d+)?)/.exec(text.value)?.[1])
    .find(Boolean)
  const command: Command = {
    ...bareCommand(model),
    env,
    image: workerImage(cluster),
    hardware: { ...workers, gpusPerReplica },
  }
  const deployment = assemble(
    { engine: 'vllm', environment: /^VLLM_/ },
    command,
    { collector, model: modelFrom(model, collector) },
    finder,
  )
  return { ...deployment, engine: { ...deployment.engine, version: pip ?? null } }
}

/** The variables of the cluster's containers, where the application states none. */
function containerVariables(cluster: MapNode, config: Node | null, name: string, context: Context): Deployment[] {
  const application = listAt(config, 'applications')[0] ?? null
  if (!/vllm/i.test(context.text.value)) return []
  for (const group of [
    ...listAt(cluster, 'workerGroupSpecs'),
    ...(mapAt(cluster, 'headGroupSpec') ? [cluster.get('headGroupSpec')!] : []),
  ]) {
    for (const container of listAt(group, 'template', 'spec', 'containers')) {
      const env = new Map(
        listAt(container, 'env').flatMap(one =>
          textAt(one, 'name') && textAt(one, 'value')
            ? [[stringAt(one, 'name')!, textAt(one, 'value')!] as [string, Text]]
            : [],
        ),
      )
      const found = variableModels(env, application, cluster, name)
      if (found.length > 0) return found
    }
  }
  return []
}
