import { execFile } from 'node:child_process'
import { bad, good, type Result } from '../problem.ts'

/**
 * Arguments and environment for every git call: no hook, file watcher, prompt, index refresh or replaced object takes
 * part, and variables that a surrounding git hook set do not redirect us to another repository.
 */
export const GIT_OPTIONS = [
  '-c',
  'core.fsmonitor=false',
  '-c',
  'core.hooksPath=/dev/null',
  '--no-pager',
  '--no-replace-objects',
]

export function gitEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) =>
      !/^GIT_(DIR|WORK_TREE|INDEX_FILE|PREFIX|OBJECT_DIRECTORY|NAMESPACE|COMMON_DIR|EXTERNAL_DIFF)$/.test(name),
  )
  return { ...Object.fromEntries(kept), GIT_OPTIONAL_LOCKS: '0', GIT_TERMINAL_PROMPT: '0', LC_ALL: 'C' }
}

interface GitAnswer {
  /** null when git could not be started. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** One git command that only reads; its output is at most 64 MiB. */
export function git(root: string, ...args: readonly string[]): Promise<GitAnswer> {
  return new Promise(resolve => {
    execFile(
      'git',
      [...GIT_OPTIONS, ...args],
      { cwd: root, env: gitEnvironment(), maxBuffer: 64 * 1024 * 1024, encoding: 'utf8' },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : null
        resolve({ code, stdout, stderr: stderr || (error?.message ?? '') })
      },
    )
  })
}

/** The commit that a revision names, as a full hash. Problem: `revision-missing`, with what would make it known. */
export async function commitOf(root: string, revision: string): Promise<Result<string>> {
  const shown = JSON.stringify(revision.length > 100 ? `${revision.slice(0, 100)}...` : revision)
  const control = [...revision].some(letter => letter.charCodeAt(0) < 32)
  if (revision === '' || revision.startsWith('-') || revision.length > 1000 || control)
    return bad('revision-missing', `${shown} is no git revision`, { hint: 'give a branch, tag or commit' })
  const answer = await git(root, 'rev-parse', '--verify', '--quiet', '--end-of-options', `${revision}^{commit}`)
  const hash = answer.stdout.trim()
  if (answer.code === 0 && /^[0-9a-f]{40,64}$/.test(hash)) return good(hash)
  return bad('revision-missing', `revision ${shown} is not in this repository`, {
    hint: await whyMissing(root, answer),
  })
}

async function whyMissing(root: string, answer: GitAnswer): Promise<string> {
  if (answer.code === null) return 'git is needed for this and could not be started'
  if (answer.stderr.includes('dubious ownership'))
    return `git refuses the folder: git config --global --add safe.directory ${root}`
  const shallow = await git(root, 'rev-parse', '--is-shallow-repository')
  if (shallow.code !== 0) return 'the folder is not in a git repository'
  return shallow.stdout.trim() === 'true'
    ? 'this is a shallow clone: fetch more history, with actions/checkout by fetch-depth: 0'
    : 'git fetch it first, or check its spelling'
}

/** The best common ancestor of two revisions. Problem: `revision-missing`, also when they share no history here. */
export async function mergeBase(root: string, a: string, b: string): Promise<Result<string>> {
  const left = await commitOf(root, a)
  if (!left.ok) return left
  const right = await commitOf(root, b)
  if (!right.ok) return right
  const answer = await git(root, 'merge-base', left.value, right.value)
  const hash = answer.stdout.trim()
  if (answer.code === 0 && hash !== '') return good(hash)
  return bad('revision-missing', `no common ancestor of ${a} and ${b} is in this repository`, {
    hint: await whyMissing(root, answer),
  })
}
