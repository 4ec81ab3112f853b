import type { Command } from '../command.ts'
import type { DeclaredHardware } from '../deployment.ts'
import type { DocumentFormat } from '../format.ts'
import { Text } from '../text.ts'
import { at, listAt, type MapNode, mapAt, type Node, stringAt, textAt } from '../tree.ts'
import { acceleratorHardware } from './accelerators.ts'
import { bareCommand, readScript } from './shell.ts'

export const skypilot: DocumentFormat = {
  kind: 'document',
  name: 'skypilot',
  title: 'SkyPilot tasks: accelerators (also sets of alternatives), nodes, envs, run script',
  marks: [],
  claims: root =>
    textAt(root, 'run') !== undefined &&
    at(root, 'kind') === undefined &&
    (mapAt(root, 'resources') !== undefined || at(root, 'num_nodes') !== undefined || at(root, 'setup') !== undefined),
  read: async (root, context) => {
    const run = textAt(root, 'run')
    if (!run || root.kind !== 'map') return []
    const hardware = resources(root)
    const env = new Map<string, Text>()
    for (const key of ['envs', 'secrets'])
      for (const { key: name, value } of mapAt(root, key)?.entries ?? [])
        if (value.kind === 'scalar' && value.value !== null) env.set(name.value, value.text)
    const nodes = hardware.nodes ?? 1
    if (hardware.gpusPerReplica !== null)
      env.set('SKYPILOT_NUM_GPUS_PER_NODE', Text.at(run, String(hardware.gpusPerReplica / nodes)))
    env.set('SKYPILOT_NUM_NODES', Text.at(run, String(nodes)))
    env.set('SKYPILOT_NODE_RANK', Text.at(run, '0'))
    const command: Command = { ...bareCommand(run), env, hardware }
    return readScript(run, context, 'skypilot', command, stringAt(root, 'name') ?? 'task')
  },
}

/** The accelerators of the task, of its alternatives, and on how many nodes. */
function resources(root: MapNode): DeclaredHardware {
  const section = mapAt(root, 'resources')
  const choices: Node[] = [
    at(section, 'accelerators'),
    ...[...listAt(section, 'any_of'), ...listAt(section, 'ordered')].map(one => at(one, 'accelerators')),
  ].filter(one => one !== undefined)
  const all = choices.map(one => acceleratorHardware(one, 'accelerators'))
  const [first = acceleratorHardware(undefined, '')] = all
  const count = stringAt(root, 'num_nodes')
  const nodes = count !== undefined && /^\d{1,4}$/.test(count) ? Number(count) : 1
  const same = all.every(one => one.gpusPerReplica === first.gpusPerReplica)
  return {
    ...first,
    names: all.flatMap(one => one.names),
    gpusPerReplica: same && first.gpusPerReplica !== null ? first.gpusPerReplica * nodes : null,
    nodes: nodes > 1 ? nodes : null,
  }
}
