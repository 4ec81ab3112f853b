import type { Command } from '../command.ts'
import { assemble, commandLines } from '../command-lines/index.ts'
import { ollamaEnvironment } from '../command-lines/ollama.ts'
import type { DeclaredHardware, Deployment } from '../deployment.ts'
import { noHardware } from '../deployment.ts'
import type { Context, DocumentFormat } from '../format.ts'
import type { Text } from '../text.ts'
import { at, listAt, type MapNode, mapAt, type Node, stringAt, textAt, textsOf } from '../tree.ts'
import { Collector, modelFrom } from '../values.ts'
import { bareCommand } from './shell.ts'

export const kubeai: DocumentFormat = {
  kind: 'document',
  name: 'kubeai',
  title: 'KubeAI Models and its catalogue values: url, engine, args, resource profile',
  marks: ['kubeai.org', 'resourceprofile'],
  claims: root =>
    (/^kubeai\.org\//.test(stringAt(root, 'apiVersion') ?? '') && stringAt(root, 'kind') === 'Model') ||
    catalogue(root).length > 0,
  read: async (root, context) => {
    const entries = catalogue(root)
    if (entries.length === 0)
      return model(mapAt(root, 'spec'), `Model/${stringAt(root, 'metadata', 'name') ?? ''}`, context)
    const found: Deployment[] = []
    for (const { key, value } of entries) {
      if (value.kind === 'map' && stringAt(value, 'enabled') === 'true')
        found.push(...(await model(value, key.value, context)))
    }
    return found
  },
}

/** `catalog:` of the models chart: every entry is disabled unless it says otherwise. */
function catalogue(root: Node): MapNode['entries'] {
  return (mapAt(root, 'catalog')?.entries ?? []).filter(({ value }) => textAt(value, 'url') && textAt(value, 'engine'))
}

async function model(spec: MapNode | undefined, name: string, context: Context): Promise<Deployment[]> {
  const url = textAt(spec, 'url')
  const engine = stringAt(spec, 'engine')?.toLowerCase() ?? ''
  if (!spec || !url) return []
  const env = new Map(
    (mapAt(spec, 'env')?.entries ?? []).flatMap(({ key, value }) =>
      value.kind === 'scalar' ? [[key.value, value.text] as [string, Text]] : [],
    ),
  )
  const command: Command = {
    ...bareCommand(url),
    argv: textsOf(at(spec, 'args')),
    env,
    image: textAt(spec, 'image') ?? null,
    hardware: profile(textAt(spec, 'resourceProfile')),
  }
  if (engine === 'ollama') {
    const collector = new Collector()
    ollamaEnvironment(env, collector)
    const named = modelFrom(url, collector)
    return [
      assemble(
        { engine: 'ollama', environment: /^OLLAMA_/ },
        command,
        { collector, model: { ...named, id: named.id?.replace(/^ollama:\/\//, 'ollama:') ?? null } },
        { format: 'kubeai', name },
      ),
    ]
  }
  const line = commandLines.find(one => one.engine === engine)
  const reading = line ? await line.read({ command, args: command.argv, form: 'flags' }, context) : null
  if (!line || !reading) return []
  for (const adapter of listAt(spec, 'adapters')) {
    const path = textAt(adapter, 'url')
    if (path) reading.collector.adapters.push(modelFrom(path, reading.collector))
  }
  return [assemble(line, command, { ...reading, model: modelFrom(url, reading.collector) }, { format: 'kubeai', name })]
}

/** "nvidia-gpu-l4:2": twice a profile that asks for one GPU; "cpu:1" none. */
function profile(text: Text | undefined): DeclaredHardware {
  const match = text ? /^([\w.-]+)(?::(\d+))?$/.exec(text.value.trim()) : null
  if (!text || !match) return noHardware
  const count = Number(match[2] ?? '1')
  const name = match[1]!
  const evidence = { gpusAt: text.place, gpusText: `resourceProfile: ${text.value}` }
  if (/^cpu/.test(name)) return { ...noHardware, accelerator: 'cpu', gpusPerReplica: 0, ...evidence }
  if (/tpu/.test(name)) return { ...noHardware, accelerator: 'tpu', gpusPerReplica: 0, ...evidence }
  const card = name.replace(/^(?:nvidia|amd)-gpu-/, '')
  return {
    ...noHardware,
    names: [{ name: card, kind: 'accelerator-field', at: text.place, text: `resourceProfile: ${text.value}` }],
    accelerator: name.startsWith('amd') ? 'amd' : 'nvidia',
    gpusPerReplica: count,
    ...evidence,
  }
}
