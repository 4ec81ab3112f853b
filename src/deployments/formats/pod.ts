import type { Command, Mount } from '../command.ts'
import { deploymentOf } from '../command-lines/index.ts'
import type { DeclaredHardware, Deployment } from '../deployment.ts'
import type { Context } from '../format.ts'
import { engineStarts, withScripts } from '../launch.ts'
import { kubernetesVariables } from '../shell/parameters.ts'
import { Text } from '../text.ts'
import { at, listAt, type MapNode, mapAt, stringAt, textAt, textsOf } from '../tree.ts'
import type { ConfigMaps } from './config-maps.ts'
import { nodeHardware, podHardware, resourceHardware } from './pod-hardware.ts'

/** The object a pod belongs to: "Deployment/llama", and what it injects. */
export interface Owner {
  readonly kind: string
  readonly name: string
  /** Variables the controller injects, as text beside the pod. */
  readonly injected?: ReadonlyMap<string, string>
}

/** Engines that the containers of a pod spec start. Init containers start none. */
export async function podDeployments(
  pod: MapNode,
  owner: Owner,
  format: string,
  maps: ConfigMaps,
  context: Context,
  metadata?: MapNode,
): Promise<Deployment[]> {
  const found: Deployment[] = []
  const containers = [
    ...listAt(pod, 'containers'),
    ...['container', 'mainContainer'].flatMap(key => mapAt(pod, key) ?? []),
  ]
  for (const container of containers) {
    if (container.kind !== 'map') continue
    const command = await containerCommand(container, pod, owner, maps, metadata)
    const name = [owner.kind, owner.name, stringAt(container, 'name') ?? ''].filter(part => part !== '').join('/')
    for (const start of engineStarts(await withScripts(command, context))) {
      const deployment = await deploymentOf(start, { format, name }, context)
      if (deployment) found.push(deployment)
    }
  }
  return found
}

/** A container as a command: `command` and `args` with `$(VAR)` resolved, environment, mounted files, hardware. */
export async function containerCommand(
  container: MapNode,
  pod: MapNode,
  owner: Owner,
  maps: ConfigMaps,
  metadata?: MapNode,
): Promise<Command> {
  const start = textAt(container, 'name') ?? textAt(container, 'image') ?? container.start
  const env = await environment(container, owner, maps, start)
  const resolve = (text: Text): Text => kubernetesVariables(text, name => env.get(name))
  const image = textAt(container, 'image')
  const hardware = podHardware(nodeHardware(pod, metadata), resourceHardware(at(container, 'resources'), resolve))
  return {
    argv: [...words(container, 'command'), ...words(container, 'args')].map(resolve),
    env,
    image: image ? resolve(image) : null,
    mounts: mounts(container, pod),
    hardware,
    names: [owner.name, stringAt(container, 'name') ?? ''],
    at: start,
    files: await mountedFiles(container, pod, maps),
  }
}

function words(container: MapNode, key: string): Text[] {
  return textsOf(container.get(key)).filter(text => text.value.trim() !== '')
}

/** `env` in order over `envFrom`; ConfigMap references are followed, secrets and fields are not known. */
async function environment(
  container: MapNode,
  owner: Owner,
  maps: ConfigMaps,
  start: Text,
): Promise<Map<string, Text>> {
  const env = new Map<string, Text>()
  for (const [name, value] of owner.injected ?? []) env.set(name, Text.at(start, value))
  for (const source of listAt(container, 'envFrom')) {
    const map = stringAt(source, 'configMapRef', 'name')
    const prefix = stringAt(source, 'prefix') ?? ''
    if (map) for (const [key, value] of await maps.data(map)) env.set(prefix + key, value)
  }
  for (const { key, value } of mapAt(container, 'env')?.entries ?? [])
    if (value.kind === 'scalar' && value.value !== null) env.set(key.value, value.text)
  for (const variable of listAt(container, 'env')) {
    const name = stringAt(variable, 'name')
    if (name === undefined) continue
    const value = textAt(variable, 'value')
    if (value)
      env.set(
        name,
        kubernetesVariables(value, other => env.get(other)),
      )
    else {
      const map = stringAt(variable, 'valueFrom', 'configMapKeyRef', 'name')
      const key = stringAt(variable, 'valueFrom', 'configMapKeyRef', 'key')
      const found = map && key ? (await maps.data(map)).get(key) : undefined
      if (found) env.set(name, found)
    }
  }
  return env
}

/** Host sides of the container's mounts, where the pod names them. */
function mounts(container: MapNode, pod: MapNode): Mount[] {
  return listAt(container, 'volumeMounts').flatMap(mount => {
    const path = stringAt(mount, 'mountPath')
    const volume = listAt(pod, 'volumes').find(one => stringAt(one, 'name') === stringAt(mount, 'name'))
    const host = textAt(volume, 'hostPath', 'path') ?? textAt(volume, 'nfs', 'path')
    return path && host ? [{ host, container: path }] : []
  })
}

/** Files that ConfigMap volumes put into the container. */
async function mountedFiles(container: MapNode, pod: MapNode, maps: ConfigMaps): Promise<Map<string, Text>> {
  const files = new Map<string, Text>()
  for (const mount of listAt(container, 'volumeMounts')) {
    const path = stringAt(mount, 'mountPath')
    const volume = listAt(pod, 'volumes').find(one => stringAt(one, 'name') === stringAt(mount, 'name'))
    const map = stringAt(volume, 'configMap', 'name')
    if (!path || !map) continue
    const subPath = stringAt(mount, 'subPath')
    const items = listAt(volume, 'configMap', 'items')
    for (const [key, text] of await maps.data(map)) {
      if (subPath !== undefined) {
        if (key === subPath) files.set(path, text)
        continue
      }
      const item = items.find(one => stringAt(one, 'key') === key)
      if (items.length === 0 || item) files.set(`${path.replace(/\/$/, '')}/${stringAt(item, 'path') ?? key}`, text)
    }
  }
  return files
}

/** GPUs of a container list: what a worker pod adds to its group; null when it asks for none. */
export function podGpus(pod: MapNode | undefined): DeclaredHardware | null {
  const asked = listAt(pod, 'containers')
    .map(container => resourceHardware(at(container, 'resources'), text => text))
    .filter(own => own.accelerator !== null)
  const [first] = asked
  if (!first) return null
  const counts = asked.map(own => own.gpusPerReplica)
  return {
    ...first,
    gpusPerReplica: counts.some(count => count === null)
      ? null
      : counts.reduce<number>((sum, count) => sum + (count ?? 0), 0),
  }
}
