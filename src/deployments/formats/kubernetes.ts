import type { DeclaredHardware, Deployment } from '../deployment.ts'
import type { Context, DocumentFormat } from '../format.ts'
import { listAt, type MapNode, mapAt, type Node, stringAt } from '../tree.ts'
import { ConfigMaps } from './config-maps.ts'
import { type Owner, podDeployments, podGpus } from './pod.ts'

export const kubernetes: DocumentFormat = {
  kind: 'document',
  name: 'kubernetes',
  title: 'Kubernetes pod specs in objects of any kind, lists, LeaderWorkerSets, Ray groups, patches',
  marks: [],
  claims: root => stringAt(root, 'kind') !== 'CustomResourceDefinition' && hasContainers(root),
  read: async (root, context) => {
    const walk = new Walk(context)
    await walk.node(root, { kind: '', name: '' }, 0)
    return walk.found
  },
}

function hasContainers(root: Node): boolean {
  const seen = new Set<Node>()
  const search = (node: Node): boolean => {
    if (node.kind === 'scalar' || seen.has(node)) return false
    seen.add(node)
    if (node.kind === 'list') return node.items.some(search)
    return isPod(node) || node.entries.some(({ value }) => search(value))
  }
  return search(root)
}

/** A pod spec, or what looks like one in a custom resource (Argo's `container`, Dynamo's `mainContainer`). */
function isPod(map: MapNode): boolean {
  if (listAt(map, 'containers').some(item => item.kind === 'map')) return true
  return ['container', 'mainContainer'].some(key => {
    const container = mapAt(map, key)
    return (
      container?.get('image') !== undefined &&
      (container.get('command') ?? container.get('args') ?? container.get('env')) !== undefined
    )
  })
}

class Walk {
  readonly found: Deployment[] = []
  readonly #context: Context
  readonly #maps: ConfigMaps
  readonly #seen = new Set<Node>()

  constructor(context: Context) {
    this.#context = context
    this.#maps = new ConfigMaps(context)
  }

  async node(node: Node, owner: Owner, depth: number): Promise<void> {
    if (node.kind === 'scalar' || this.#seen.has(node) || depth > 60) return
    this.#seen.add(node)
    if (node.kind === 'list') {
      for (const item of node.items) await this.node(item, owner, depth + 1)
      return
    }
    const kind = stringAt(node, 'kind')
    const own: Owner =
      kind !== undefined && mapAt(node, 'metadata')
        ? { kind, name: stringAt(node, 'metadata', 'name') ?? stringAt(node, 'metadata', 'generateName') ?? '' }
        : owner
    const group =
      mapAt(node, 'leaderWorkerTemplate') ?? (node.get('workerTemplate') && node.get('size') ? node : undefined)
    if (group) return this.#leaderWorker(group, own)
    if (mapAt(node, 'headGroupSpec')) return this.#rayGroups(node, own)
    if (isPod(node)) await this.#pod(node, own, null)
    for (const { key, value } of node.entries) {
      if (!['containers', 'initContainers', 'container', 'mainContainer', 'status'].includes(key.value))
        await this.node(value, own, depth + 1)
    }
  }

  async #pod(pod: MapNode, owner: Owner, metadata: MapNode | null): Promise<Deployment[]> {
    const deployments = await podDeployments(pod, owner, 'kubernetes', this.#maps, this.#context, metadata ?? undefined)
    const spread = deployments.map(overNodes)
    this.found.push(...spread)
    return spread
  }

  /** A group of `size` pods is one engine: the leader's GPUs and those of the size - 1 workers. */
  async #leaderWorker(group: MapNode, owner: Owner): Promise<void> {
    const size = stringAt(group, 'size') ?? '1'
    const injected = new Map([['LWS_GROUP_SIZE', size]])
    const worker = mapAt(group, 'workerTemplate', 'spec')
    const leader = mapAt(group, 'leaderTemplate', 'spec') ?? worker
    if (!leader) return
    const pods = /^\d{1,4}$/.test(size) ? Number(size) : null
    const deployments = await podDeployments(
      leader,
      { ...owner, injected },
      'kubernetes',
      this.#maps,
      this.#context,
      mapAt(group, 'leaderTemplate', 'metadata'),
    )
    const workers = pods === null ? null : groupGpus(podGpus(worker), pods - 1)
    for (const deployment of deployments)
      this.found.push({ ...deployment, hardware: grouped(deployment.hardware, workers, pods) })
  }

  /** An engine started beside a Ray head runs over the head's GPUs and those of the worker groups. */
  async #rayGroups(node: MapNode, owner: Owner): Promise<void> {
    const head = mapAt(node, 'headGroupSpec', 'template', 'spec')
    const groups = listAt(node, 'workerGroupSpecs')
    if (head) {
      let workers: number | null = 0
      let pods: number | null = 1
      for (const group of groups) {
        const replicas = stringAt(group, 'replicas') ?? stringAt(group, 'minReplicas') ?? '1'
        const count: number | null = /^\d{1,4}$/.test(replicas) ? Number(replicas) : null
        const gpus = count === null ? null : groupGpus(podGpus(mapAt(group, 'template', 'spec')), count)
        workers = workers === null || gpus === null ? null : workers + gpus
        pods = pods === null || count === null ? null : pods + count
      }
      const deployments = await podDeployments(
        head,
        owner,
        'kubernetes',
        this.#maps,
        this.#context,
        mapAt(node, 'headGroupSpec', 'template', 'metadata'),
      )
      for (const deployment of deployments)
        this.found.push({ ...deployment, hardware: grouped(deployment.hardware, workers, pods) })
    }
    for (const group of groups) {
      const pod = mapAt(group, 'template', 'spec')
      if (pod) await this.#pod(pod, owner, mapAt(group, 'template', 'metadata') ?? null)
    }
  }
}

function groupGpus(pod: DeclaredHardware | null, pods: number): number | null {
  if (pods === 0 || pod === null) return 0
  return pod.gpusPerReplica === null ? null : pod.gpusPerReplica * pods
}

function grouped(hardware: DeclaredHardware, workers: number | null, nodes: number | null): DeclaredHardware {
  if (hardware.gpusPerReplica === 0 && hardware.accelerator !== 'nvidia') return { ...hardware, nodes }
  const gpusPerReplica = hardware.gpusPerReplica === null || workers === null ? null : hardware.gpusPerReplica + workers
  return { ...hardware, gpusPerReplica, nodes }
}

/** One engine over the replicas of a StatefulSet or several pods: `--nnodes 2` counts each pod's GPUs. */
function overNodes(deployment: Deployment): Deployment {
  const option = deployment.options['nnodes']
  const nodes = typeof option?.value === 'string' && /^\d{1,4}$/.test(option.value) ? Number(option.value) : 1
  const { hardware } = deployment
  if (nodes < 2 || hardware.nodes !== null) return deployment
  return {
    ...deployment,
    hardware: {
      ...hardware,
      nodes,
      gpusPerReplica: hardware.gpusPerReplica === null ? null : hardware.gpusPerReplica * nodes,
    },
  }
}
