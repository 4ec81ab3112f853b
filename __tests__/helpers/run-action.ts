import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll } from '@jest/globals'

/** Runs the built bundles as processes in an environment like the runner's. */

export const projectRoot = resolve(dirname(fileURLToPath(import.meta.url)), '../..')
const actionBundle = join(projectRoot, 'dist/index.js')
export const cliBundle = join(projectRoot, 'dist/cli/index.js')

const made: string[] = []
afterAll(() => {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true })
})

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'hf-vram-calc-test-'))
  made.push(folder)
  return folder
}

export function writeFiles(folder: string, files: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
}

export function git(folder: string, ...args: string[]): string {
  return execFileSync(
    'git',
    ['-c', 'user.name=t', '-c', 'user.email=t@example.com', '-c', 'commit.gpgsign=false', ...args],
    {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' },
    },
  ).trim()
}

/** A repository with one commit a step; gives the commits' hashes. A null text removes the file. */
export function gitRepository(steps: readonly Readonly<Record<string, string | null>>[]): {
  folder: string
  commits: string[]
} {
  const folder = temporaryFolder()
  git(folder, 'init', '-q', '-b', 'main')
  const commits = steps.map((step, i) => {
    for (const [path, text] of Object.entries(step)) {
      if (text === null) rmSync(join(folder, path), { force: true })
      else writeFiles(folder, { [path]: text })
    }
    git(folder, 'add', '-A')
    git(folder, 'commit', '-q', '--allow-empty', '-m', `step ${i}`)
    return git(folder, 'rev-parse', 'HEAD')
  })
  return { folder, commits }
}

export interface ProcessResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export function runProcess(
  script: string,
  args: readonly string[],
  options: { cwd: string; env: Record<string, string | undefined>; node?: string },
): Promise<ProcessResult> {
  return new Promise(done => {
    const child = spawn(options.node ?? process.execPath, [script, ...args], {
      cwd: options.cwd,
      env: options.env as NodeJS.ProcessEnv,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', data => {
      stdout += data
    })
    child.stderr.on('data', data => {
      stderr += data
    })
    const timer = setTimeout(() => child.kill('SIGKILL'), 60_000)
    child.on('close', code => {
      clearTimeout(timer)
      done({ code, stdout, stderr })
    })
  })
}

/** The command line in a folder, with the environment of a fresh machine. */
export function runCli(
  folder: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<ProcessResult> {
  return runProcess(cliBundle, args, {
    cwd: folder,
    env: { PATH: process.env['PATH'], HOME: '/nonexistent', LANG: 'C.UTF-8', ...env },
  })
}

export interface ActionRun extends ProcessResult {
  readonly outputs: Readonly<Record<string, string>>
  readonly summary: string
  /** Workflow commands for errors, warnings and notices, as the runner reads them. */
  readonly annotations: readonly {
    readonly level: string
    readonly properties: Readonly<Record<string, string>>
    readonly message: string
  }[]
  readonly temporary: string
}

export interface ActionWorldOptions {
  readonly workspace: string
  readonly event?: string
  readonly payload?: unknown
  readonly sha?: string
  readonly inputs?: Readonly<Record<string, string>>
  readonly apiUrl?: string
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly node?: string
}

/** Runs the action as the runner would: INPUT_* variables, event payload, file commands. */
export async function runAction(options: ActionWorldOptions): Promise<ActionRun> {
  const temporary = temporaryFolder()
  const file = (name: string, text = '') => {
    writeFileSync(join(temporary, name), text)
    return join(temporary, name)
  }
  const inputs = { 'github-token': 'ghs_loopbacktoken123456', offline: 'true', ...options.inputs }
  const result = await runProcess(actionBundle, [], {
    cwd: options.workspace,
    ...(options.node ? { node: options.node } : {}),
    env: {
      PATH: process.env['PATH'],
      HOME: '/nonexistent',
      CI: 'true',
      GITHUB_ACTIONS: 'true',
      GITHUB_WORKSPACE: options.workspace,
      GITHUB_EVENT_NAME: options.event ?? 'pull_request',
      GITHUB_EVENT_PATH: file('event.json', JSON.stringify(options.payload ?? {})),
      GITHUB_OUTPUT: file('output'),
      GITHUB_STEP_SUMMARY: file('summary.md'),
      GITHUB_ENV: file('env'),
      GITHUB_REPOSITORY: 'octo/repo',
      GITHUB_SHA: options.sha ?? '1'.repeat(40),
      GITHUB_ACTOR: 'octocat',
      GITHUB_RUN_ID: '4242',
      GITHUB_RUN_NUMBER: '42',
      GITHUB_RUN_ATTEMPT: '1',
      GITHUB_WORKFLOW: 'gate',
      GITHUB_JOB: 'check',
      GITHUB_SERVER_URL: 'https://github.com',
      GITHUB_API_URL: options.apiUrl ?? 'http://127.0.0.1:9',
      RUNNER_TEMP: temporary,
      RUNNER_TOOL_CACHE: join(temporary, 'tools'),
      ...Object.fromEntries(Object.entries(inputs).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value])),
      ...options.env,
    },
  })
  const read = (name: string) => readFileSync(join(temporary, name), 'utf8')
  return {
    ...result,
    outputs: parseOutputs(read('output')),
    summary: read('summary.md'),
    annotations: parseCommands(result.stdout),
    temporary,
  }
}

/** The runner's file-command format: name<<delimiter, lines, delimiter; the last value of a name counts. */
function parseOutputs(text: string): Record<string, string> {
  const outputs: Record<string, string> = {}
  const lines = text.split('\n')
  for (let i = 0; i < lines.length; i++) {
    const match = /^([\w-]+)<<(.+)$/.exec(lines[i]!)
    if (!match) continue
    const end = lines.indexOf(match[2]!, i + 1)
    outputs[match[1]!] = lines.slice(i + 1, end).join('\n')
    i = end
  }
  return outputs
}

/** Reads workflow commands from a log, honouring stop-commands as the runner does. */
function parseCommands(log: string): { level: string; properties: Record<string, string>; message: string }[] {
  const found: { level: string; properties: Record<string, string>; message: string }[] = []
  let stopped: string | null = null
  const unescaped = (text: string) =>
    text
      .replaceAll('%0D', '\r')
      .replaceAll('%0A', '\n')
      .replaceAll('%3A', ':')
      .replaceAll('%2C', ',')
      .replaceAll('%25', '%')
  for (const line of log.split(/\r?\n/)) {
    const match = /^\s*::([\w-]+)(?: ([^:]*(?:%3A[^:]*)*))?::(.*)$/.exec(line)
    if (!match) continue
    const [, command, properties = '', message = ''] = match
    if (stopped !== null) {
      if (command === stopped) stopped = null
      continue
    }
    if (command === 'stop-commands') {
      stopped = message
      continue
    }
    const pairs = properties
      .split(',')
      .filter(Boolean)
      .map(pair => [pair.slice(0, pair.indexOf('=')), unescaped(pair.slice(pair.indexOf('=') + 1))])
    found.push({ level: command!, properties: Object.fromEntries(pairs), message: unescaped(message) })
  }
  return found
}
