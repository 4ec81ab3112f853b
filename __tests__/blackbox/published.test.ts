import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, jest, test } from '@jest/globals'
import { parse } from 'yaml'
import { formats } from '../../src/deployments/formats/index.ts'
import { defaultPolicy } from '../../src/policy/policy.ts'
import { version } from '../../src/version.ts'
import { projectRoot, runProcess } from '../helpers/run-action.ts'

jest.setTimeout(120_000)

const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8')
const inFolder = (folder: string, end: string) =>
  readdirSync(join(projectRoot, folder))
    .filter(name => name.endsWith(end))
    .map(name => `${folder}/${name}`)
const action = parse(read('action.yml')) as Record<'inputs' | 'outputs', Record<string, { description: string }>>
const documents = ['README.md', ...inFolder('docs', '.md')]
const workflows = inFolder('.github/workflows', '.yml')

/** "(default `warn`)": the built-in default that a description of action.yml names. */
const namedDefault = (description: string) => /\(default `?([^`)]+)`?\)/.exec(description)?.[1]
/** Words in backticks before the default. */
const namedValues = (description: string) =>
  [...description.split('(default')[0]!.matchAll(/`([a-z-]+)`/g)].map(match => match[1]!)

/** Keys of the policy that decide about failing, with the default that the code has. */
const { gate } = defaultPolicy
const DECIDING: readonly [string, string][] = [
  ['fail-on', gate.failOn.join(' ')],
  ['only-new', String(gate.onlyNew)],
  ['warn-only', String(defaultPolicy.warnOnly)],
  ['on-unknown', gate.onUnknown],
  ['on-empty', gate.onEmpty],
  ['on-network-error', gate.onNetworkError],
]

describe('case 76: what is published agrees with itself', () => {
  const schema = (
    JSON.parse(read('schema/policy.schema.json')) as {
      properties: Record<string, { enum?: string[]; items?: { enum?: string[] } }>
    }
  ).properties

  test.each(DECIDING)(
    'case 76: %s has one default and one list of values in code, action.yml, schema and document',
    (key, byCode) => {
      const { description } = action.inputs[key]!
      const row = read('docs/policy.md')
        .split('\n')
        .find(line => line.startsWith(`| \`${key}\` |`))!
        .split('|')
        .map(cell => cell.trim())
      expect(namedDefault(description)).toBe(byCode)
      expect(row[3]!.replace(/[`[\]]/g, '')).toBe(byCode)
      const values = schema[key]!.enum ?? schema[key]!.items?.enum
      if (values === undefined) return
      expect(namedValues(description)).toEqual(values)
      expect([...row[2]!.matchAll(/`([a-z-]+)`/g)].map(match => match[1])).toEqual(values)
    },
  )

  test('case 76: every input with a list of values lists the same in its type', () => {
    const types = parse(read('action-types.yml')) as {
      inputs: Record<string, { type: string; 'allowed-values'?: string[] }>
    }
    const enums = Object.entries(types.inputs).filter(([, { type }]) => type === 'enum')
    expect(enums.length).toBeGreaterThanOrEqual(8)
    for (const [name, { 'allowed-values': allowed }] of enums)
      for (const value of allowed!) expect(`${name}: ${action.inputs[name]!.description}`).toContain(`\`${value}\``)
    const flags = Object.entries(types.inputs).filter(([, { type }]) => type === 'boolean')
    expect(flags.length).toBeGreaterThanOrEqual(5)
    for (const [name] of flags)
      expect(`${name}: ${action.inputs[name]!.description}`).toMatch(/\(default `(true|false)`\)/)
  })

  test('case 76: outputs that workflows and documents read exist', () => {
    const readOutputs = [...documents, ...workflows].flatMap(path =>
      [...read(path).matchAll(/steps\.gate\.outputs\.([\w-]+)/g)].map(match => match[1]!),
    )
    expect(readOutputs.length).toBeGreaterThanOrEqual(3)
    expect(readOutputs.filter(name => !(name in action.outputs))).toEqual([])
  })

  test('case 76: actions of others are pinned by commit with the version beside it, our own by the major version', () => {
    const used = [...documents, ...workflows, 'src/terminal/init-command.ts'].flatMap(path =>
      [...read(path).matchAll(/^ *(?:- )?uses: (.+)$/gm)].map(match => match[1]!),
    )
    expect(used.length).toBeGreaterThanOrEqual(15)
    const own = `org/hf-vram-calc@v${version.split('.')[0]}`
    const loose = used.filter(
      text => text !== './' && text !== own && !/^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(text),
    )
    expect(loose).toEqual([])
  })

  test('case 76: the pre-commit hook runs for every file that a format is found in by its name', () => {
    const [hook] = parse(read('.pre-commit-hooks.yaml')) as { files: string; entry: string; pass_filenames: boolean }[]
    const named = formats.flatMap(format => ('paths' in format ? [{ name: format.name, test: format.paths }] : []))
    expect(named.length).toBeGreaterThanOrEqual(9)
    const files =
      'compose.yaml a.yml values.json .env serve.sh serve.bash job.slurm job.sbatch gpu.service gpu.container main.tf app.py models.txt pyproject.toml bentofile.yaml Dockerfile api.Dockerfile Containerfile Makefile makefile rules.mk justfile Modelfile chat.Modelfile'.split(
        ' ',
      )
    for (const { name, test: reads } of named) expect([name, files.filter(reads)]).not.toEqual([name, []])
    const pattern = new RegExp(hook!.files)
    expect(files.filter(file => !pattern.test(`deploy/${file}`))).toEqual([])
    expect(pattern.test('README.md')).toBe(false)
    expect(hook).toMatchObject({ entry: 'hf-vram-calc check --offline', pass_filenames: false })
  })

  /** Where a tool is not installed the script prints so, which this shows; the workflow on GitHub requires them. */
  test.each([
    ['lint: actionlint and zizmor accept every workflow, also of documents and init', /^(\d+) workflows: /m, 9],
    ['run: the own workflow ends as expected under act', /^(\d+) jobs of test.yml as expected under act$/m, 2],
  ])('case 76: %s', async (title, pattern, least) => {
    const what = title.split(':')[0]!
    const script = join(projectRoot, 'scripts/workflows.mjs')
    const done = await runProcess(script, [what], { cwd: projectRoot, env: { ...process.env } })
    expect([done.code, done.stderr]).toEqual([0, ''])
    const skipped = done.stdout.split('\n').filter(line => line.startsWith('SKIPPED'))
    for (const line of skipped) console.warn(line)
    if (what === 'lint' || skipped.length === 0)
      expect(Number(pattern.exec(done.stdout)?.[1])).toBeGreaterThanOrEqual(least)
  })
})
