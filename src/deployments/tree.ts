import type { Text } from './text.ts'

/** A parsed YAML or JSON document, with places; aliases share nodes, so a walk keeps a set of what it has seen. */
export type Node = MapNode | ListNode | ScalarNode

export interface Entry {
  readonly key: Text
  readonly value: Node
}

export class ScalarNode {
  readonly kind = 'scalar'
  readonly value: string | number | boolean | null
  /** The value as text; for numbers and booleans as they were written. */
  readonly text: Text
  readonly plain: boolean

  constructor(value: string | number | boolean | null, text: Text, plain: boolean) {
    this.value = value
    this.text = text
    this.plain = plain
  }
}

export class ListNode {
  readonly kind = 'list'
  readonly items: readonly Node[]
  /** Empty text at the start of the list. */
  readonly start: Text

  constructor(items: readonly Node[], start: Text) {
    this.items = items
    this.start = start
  }
}

export class MapNode {
  readonly kind = 'map'
  readonly entries: readonly Entry[]
  /** Empty text at the start of the mapping. */
  readonly start: Text
  #byKey: Map<string, Node> | null = null

  constructor(entries: readonly Entry[], start: Text) {
    this.entries = entries
    this.start = start
  }

  get(key: string): Node | undefined {
    this.#byKey ??= new Map(this.entries.map(entry => [entry.key.value, entry.value]))
    return this.#byKey.get(key)
  }
}

/** The node at a path of keys, where every step is a mapping; undefined when one is missing. */
export function at(node: Node | null | undefined, ...path: string[]): Node | undefined {
  let current: Node | undefined = node ?? undefined
  for (const key of path) {
    if (current?.kind !== 'map') return undefined
    current = current.get(key)
  }
  return current
}

export function mapAt(node: Node | null | undefined, ...path: string[]): MapNode | undefined {
  const found = at(node, ...path)
  return found?.kind === 'map' ? found : undefined
}

export function listAt(node: Node | null | undefined, ...path: string[]): readonly Node[] {
  const found = at(node, ...path)
  return found?.kind === 'list' ? found.items : []
}

/** Text of a scalar that is not null. */
export function textAt(node: Node | null | undefined, ...path: string[]): Text | undefined {
  const found = at(node, ...path)
  return found?.kind === 'scalar' && found.value !== null ? found.text : undefined
}

export function stringAt(node: Node | null | undefined, ...path: string[]): string | undefined {
  return textAt(node, ...path)?.value
}

/** Every scalar of a list, or the one scalar, as texts. */
export function textsOf(node: Node | null | undefined): Text[] {
  if (!node) return []
  if (node.kind === 'list')
    return node.items.flatMap(item => (item.kind === 'scalar' && item.value !== null ? [item.text] : []))
  return node.kind === 'scalar' && node.value !== null ? [node.text] : []
}

/** Visits every mapping below a node once, parents before children, with the keys that lead to it. */
export function eachMap(root: Node | null, visit: (map: MapNode, path: readonly string[]) => void): void {
  const seen = new Set<Node>()
  const walk = (node: Node, path: readonly string[]): void => {
    if (node.kind === 'scalar' || seen.has(node)) return
    seen.add(node)
    if (node.kind === 'list') {
      for (const item of node.items) walk(item, path)
      return
    }
    visit(node, path)
    for (const entry of node.entries) walk(entry.value, [...path, entry.key.value])
  }
  if (root) walk(root, [])
}

/** Plain JSON value of a node, cut off below `depth` levels so that shared nodes cannot explode. */
export function plainValue(node: Node | null | undefined, depth = 12): unknown {
  if (!node || depth === 0) return null
  if (node.kind === 'scalar') return node.value
  if (node.kind === 'list') return node.items.slice(0, 1000).map(item => plainValue(item, depth - 1))
  return Object.fromEntries(
    node.entries.slice(0, 1000).map(entry => [entry.key.value, plainValue(entry.value, depth - 1)]),
  )
}
