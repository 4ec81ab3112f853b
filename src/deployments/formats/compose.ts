import type { Command, Mount } from '../command.ts'
import { deploymentOf } from '../command-lines/index.ts'
import { type DeclaredHardware, type Deployment, noHardware } from '../deployment.ts'
import { device, gpus, volume } from '../docker.ts'
import { readDotenv } from '../dotenv.ts'
import type { Context, DocumentFormat } from '../format.ts'
import { engineStarts, withScripts } from '../launch.ts'
import { interpolate, type Lookup } from '../shell/parameters.ts'
import { splitText } from '../shell/words.ts'
import type { Text } from '../text.ts'
import { at, listAt, MapNode, mapAt, type Node, stringAt, textAt, textsOf } from '../tree.ts'

export const compose: DocumentFormat = {
  kind: 'document',
  name: 'compose',
  title: 'Docker Compose services: command, entrypoint, environment, GPU reservations, .env and defaults',
  marks: [],
  claims: root => {
    const services = mapAt(root, 'services')
    return (
      services !== undefined && at(root, 'kind') === undefined && services.entries.some(({ value }) => isService(value))
    )
  },
  read,
}

function isService(node: Node): boolean {
  return (
    node.kind === 'map' &&
    ['image', 'build', 'command', 'entrypoint', 'extends'].some(key => node.get(key) !== undefined)
  )
}

async function read(root: Node, context: Context): Promise<readonly Deployment[]> {
  const services = mapAt(root, 'services')
  if (!services) return []
  const dotenv = await readDotenv(context, '.env')
  const lookup: Lookup = name => dotenv.get(name)
  const found: Deployment[] = []
  for (const { key, value } of services.entries) {
    if (value.kind !== 'map') continue
    const service = extended(value, services, 0)
    const command = await serviceCommand(service, key, lookup, context)
    for (const start of engineStarts(await withScripts(command, context))) {
      const deployment = await deploymentOf(start, { format: 'compose', name: key.value }, context)
      if (deployment) found.push(deployment)
    }
  }
  return sharedDevices(found, services)
}

/** Engines of services that name the same device add up on one card, unless their profiles never run together. */
function sharedDevices(found: readonly Deployment[], services: MapNode): Deployment[] {
  const uses = new Map(found.map(one => [one, reservation(mapAt(services, one.id.slice(one.id.indexOf('#') + 1)))]))
  return found.map(one => {
    const own = uses.get(one)!
    const others = found.filter(other => other !== one && together(own, uses.get(other)!))
    if (others.length === 0 || !own.at) return one
    const names = others.map(other => other.id.slice(other.id.indexOf('#') + 1)).join(', ')
    const { file, line } = own.at.place
    const finding = {
      code: 'device-shared',
      severity: 'warning' as const,
      message: `shares GPU ${own.ids.join(', ')} with ${names}: their memory adds up`,
      file,
      line,
    }
    return {
      ...one,
      hardware: { ...one.hardware, shared: { kind: 'device' as const, replicas: others.length + 1, at: own.at.place } },
      findings: [...one.findings, finding],
    }
  })
}

interface Reservation {
  readonly ids: readonly string[]
  readonly profiles: readonly string[]
  readonly at: Text | undefined
}

function reservation(service: MapNode | undefined): Reservation {
  const ids = listAt(service, 'deploy', 'resources', 'reservations', 'devices').flatMap(device =>
    textsOf(at(device, 'device_ids')),
  )
  return {
    ids: ids.flatMap(id => id.value.split(',')).filter(id => !id.includes('$')),
    profiles: textsOf(at(service, 'profiles')).map(text => text.value),
    at: ids[0],
  }
}

function together(a: Reservation, b: Reservation): boolean {
  const run =
    a.profiles.length === 0 || b.profiles.length === 0 || a.profiles.some(profile => b.profiles.includes(profile))
  return run && a.ids.some(id => b.ids.includes(id))
}

/** `extends: {service: base}` of the same file: the base's keys below the service's own. */
function extended(service: MapNode, services: MapNode, depth: number): MapNode {
  const named =
    stringAt(service, 'extends') ??
    (at(service, 'extends', 'file') ? undefined : stringAt(service, 'extends', 'service'))
  const base = named === undefined ? undefined : mapAt(services, named)
  if (!base || depth > 5) return service
  const below = extended(base, services, depth + 1)
  return new MapNode(
    [...below.entries.filter(({ key }) => service.get(key.value) === undefined), ...service.entries],
    service.start,
  )
}

async function serviceCommand(service: MapNode, name: Text, lookup: Lookup, context: Context): Promise<Command> {
  const resolve = (text: Text): Text => interpolate(text, lookup)
  const env = new Map<string, Text>()
  for (const file of textsOf(at(service, 'env_file')))
    for (const [key, value] of await readDotenv(context, resolve(file).value)) env.set(key, value)
  for (const entry of listAt(service, 'env_file')) {
    const path = textAt(entry, 'path')
    if (path) for (const [key, value] of await readDotenv(context, resolve(path).value)) env.set(key, value)
  }
  for (const [key, value] of environment(service.get('environment'), lookup)) env.set(key, resolve(value))
  const entrypoint = words(service.get('entrypoint'), resolve)
  const command = words(service.get('command'), resolve)
  const image = textAt(service, 'image')
  return {
    argv: [...entrypoint, ...command],
    env,
    image: image ? resolve(image) : null,
    mounts: listAt(service, 'volumes').flatMap(node => mount(node, resolve)),
    hardware: hardware(service, resolve),
    names: [name.value, stringAt(service, 'container_name') ?? ''],
    at: name,
    files: new Map(),
  }
}

/** `environment:` as a map or a list of `K=V`; a bare `K` passes the variable through. */
function environment(node: Node | undefined, lookup: Lookup): [string, Text][] {
  if (node?.kind === 'map')
    return node.entries.flatMap(({ key, value }) =>
      value.kind === 'scalar' && value.value !== null ? [[key.value, value.text] as [string, Text]] : [],
    )
  return textsOf(node).flatMap(text => {
    const equals = text.value.indexOf('=')
    if (equals > 0) return [[text.value.slice(0, equals), text.slice(equals + 1)] as [string, Text]]
    const passed = lookup(text.value)
    return passed ? [[text.value, passed] as [string, Text]] : []
  })
}

/** A command: list items are words; a string is split as a shell would, after interpolation. */
function words(node: Node | undefined, resolve: (text: Text) => Text): Text[] {
  if (node?.kind === 'list')
    return textsOf(node)
      .map(resolve)
      .filter(word => word.value !== '')
  return textsOf(node).flatMap(text => splitText(resolve(text)))
}

function mount(node: Node, resolve: (text: Text) => Text): Mount[] {
  if (node.kind === 'scalar') {
    const found = volume(resolve(node.text))
    return found ? [found] : []
  }
  const source = textAt(node, 'source')
  const target = textAt(node, 'target')
  return source && target ? [{ host: resolve(source), container: resolve(target).value }] : []
}

/** GPU statements of a service: reservations, `gpus:`, `runtime: nvidia`, `devices:`. */
function hardware(service: MapNode, resolve: (text: Text) => Text): DeclaredHardware {
  let declared: DeclaredHardware = noHardware
  if (stringAt(service, 'runtime') === 'nvidia') declared = { ...declared, accelerator: 'nvidia' }
  if (stringAt(service, 'runtime') === 'habana') declared = { ...declared, accelerator: 'hpu' }
  for (const text of textsOf(service.get('devices'))) declared = { ...declared, ...device(resolve(text), declared) }
  const all = service.get('gpus')
  if (all?.kind === 'scalar' && all.value !== null)
    declared = { ...declared, accelerator: 'nvidia', ...gpus(resolve(all.text), `gpus: ${all.text.value}`) }
  const reserved = [
    ...(all?.kind === 'list' ? all.items : []),
    ...listAt(service, 'deploy', 'resources', 'reservations', 'devices'),
  ]
  let count: number | null = null
  for (const entry of reserved) {
    if (entry.kind !== 'map' || !isGpu(entry)) continue
    const ids = entry.get('device_ids')
    const number = textAt(entry, 'count')
    const list = ids ? textsOf(ids).map(resolve) : []
    const evidence = list[0] ?? number
    const own =
      list.length > 0
        ? deviceCount(list)
        : number && /^\d+$/.test(resolve(number).value)
          ? Number(resolve(number).value)
          : null
    if (own !== null) count = (count ?? 0) + own
    declared = {
      ...declared,
      accelerator: declared.accelerator ?? 'nvidia',
      gpusPerReplica: count,
      ...(evidence
        ? {
            gpusAt: evidence.place,
            gpusText:
              list.length > 0 ? `device_ids: ${list.map(id => id.value).join(', ')}` : `count: ${evidence.value}`,
          }
        : {}),
    }
  }
  return declared
}

/** `['0', '1']`, or one string "0,1"; null while a placeholder hides how many. */
function deviceCount(ids: readonly Text[]): number | null {
  const all = ids.flatMap(id => id.value.split(',')).filter(id => id.trim() !== '')
  return all.some(id => id.includes('$')) ? null : all.length
}

function isGpu(device: MapNode): boolean {
  const driver = stringAt(device, 'driver')
  const capabilities =
    JSON.stringify(textsOf(device.get('capabilities')).map(text => text.value)) +
    JSON.stringify(listAt(device, 'capabilities').flatMap(node => textsOf(node).map(text => text.value)))
  return driver === 'nvidia' || driver === 'cdi' || /gpu|nvidia/.test(capabilities)
}
