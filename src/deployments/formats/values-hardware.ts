import { lookUpInstance } from '../../hardware/instances.ts'
import type { DeclaredHardware } from '../deployment.ts'
import { at, eachMap, type MapNode, stringAt, textAt } from '../tree.ts'
import { nodeHardware, podHardware, resourceHardware } from './pod-hardware.ts'

/** Keys under which charts keep a plain count of GPUs. */
const COUNTS = ['gpus', 'job.gpus', 'gpu.count', 'gpuCount', 'numGpus', 'num_gpus', 'gpu.number', 'resources.gpu']

/**
 * Hardware that a section of Helm values asks for: resources and node labels of the section, else of the chart; an
 * instance type; a plain count.
 */
export function valuesHardware(map: MapNode, root: MapNode): DeclaredHardware {
  const own = resources(map)
  const asked = own.accelerator !== null || map === root ? own : resources(root)
  const node = nodeHardware(map).names.length > 0 || map === root ? nodeHardware(map) : nodeHardware(root)
  const declared = withInstance(podHardware(node, asked), map)
  if (declared.gpusPerReplica !== null) return declared
  if (stringAt(map, 'accelDevice')?.toLowerCase() === 'gaudi')
    return { ...declared, accelerator: 'hpu', gpusPerReplica: 0 }
  const count = COUNTS.map(key => textAt(map, ...key.split('.'))).find(
    text => text !== undefined && /^\d{1,4}$/.test(text.value),
  )
  if (!count) return declared
  const gpusPerReplica = Number(count.value)
  return {
    ...declared,
    accelerator: declared.accelerator ?? 'nvidia',
    gpusPerReplica,
    gpusAt: count.place,
    gpusText: `gpus: ${count.value}`,
  }
}

/** The section's `resources:`, or the first block below it that asks for an extended resource. */
function resources(map: MapNode): DeclaredHardware {
  const direct = resourceHardware(at(map, 'resources'), text => text)
  if (direct.accelerator !== null || direct.gpusAt) return direct
  let found = direct
  eachMap(map, (below, path) => {
    if (found.accelerator !== null || path.length > 6 || stringAt(below, 'enabled') === 'false') return
    const nested = resourceHardware(below, text => text)
    if (nested.accelerator !== null) found = nested
  })
  return found
}

function withInstance(declared: DeclaredHardware, map: MapNode): DeclaredHardware {
  const instance = textAt(map, 'instance', 'type') ?? textAt(map, 'instanceType') ?? textAt(map, 'instance_type')
  if (!instance || !lookUpInstance(instance.value)) return declared
  const name = {
    name: instance.value,
    kind: 'instance-type' as const,
    at: instance.place,
    text: `instance type: ${instance.value}`,
  }
  return { ...declared, names: [...declared.names, name] }
}
