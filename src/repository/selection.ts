/** Which files of a repository take part. Paths and globs are relative to the root, with forward slashes. */
export interface Selection {
  /** Files or folders; absent or empty: the root. "." is the root too. */
  readonly paths?: readonly string[]
  /** Globs of which one must match; absent or empty: every file. */
  readonly include?: readonly string[]
  /** Globs of which none may match. */
  readonly exclude?: readonly string[]
  /** Files listed at most; more are cut off, and `truncated` says so. */
  readonly mostFiles?: number
}

/** Bounds of every repository: a larger one is cut and says so, never read without end. */
export const MOST_FILES = 20_000
export const TEXT_LIMIT = 1024 * 1024

/** Folders that hold no deployments of the repository's own: versions control, dependencies, caches. */
const SKIPPED_FOLDERS: ReadonlySet<string> = new Set([
  '.git',
  '.hg',
  '.svn',
  'node_modules',
  'bower_components',
  'vendor',
  '.venv',
  'venv',
  'site-packages',
  '__pycache__',
  '.tox',
  '.terraform',
  '.cache',
])

export const isSkippedFolder = (name: string): boolean => SKIPPED_FOLDERS.has(name)

export type PathTest = (path: string) => boolean

/**
 * Globs as everywhere in this program: `*` stays in a folder, `**` crosses them, dot files match like others. The glob
 * library is loaded by the first glob, so that a run without one does not pay for it.
 */
export async function globs(patterns: readonly string[]): Promise<PathTest> {
  if (patterns.length === 0) return () => false
  const { default: picomatch } = await import('picomatch')
  return picomatch([...patterns], { dot: true })
}

/** Does a file pass the include and exclude globs? */
export async function globFilter(selection: Selection): Promise<PathTest> {
  const included = selection.include?.length ? await globs(selection.include) : () => true
  const excluded = await globs(selection.exclude ?? [])
  return path => included(path) && !excluded(path)
}

/**
 * A path relative to the root in its one spelling ("./a//b/" is "a/b", the root is ""); null when it is absolute, leaves
 * the root, or holds a NUL.
 */
export function plainPath(path: string): string | null {
  if (path.startsWith('/') || /^[a-z]:[\\/]/i.test(path) || path.includes('\0')) return null
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined) return null
  }
  return parts.join('/')
}

/** Text of a file's bytes: UTF-8 without its byte order mark; null when a NUL byte says that it is no text. */
export function textOf(bytes: Uint8Array): string | null {
  return bytes.includes(0) ? null : new TextDecoder().decode(bytes)
}

/** Order of paths in every list: by code unit, the same on every machine. */
export const byPath = (a: { readonly path: string }, b: { readonly path: string }): number =>
  a.path < b.path ? -1 : a.path > b.path ? 1 : 0
