import type { Context } from '../format.ts'
import type { Text } from '../text.ts'
import { listAt, mapAt, type Node, stringAt } from '../tree.ts'
import { parseYaml } from '../yaml.ts'

const MAX_NEIGHBOURS = 40

/** ConfigMaps that a manifest refers to: of the same file first, then of the files beside it. */
export class ConfigMaps {
  readonly #context: Context
  readonly #known = new Map<string, ReadonlyMap<string, Text>>()
  #own = false
  #neighbours = false

  constructor(context: Context) {
    this.#context = context
  }

  /** Keys and texts of the map; empty when no file here defines it. */
  async data(name: string): Promise<ReadonlyMap<string, Text>> {
    if (!this.#own) {
      this.#own = true
      for (const { root } of this.#context.documents()) this.#add(root)
    }
    if (!this.#known.has(name) && !this.#neighbours) {
      this.#neighbours = true
      await this.#readNeighbours()
    }
    return this.#known.get(name) ?? new Map()
  }

  async #readNeighbours(): Promise<void> {
    for (const root of await neighbours(this.#context, 'ConfigMap')) this.#add(root)
  }

  #add(root: Node | null): void {
    if (!root) return
    for (const item of listAt(root, 'items')) this.#add(item)
    const name = stringAt(root, 'metadata', 'name')
    if (stringAt(root, 'kind') !== 'ConfigMap' || name === undefined || this.#known.has(name)) return
    const entries = mapAt(root, 'data')?.entries ?? []
    this.#known.set(
      name,
      new Map(
        entries.flatMap(({ key, value }) =>
          value.kind === 'scalar' ? [[key.value, value.text] as [string, Text]] : [],
        ),
      ),
    )
  }
}

/** Documents of the manifests beside the file that hold an object of a kind. */
export async function neighbours({ path, list, open }: Context, kind: string): Promise<readonly Node[]> {
  const folder = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : ''
  const files = (await list(folder)).filter(file => /\.ya?ml$/.test(file) && file !== path)
  const found: Node[] = []
  for (const file of files.slice(0, MAX_NEIGHBOURS)) {
    const text = await open(file)
    if (text && new RegExp(`kind:\\s*["']?${kind}`).test(text.value))
      found.push(...parseYaml(text).flatMap(({ root }) => root ?? []))
  }
  return found
}
