import type { Problem } from '../problem.ts'
import type { Repository, RepositoryFile } from '../repository/repository.ts'
import { commandLines } from './command-lines/index.ts'
import { type Deployment, declared, type Extraction, type NotUnderstood } from './deployment.ts'
import type { Context, DocumentFormat, FileFormat } from './format.ts'
import { formats } from './formats/index.ts'
import { chartFolder, isHelmTemplate, substituteValues } from './helm-template.ts'
import { joinPath } from './path.ts'
import { Text } from './text.ts'
import { at, listAt, type Node, stringAt, textAt } from './tree.ts'
import { parseYaml, type YamlDocument } from './yaml.ts'

/** What a survey looks at. */
export interface Bounds {
  /** Files of the list that are looked at; the rest is said to be cut off. */
  readonly files: number
  /** Bytes of the largest file that is read; larger ones are named as not understood. */
  readonly bytes: number
}

/** Text files larger than this are no manifests; JSON data and programs are cut off sooner. */
const MAX_BYTES = 1024 * 1024
const MAX_DATA_BYTES = 256 * 1024
const DATA = /\.(?:json|py)$/i
const PARSED = /\.(?:ya?ml|json)(?:\.(?:tpl|tftpl|tmpl|template|example|sample|dist))?$/i

const documentFormats = formats.filter((format): format is DocumentFormat => format.kind === 'document')
const fileFormats = formats.filter((format): format is FileFormat => format.kind === 'file')

const escaped = (mark: string): string => mark.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
const pattern = (readers: readonly { readonly marks: readonly string[] }[]): RegExp =>
  new RegExp([...new Set(readers.flatMap(reader => reader.marks.map(escaped)))].join('|'), 'i')

/** One pattern over the marks of all engines and document formats: a file without any of them is never parsed. */
const candidate = pattern([...commandLines, ...documentFormats])
const ownMarks = new Map(fileFormats.filter(one => one.marks.length > 0).map(one => [one, pattern([one])]))

/**
 * Finds every deployment that the repository's files declare. Files are looked at one after another and let go again:
 * memory does not grow with their number. Never throws for any content.
 */
export async function extract(
  repository: Repository,
  bounds: Bounds = { files: Number.POSITIVE_INFINITY, bytes: MAX_BYTES },
): Promise<Extraction> {
  const listed = await repository.list()
  const files = listed.files.slice(0, bounds.files)
  const truncated = listed.truncated || files.length < listed.files.length
  const problems: Problem[] = []
  if (truncated)
    problems.push({
      code: 'too-many-files',
      message: 'the list of files was cut off',
      hint: 'narrow it with include or exclude',
    })
  const deployments: Deployment[] = []
  const notUnderstood: NotUnderstood[] = []
  const folders = new Folders(files)
  const referred = new Set<string>()
  const parts = new Map<string, boolean>()
  const counts = { filesRead: 0, filesParsed: 0 }
  for (const file of files) {
    const readers = fileFormats.filter(format => format.paths(file.path))
    const structured = PARSED.test(file.path)
    if (readers.length === 0 && !structured) continue
    if (file.size > (DATA.test(file.path) ? Math.min(MAX_DATA_BYTES, bounds.bytes) : bounds.bytes)) {
      const entry = await tooLarge(file, bounds.bytes, repository)
      if (entry) notUnderstood.push(entry)
      continue
    }
    const source = await repository.read(file.path, bounds.bytes)
    if (source === null) continue
    counts.filesRead++
    const named = readers.length > 0 && candidate.test(file.path.slice(file.path.lastIndexOf('/') + 1))
    if (!named && !candidate.test(source) && !readers.some(reader => ownMarks.get(reader)?.test(source))) continue
    counts.filesParsed++
    const found = await readFile(file.path, source, readers, structured, repository, folders)
    notUnderstood.push(...found.notUnderstood)
    problems.push(...found.problems)
    if (found.deployments.length > 0) for (const path of found.referred) referred.add(path)
    for (const [path, only] of found.parts) parts.set(path, only && parts.get(path) !== false)
    deployments.push(...found.deployments.map(detached))
  }
  return {
    deployments: named(deployments.filter(one => !isPart(one, referred, parts))),
    notUnderstood,
    problems,
    counts,
  }
}

/** A copy whose strings are its own: a slice would keep the whole file's text in memory. */
function detached(deployment: Deployment): Deployment {
  return JSON.parse(JSON.stringify(deployment)) as Deployment
}

/** An option file or script that a command names, a patch or base of an overlay: parts, no deployments of their own. */
function isPart(
  { format, id }: Deployment,
  referred: ReadonlySet<string>,
  parts: ReadonlyMap<string, boolean>,
): boolean {
  const file = id.split('#')[0]!
  return parts.get(file) === true || ((format === 'engine-config' || format === 'shell') && referred.has(file))
}

/** Unique ids: the second of a name gets "/2". */
function named(deployments: readonly Deployment[]): Deployment[] {
  const ids = new Map<string, number>()
  return deployments.map(deployment => {
    let count = (ids.get(deployment.id) ?? 0) + 1
    ids.set(deployment.id, count)
    if (count === 1) return deployment
    while (ids.has(`${deployment.id}/${count}`)) count++
    const id = `${deployment.id}/${count}`
    ids.set(deployment.id, count)
    ids.set(id, 1)
    return { ...deployment, id }
  })
}

interface Found {
  readonly deployments: Deployment[]
  readonly namespaces: Map<Deployment, string | null>
  readonly notUnderstood: NotUnderstood[]
  readonly problems: Problem[]
  /** Files that a command names as its own: option files, variables. */
  readonly referred: string[]
  /** Files that are deployed through this one (true), or as they stand. */
  readonly parts: Map<string, boolean>
}

async function readFile(
  path: string,
  source: string,
  readers: readonly FileFormat[],
  structured: boolean,
  repository: Repository,
  folders: Folders,
): Promise<Found> {
  const found: Found = {
    deployments: [],
    namespaces: new Map(),
    notUnderstood: [],
    problems: [],
    referred: [],
    parts: new Map(),
  }
  const text = Text.file(path, source)
  const template = structured && isHelmTemplate(path, source)
  const parsed = template
    ? substituteValues(text, await chartValues(path, repository))
    : structured && /\{\{-?\s*\.Values\./.test(source)
      ? // values that name each other, for a chart that expands them
        substituteValues(text, parseYaml(text)[0]?.root ?? null)
      : text
  let documents: readonly YamlDocument[] | null = null
  const context: Context = {
    path,
    text,
    documents: () => (documents ??= parseYaml(parsed)),
    read: async asked => {
      const near = await readNear(path, asked, repository)
      if (near) found.referred.push(near.file)
      return near
    },
    open: async other => openText(other, repository),
    list: async folder => folders.under(folder),
    part: (other, only = true) => found.parts.set(other, only && found.parts.get(other) !== false),
    notUnderstood: entry => found.notUnderstood.push({ file: path, ...entry }),
  }
  for (const reader of readers) found.deployments.push(...(await reader.read(context)))
  if (!structured) {
    // A script that starts nothing itself may write the manifest that it starts.
    if (found.deployments.length === 0 && path.endsWith('sh') && /compose.* up|kubectl.* (?:apply|create)/.test(source))
      for (const match of source.matchAll(
        /<<-?[ \t]*(["']?)(\w+)\1.*\r?\n(?=[\w:'". -]*\r?\n?(?:services|apiVersion):)([\s\S]{1,9999}?)\n[ \t]*\2$/gm,
      )) {
        const from = match.index + match[0].indexOf('\n') + 1
        for (const { root } of parseYaml(text.slice(from, from + match[3]!.length)))
          if (root) found.deployments.push(...(await readRoot(root, context)))
      }
    return found
  }
  for (const document of context.documents()) await readDocument(document, context, found)
  if (template) asTemplate(source, context, found)
  return found
}

/** Values of the chart that a template belongs to. */
async function chartValues(path: string, repository: Repository): Promise<Node | null> {
  const file = `${chartFolder(path)}values.yaml`
  const text = await repository.read(file)
  return text === null || text.length > MAX_BYTES ? null : (parseYaml(Text.file(file, text))[0]?.root ?? null)
}

/** Errors of a template's YAML are no news; one that starts containers and gave no deployment is listed. */
function asTemplate(source: string, context: Context, found: Found): void {
  found.problems.length = 0
  found.notUnderstood.length = 0
  if (found.deployments.length > 0 || !/^\s*(?:- )?(?:containers|image):/m.test(source)) return
  const line = source.slice(0, Math.max(0, source.indexOf('{{'))).split('\n').length
  context.notUnderstood({
    line,
    reason: 'helm-template',
    message: 'an unrendered Helm template; render the chart and check its output, or check its values file',
  })
}

async function readDocument(document: YamlDocument, context: Context, found: Found): Promise<void> {
  const { root } = document
  const before = found.deployments.length
  if (root) {
    const read = await readRoot(root, context)
    const namespace = stringAt(root, 'metadata', 'namespace') ?? null
    // The same object twice in one file is one object.
    const fresh = read.filter(
      one =>
        !found.deployments
          .slice(0, before)
          .some(other => found.namespaces.get(other) === namespace && sameObject(one, other)),
    )
    for (const one of fresh) found.namespaces.set(one, namespace)
    found.deployments.push(...fresh)
  }
  const [error] = document.errors
  if (error) {
    const message = `not valid YAML: ${error.message}`
    // One entry a file: the first error says enough.
    const known = found.problems.length > 0 || found.notUnderstood.some(entry => entry.reason === 'yaml-invalid')
    if (found.deployments.length > before && !known)
      found.problems.push({ code: 'yaml-invalid', message, at: { file: context.path, line: error.line, column: 1 } })
    else if (!known && !context.path.endsWith('.json'))
      context.notUnderstood({ line: error.line, reason: 'yaml-invalid', message })
  }
  const first = found.deployments[before]
  if (first && document.duplicates.length > 0) {
    const findings = document.duplicates.slice(0, 5).map(key => ({
      code: 'duplicate-key',
      severity: 'warning' as const,
      message: `the key ${JSON.stringify(key.value.slice(0, 80))} stands twice in one mapping; the last one counts`,
      file: context.path,
      line: key.place.line,
    }))
    found.deployments[before] = { ...first, findings: [...first.findings, ...findings] }
  }
}

/** The first format that claims a document and has something to say about it. */
async function readRoot(root: Node, context: Context): Promise<readonly Deployment[]> {
  const values = releaseValues(root)
  for (const format of documentFormats) {
    const found = format.claims(values ?? root, values ? 'values' : context.path)
      ? await format.read(values ?? root, context)
      : null
    if (found !== null) return found
  }
  return []
}

/** The values that a Flux HelmRelease or an Argo CD Application gives to its chart. */
function releaseValues(root: Node): Node | null | undefined {
  if (stringAt(root, 'kind') === 'HelmRelease') return at(root, 'spec', 'values')
  const helm = [at(root, 'spec', 'source'), ...listAt(root, 'spec', 'sources')]
    .map(source => at(source, 'helm'))
    .find(one => one !== undefined)
  const text = textAt(helm, 'values')
  return text ? parseYaml(text)[0]?.root : at(helm, 'valuesObject')
}

function sameObject(a: Deployment, b: Deployment): boolean {
  return a.id === b.id && a.format === b.format && declared(a) === declared(b)
}

/** A path as the file writes it: relative to its folder, then to the root, then by its last parts (a mounted path). */
async function readNear(from: string, asked: string, repository: Repository): Promise<Text | null> {
  const plain = asked.replace(/^\.\//, '')
  if (plain === '' || plain.length > 500 || /[\0$]/.test(plain)) return null
  const folder = from.includes('/') ? from.slice(0, from.lastIndexOf('/')) : ''
  const paths = plain.startsWith('/')
    ? [plain.slice(1), joinPath(folder, plain.slice(plain.lastIndexOf('/') + 1))]
    : [joinPath(folder, plain), plain]
  for (const path of new Set(paths)) {
    if (path === null || path === from) continue
    const text = await openText(path, repository)
    if (text) return text
  }
  return null
}

async function openText(path: string, repository: Repository): Promise<Text | null> {
  const text = await repository.read(path)
  return text === null || text.length > MAX_BYTES ? null : Text.file(path, text)
}

/** A large file is reported only when its beginning looks like a deployment. */
async function tooLarge(file: RepositoryFile, limit: number, repository: Repository): Promise<NotUnderstood | null> {
  if (DATA.test(file.path)) return null
  const bytes = await repository.readBytes(file.path, 0, 65_536)
  if (!bytes || !candidate.test(new TextDecoder().decode(bytes))) return null
  return {
    file: file.path,
    line: 1,
    reason: 'file-too-large',
    message: `larger than ${limit / 1024} KiB: not read`,
  }
}

/** Files by folder, built when a format first asks. */
class Folders {
  readonly #files: readonly RepositoryFile[]
  #byFolder: Map<string, string[]> | null = null

  constructor(files: readonly RepositoryFile[]) {
    this.#files = files
  }

  under(folder: string): readonly string[] {
    if (!this.#byFolder) {
      this.#byFolder = new Map()
      for (const { path } of this.#files) {
        const parent = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : ''
        const list = this.#byFolder.get(parent)
        if (list) list.push(path)
        else this.#byFolder.set(parent, [path])
      }
    }
    return this.#byFolder.get(folder) ?? []
  }
}
