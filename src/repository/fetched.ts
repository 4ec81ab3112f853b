import { execFile } from 'node:child_process'
import { rmSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bad, good, type Result } from '../problem.ts'
import { GIT_OPTIONS, git, gitEnvironment } from './git.ts'

/** Objects of commits that the user's clone lacks, in a private repository that is removed again. */
export interface FetchedObjects {
  /** A bare repository that sees the user's objects and the fetched ones. */
  readonly folder: string
  readonly remove: () => Promise<void>
}

/** Folders that exist now: a run that is ended from outside removes them on its way out. */
const folders = new Set<string>()
process.on('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** A fetch must not outlive the run. */
const FETCH_TIMEOUT_MS = 120_000

/**
 * Fetches commits (by hash, or refs such as refs/pull/7/head) from the clone's origin into a temporary bare repository
 * that borrows the clone's objects: the user's work tree, index, refs and shallow file stay untouched. `depth` limits
 * history. The token is given to git by environment, for `serverUrl` only. Problem: `revision-missing`.
 */
export async function fetchObjects(
  root: string,
  wanted: readonly string[],
  options: { readonly depth: number; readonly token: string; readonly serverUrl: string },
): Promise<Result<FetchedObjects>> {
  const origin = (await git(root, 'config', '--get', 'remote.origin.url')).stdout.trim()
  if (origin === '') return bad('revision-missing', 'the clone has no remote named origin to fetch from')
  const common = (await git(root, 'rev-parse', '--path-format=absolute', '--git-common-dir')).stdout.trim()
  const folder = await mkdtemp(join(tmpdir(), 'hf-vram-calc-'))
  folders.add(folder)
  const remove = async () => {
    await rm(folder, { recursive: true, force: true })
    folders.delete(folder)
  }
  const made = await git(folder, 'init', '--quiet', '--bare', '.')
  if (made.code !== 0) {
    await remove()
    return bad('revision-missing', `git could not prepare a folder for the base: ${made.stderr.trim().split('\n')[0]}`)
  }
  await writeFile(join(folder, 'objects/info/alternates'), `${join(common, 'objects')}\n`)
  // A shallow clone's boundary must be known where its objects are borrowed, or git misses their parents.
  const shallow = await readFile(join(common, 'shallow'), 'utf8').catch(() => null)
  if (shallow !== null) await writeFile(join(folder, 'shallow'), shallow)
  const answer = await run(
    folder,
    [
      'fetch',
      '--quiet',
      '--no-tags',
      '--no-write-fetch-head',
      `--depth=${options.depth}`,
      '--end-of-options',
      origin,
      ...wanted,
    ],
    credentials(options, origin),
  )
  if (answer.code === 0) return good({ folder, remove })
  await remove()
  return bad(
    'revision-missing',
    `git could not fetch the base: ${answer.stderr.trim().split('\n').at(-1) ?? 'no answer'}`,
  )
}

/** Basic authentication for the server's own address, by environment so that no argument list shows it. */
function credentials(options: { token: string; serverUrl: string }, origin: string): NodeJS.ProcessEnv {
  if (options.token === '' || !sameOrigin(origin, options.serverUrl)) return {}
  const basic = Buffer.from(`x-access-token:${options.token}`, 'utf8').toString('base64')
  return {
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: `http.${new URL(options.serverUrl).origin}/.extraheader`,
    GIT_CONFIG_VALUE_0: `AUTHORIZATION: basic ${basic}`,
  }
}

function sameOrigin(a: string, b: string): boolean {
  try {
    return new URL(a).origin === new URL(b).origin
  } catch {
    return false
  }
}

function run(
  folder: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<{ code: number | null; stderr: string }> {
  return new Promise(resolve => {
    execFile(
      'git',
      [...GIT_OPTIONS, ...args],
      {
        cwd: folder,
        env: { ...gitEnvironment(), GIT_ALLOW_PROTOCOL: 'https:http:file:ssh', ...env },
        timeout: FETCH_TIMEOUT_MS,
        encoding: 'utf8',
      },
      (error, _stdout, stderr) =>
        resolve({
          code: error === null ? 0 : typeof error.code === 'number' ? error.code : null,
          stderr: stderr || (error?.message ?? ''),
        }),
    )
  })
}
