import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { parse } from 'yaml'
import { OUTPUT_NAMES } from '../src/github/outputs.ts'
import { version } from '../src/version.ts'
import { projectRoot, runCli } from './helpers/run-action.ts'

const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8')
const manifest = JSON.parse(read('package.json')) as {
  version: string
  dependencies?: Record<string, string>
  devDependencies: Record<string, string>
  scripts: Record<string, string>
}

test("the tests run on the runner's Node, not on an older one of the machine", () => {
  expect(Number(process.versions.node.split('.')[0])).toBeGreaterThanOrEqual(24)
})

test('one version everywhere', async () => {
  expect(version).toBe(manifest.version)
  expect(read('CHANGELOG.md')).toContain(`## ${version}`)
  expect((await runCli(projectRoot, ['--version'])).stdout).toBe(`hf-vram-calc ${version}\n`)
})

describe('action.yml', () => {
  const action = parse(read('action.yml')) as {
    inputs: Record<string, { description: string; default?: string }>
    outputs: Record<string, unknown>
    runs: unknown
  }
  const types = parse(read('action-types.yml')) as { inputs: Record<string, unknown>; outputs: Record<string, unknown> }

  test('runs the committed bundle on node24', () =>
    expect(action.runs).toEqual({ using: 'node24', main: 'dist/index.js' }))
  test('no default that would beat the policy file: only what the runner knows has one', () => {
    expect(
      Object.entries(action.inputs)
        .filter(([, input]) => input.default !== undefined)
        .map(([name]) => name),
    ).toEqual(['github-token', 'matrix'])
  })
  test('its outputs are those that the action sets', () =>
    expect(Object.keys(action.outputs).sort()).toEqual([...OUTPUT_NAMES].sort()))
  test('every input and output is typed', () => {
    expect(Object.keys(types.inputs)).toEqual(Object.keys(action.inputs))
    expect(Object.keys(types.outputs)).toEqual(Object.keys(action.outputs))
  })
  test('every input is read', () => {
    const source = read('src/github/inputs.ts') + read('src/github/start.ts')
    const unread = Object.keys(action.inputs).filter(
      name => !source.includes(`'${name}'`) && !new RegExp(`^  ${name}:`, 'm').test(source),
    )
    expect(unread).toEqual([])
  })
})

describe('the bundles', () => {
  const MB = 1e6
  test.each([
    ['dist/index.js', 3 * MB],
    ['dist/cli/index.js', 1.5 * MB],
    ['dist/catalogue.json', 0.8 * MB],
  ])('%s is within %s bytes', (path, most) => {
    const { size } = statSync(join(projectRoot, path))
    expect(size).toBeGreaterThan(100_000)
    expect(size).toBeLessThanOrEqual(most)
  })
  test('no chunk files beside them', () => {
    const files = [...readdirSync(join(projectRoot, 'dist')), ...readdirSync(join(projectRoot, 'dist/cli'))]
    expect(files.sort()).toEqual([
      'catalogue.json',
      'cli',
      'index.js',
      'index.js',
      'licenses.txt',
      'licenses.txt',
      'package.json',
    ])
  })
  test('the command line has nothing of the toolkit', () => {
    expect(read('dist/cli/licenses.txt')).not.toContain('@actions/')
    expect(read('dist/cli/index.js')).not.toMatch(/octokit/i)
  })
  test('the licences files name every runtime dependency', () => {
    const named = new Set(read('dist/licenses.txt').split('\n'))
    const names = ['@actions/core', '@actions/github', '@actions/tool-cache', 'picomatch', 'valibot', 'yaml']
    for (const name of names) expect(manifest.devDependencies).toHaveProperty([name])
    expect(names.filter(name => !named.has(name))).toEqual([])
  })
  test('no path of the machine that built them', () => {
    for (const file of ['dist/index.js', 'dist/cli/index.js']) expect(read(file).includes(projectRoot)).toBe(false)
  })
})

test('the published package is the bundle alone: nothing is installed beside it', () => {
  expect(manifest.dependencies ?? {}).toEqual({})
})

describe('README', () => {
  const readme = read('README.md')
  test('exactly two commands set everything up', () => {
    const blocks = [...readme.slice(0, readme.indexOf('## On pull requests')).matchAll(/```sh\n([\s\S]*?)```/g)].map(
      match => match[1]!.trim(),
    )
    expect(blocks).toEqual(['node dist/cli/index.js check examples', 'npm cit'])
  })
  test('the first shows all four verdicts and passes; enforced it fails', async () => {
    const shown = await runCli(projectRoot, ['check', 'examples'])
    expect(shown.code).toBe(0)
    for (const word of ['fits', 'tight', 'exceeds', 'unknown'])
      expect(shown.stdout).toMatch(new RegExp(`^${word} `, 'm'))
    expect((await runCli(projectRoot, ['check', 'examples', '--warn-only=false'])).code).toBe(1)
  })
  test('every link into the repository leads somewhere', () => {
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(match => match[1]!)
    expect(links.length).toBeGreaterThanOrEqual(8)
    expect(links.filter(link => !existsSync(join(projectRoot, link)))).toEqual([])
  })
  test('its policy is a valid one', async () => {
    const { parsePolicy } = await import('../src/policy/parse.ts')
    const text = [...readme.matchAll(/```yaml\n([\s\S]*?)```/g)]
      .map(match => match[1]!)
      .find(block => block.startsWith('version:'))
    expect((await parsePolicy(text!, 'README.md')).ok).toBe(true)
  })
})
