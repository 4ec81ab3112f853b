import type { Command } from '../command.ts'
import { assemble } from '../command-lines/index.ts'
import { nimEnvironment, nimModel } from '../command-lines/nim.ts'
import type { DeclaredHardware, DeclaredName, Deployment } from '../deployment.ts'
import type { Context, DocumentFormat } from '../format.ts'
import { Text } from '../text.ts'
import { at, listAt, type MapNode, mapAt, type Node, stringAt, textAt } from '../tree.ts'
import { Collector, modelFrom, positive } from '../values.ts'
import { nodeHardware, podHardware, resourceHardware } from './pod-hardware.ts'
import { bareCommand } from './shell.ts'

const KINDS = /^NIM(?:Service|Cache|Pipeline)$/

export const nimOperator: DocumentFormat = {
  kind: 'document',
  name: 'nim-operator',
  title: 'NVIDIA NIM operator: NIMService and NIMPipeline with the NIMCache they use',
  marks: ['nimservice', 'nimpipeline'],
  claims: root =>
    /^apps\.nvidia\.com\//.test(stringAt(root, 'apiVersion') ?? '') && KINDS.test(stringAt(root, 'kind') ?? ''),
  read: async (root, context) => {
    const kind = stringAt(root, 'kind')
    const name = stringAt(root, 'metadata', 'name') ?? ''
    if (kind === 'NIMService') return service(mapAt(root, 'spec'), `NIMService/${name}`, context)
    if (kind !== 'NIMPipeline') return []
    return listAt(root, 'spec', 'services').flatMap(one =>
      stringAt(one, 'enabled') === 'false'
        ? []
        : service(mapAt(one, 'spec'), `NIMPipeline/${name}/${stringAt(one, 'name') ?? ''}`, context),
    )
  },
}

function service(spec: MapNode | undefined, name: string, context: Context): Deployment[] {
  const repository = textAt(spec, 'image', 'repository')
  if (!spec || !repository) return []
  const tag = textAt(spec, 'image', 'tag')
  const image = tag ? Text.join([repository, Text.at(repository, ':'), tag]) : repository
  const env = new Map<string, Text>()
  for (const one of listAt(spec, 'env')) {
    const key = stringAt(one, 'name')
    const value = textAt(one, 'value')
    if (key && value) env.set(key, value)
  }
  const collector = new Collector()
  nimEnvironment(env, collector)
  for (const [key, setting] of [
    ['tensor', 'tensorParallel'],
    ['pipeline', 'pipelineParallel'],
  ] as const) {
    const value = textAt(spec, 'multiNode', 'parallelism', key)
    if (value) collector.set(setting, { value, text: `${key}: ${value.value}` }, positive)
  }
  const cache = cacheOf(stringAt(spec, 'storage', 'nimCache', 'name'), context)
  const source = textAt(cache, 'source', 'hf', 'modelName')
  const owner = textAt(cache, 'source', 'hf', 'namespace')
  const model = source
    ? modelFrom(owner ? Text.join([owner, Text.at(owner, '/'), source]) : source, collector)
    : nimModel(env, image, collector)
  const command: Command = { ...bareCommand(repository), env, image, hardware: hardware(spec, cache) }
  return [
    assemble({ engine: 'nim', environment: /^NIM_/ }, command, { collector, model }, { format: 'nim-operator', name }),
  ]
}

/** Spec of the NIMCache of that name in the same file. */
function cacheOf(name: string | undefined, context: Context): Node | undefined {
  if (name === undefined) return undefined
  for (const { root } of context.documents())
    if (stringAt(root, 'kind') === 'NIMCache' && stringAt(root, 'metadata', 'name') === name) return at(root, 'spec')
  return undefined
}

function hardware(spec: MapNode, cache: Node | undefined): DeclaredHardware {
  const declared = podHardware(
    nodeHardware(spec),
    resourceHardware(at(spec, 'resources'), text => text),
  )
  const products = listAt(cache, 'source', 'ngc', 'model', 'gpus').flatMap((one): DeclaredName[] => {
    const product = textAt(one, 'product')
    return product
      ? [{ name: product.value, kind: 'accelerator-field', at: product.place, text: `product: ${product.value}` }]
      : []
  })
  const claims = listAt(spec, 'draResources').flatMap(one => listAt(one, 'claimCreationSpec', 'devices'))
  const counts = claims
    .map(device => Number(stringAt(device, 'count') ?? '1'))
    .filter(count => Number.isSafeInteger(count))
  const nodes = textAt(spec, 'multiNode', 'size') ?? textAt(spec, 'multiNode', 'parallelism', 'pipeline')
  const perNode = declared.gpusPerReplica ?? (counts.length > 0 ? counts.reduce((sum, count) => sum + count, 0) : null)
  const count = nodes && /^\d{1,3}$/.test(nodes.value) ? Number(nodes.value) : 1
  return {
    ...declared,
    names: [
      ...declared.names.filter(one => one.kind !== 'hint'),
      ...products,
      ...declared.names.filter(one => one.kind === 'hint'),
    ],
    accelerator: declared.accelerator ?? (perNode === null ? null : 'nvidia'),
    gpusPerReplica: perNode === null ? null : perNode * count,
    nodes: count > 1 ? count : declared.nodes,
  }
}
