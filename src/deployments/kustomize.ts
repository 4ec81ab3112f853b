import { Text } from './text.ts'
import { ListNode, listAt, MapNode, mapAt, type Node, ScalarNode, stringAt, textAt } from './tree.ts'

/** Lists of pod specs that strategic merge joins by a key; all other lists are replaced. */
const MERGE_KEYS = new Map([
  ['containers', 'name'],
  ['initContainers', 'name'],
  ['env', 'name'],
  ['volumes', 'name'],
  ['volumeMounts', 'mountPath'],
])
/** Kinds whose schema kustomize knows; lists of custom resources are replaced. */
const BUILT_IN = /^(?:Deployment|StatefulSet|DaemonSet|ReplicaSet|Job|CronJob|Pod)$/
/** Nodes one patch may touch: aliases can make a small text a large tree. */
const MAX_NODES = 20_000

const metaName = (node: Node): string => stringAt(node, 'metadata', 'name') ?? ''
const without = (map: MapNode, ...keys: string[]): MapNode =>
  new MapNode(
    map.entries.filter(({ key }) => !keys.includes(key.value)),
    map.start,
  )

/** A patch file's or target's object: by kind and name; `.*` stands for any. A selector by labels selects none. */
function selects(target: Node, object: Node): boolean {
  if (stringAt(target, 'labelSelector') ?? stringAt(target, 'annotationSelector')) return false
  const fits = (asked: string | undefined, own: string): boolean =>
    asked === undefined || asked === '' || asked === '.*' || asked === own
  return (
    fits(stringAt(target, 'kind'), stringAt(object, 'kind') ?? '') && fits(stringAt(target, 'name'), metaName(object))
  )
}

/** Objects after a patch: a strategic merge (or a merge patch of a custom resource), or a list of JSON operations. */
export function patched(objects: readonly Node[], patch: Node, target: MapNode | undefined): readonly Node[] {
  return objects.map(object => {
    const chosen = target
      ? selects(target, object)
      : stringAt(patch, 'kind') === stringAt(object, 'kind') && metaName(patch) === metaName(object)
    if (!chosen) return object
    if (patch.kind === 'list') return patch.items.slice(0, 500).reduce(operation, object)
    if (patch.kind === 'scalar') return object
    const change = without(patch, 'apiVersion', 'kind', 'metadata')
    return (
      merged(object, change, '', { strategic: BUILT_IN.test(stringAt(object, 'kind') ?? ''), left: MAX_NODES }) ??
      object
    )
  })
}

interface Merge {
  readonly strategic: boolean
  left: number
}

function merged(base: Node | undefined, patch: Node, key: string, merge: Merge): Node | null {
  if (patch.kind === 'scalar') return patch.value === null ? null : patch
  const directive = stringAt(patch, '$patch')
  if (directive === 'delete') return null
  if (base === undefined || base.kind !== patch.kind || --merge.left < 0) return bare(patch)
  if (patch.kind === 'map') {
    if (directive === 'replace') return bare(patch)
    const entries = new Map((base as MapNode).entries.map(entry => [entry.key.value, entry]))
    for (const entry of patch.entries) {
      const name = entry.key.value
      const value = merged(entries.get(name)?.value, entry.value, name, merge)
      if (value === null) entries.delete(name)
      else entries.set(name, { key: entry.key, value })
    }
    return new MapNode([...entries.values()], (base as MapNode).start)
  }
  const by = merge.strategic ? MERGE_KEYS.get(key) : undefined
  if (by === undefined) return patch
  const items = new Map((base as ListNode).items.map((item, index) => [stringAt(item, by) ?? `#${index}`, item]))
  for (const [index, item] of patch.items.entries()) {
    const id = stringAt(item, by) ?? `+${index}`
    const value = merged(items.get(id), item, '', merge)
    if (value === null) items.delete(id)
    else items.set(id, value)
  }
  return new ListNode([...items.values()], patch.start)
}

function bare(node: MapNode | ListNode): Node {
  return node.kind === 'map' && node.get('$patch') ? without(node, '$patch') : node
}

/** One JSON 6902 operation: add, replace, remove at a path; others and paths that are not there change nothing. */
function operation(object: Node, change: Node): Node {
  const op = stringAt(change, 'op') ?? ''
  const value = change.kind === 'map' ? change.get('value') : undefined
  const path = (stringAt(change, 'path') ?? '')
    .split('/')
    .slice(1)
    .map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'))
  if (!/^(?:add|replace|remove)$/.test(op) || (op !== 'remove' && !value) || path.length === 0) return object
  return edited(object, path, op, op === 'remove' ? undefined : value, textAt(change, 'path'))
}

function edited(
  node: Node,
  [part = '', ...rest]: readonly string[],
  op: string,
  value: Node | undefined,
  path: ReturnType<typeof textAt>,
): Node {
  if (node.kind === 'map') {
    const at = node.entries.findIndex(({ key }) => key.value === part)
    const entry = node.entries[at]
    if (rest.length > 0) {
      if (!entry) return node
      const entries = [...node.entries]
      entries[at] = { key: entry.key, value: edited(entry.value, rest, op, value, path) }
      return new MapNode(entries, node.start)
    }
    if (!path || (op !== 'add' && !entry)) return node
    const others = node.entries.filter(one => one !== entry)
    return new MapNode(value ? [...others, { key: Text.at(path, part), value }] : others, node.start)
  }
  if (node.kind === 'scalar') return node
  const index = part === '-' ? node.items.length : /^\d{1,4}$/.test(part) ? Number(part) : -1
  const item = node.items[index]
  if (index < 0 || index > node.items.length || (!item && (rest.length > 0 || op !== 'add'))) return node
  const items = [...node.items]
  if (rest.length > 0) items[index] = edited(item!, rest, op, value, path)
  else items.splice(index, op === 'add' ? 0 : 1, ...(value ? [value] : []))
  return new ListNode(items, node.start)
}

/** An object with the names and tags of `images:` in its containers. */
export function withImages(object: Node, images: readonly Node[], seen = new Map<Node, Node>()): Node {
  if (object.kind === 'scalar') return object
  const known = seen.get(object)
  if (known) return known
  seen.set(object, object)
  let changed = false
  const change = (value: Node, key = ''): Node => {
    const next = key === 'image' && value.kind === 'scalar' ? renamed(value, images) : withImages(value, images, seen)
    changed ||= next !== value
    return next
  }
  const next =
    object.kind === 'list'
      ? new ListNode(
          object.items.map(item => change(item)),
          object.start,
        )
      : new MapNode(
          object.entries.map(({ key, value }) => ({ key, value: change(value, key.value) })),
          object.start,
        )
  if (!changed) return object
  seen.set(object, next)
  return next
}

function renamed(image: ScalarNode, images: readonly Node[]): Node {
  const [, name = '', rest = ''] = /^(.*?)((?::[^:/@]*)?(?:@.*)?)$/.exec(image.text.value) ?? []
  const change = images.find(one => stringAt(one, 'name') === name)
  if (!change) return image
  const [newName, tag, digest] = ['newName', 'newTag', 'digest'].map(key => stringAt(change, key))
  const value = `${newName ?? name}${digest ? `@${digest}` : tag ? `:${tag}` : rest}`
  const at = textAt(change, 'newTag') ?? textAt(change, 'newName') ?? textAt(change, 'digest') ?? image.text
  return new ScalarNode(value, Text.at(at, value), true)
}

/** Does a kustomization change the objects it lists? */
export function changes(root: Node): boolean {
  return ['patches', 'patchesStrategicMerge', 'patchesJson6902', 'images', 'configMapGenerator', 'components'].some(
    key => listAt(root, key).length > 0,
  )
}

/** A ConfigMap's data over that of the same name: `configMapGenerator`. */
export function withConfigMap(objects: readonly Node[], map: MapNode): readonly Node[] {
  const known = objects.find(one => stringAt(one, 'kind') === 'ConfigMap' && metaName(one) === metaName(map))
  const data = mapAt(map, 'data')
  if (!known || !data) return [...objects, map]
  return objects.map(one =>
    one === known ? (merged(one, without(map, 'metadata'), '', { strategic: false, left: MAX_NODES }) ?? one) : one,
  )
}
