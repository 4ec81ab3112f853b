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
const MAX_DEPTH = 60

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
    return merged(object, change, '', BUILT_IN.test(stringAt(object, 'kind') ?? ''), 0) ?? object
  })
}

function merged(base: Node | undefined, patch: Node, key: string, strategic: boolean, depth: number): Node | null {
  if (patch.kind === 'scalar') return patch.value === null ? null : patch
  const directive = stringAt(patch, '$patch')
  if (directive === 'delete') return null
  if (base === undefined || base.kind !== patch.kind || depth > MAX_DEPTH) return bare(patch)
  if (patch.kind === 'map') {
    if (directive === 'replace') return bare(patch)
    const entries = new Map((base as MapNode).entries.map(entry => [entry.key.value, entry]))
    for (const entry of patch.entries) {
      const name = entry.key.value
      const value = merged(entries.get(name)?.value, entry.value, name, strategic, depth + 1)
      if (value === null) entries.delete(name)
      else entries.set(name, { key: entry.key, value })
    }
    return new MapNode([...entries.values()], (base as MapNode).start)
  }
  const by = strategic ? MERGE_KEYS.get(key) : undefined
  if (by === undefined) return patch
  const items = new Map((base as ListNode).items.map((item, index) => [stringAt(item, by) ?? `#${index}`, item]))
  for (const [index, item] of patch.items.entries()) {
    const id = stringAt(item, by) ?? `+${index}`
    const value = merged(items.get(id), item, '', strategic, depth + 1)
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
export function withImages(object: Node, images: readonly Node[], depth = 0): Node {
  if (object.kind === 'scalar' || depth > MAX_DEPTH) return object
  if (object.kind === 'list') return each(object, item => withImages(item, images, depth + 1))
  let changed = false
  const entries = object.entries.map(entry => {
    const value =
      entry.key.value === 'image' && entry.value.kind === 'scalar'
        ? renamed(entry.value, images)
        : withImages(entry.value, images, depth + 1)
    changed ||= value !== entry.value
    return value === entry.value ? entry : { key: entry.key, value }
  })
  return changed ? new MapNode(entries, object.start) : object
}

function each(list: ListNode, change: (item: Node) => Node): Node {
  const items = list.items.map(change)
  return items.some((item, index) => item !== list.items[index]) ? new ListNode(items, list.start) : list
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
  return objects.map(one => (one === known ? (merged(one, without(map, 'metadata'), '', false, 0) ?? one) : one))
}
