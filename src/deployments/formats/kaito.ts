import { lookUpInstance } from '../../hardware/instances.ts'
import type { Command } from '../command.ts'
import { assemble } from '../command-lines/index.ts'
import { readVllmMap, readVllmUses } from '../command-lines/vllm.ts'
import { type DeclaredHardware, type Deployment, noHardware } from '../deployment.ts'
import type { Context, DocumentFormat } from '../format.ts'
import type { Text } from '../text.ts'
import { listAt, type MapNode, mapAt, type Node, stringAt, textAt } from '../tree.ts'
import { Collector, modelFrom } from '../values.ts'
import { parseYaml } from '../yaml.ts'
import { ConfigMaps } from './config-maps.ts'
import { podDeployments } from './pod.ts'
import { bareCommand } from './shell.ts'

const KINDS = /^(?:Workspace|InferenceSet|MultiRoleInference)$/

export const kaito: DocumentFormat = {
  kind: 'document',
  name: 'kaito',
  title: 'KAITO Workspace, InferenceSet and MultiRoleInference: presets, instance types, inference configuration',
  marks: ['kaito.sh'],
  claims: root => /^kaito\.sh\//.test(stringAt(root, 'apiVersion') ?? '') && KINDS.test(stringAt(root, 'kind') ?? ''),
  read: async (root, context) => {
    const name = `${stringAt(root, 'kind')}/${stringAt(root, 'metadata', 'name') ?? ''}`
    const roles = listAt(root, 'spec', 'roles')
    if (roles.length > 0) return roles.flatMap(role => roleDeployment(role, root, name))
    const body = mapAt(root, 'spec', 'template') ?? (root.kind === 'map' ? root : undefined)
    return body ? workspace(body, name, context) : []
  },
}

async function workspace(body: MapNode, name: string, context: Context): Promise<Deployment[]> {
  const hardware = resourceOf(mapAt(body, 'resource'))
  const maps = new ConfigMaps(context)
  const pod = mapAt(body, 'inference', 'template', 'spec')
  if (pod) {
    const found = await podDeployments(pod, { kind: '', name }, 'kaito', maps, context)
    return found.map(one =>
      one.hardware.gpusPerReplica === null
        ? { ...one, hardware: { ...hardware, accelerator: one.hardware.accelerator ?? hardware.accelerator } }
        : one,
    )
  }
  const tuning = mapAt(body, 'tuning')
  const preset = textAt(body, 'inference', 'preset', 'name') ?? textAt(tuning, 'preset', 'name')
  if (!preset) return []
  const config = stringAt(body, 'inference', 'config')
  const options = config ? vllmOptions(await maps.data(config)) : null
  const reading = options ? readVllmMap(options) : readVllmUses([], null, new Collector(), null)
  const { collector } = reading
  const method = textAt(tuning, 'method')
  if (method) collector.put('method', method.value, { value: method, text: `method: ${method.value}` })
  const deployment = kaitoDeployment(preset, reading, hardware, name)
  return [tuning ? { ...deployment, workload: 'train' } : deployment]
}

function kaitoDeployment(
  preset: Text,
  reading: ReturnType<typeof readVllmMap>,
  hardware: DeclaredHardware,
  name: string,
): Deployment {
  const named = modelFrom(preset, reading.collector)
  const model = named.id === null || named.id.includes('/') ? named : { ...named, id: `kaito:${named.id}` }
  const command: Command = { ...bareCommand(preset), hardware }
  return assemble({ engine: 'kaito', environment: /^$/ }, command, { ...reading, model }, { format: 'kaito', name })
}

/** The `vllm:` section of `inference_config.yaml` in the ConfigMap. */
function vllmOptions(data: ReadonlyMap<string, Text>): MapNode | null {
  const text = data.get('inference_config.yaml') ?? [...data.values()][0]
  const root = text ? parseYaml(text)[0]?.root : null
  return mapAt(root, 'vllm') ?? null
}

/** Instances and what is in them; a partition is a part of the node instead. */
function resourceOf(resource: MapNode | undefined): DeclaredHardware {
  const partition = mapAt(resource, 'partition')
  const instance = textAt(resource, 'instanceType')
  const names: DeclaredHardware['names'] = instance
    ? [{ name: instance.value, kind: 'instance-type', at: instance.place, text: `instanceType: ${instance.value}` }]
    : []
  if (partition) {
    const count = textAt(partition, 'count')
    const profile = textAt(partition, 'profile')
    return {
      ...noHardware,
      names,
      accelerator: 'nvidia',
      gpusPerReplica: count && /^\d+$/.test(count.value) ? Number(count.value) : 1,
      gpusAt: (count ?? profile)?.place ?? partition.start.place,
      ...(profile ? { mig: profile.value.replace(/^mig-/, '') } : {}),
    }
  }
  const count = textAt(resource, 'count')
  const nodes = count && /^\d{1,4}$/.test(count.value) ? Number(count.value) : 1
  const perNode = instance ? lookUpInstance(instance.value)?.count : undefined
  return {
    ...noHardware,
    names,
    nodes,
    accelerator: 'nvidia',
    gpusPerReplica: perNode === undefined ? null : perNode * nodes,
    ...(instance
      ? {
          gpusAt: (count ?? instance).place,
          gpusText: count ? `count: ${count.value}` : `instanceType: ${instance.value}`,
        }
      : {}),
  }
}

/** Prefill and decode of one model, each with its own instances. */
function roleDeployment(role: Node, root: Node, name: string): Deployment[] {
  const model = textAt(root, 'spec', 'model', 'name')
  if (role.kind !== 'map' || !model) return []
  const hardware = resourceOf(role)
  const type = stringAt(role, 'type') ?? 'role'
  return [kaitoDeployment(model, readVllmUses([], null, new Collector(), null), hardware, `${name}/${type}`)]
}
