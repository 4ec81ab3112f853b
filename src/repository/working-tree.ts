import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync, realpathSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import type { Problem } from '../problem.ts'
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

/** Directory entries looked at before the walk gives up; twenty times what may be listed. */
const MOST_ENTRIES = 20 * MOST_FILES

/**
 * The files under `root` as they lie on the disk. Symbolic links are not listed (their targets are, once); a link that
 * is read by name is followed as long as it stays under the root. Calls are synchronous inside: a run reads thousands of
 * small files one after the other, and that is several times faster than a round through the thread pool for each.
 */
export function workingTree(root: string, selection: Selection = {}): Repository {
  const base = realpathSync(root)
  return {
    list: async () => list(base, selection, await globFilter(selection)),
    read: async (path, limit = TEXT_LIMIT) => {
      const bytes = readPart(base, path, 0, null, limit)
      return bytes === null ? null : textOf(bytes)
    },
    readBytes: async (path, start, end) => readPart(base, path, start, end, Number.POSITIVE_INFINITY),
  }
}

/** The asked paths that do not exist under the root or leave it, as problems (`path-missing`). */
export function missingPaths(root: string, paths: readonly string[]): Problem[] {
  return paths.flatMap((path): Problem[] => {
    const plain = plainPath(path)
    if (plain === null)
      return [
        {
          code: 'path-missing',
          message: `path ${JSON.stringify(path)} lies outside ${root}`,
          hint: 'give a path below it',
        },
      ]
    if (existsSync(join(root, plain))) return []
    return [{ code: 'path-missing', message: `path ${JSON.stringify(path)} does not exist`, hint: `looked in ${root}` }]
  })
}

/** The nearest folder at or above `path` that holds a `.git`; null outside a git repository. */
export function gitRootOf(path: string): string | null {
  let folder = resolve(path)
  for (;;) {
    if (existsSync(join(folder, '.git'))) return folder
    const above = dirname(folder)
    if (above === folder) return null
    folder = above
  }
}

function list(
  base: string,
  { paths = [], mostFiles = MOST_FILES }: Selection,
  wanted: PathTest,
): { files: RepositoryFile[]; truncated: boolean } {
  const found = new Map<string, RepositoryFile>()
  let entries = 0
  let truncated = false

  const add = (path: string, size: number): boolean => {
    if (!wanted(path) || found.has(path)) return true
    if (found.size >= mostFiles) {
      truncated = true
      return false
    }
    found.set(path, { path, size })
    return true
  }
  const walk = (folder: string): boolean => {
    for (const entry of entriesOf(join(base, folder))) {
      if (++entries > MOST_ENTRIES) {
        truncated = true
        return false
      }
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`
      if (entry.isDirectory()) {
        if (!isSkippedFolder(entry.name) && !walk(path)) return false
      } else if (entry.isFile() && !add(path, sizeOf(join(base, path)))) return false
    }
    return true
  }
  for (const asked of paths.length > 0 ? paths : ['.']) {
    const path = plainPath(asked)
    const real = path === null ? null : inside(base, path)
    if (path === null || real === null) continue
    const kind = statSync(real, { throwIfNoEntry: false })
    if (!(kind?.isDirectory() ? walk(path) : !kind?.isFile() || add(path, kind.size))) break
  }
  return { files: [...found.values()].sort(byPath), truncated }
}

/** Entries of a folder by name; an unreadable folder is empty. */
function entriesOf(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
  } catch {
    return []
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

/** The real path of a file, or null when it does not exist or a link leads out of the root. */
function inside(base: string, path: string): string | null {
  try {
    const real = realpathSync(join(base, path))
    const way = relative(base, real)
    return way === '..' || way.startsWith(`..${sep}`) || resolve(way) === way ? null : real
  } catch {
    return null
  }
}

/** Bytes `start` to `end` (null: to the end) of a regular file of at most `limit` bytes. */
function readPart(base: string, asked: string, start: number, end: number | null, limit: number): Uint8Array | null {
  const path = plainPath(asked)
  const real = path === null ? null : inside(base, path)
  // Only regular files are opened: a named pipe would wait for a writer.
  if (real === null || !statSync(real, { throwIfNoEntry: false })?.isFile()) return null
  let file: number | null = null
  try {
    file = openSync(real, 'r')
    const { size } = fstatSync(file)
    if (size > limit) return null
    const bytes = new Uint8Array(Math.max(0, Math.min(end ?? size, size) - start))
    let filled = 0
    while (filled < bytes.length) {
      const count = readSync(file, bytes, filled, bytes.length - filled, start + filled)
      if (count === 0) break
      filled += count
    }
    return bytes.subarray(0, filled)
  } catch {
    return null
  } finally {
    if (file !== null) closeSync(file)
  }
}
