import { type Deployment, declared } from '../deployment.ts'
import { parseDotenv } from '../dotenv.ts'
import type { Context, DocumentFormat } from '../format.ts'
import { changes, patched, withConfigMap, withImages } from '../kustomize.ts'
import { joinPath } from '../path.ts'
import { Text } from '../text.ts'
import { type Entry, listAt, MapNode, mapAt, type Node, ScalarNode, stringAt, textAt, textsOf } from '../tree.ts'
import { parseYaml } from '../yaml.ts'
import { dynamo } from './dynamo.ts'
import { kserve } from './kserve.ts'
import { kubernetes } from './kubernetes.ts'

const MAX_FILES = 60
const MAX_DEPTH = 6
const NAMES = ['kustomization.yaml', 'kustomization.yml', 'Kustomization']
const READERS = [kserve, dynamo, kubernetes]

/**
 * A kustomization that changes what it lists is a deployment of its own, where the change matters. Manifests of its own
 * folder and of folders called base are deployed through it; others it lists count by themselves as well.
 */
export const kustomize: DocumentFormat = {
  kind: 'document',
  name: 'kustomize',
  title: 'Kustomizations with their bases: patches, images, ConfigMap generators',
  marks: ['kustomization', 'patches:', 'patchesstrategicmerge:', 'patchesjson6902:', 'newtag:', 'configmapgenerator:'],
  claims: (root, path) =>
    stringAt(root, 'kind') === 'Kustomization'
      ? !stringAt(root, 'apiVersion')?.includes('toolkit')
      : /(?:^|\/)kustomization\.ya?ml$/i.test(path),
  read: async (root, context) => {
    const build = new Build(context)
    const before = await build.resources(root, context.path, 0)
    const after = changes(root) ? await build.changed(root, context.path, before, 0) : before
    const known = new Set(after === before ? [] : (await read(before, context)).map(facts))
    const all = after === before ? [] : await read(after, context)
    for (const file of build.patches) context.part(file)
    if (all.every(one => known.has(facts(one)))) {
      // It deploys what it lists as it stands.
      if (!BASE.test(context.path)) for (const file of build.stands) context.part(file, false)
      return []
    }
    const own = folderOf(context.path)
    const parts = new Set([...build.files].filter(file => folderOf(file) === own || BASE.test(file)))
    for (const file of [...parts, ...build.contents]) context.part(file)
    return all
      .filter(one => parts.has(one.id.split('#')[0]!) || !known.has(facts(one)))
      .map(one => ({ ...one, format: 'kustomize', id: `${context.path}#${one.id.split('#')[1]}` }))
  },
}

const BASE = /(?:^|\/)bases?\//
const facts = (one: Deployment): string => `${one.id.split('#')[1]} ${one.engine.version} ${declared(one)}`
const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')))

async function read(objects: readonly Node[], context: Context): Promise<Deployment[]> {
  const documents = objects.map(root => ({ root, errors: [], duplicates: [] }))
  const found: Deployment[] = []
  for (const object of objects)
    for (const reader of READERS)
      if (reader.claims(object, context.path)) {
        found.push(...((await reader.read(object, { ...context, documents: () => documents })) ?? []))
        break
      }
  return found
}

/** Puts the objects of a kustomization together, file by file. */
class Build {
  readonly #context: Context
  /** Manifests and kustomizations that are listed, below the first. */
  readonly files = new Set<string>()
  /** Those of them that declare what it takes: a kustomization that changes its files stands for them. */
  stands: ReadonlySet<string> = new Set()
  readonly patches = new Set<string>()
  /** Files that generated ConfigMaps hold. */
  readonly contents = new Set<string>()
  #opened = 0

  constructor(context: Context) {
    this.#context = context
  }

  /** What `resources` and `bases` list, each kustomization among them built. */
  async resources(root: Node, path: string, depth: number): Promise<readonly Node[]> {
    const found: Node[] = []
    for (const name of [...textsOf(mapOf(root)?.get('resources')), ...textsOf(mapOf(root)?.get('bases'))]) {
      const file = joinPath(folderOf(path), name.value)
      if (file === null || this.files.has(file)) continue
      const roots = /\.(?:ya?ml|json)$/i.test(file) ? await this.#open(file) : null
      if (roots) {
        this.files.add(file)
        this.stands = new Set([...this.stands, file])
        found.push(...roots)
      } else {
        const inner = await this.#kustomization(file)
        if (!inner || depth >= MAX_DEPTH || inner.path === this.#context.path || this.files.has(inner.path)) continue
        this.files.add(inner.path)
        const { stands } = this
        const listed = await this.resources(inner.root, inner.path, depth + 1)
        found.push(...(await this.changed(inner.root, inner.path, listed, depth + 1)))
        if (changes(inner.root)) this.stands = new Set([...stands, inner.path])
      }
    }
    return found
  }

  /** The objects after everything that the kustomization changes. */
  async changed(root: Node, path: string, listed: readonly Node[], depth: number): Promise<readonly Node[]> {
    let objects = listed
    for (const name of textsOf(mapOf(root)?.get('components'))) {
      const folder = joinPath(folderOf(path), name.value)
      const inner = folder === null || depth >= MAX_DEPTH ? null : await this.#kustomization(folder)
      if (!inner) continue
      const more = await this.resources(inner.root, inner.path, depth + 1)
      objects = await this.changed(inner.root, inner.path, [...objects, ...more], depth + 1)
    }
    for (const generator of listAt(root, 'configMapGenerator').slice(0, MAX_FILES)) {
      const map = await this.#configMap(generator, path)
      if (map) objects = withConfigMap(objects, map)
    }
    for (const patch of textsOf(mapOf(root)?.get('patchesStrategicMerge')).slice(0, MAX_FILES))
      objects = await this.#apply(objects, patch, patch.value.includes('\n'), path, undefined)
    for (const key of ['patches', 'patchesJson6902'])
      for (const one of listAt(root, key).slice(0, MAX_FILES)) {
        const inline = textAt(one, 'patch')
        const patch = inline ?? textAt(one, 'path')
        if (patch) objects = await this.#apply(objects, patch, inline !== undefined, path, mapAt(one, 'target'))
      }
    const images = listAt(root, 'images').slice(0, MAX_FILES)
    return images.length === 0 ? objects : objects.map(object => withImages(object, images))
  }

  async #apply(
    objects: readonly Node[],
    patch: Text,
    inline: boolean,
    from: string,
    target: MapNode | undefined,
  ): Promise<readonly Node[]> {
    const file = inline ? null : joinPath(folderOf(from), patch.value)
    const roots = inline ? rootsOf(patch) : file === null ? null : await this.#open(file)
    let result = objects
    for (const root of roots ?? []) result = patched(result, root, target)
    if (file !== null && result.some((one, index) => one !== objects[index])) this.patches.add(file)
    return result
  }

  async #kustomization(folder: string): Promise<{ root: Node; path: string } | null> {
    for (const name of NAMES) {
      const path = folder === '' ? name : `${folder}/${name}`
      const [root] = (await this.#open(path)) ?? []
      if (root) return { root, path }
    }
    return null
  }

  async #open(path: string): Promise<readonly Node[] | null> {
    if (++this.#opened > MAX_FILES) return null
    const text = await this.#context.open(path)
    return text && rootsOf(text)
  }

  /** A generator's literals, files and variables as a ConfigMap. */
  async #configMap(generator: Node, path: string): Promise<MapNode | null> {
    const name = textAt(generator, 'name')
    if (!name) return null
    const data = new Map<string, Text>()
    const open = async (asked: string): Promise<Text | null> => {
      const file = joinPath(folderOf(path), asked)
      if (file === null || ++this.#opened > MAX_FILES) return null
      this.contents.add(file)
      return this.#context.open(file)
    }
    const map = mapOf(generator)
    for (const file of [...textsOf(map?.get('envs')), ...textsOf(map?.get('env'))]) {
      const text = await open(file.value)
      if (text) for (const [key, value] of parseDotenv(text)) data.set(key, value)
    }
    for (const file of textsOf(map?.get('files'))) {
      const cut = file.value.indexOf('=')
      const source = file.value.slice(cut + 1)
      const text = await open(source)
      if (text) data.set(cut < 0 ? source.slice(source.lastIndexOf('/') + 1) : file.value.slice(0, cut), text)
    }
    for (const literal of textsOf(map?.get('literals'))) {
      const cut = literal.value.indexOf('=')
      const quoted = /^(["']).*\1$/s.test(literal.value.slice(cut + 1)) ? 1 : 0
      if (cut > 0) data.set(literal.value.slice(0, cut), literal.slice(cut + 1 + quoted, literal.value.length - quoted))
    }
    const entry = (key: string, value: Node): Entry => ({ key: Text.at(name, key), value })
    const scalar = (text: Text): Node => new ScalarNode(text.value, text, true)
    const entries = [...data].map(([key, text]) => entry(key, scalar(text)))
    const metadata = new MapNode([entry('name', scalar(name))], name)
    return new MapNode(
      [
        entry('kind', scalar(Text.at(name, 'ConfigMap'))),
        entry('metadata', metadata),
        entry('data', new MapNode(entries, name)),
      ],
      name,
    )
  }
}

const mapOf = (node: Node): MapNode | undefined => (node.kind === 'map' ? node : undefined)
const rootsOf = (text: Text): Node[] => parseYaml(text).flatMap(({ root }) => root ?? [])
