import { statSync } from 'node:fs'
import { basename, dirname, relative, resolve } from 'node:path'
import { type CheckOutcome, check } from '../check.ts'
import { findModelFor } from '../find-model.ts'
import { loadPolicy, POLICY_FILES } from '../policy/load.ts'
import { type Overrides, withOverrides } from '../policy/overrides.ts'
import type { Policy } from '../policy/policy.ts'
import { type Problem, problemText } from '../problem.ts'
import { grid, plainStyle, type TextStyle } from '../report/grid.ts'
import { reportJson } from '../report/json.ts'
import { reportMarkdown } from '../report/markdown.ts'
import type { Report } from '../report/report.ts'
import { reportSarif } from '../report/sarif.ts'
import { reportTable } from '../report/table.ts'
import { changeText } from '../report/words.ts'
import { reportWorkflowCommands } from '../report/workflow-commands.ts'
import { mergeBase } from '../repository/git.ts'
import { gitCommit } from '../repository/git-commit.ts'
import type { Repository } from '../repository/repository.ts'
import type { Selection } from '../repository/selection.ts'
import { gitRootOf, missingPaths, workingTree } from '../repository/working-tree.ts'
import { writeText } from '../repository/write-text.ts'
import { gibText } from '../units/bytes.ts'
import { SOLVABLE, type Solvable, solve as solveFor } from '../verdict/solve.ts'
import { type Flag, helpFlag, helpText, type Parsed } from './arguments.ts'
import { command } from './command.ts'
import { type ExitCode, type Process, refuse } from './process.ts'
import { progress, styleOf } from './terminal.ts'

const STRICTNESS = ['fail', 'warn', 'ignore'] as const
const FORMATS = ['table', 'markdown', 'json', 'sarif', 'github'] as const
type Format = (typeof FORMATS)[number]

/** Flags of every command that surveys a repository. */
export const surveyFlags: readonly Flag[] = [
  {
    name: 'config',
    type: 'text',
    shows: 'FILE',
    help: 'policy file (default .github/hf-vram-calc.yml or hf-vram-calc.yml)',
  },
  {
    name: 'target',
    type: 'text',
    shows: 'GPU[xN]',
    help: 'GPU to judge on: H100-80GB, "L4 x 2", or a size such as 79.18GiB',
  },
  { name: 'gpus-per-replica', type: 'text', shows: 'N', help: 'GPUs of one engine, where the files do not say' },
  { name: 'set', type: 'list', shows: 'KEY=VALUE', help: 'a setting in place of what the files say: maxModelLen=8192' },
  { name: 'include', type: 'list', shows: 'GLOB', help: 'only files that match; repeatable' },
  { name: 'exclude', type: 'list', shows: 'GLOB', help: 'no files that match; repeatable' },
  { name: 'lock', type: 'text', shows: 'FILE', help: 'lock file (default hf-vram-calc.lock.json, if there)' },
  { name: 'offline', type: 'boolean', help: 'no network: repository, lock file and catalogue only' },
  { name: 'refresh', type: 'boolean', help: 'ask the Hub also for models of the catalogue' },
]

const flags: readonly Flag[] = [
  { name: 'format', type: 'text', values: FORMATS, help: 'what to print (default table)' },
  { name: 'output', type: 'list', shows: 'FORMAT=FILE', help: 'also write a format to a file; repeatable' },
  { name: 'base', type: 'text', shows: 'REV', help: 'compare with the merge base with this revision' },
  {
    name: 'fail-on',
    type: 'text',
    shows: 'LIST',
    help: 'what fails: exceeds, tight, increase, unknown, finding (default exceeds)',
  },
  { name: 'warn-only', type: 'boolean', help: 'exit 0 whatever the verdict; --warn-only=false overrides the policy' },
  { name: 'only-new', type: 'boolean', help: 'do not fail for what the base already failed' },
  { name: 'max-increase', type: 'text', shows: 'SIZE|%', help: 'allowed growth per GPU against the base: 5% or 2GiB' },
  { name: 'warn-at', type: 'text', shows: '%', help: 'share of the budget above which a fit is tight' },
  { name: 'min-concurrency', type: 'text', shows: 'N', help: 'requests of full length that must fit at once' },
  { name: 'headroom', type: 'text', shows: 'SIZE|%', help: 'memory to keep free on each GPU: 2GiB or 10%' },
  { name: 'on-unknown', type: 'text', values: STRICTNESS, help: 'what an unknown verdict does (default warn)' },
  { name: 'on-empty', type: 'text', values: STRICTNESS, help: 'what finding nothing does (default warn)' },
  { name: 'on-network-error', type: 'text', values: STRICTNESS, help: 'what an unreachable Hub does (default warn)' },
  {
    name: 'solve',
    type: 'text',
    values: SOLVABLE,
    help: 'print the largest or smallest value that fits',
  },
  ...surveyFlags,
  helpFlag,
]

const help = helpText(
  'hf-vram-calc check [PATH ...] [FLAG ...]',
  'Finds model deployments under the paths (default .), estimates the memory each GPU needs, compares it with the hardware the files declare, and fails when something does not fit.',
  flags,
  'Exit codes: 0 the gate passes, 1 it fails, 2 usage or configuration (also under --warn-only).',
)

export const checkCommand = command(flags, help, async (options, process) => {
  const outputs = outputsOf(options.list['output'] ?? [])
  if ('problem' in outputs) return refuse(process, [outputs.problem])
  const surveyed = await surveyRepository(options, process)
  if (!surveyed.ok) return refuse(process, surveyed.problems)
  const { outcome, policy } = surveyed
  for (const { format, file } of outputs) {
    const at = resolve(process.cwd(), file)
    const hindered = writeText(at, formatted(outcome.report, format, plainStyle))
    if (hindered !== null)
      return refuse(process, [{ code: 'usage', message: `${file} cannot be written: ${hindered}` }])
  }
  const solve = options.text['solve'] as Solvable | undefined
  if (solve !== undefined) {
    process.stdout.write(solutions(solve, outcome, styleOf(process.stdout, process.env)))
    return exitCode(outcome.report, policy)
  }
  const format = (options.text['format'] ?? 'table') as Format
  process.stdout.write(formatted(outcome.report, format, styleOf(process.stdout, process.env)))
  return exitCode(outcome.report, policy)
})

/** One line a deployment: the largest or smallest value that fits, with what it then needs. */
function solutions(kind: Solvable, outcome: CheckOutcome, style: TextStyle): string {
  const rows = outcome.judged.map(({ row, question }) => {
    const solved = question === null ? null : solveFor(kind, question)
    const answer =
      solved === null
        ? (row.verdict.reasons[0]?.message ?? row.verdict.status)
        : solved.ok
          ? solved.value.change.map(changeText).join(' ') || 'as it is'
          : problemText(solved.problem)
    const needs = solved?.ok ? gibText(solved.value.totalBytes.expected) : '-'
    return [row.id, answer, needs, solved?.ok ? solved.value.note : '']
  })
  const flexible = (title: string) => ({ title, flexible: true })
  return rows.length === 0
    ? 'no deployment was found\n'
    : grid(
        [flexible('Deployment'), flexible(kind), { title: 'Needs, GiB', align: 'right' }, flexible('What')],
        rows,
        style,
      )
}

function exitCode(report: Report, policy: Policy): ExitCode {
  return report.verdict === 'error' ? 2 : report.verdict === 'fail' && !policy.warnOnly ? 1 : 0
}

function formatted(report: Report, format: Format, style: TextStyle): string {
  switch (format) {
    case 'json':
      return reportJson(report)
    case 'sarif':
      return reportSarif(report)
    case 'github':
      return reportWorkflowCommands(report)
    case 'markdown':
      return reportMarkdown(
        report,
        { files: null, headSha: null, runUrl: null, notices: [], collapseUnchanged: true },
        { limit: Number.POSITIVE_INFINITY, measure: text => text.length, elsewhere: 'the JSON report' },
      )
    case 'table':
      return reportTable(report, style)
  }
}

function outputsOf(given: readonly string[]): { format: Format; file: string }[] | { problem: Problem } {
  const outputs: { format: Format; file: string }[] = []
  for (const text of given) {
    const cut = text.indexOf('=')
    const format = text.slice(0, Math.max(0, cut))
    if (cut < 1 || cut === text.length - 1 || !(FORMATS as readonly string[]).includes(format))
      return {
        problem: {
          code: 'usage',
          message: `--output is ${JSON.stringify(text)}, expected FORMAT=FILE`,
          hint: `formats: ${FORMATS.join(', ')}`,
        },
      }
    outputs.push({ format: format as Format, file: text.slice(cut + 1) })
  }
  return outputs
}

type Surveyed =
  | { readonly ok: true; readonly outcome: CheckOutcome; readonly policy: Policy; readonly root: string }
  | { readonly ok: false; readonly problems: readonly Problem[] }

interface Opened {
  readonly ok: true
  readonly root: string
  readonly policy: Policy
  /** All files of the root, for paths that the policy names. */
  readonly whole: Repository
  readonly selection: Selection
  /** The lock file's path relative to the root; null: at its usual place. */
  readonly lockFile: string | null
}

/** Root, policy and files for a command line's paths and flags. */
export async function openRepository(
  options: Parsed,
  process: Process,
): Promise<Opened | { readonly ok: false; readonly problems: readonly Problem[] }> {
  const cwd = process.cwd()
  const asked = options.positionals.length > 0 ? options.positionals : ['.']
  const root = rootOf(asked, cwd)
  const fromRoot = (path: string) => relative(root, resolve(cwd, path)).replaceAll('\\', '/') || '.'
  const paths = asked.map(fromRoot)
  const missing = missingPaths(root, paths)
  if (missing.length > 0) return { ok: false, problems: missing }
  const whole = workingTree(root)
  const named = options.text['config']
  const loaded = await (named === undefined
    ? loadPolicy(whole)
    : loadPolicy(besides(resolve(cwd, named)), fromRoot(named).startsWith('../') ? named : fromRoot(named)))
  if (!loaded.ok) return loaded
  const overrides: Overrides = {
    ...options.text,
    ...Object.fromEntries(Object.entries(options.on).map(([name, on]) => [name, String(on)])),
    include: options.list['include'] ?? [],
    exclude: options.list['exclude'] ?? [],
    set: options.list['set'] ?? [],
  }
  const policy = withOverrides(loaded.value, pickOverrides(overrides))
  if (!policy.ok) return policy
  const { include, exclude } = policy.value
  const lockFile = options.text['lock'] === undefined ? null : fromRoot(options.text['lock'])
  return { ok: true, root, policy: policy.value, whole, selection: { paths, include, exclude }, lockFile }
}

/** A reader of one file that may lie outside the root: a policy shared by several repositories. */
function besides(file: string): Pick<Repository, 'read' | 'readBytes'> {
  const folder = isFolder(dirname(file)) ? workingTree(dirname(file)) : null
  return {
    read: async () => folder?.read(basename(file)) ?? null,
    readBytes: async (_path, start, end) => folder?.readBytes(basename(file), start, end) ?? null,
  }
}

/** Sources and the pipeline for a command line's paths and flags. */
export async function surveyRepository(options: Parsed, process: Process): Promise<Surveyed> {
  const opened = await openRepository(options, process)
  if (!opened.ok) return opened
  const { root, policy, whole, selection, lockFile } = opened
  const find = await findModelFor({
    models: policy.models,
    repository: whole,
    lockFile,
    offline: options.on['offline'] ?? false,
    refresh: options.on['refresh'] ?? false,
    env: process.env,
  })
  if (!find.ok) return { ok: false, problems: [find.problem] }
  const base = options.text['base']
  let baseRepository = null
  if (base !== undefined) {
    const common = await mergeBase(root, base, 'HEAD')
    if (!common.ok) return { ok: false, problems: [common.problem] }
    const commit = await gitCommit(root, common.value, selection)
    if (!commit.ok) return { ok: false, problems: [commit.problem] }
    baseRepository = commit.value
  }
  const status = progress(process.stderr, process.env)
  status.say('reading deployments and models')
  const outcome = await check({
    head: workingTree(root, selection),
    policy,
    base: baseRepository,
    ports: { ...find.value, now: new Date() },
  })
  status.end()
  return { ok: true, outcome, policy, root }
}

const OVERRIDES = [
  'fail-on',
  'max-increase',
  'warn-at',
  'only-new',
  'warn-only',
  'on-unknown',
  'on-empty',
  'on-network-error',
  'target',
  'gpus-per-replica',
  'headroom',
  'min-concurrency',
  'include',
  'exclude',
  'set',
]

function pickOverrides(all: Overrides): Overrides {
  return Object.fromEntries(Object.entries(all).filter(([name]) => OVERRIDES.includes(name)))
}

/** PATH itself when it is one folder that holds a policy, else its git root, else the working directory. */
function rootOf(paths: readonly string[], cwd: string): string {
  const only = paths.length === 1 ? resolve(cwd, paths[0]!) : null
  if (
    only !== null &&
    isFolder(only) &&
    POLICY_FILES.some(file => statSync(resolve(only, file), { throwIfNoEntry: false })?.isFile())
  )
    return only
  const repository = gitRootOf(resolve(cwd, paths[0]!))
  if (repository !== null) return repository
  return only !== null && isFolder(only) && relative(cwd, only).startsWith('..') ? only : cwd
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}
