import type { Command } from '../command.ts'
import type { CommandLine } from '../command-lines/command-line.ts'
import { assemble, commandLines, recognise } from '../command-lines/index.ts'
import type { DeclaredHardware, Deployment } from '../deployment.ts'
import type { Context, DocumentFormat } from '../format.ts'
import { imageName } from '../images.ts'
import { engineStarts } from '../launch.ts'
import { Text } from '../text.ts'
import { at, listAt, type MapNode, mapAt, type Node, stringAt, textAt, textsOf } from '../tree.ts'
import { Collector, modelFrom } from '../values.ts'
import { parseYaml } from '../yaml.ts'
import { kebabKeys } from './keys.ts'
import { nodeHardware } from './pod-hardware.ts'
import { bareCommand } from './shell.ts'
import { valuesHardware } from './values-hardware.ts'

export const helmValues: DocumentFormat = {
  kind: 'document',
  name: 'helm-values',
  title: 'Helm values of any chart: engine image or section, arguments, model, resources',
  marks: [],
  claims: (root, path) =>
    root.kind === 'map' &&
    at(root, 'apiVersion') === undefined &&
    at(root, 'kind') === undefined &&
    (/values|overrides?/i.test(path.split('/').slice(-2).join('/')) ||
      [root, ...root.entries.map(({ value }) => value)].some(map => mapAt(map, 'image') !== undefined) ||
      hasEngineSection(root)),
  read: async (root, context) => {
    const ollama = ollamaModels(root)
    if (ollama.length > 0) return ollama
    for (const depth of [0, 1, 2, 3, 4]) {
      const found: Deployment[] = []
      for (const scope of scopes(root, depth)) {
        const deployment = await scopeDeployment(scope, root as MapNode, context)
        if (deployment) found.push(deployment)
      }
      if (found.length > 0) return found
    }
    return null
  },
}

/** A section named like an engine that holds at least two of its own options: a recipe in a format of somebody's own. */
function hasEngineSection(root: MapNode): boolean {
  return [root, ...root.entries.flatMap(({ value }) => (value.kind === 'map' ? [value] : []))].some(
    map => engineSection(map) !== undefined,
  )
}

function engineSection(map: MapNode): CommandLine | undefined {
  return commandLines.find(line => {
    const section = mapAt(map, line.engine)
    return (
      section !== undefined &&
      modelText(map, map) !== undefined &&
      section.entries.filter(({ key }) => TELLING.test(key.value.replaceAll('_', '-'))).length >= 2
    )
  })
}

/** Options that say: this is the configuration of an inference engine. */
const TELLING =
  /^(?:tensor-parallel-size|pipeline-parallel-size|max-model-len|max-num-seqs|max-num-batched-tokens|gpu-memory-utilization|kv-cache-dtype|mem-fraction-static|context-length|max-running-requests|max-total-tokens|num-shard)$/

interface Scope {
  readonly name: string
  readonly map: MapNode
}

/** Sections of a depth that nothing on the way disables. */
function scopes(root: Node, depth: number, name = ''): Scope[] {
  if (root.kind !== 'map' || disabled(root)) return []
  if (depth === 0) return [{ name, map: root }]
  return root.entries.flatMap(({ key, value }) => {
    const below = value.kind === 'list' ? value.items : [value]
    return below
      .slice(0, 50)
      .flatMap((one, index) =>
        scopes(
          one,
          depth - 1,
          [name, key.value, ...(value.kind === 'list' ? [stringAt(one, 'name') ?? String(index)] : [])]
            .filter(part => part !== '')
            .join('/'),
        ),
      )
  })
}

function disabled(map: MapNode): boolean {
  return ['enabled', 'create', 'deploy'].some(key => stringAt(map, key) === 'false')
}

/** Keys under which charts keep an engine's arguments. */
const ARGUMENTS = [
  'command',
  'args',
  'extraArgs',
  'extraCmdArgs',
  'serverArgs',
  'vllmArgs',
  'engineArgs',
  'additionalArgs',
  'extra_args',
]
/** Keys under which charts keep the engine's name. */
const ENGINE_KEYS = ['framework', 'engine', 'backend', 'inferenceEngine', 'runtime', 'inferenceServer']

async function scopeDeployment(scope: Scope, root: MapNode, context: Context): Promise<Deployment | null> {
  const { map } = scope
  const image = imageOf(map)
  const argv = ARGUMENTS.flatMap(key => words(map.get(key) ?? at(map, 'image', key)))
  const command: Command = {
    ...bareCommand(map.start),
    argv,
    image,
    env: variables(map),
    hardware: valuesHardware(map, root),
    names: [],
  }
  const [started] = engineStarts({ ...command, image: null })
  const line = started ? (recognise({ ...started, image: null })?.line ?? null) : engineOf(scope, image)
  if (!line) return null
  const inner = started ?? command
  const nested = ARGUMENTS.flatMap(key => words(at(map, line.engine, key)))
  const args = started
    ? recognise({ ...started, image: null })!.start.args
    : argv.length === 0 && nested[0]?.value.startsWith('-')
      ? nested
      : argv
  const config = await configFile(map, context)
  const keys = kebabKeys(
    ...[
      config,
      map,
      mapAt(map, 'model'),
      mapAt(map, 'vllmConfig'),
      mapAt(map, 'serverArgs'),
      mapAt(map, 'engineArgs'),
      mapAt(map, line.engine),
      mapAt(map, line.engine, 'serverArgs'),
      mapAt(map, line.engine, 'engineArgs'),
      ...modelSections(root),
    ].filter(one => one !== undefined),
  )
  const full: Command = { ...inner, image, hardware: command.hardware, at: argv[0] ?? image ?? map.start }
  const reading = await line.read({ command: full, args, form: image ? 'image' : 'flags', keys }, context)
  if (!reading) return null
  const named =
    reading.model.id === null && reading.collector.unresolved.length === 0
      ? (modelText(map, root) ?? command.env.get('LLM_MODEL_ID'))
      : undefined
  const model = named ? modelFrom(named, reading.collector) : reading.model
  const evidence = args.length > 0 || Object.keys(reading.collector.settings).length > 0 || model.id !== null
  return evidence
    ? assemble(
        line,
        full,
        { ...reading, model },
        { format: 'helm-values', name: scope.name === '' ? 'values' : scope.name },
      )
    : null
}

/** The engine that image, section name or an engine key name. */
function engineOf(scope: Scope, image: Text | null): CommandLine | null {
  const byImage = image ? commandLines.find(line => line.image.test(imageName(image.value))) : undefined
  if (byImage) return byImage
  const names = ENGINE_KEYS.map(key => stringAt(scope.map, key)?.toLowerCase())
  const byKey = commandLines.find(line => names.includes(line.engine))
  if (byKey) return byKey
  const section = scope.name.split('/').at(-1)?.toLowerCase().replaceAll('-', '')
  const bySection = commandLines.find(line => line.engine === section)
  if (
    bySection &&
    (ARGUMENTS.some(key => scope.map.get(key)) || scope.map.get('model') || scope.map.get('LLM_MODEL_ID'))
  )
    return bySection
  // A chart for one engine keeps its options in a section of that name beside model and job.
  const own = scope.map.get('model')
    ? commandLines.find(
        line => mapAt(scope.map, line.engine, 'serverArgs') ?? mapAt(scope.map, line.engine, 'engineArgs'),
      )
    : undefined
  return own ?? engineSection(scope.map) ?? null
}

function imageOf(map: MapNode): Text | null {
  const image = map.get('image')
  if (image?.kind === 'scalar') return image.value === null ? null : image.text
  const repository = textAt(image, 'repository') ?? textAt(image, 'name') ?? textAt(map, 'repository')
  const tag = textAt(image, 'tag')
  if (!repository) return null
  return tag && tag.value !== '' ? Text.join([repository, Text.at(repository, ':'), tag]) : repository
}

function words(node: Node | undefined): Text[] {
  return node?.kind === 'list'
    ? textsOf(node).filter(text => text.value !== '')
    : node?.kind === 'scalar' && typeof node.value === 'string' && /(?:^|\s)--\w/.test(node.value)
      ? [node.text]
      : []
}

function variables(map: MapNode): Map<string, Text> {
  const env = new Map<string, Text>()
  for (const { key, value } of map.entries)
    if (/^[A-Z][A-Z0-9_]{2,}$/.test(key.value) && value.kind === 'scalar' && value.value !== null)
      env.set(key.value, value.text)
  for (const key of ['env', 'extraEnv', 'envs', 'environment']) {
    for (const { key: name, value } of mapAt(map, key)?.entries ?? [])
      if (value.kind === 'scalar' && value.value !== null) env.set(name.value, value.text)
    for (const one of listAt(map, key)) {
      const value = textAt(one, 'value')
      if (value) env.set(stringAt(one, 'name') ?? '', value)
    }
  }
  return env
}

/** `configFile: args.yaml` beside the values: the launcher's own options file. */
async function configFile(map: MapNode, context: Context): Promise<MapNode | undefined> {
  const path = stringAt(map, 'configFile')
  const text = path && /\.ya?ml$/.test(path) ? await context.read(path) : null
  if (!text) return undefined
  const root = parseYaml(text)[0]?.root
  return root?.kind === 'map' ? root : undefined
}

const MODEL_KEYS = [
  'modelURL',
  'modelId',
  'model_id',
  'hfModelId',
  'modelName',
  'model',
  'LLM_MODEL_ID',
  'MODEL_ID',
  'huggingfaceId',
  'modelPath',
]
const MODEL_SUBKEYS = [
  'id',
  'name',
  'repo',
  'repository',
  'path',
  'hfModelId',
  'huggingfaceId',
  'huggingfaceName',
  'hfName',
  'repoId',
  'uri',
]

/** Sections beside an engine's that hold its model and options: `modelParameters`, `modelConfig`, `model`. */
function modelSections(root: MapNode): MapNode[] {
  return root.entries.flatMap(({ key, value }) =>
    /^model(?!s$)|^(?:llm|engine|workload|inference)(?:Config|Parameters)?$/i.test(key.value) && value.kind === 'map'
      ? [value]
      : [],
  )
}

/** The model that a values file names: only what has the form of an id, a URI or a path. */
function modelText(map: MapNode, root: MapNode): Text | undefined {
  for (const source of [...(map === root ? [map] : [map, root]), ...modelSections(map), ...modelSections(root)]) {
    for (const key of MODEL_KEYS) {
      const direct = textAt(source, key)
      if (direct && looksLikeModel(direct.value)) return direct
    }
    for (const key of MODEL_SUBKEYS) {
      const nested = textAt(source, 'model', key)
      if (nested && looksLikeModel(nested.value)) return nested
    }
  }
  return undefined
}

function looksLikeModel(text: string): boolean {
  return /^(?:[\w.-]+\/[\w.-]+|(?:hf|s3|gs|pvc|oci):\/\/\S+|\/\S+)$/.test(text) || /^\$\{\w+\}$/.test(text)
}

/** The ollama chart: every model that it pulls at start, each on the GPUs of the one pod. */
function ollamaModels(root: Node): Deployment[] {
  const section = mapAt(root, 'ollama')
  const list = section?.get('models')
  const items = list?.kind === 'list' ? textsOf(list) : [...textsOf(at(list, 'run')), ...textsOf(at(list, 'pull'))]
  if (!section || items.length === 0) return []
  const on = stringAt(section, 'gpu', 'enabled') === 'true'
  const count = textAt(section, 'gpu', 'number')
  const line = commandLines.find(one => one.engine === 'ollama')
  if (!line) return []
  const seen = new Set<string>()
  return items.flatMap(item => {
    if (seen.has(item.value)) return []
    seen.add(item.value)
    const gpus = on ? (count && /^\d{1,3}$/.test(count.value) ? Number(count.value) : 1) : 0
    const declared: DeclaredHardware = {
      names: root.kind === 'map' ? nodeHardware(root).names : [],
      nodes: null,
      accelerator: on ? (stringAt(section, 'gpu', 'type') === 'amd' ? 'amd' : 'nvidia') : 'cpu',
      gpusPerReplica: gpus,
      ...(count ? { gpusAt: count.place, gpusText: `number: ${count.value}` } : {}),
    }
    const command: Command = { ...bareCommand(item), hardware: declared }
    const collector = new Collector()
    const model = modelFrom(item, collector)
    return [
      assemble(
        line,
        command,
        { collector, model: { ...model, id: model.id === null ? null : `ollama:${model.id}` } },
        { format: 'helm-values', name: `ollama/${item.value}` },
      ),
    ]
  })
}
