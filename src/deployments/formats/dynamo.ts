import type { Deployment } from '../deployment.ts'
import type { DocumentFormat } from '../format.ts'
import { at, mapAt, stringAt } from '../tree.ts'
import { ConfigMaps } from './config-maps.ts'
import { podDeployments } from './pod.ts'
import { resourceHardware } from './pod-hardware.ts'

export const dynamo: DocumentFormat = {
  kind: 'document',
  name: 'dynamo',
  title: 'NVIDIA Dynamo graph deployments: one engine for each worker service',
  marks: ['dynamographdeployment', 'dynamocomponentdeployment'],
  claims: root => /^Dynamo(?:Graph|Component)Deployment$/.test(stringAt(root, 'kind') ?? ''),
  read: async (root, context) => {
    const name = `${stringAt(root, 'kind')}/${stringAt(root, 'metadata', 'name') ?? ''}`
    const services = mapAt(root, 'spec', 'services')?.entries ?? []
    const single = mapAt(root, 'spec')
    const parts =
      services.length > 0
        ? services.map(({ key, value }) => [key.value, value] as const)
        : single
          ? [['', single] as const]
          : []
    const maps = new ConfigMaps(context)
    const found: Deployment[] = []
    for (const [service, value] of parts) {
      if (
        value.kind !== 'map' ||
        /^(?:frontend|planner|router|processor)$/i.test(stringAt(value, 'componentType') ?? service)
      )
        continue
      const pod = mapAt(value, 'extraPodSpec')
      if (!pod) continue
      const own = resourceHardware(at(value, 'resources'), text => text, true)
      const nodes = Number(stringAt(value, 'multinode', 'nodeCount') ?? '1')
      for (const deployment of await podDeployments(
        pod,
        { kind: '', name: service === '' ? name : `${name}/${service}` },
        'dynamo',
        maps,
        context,
      )) {
        const hardware =
          deployment.hardware.gpusPerReplica === null && own.accelerator !== null
            ? { ...deployment.hardware, ...own, names: deployment.hardware.names }
            : deployment.hardware
        const spread =
          Number.isSafeInteger(nodes) && nodes > 1
            ? {
                ...hardware,
                nodes,
                gpusPerReplica: hardware.gpusPerReplica === null ? null : hardware.gpusPerReplica * nodes,
              }
            : hardware
        found.push({ ...deployment, hardware: spread })
      }
    }
    return found
  },
}
