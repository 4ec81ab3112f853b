// The steps of .ci/run. A step passes when its command succeeds and its output shows that it inspected something.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bringWorkflowTools } from './workflow-tools.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const results = []

function run(command, args, options = {}) {
  const done = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 256 * 2 ** 20,
    env: { ...process.env, CI: 'true' },
    ...options,
  })
  return {
    code: done.status ?? 1,
    text: `${done.stdout ?? ''}${done.stderr ?? ''}${done.error ? String(done.error) : ''}`,
  }
}

/** Runs a step; `inspected` finds in its output how many things it looked at, and that must reach `least`. */
function step(name, action, inspected = () => 1, least = 1) {
  const started = Date.now()
  let outcome
  try {
    const { code, text } = action()
    const count = inspected(text)
    outcome =
      code !== 0
        ? { ok: false, why: `exit ${code}\n${text.slice(-6000)}` }
        : count >= least
          ? { ok: true, why: `${count} inspected` }
          : { ok: false, why: `inspected ${count}, expected at least ${least}\n${text.slice(-2000)}` }
  } catch (error) {
    outcome = { ok: false, why: String(error) }
  }
  results.push(outcome.ok)
  console.log(
    `${outcome.ok ? 'ok  ' : 'FAIL'} ${name} (${((Date.now() - started) / 1000).toFixed(1)} s): ${outcome.why}`,
  )
}

const number =
  (pattern, group = 1) =>
  text =>
    Number(pattern.exec(text)?.[group] ?? 0)
const npm = (...args) => run('npm', args)
const tracked = (...patterns) =>
  execFileSync('git', ['ls-files', ...patterns], { cwd: root, encoding: 'utf8' })
    .split('\n')
    .filter(Boolean)

// Before the tests, which use them too; without Go, pip or their registries the rest is checked all the same.
const tools = mkdtempSync(join(tmpdir(), 'workflow-tools-'))
process.on('exit', () => rmSync(tools, { recursive: true, force: true }))
const missingTools = bringWorkflowTools(tools)
for (const line of missingTools) console.log(line)
process.env.PATH = `${tools}${delimiter}${process.env.PATH ?? ''}`

const before = run('git', ['ls-files', '-s', 'dist']).text
step('npm cit: clean install, types, bundles, tests', () => npm('cit'), number(/Tests:.*?(\d+) passed/), 400)
step(
  'committed dist equals its rebuild, byte for byte',
  () => run('git', ['status', '--porcelain', '--', 'dist']),
  text => (text.trim() === '' ? before.split('\n').filter(Boolean).length : 0),
  4,
)
step('format, lint, import walls, cycles', () => npm('run', 'lint'), number(/Checked (\d+) files/), 150)
step(
  'dead code',
  () => npm('run', 'dead'),
  () => tracked('src/**/*.ts').length,
  80,
)
step(
  'generated files are current',
  () => npm('run', 'generated', '--', '--check'),
  number(/(\d+) generated files are current/),
  2,
)
step(
  'no machine paths, hosts of package mirrors or tokens in tracked files',
  () => {
    const hits = tracked()
      .filter(file => !file.startsWith('dist/') && file !== 'scripts/ci.mjs')
      .flatMap(file => {
        const text = readFileSync(join(root, file), 'utf8')
        return /\/work\/(main|dev|shared)|hf_[A-Za-z0-9]{30,}|ghp_[A-Za-z0-9]{30,}/.test(text) ? [file] : []
      })
    return { code: hits.length === 0 ? 0 : 1, text: hits.join('\n') }
  },
  () => tracked().length,
  200,
)
step(
  'workflows: linted, and run by act, where the tools could be brought',
  () => {
    const done = npm('run', 'workflows', ...(missingTools.length === 0 ? ['--', '--required'] : []))
    for (const line of done.text.match(/^SKIPPED .*/gm) ?? []) console.log(line)
    return done
  },
  number(/(\d+) workflows: /),
  9,
)
step(
  'README: the first command, in a fresh clone, no install',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'fresh-'))
    try {
      const cloned = run('git', ['clone', '-q', '--no-hardlinks', root, join(folder, 'clone')])
      if (cloned.code !== 0) return cloned
      return run(process.execPath, ['dist/cli/index.js', 'check', 'examples'], { cwd: join(folder, 'clone') })
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
  text => (text.match(/fits|tight|exceeds|unknown/g) ?? []).length,
  4,
)

const failed = results.filter(ok => !ok).length
console.log(`${results.length - failed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
