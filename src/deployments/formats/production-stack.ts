import type { Command } from '../command.ts'
import { assemble } from '../command-lines/index.ts'
import { vllm } from '../command-lines/vllm.ts'
import { type DeclaredHardware, type Deployment, noHardware } from '../deployment.ts'
import type { Context, DocumentFormat } from '../format.ts'
import { Text } from '../text.ts'
import { at, listAt, type MapNode, mapAt, type Node, stringAt, textAt, textsOf } from '../tree.ts'
import { modelFrom } from '../values.ts'
import { kebabKeys } from './keys.ts'
import { labelHardware, nodeHardware, podHardware } from './pod-hardware.ts'
import { bareCommand } from './shell.ts'

export const productionStack: DocumentFormat = {
  kind: 'document',
  name: 'production-stack',
  title: 'vLLM production-stack: Helm values (servingEngineSpec.modelSpec) and VLLMRuntime objects',
  marks: ['servingenginespec', 'production-stack.vllm.ai'],
  claims: root =>
    listAt(root, 'servingEngineSpec', 'modelSpec').length > 0 ||
    (stringAt(root, 'kind') === 'VLLMRuntime' &&
      /^production-stack\.vllm\.ai\//.test(stringAt(root, 'apiVersion') ?? '')),
  read: async (root, context) => {
    if (stringAt(root, 'kind') === 'VLLMRuntime') return runtime(root, context)
    const found: Deployment[] = []
    for (const spec of listAt(root, 'servingEngineSpec', 'modelSpec'))
      found.push(...(await modelSpec(spec, root, context)))
    return found
  },
}

async function modelSpec(spec: Node, root: Node, context: Context): Promise<Deployment[]> {
  const url = textAt(spec, 'modelURL')
  if (spec.kind !== 'map' || !url || stringAt(spec, 'enabled') === 'false') return []
  const config = mapAt(spec, 'vllmConfig')
  const command: Command = {
    ...bareCommand(url),
    image: imageOf(spec),
    hardware: hardware(spec, root),
    argv: textsOf(at(config, 'extraArgs')),
    env: variables(spec),
  }
  return engine(command, url, config, stringAt(spec, 'name') ?? 'model', context)
}

async function engine(
  command: Command,
  url: Text,
  config: MapNode | undefined,
  name: string,
  context: Context,
): Promise<Deployment[]> {
  const reading = await vllm.read(
    { command, args: command.argv, form: 'flags', ...(config ? { keys: kebabKeys(config) } : {}) },
    context,
  )
  return reading
    ? [
        assemble(
          vllm,
          command,
          { ...reading, model: modelFrom(url, reading.collector) },
          { format: 'production-stack', name },
        ),
      ]
    : []
}

function imageOf(spec: Node): Text | null {
  const repository = textAt(spec, 'repository')
  const tag = textAt(spec, 'tag')
  return repository && tag ? Text.join([repository, Text.at(repository, ':'), tag]) : (repository ?? null)
}

function variables(spec: Node): Map<string, Text> {
  const env = new Map<string, Text>()
  for (const one of listAt(spec, 'env')) {
    const value = textAt(one, 'value')
    if (value) env.set(stringAt(one, 'name') ?? '', value)
  }
  return env
}

/** requestGPU of one pod; with a Ray head, the head's and those of the other pods of the pipeline. */
function hardware(spec: MapNode, root: Node): DeclaredHardware {
  const labels = [
    ...listAt(spec, 'nodeSelectorTerms'),
    ...listAt(root, 'servingEngineSpec', 'nodeSelectorTerms'),
  ].flatMap(term =>
    listAt(term, 'matchExpressions').flatMap(expression => {
      const key = textAt(expression, 'key')
      return key ? textsOf(at(expression, 'values')).map(value => ({ key, value })) : []
    }),
  )
  const request = textAt(spec, 'requestGPU')
  const type = stringAt(spec, 'requestGPUType') ?? 'nvidia.com/gpu'
  const mig = /mig-(\d+g\.\d+gb)/.exec(type)?.[1]
  const count = request && /^\d{1,4}$/.test(request.value) ? Number(request.value) : null
  const head = Number(stringAt(spec, 'raySpec', 'headNode', 'requestGPU') ?? '0')
  const stages = Number(stringAt(spec, 'vllmConfig', 'pipelineParallelSize') ?? '1')
  const spread = mapAt(spec, 'raySpec') && count !== null && Number.isSafeInteger(head) && Number.isSafeInteger(stages)
  const resources: DeclaredHardware = {
    ...noHardware,
    accelerator: count === 0 ? 'cpu' : type.startsWith('amd') ? 'amd' : request ? 'nvidia' : null,
    gpusPerReplica: spread ? head + count * Math.max(1, stages - 1) : count,
    nodes: spread ? Math.max(1, stages) : null,
    ...(request ? { gpusAt: request.place, gpusText: `requestGPU: ${request.value}` } : {}),
    ...(mig ? { mig } : {}),
  }
  const own = nodeHardware(spec)
  return podHardware(own.names.length > 0 ? own : labelHardware(labels), resources)
}

async function runtime(root: Node, context: Context): Promise<Deployment[]> {
  const spec = mapAt(root, 'spec')
  const url = textAt(spec, 'model', 'modelURL')
  if (!spec || !url) return []
  const count = textAt(spec, 'deploymentConfig', 'resources', 'gpu')
  const type = stringAt(spec, 'deploymentConfig', 'resources', 'gpuType') ?? 'nvidia.com/gpu'
  const declared: DeclaredHardware = {
    ...noHardware,
    accelerator: type.startsWith('amd') ? 'amd' : count ? 'nvidia' : null,
    gpusPerReplica: count && /^\d{1,4}$/.test(count.value) ? Number(count.value) : null,
    ...(count ? { gpusAt: count.place, gpusText: `gpu: ${count.value}` } : {}),
  }
  const config = mapAt(spec, 'vllmConfig')
  const model = mapAt(spec, 'model')
  const keys = kebabKeys(...[model, config].filter(one => one !== undefined))
  const image = textAt(spec, 'deploymentConfig', 'image', 'name')
  const command: Command = {
    ...bareCommand(url),
    image: image ?? null,
    hardware: declared,
    argv: textsOf(at(config, 'extraArgs')),
  }
  const reading = await vllm.read({ command, args: command.argv, form: 'flags', keys }, context)
  const name = `VLLMRuntime/${stringAt(root, 'metadata', 'name') ?? ''}`
  return reading
    ? [
        assemble(
          vllm,
          command,
          { ...reading, model: modelFrom(url, reading.collector) },
          { format: 'production-stack', name },
        ),
      ]
    : []
}
