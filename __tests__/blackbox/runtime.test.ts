import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { builtinModules } from 'node:module'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { parse } from 'yaml'
import { OUTPUT_NAMES } from '../../src/github/outputs.ts'
import {
  cliBundle,
  git,
  gitRepository,
  projectRoot,
  runAction,
  runCli,
  runProcess,
  temporaryFolder,
  writeFiles,
} from '../helpers/run-action.ts'
import { manifest, pullRequestPayload, raisedContext } from '../helpers/scenario.ts'
import { githubs } from '../helpers/servers.ts'

jest.setTimeout(60_000)

const github = githubs()
const environment = { PATH: process.env['PATH'], HOME: '/nonexistent' }

/** Answers a comparison, and nothing else: requests for comments wait for ever. */
let silent: Server
let silentUrl = ''
let mergeBase = ''
beforeAll(async () => {
  silent = createServer((request, response) => {
    if (!request.url?.includes('/compare/')) return
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ merge_base_commit: { sha: mergeBase }, files: [] }))
  })
  await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve))
  silentUrl = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
})
afterAll(() => {
  silent.closeAllConnections()
  silent.close()
})

/** Node binaries at hand by major version. */
function nodes(): Map<number, string> {
  const found = new Map<number, string>()
  const places = [
    process.execPath,
    join(projectRoot, 'node_modules/.bin/node'),
    ...(process.env['PATH'] ?? '').split(':').map(folder => join(folder, 'node')),
  ]
  for (const place of places) {
    if (!existsSync(place)) continue
    const major = Number(/^v(\d+)/.exec(execFileSync(place, ['--version'], { encoding: 'utf8' }))?.[1])
    if (!found.has(major)) found.set(major, place)
  }
  return found
}

describe('case 71: Node 20 and 24', () => {
  const at = nodes()
  test("the runner's Node is at hand", () => expect([...at.keys()]).toContain(24))
  const both = at.has(20) && at.has(24)
  if (!both) console.warn(`only Node ${[...at.keys()].join(', ')} is here: the bundles run on these only`)
  test('both bundles say the same on each', async () => {
    const server = await github()
    const { folder, base, head } = raisedContext()
    const said: string[] = []
    for (const major of [20, 24]) {
      const node = at.get(major)
      if (node === undefined) continue
      const cli = await runProcess(cliBundle, ['check', '--format', 'json', '--offline'], {
        cwd: folder,
        env: environment,
        node,
      })
      const run = await runAction({
        workspace: folder,
        payload: pullRequestPayload({ base, head }),
        apiUrl: server.url,
        node,
      })
      expect([major, cli.code, cli.stderr, run.code, run.stderr]).toEqual([major, 1, '', 1, ''])
      said.push(cli.stdout + run.summary)
    }
    expect(said).toHaveLength(both ? 2 : 1)
    expect(new Set(said).size).toBe(1)
  })
})

describe('case 72: ends that nobody wants', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s while GitHub is silent: not green, no stack, no comment, no temporary data',
    async signal => {
      const { folder: origin, base, head } = raisedContext()
      git(origin, 'config', 'uploadpack.allowAnySHA1InWant', 'true')
      const clone = temporaryFolder()
      git(clone, 'clone', '-q', '--depth=1', `file://${origin}`, 'work')
      const folder = join(clone, 'work')
      mergeBase = base
      const temporary = temporaryFolder()
      const event = join(temporary, 'event.json')
      writeFileSync(event, JSON.stringify(pullRequestPayload({ base, head })))
      for (const name of ['output', 'summary.md']) writeFileSync(join(temporary, name), '')
      const child = spawn(process.execPath, [join(projectRoot, 'dist/index.js')], {
        cwd: folder,
        env: {
          ...environment,
          TMPDIR: temporary,
          GITHUB_WORKSPACE: folder,
          GITHUB_EVENT_NAME: 'pull_request',
          GITHUB_EVENT_PATH: event,
          GITHUB_OUTPUT: join(temporary, 'output'),
          GITHUB_STEP_SUMMARY: join(temporary, 'summary.md'),
          GITHUB_REPOSITORY: 'octo/repo',
          GITHUB_API_URL: silentUrl,
          RUNNER_TEMP: temporary,
          'INPUT_GITHUB-TOKEN': 'ghs_loopbacktoken123456',
          INPUT_OFFLINE: 'true',
        },
      })
      let said = ''
      child.stderr.on('data', data => {
        said += data
      })
      const asked = new Promise<void>(resolve => {
        const look = (request: { url?: string | undefined }) => {
          if (!request.url?.includes('/comments')) return
          silent.off('request', look)
          resolve()
        }
        silent.on('request', look)
      })
      const ended = new Promise<{ code: number | null; signal: string | null }>(resolve =>
        child.once('close', (code, by) => resolve({ code, signal: by })),
      )
      await asked
      const fetched = () => readdirSync(temporary).filter(name => name.startsWith('hf-vram-calc-'))
      expect(fetched()).toHaveLength(1)
      child.kill(signal)
      const end = await ended
      expect(end).toEqual({ code: signal === 'SIGTERM' ? 143 : 130, signal: null })
      expect(said).toBe(`hf-vram-calc: ended by ${signal}\n`)
      expect(readFileSync(join(temporary, 'output'), 'utf8')).toContain('verdict')
      expect(fetched()).toEqual([])
    },
  )

  test('a pipe that closes early is no crash', async () => {
    const shell = (command: string) =>
      execFileSync('bash', ['-c', `set -o pipefail; ${command}`], { encoding: 'utf8', cwd: projectRoot, stdio: 'pipe' })
    const node = JSON.stringify(process.execPath)
    expect(shell(`(${node} ${JSON.stringify(cliBundle)} list models 2>&1 >&3 | cat >&2) 3>&1 | head -1`)).toMatch(
      /models of the catalogue/,
    )
  })

  test('a rejection that nobody handles: not green, one line, no stack', async () => {
    const folder = temporaryFolder()
    writeFiles(folder, { 'a.yaml': manifest(8192) })
    const late = join(temporaryFolder(), 'late.cjs')
    // As soon as the program has said what is to become of such a thing.
    writeFileSync(
      late,
      `const { on } = process
process.on = function (name, ...rest) {
  if (name === 'uncaughtException') Promise.reject(new Error('an odd thing'))
  return on.call(this, name, ...rest)
}
`,
    )
    const env = { NODE_OPTIONS: `--require ${late}` }
    const cli = await runCli(folder, ['check', '--offline'], env)
    expect(cli.code).toBe(70)
    expect(cli.stderr).toMatch(/^hf-vram-calc: internal error: an odd thing\nThis is a bug[^\n]*\n$/)
    const run = await runAction({ workspace: folder, event: 'push', env })
    expect([run.code, run.stderr]).toEqual([70, ''])
    expect(run.annotations.find(a => a.level === 'error')?.message).toContain('internal error: an odd thing')
    expect(run.outputs['verdict']).toBe('error')
    expect(Object.keys(run.outputs).sort()).toEqual([...OUTPUT_NAMES].sort())
  })

  test('our own bug: exit 70, one line that says so, every output, a stack only on demand', async () => {
    const folder = temporaryFolder()
    writeFiles(folder, { 'a.yaml': manifest(8192) })
    // A preload that breaks something under the program, as a bug would.
    const broken = join(temporaryFolder(), 'break.cjs')
    writeFileSync(
      broken,
      [
        "const fs = require('node:fs')",
        'const real = fs.realpathSync',
        "fs.realpathSync = path => { if (path === process.cwd()) throw 'not even an Error'; return real(path) }",
        "require('node:module').syncBuiltinESMExports()",
      ].join('\n'),
    )
    const env = { NODE_OPTIONS: `--require ${broken}` }
    const cli = await runCli(folder, ['check', '--offline'], env)
    expect(cli.code).toBe(70)
    expect(cli.stderr).toMatch(/^hf-vram-calc: internal error: not even an Error\nThis is a bug/)
    expect(cli.stderr).not.toContain('    at ')
    const run = await runAction({ workspace: folder, event: 'push', env })
    expect(run.code).toBe(70)
    expect(run.outputs['verdict']).toBe('error')
    expect(Object.keys(run.outputs).sort()).toEqual([...OUTPUT_NAMES].sort())
    const said = run.annotations.find(a => a.level === 'error')?.message
    expect(said).toContain('internal error: not even an Error')
    expect(run.stderr).toBe('')
  })
})

test('case 73: a fault of the user and a bug of ours have texts and codes of their own, both verdict=error', async () => {
  const folder = temporaryFolder()
  writeFiles(folder, { 'a.yaml': manifest(8192), '.github/hf-vram-calc.yml': 'version: 1\nfail-off: [exceeds]\n' })
  const run = await runAction({ workspace: folder, event: 'push' })
  expect([run.code, run.outputs['verdict'], run.outputs['passed']]).toEqual([2, 'error', 'false'])
  const said = run.annotations.filter(a => a.level === 'error').map(a => a.message)
  expect(said.join()).toContain('did you mean fail-on')
  expect(said.join()).not.toContain('internal error')
})

describe('case 58: what a run leaves behind', () => {
  test('HEAD, index, refs and files of the clone are the same, nothing stays in the temporary folder', async () => {
    const { folder, commits } = gitRepository([{ 'a.yaml': manifest(8192) }, { 'a.yaml': manifest(131_072) }])
    const before = [git(folder, 'rev-parse', 'HEAD'), git(folder, 'status', '--porcelain'), git(folder, 'for-each-ref')]
    const own = temporaryFolder()
    const server = await github()
    const run = await runAction({
      workspace: folder,
      payload: pullRequestPayload({ base: commits[0]!, head: commits[1]! }),
      apiUrl: server.url,
      env: { TMPDIR: own },
    })
    expect(run.code).toBe(1)
    expect([
      git(folder, 'rev-parse', 'HEAD'),
      git(folder, 'status', '--porcelain'),
      git(folder, 'for-each-ref'),
    ]).toEqual(before)
    expect(readdirSync(own)).toEqual([])
  })
})

test('case 71: time zone, CI unset and a working directory elsewhere change nothing', async () => {
  const folder = temporaryFolder()
  writeFiles(folder, { 'a.yaml': manifest(131_072) })
  const said: string[] = []
  for (const env of [
    {},
    { TZ: 'Pacific/Kiritimati', LANG: 'de_DE.UTF-8', LC_ALL: 'de_DE.UTF-8' },
    { CI: 'true', TERM: 'dumb' },
  ])
    said.push((await runCli(folder, ['check', '--offline'], env)).stdout)
  said.push((await runCli(projectRoot, ['check', folder, '--offline'])).stdout)
  expect(new Set(said).size).toBe(1)
})

describe('case 70 and 76: what is published', () => {
  const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8')
  const bundles = ['dist/index.js', 'dist/cli/index.js']
  test('case 70: the bundles evaluate no text as a program', () => {
    for (const file of bundles) expect(read(file)).not.toMatch(/[^.\w]eval\(|new Function\(/)
  })
  test('case 70: what the bundles load is named in them, and is a module of Node', () => {
    const ofNode = new Set(builtinModules)
    for (const file of bundles) {
      const text = read(file)
      const loaded = [
        ...text.matchAll(/(?<![.\w])require\(["']([^"']+)["']\)/g),
        ...text.matchAll(/\bgetBuiltinModule\?*\.?\(["']([^"']+)["']\)/g),
      ].map(match => match[1]!.replace('node:', ''))
      expect(loaded.length).toBeGreaterThanOrEqual(5)
      expect(loaded.filter(name => !ofNode.has(name))).toEqual([])
      // Nothing is loaded by a name that is made at run time.
      expect(text).not.toMatch(/\bimport\((?!\/\*|["'])/)
      expect(text).not.toMatch(/createRequire/)
      expect(text).not.toMatch(/(?<![.\w])require\((?!["'])/)
    }
  })
  test('case 70: the bundles hold no path of a machine, and each package in them has its licence beside them', () => {
    for (const file of bundles) {
      expect(read(file)).not.toMatch(/file:\/\/\/|["'`](?:\/(?:home|Users|root|tmp|work|build)\/|[A-Z]:\\\\)/)
      const licences = read(join(file, '../licenses.txt'))
      const packages = licences.match(/^(?:@[\w-]+\/)?[\w.-]+\n[\w.() -]+\n/gm) ?? []
      expect(packages.length).toBeGreaterThanOrEqual(3)
      expect(licences.length).toBeGreaterThan(1000)
    }
  })
  test('every workflow example of the documents names inputs that exist, and every input is documented in the README', () => {
    const action = parse(read('action.yml')) as { inputs: Record<string, unknown>; outputs: Record<string, unknown> }
    const readme = read('README.md')
    for (const name of [...Object.keys(action.inputs), ...Object.keys(action.outputs)])
      expect(readme).toContain(`\`${name}\``)
    const documents = [
      'README.md',
      ...readdirSync(join(projectRoot, 'docs'))
        .filter(name => name.endsWith('.md'))
        .map(name => `docs/${name}`),
    ]
    let steps = 0
    for (const document of documents)
      for (const [, block] of read(document).matchAll(/```ya?ml\n([\s\S]*?)```/g)) {
        if (!block!.includes('hf-vram-calc@')) continue
        const walk = (node: unknown): void => {
          if (Array.isArray(node)) for (const item of node) walk(item)
          else if (typeof node === 'object' && node !== null) {
            const step = node as { uses?: unknown; with?: Record<string, unknown> }
            if (typeof step.uses === 'string' && step.uses.includes('hf-vram-calc@')) {
              steps++
              expect(Object.keys(step.with ?? {}).filter(name => !(name in action.inputs))).toEqual([])
            }
            for (const item of Object.values(node)) walk(item)
          }
        }
        walk(parse(block!))
      }
    expect(steps).toBeGreaterThanOrEqual(2)
  })
  interface Job {
    needs?: string[]
    if?: string
    steps: { id?: string; uses?: string; run?: string; 'continue-on-error'?: boolean; env?: Record<string, string> }[]
  }
  const { jobs } = parse(read('.github/workflows/test.yml')) as { jobs: Record<string, Job> }
  test('case 77: the own workflow runs the action on a bad fixture and asserts that it fails', () => {
    const { steps } = jobs['must-fail']!
    const gate = steps.findIndex(step => step.id === 'gate')
    expect(steps[gate]).toMatchObject({ uses: './', 'continue-on-error': true })
    const asserted = steps.slice(gate + 1).find(step => step.run?.includes('test "$OUTCOME" = failure'))
    expect(asserted?.env?.['OUTCOME']).toBe('${' + '{ steps.gate.outcome }}')
    expect(asserted).not.toHaveProperty('continue-on-error')
  })
  test('case 77: ci-ok needs every other job, runs whatever they ended with, and counts each', () => {
    const { 'ci-ok': ok, ...others } = jobs
    expect(Object.keys(others).length).toBeGreaterThanOrEqual(3)
    expect(ok!.needs).toEqual(Object.keys(others))
    expect(ok!.if).toBe('always()')
    expect(ok!.steps[0]!.run).toBe(`test "$RESULTS" = "${Object.keys(others).fill('success').join(' ')}"`)
  })
})
