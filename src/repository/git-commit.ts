import { bad, good, type Result } from '../problem.ts'
import { commitOf, git } from './git.ts'
import { objectReader } from './object-reader.ts'
import type { Repository, RepositoryFile } from './repository.ts'
import {
  byPath,
  globFilter,
  isSkippedFolder,
  MOST_FILES,
  type PathTest,
  plainPath,
  type Selection,
  TEXT_LIMIT,
  textOf,
} from './selection.ts'

/** A part of an object is cut from the whole of it; larger objects are not read. */
const OBJECT_LIMIT = 64 * 1024 * 1024
/** Links followed on the way to one file, as in Linux. */
const MOST_LINKS = 40

interface Entry {
  readonly hash: string
  readonly size: number
  readonly link: boolean
}

/**
 * The files of a commit, read from git's object store as data: nothing is checked out, the user's tree, index and refs
 * stay untouched, no hook or filter runs. Paths are relative to `root`, which may be a folder inside the git repository.
 * Problem: `revision-missing`.
 */
export async function gitCommit(
  root: string,
  revision: string,
  selection: Selection = {},
): Promise<Result<Repository>> {
  const commit = await commitOf(root, revision)
  if (!commit.ok) return commit
  const tree = await git(root, 'ls-tree', '-r', '-z', '-l', commit.value)
  if (tree.code !== 0)
    return bad('revision-missing', `the files of ${revision} cannot be listed: ${tree.stderr.trim().split('\n')[0]}`, {
      hint: 'git fsck tells whether objects are missing',
    })
  const entries = entriesOf(tree.stdout)
  const object = objectReader(root)

  const read = async (path: string, limit: number): Promise<Uint8Array | null> => {
    const found = await follow(entries, path, object)
    return found === null || found.size > limit ? null : object(found.hash)
  }
  return good({
    list: async () => list(entries, selection, await globFilter(selection)),
    read: async (path, limit = TEXT_LIMIT) => {
      const bytes = await read(path, limit)
      return bytes === null ? null : textOf(bytes)
    },
    readBytes: async (path, start, end) => (await read(path, OBJECT_LIMIT))?.subarray(start, end) ?? null,
  })
}

/** Lines of `ls-tree -r -z -l`: "<mode> blob <hash> <size padded>\t<path>". Submodules are left out. */
function entriesOf(listing: string): Map<string, Entry> {
  const entries = new Map<string, Entry>()
  for (const line of listing.split('\0')) {
    const match = /^(\d{6}) blob ([0-9a-f]{40,64}) +(\d+)\t/.exec(line)
    if (match)
      entries.set(line.slice(match[0].length), { hash: match[2]!, size: Number(match[3]), link: match[1] === '120000' })
  }
  return entries
}

function list(
  entries: ReadonlyMap<string, Entry>,
  { paths = [], mostFiles = MOST_FILES }: Selection,
  wanted: PathTest,
): { files: RepositoryFile[]; truncated: boolean } {
  const roots = (paths.length > 0 ? paths : ['.']).map(plainPath).filter(path => path !== null)
  const files: RepositoryFile[] = []
  for (const [path, entry] of entries) {
    if (entry.link || !roots.some(root => reaches(root, path)) || !wanted(path)) continue
    files.push({ path, size: entry.size })
  }
  files.sort(byPath)
  return { files: files.slice(0, mostFiles), truncated: files.length > mostFiles }
}

/** Is the file the asked path, or below it without passing a folder that is never searched? */
function reaches(root: string, path: string): boolean {
  if (path === root) return true
  const start = root === '' ? 0 : root.length + 1
  if (root !== '' && !path.startsWith(`${root}/`)) return false
  const folders = path.slice(start).split('/')
  folders.pop()
  return !folders.some(isSkippedFolder)
}

/** The entry of a path with its links followed; null when it does not exist, leaves the root, or links go in a circle. */
async function follow(
  entries: ReadonlyMap<string, Entry>,
  asked: string,
  object: (hash: string) => Promise<Uint8Array | null>,
): Promise<Entry | null> {
  let path = plainPath(asked)
  for (let links = 0; path !== null && links <= MOST_LINKS; links++) {
    const parts: string[] = path.split('/')
    // The first link on the way, be it a folder's or the file's own.
    let passed = ''
    let link: { entry: Entry; folder: string; rest: string } | null = null
    for (let i = 0; i < parts.length && link === null; i++) {
      const folder = passed
      passed = folder === '' ? parts[i]! : `${folder}/${parts[i]}`
      const entry = entries.get(passed)
      if (entry?.link) link = { entry, folder, rest: parts.slice(i + 1).join('/') }
    }
    if (link === null) return entries.get(path) ?? null
    const bytes = link.entry.size <= 4096 ? await object(link.entry.hash) : null
    const target = bytes === null ? null : new TextDecoder().decode(bytes)
    path =
      target === null || target.startsWith('/')
        ? null
        : plainPath(`${link.folder}/${target}/${link.rest}`.replace(/^\//, ''))
  }
  return null
}
