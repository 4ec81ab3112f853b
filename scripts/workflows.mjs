// The repository's own workflows, tried without GitHub: `lint` checks them and every workflow that the documents and
// `init` print with actionlint and zizmor; `run` runs the jobs that try the action itself, with act in host mode.
// A tool is taken from ACTIONLINT, ZIZMOR or ACT, else from the PATH; one that is missing is reported as SKIPPED, and
// with `--required` it is an error. Needs no install: only the committed bundles.
import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const folder = mkdtempSync(join(tmpdir(), 'workflows-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
let failed = false

const fail = text => {
  failed = true
  console.error(text)
}

/** Runs a program to its end; anything but exit code 0 fails this script with what it printed. */
function run(program, args, cwd, options = {}) {
  const done = spawnSync(program, args, { cwd, encoding: 'utf8', maxBuffer: 2 ** 26, ...options })
  if (done.status !== 0) fail(`${[program, ...args].join(' ')}\n${done.stdout}${done.stderr}${done.error ?? ''}`)
  return done.stdout
}

function tool(name) {
  const given = process.env[name.toUpperCase()]
  const paths = given ? [given] : (process.env.PATH ?? '').split(delimiter).map(path => join(path, name))
  const found = paths.find(path => existsSync(path))
  if (found) return found
  const text = `SKIPPED ${name}: neither on the PATH nor named by ${name.toUpperCase()}`
  if (process.argv.includes('--required')) fail(text)
  else console.log(text)
  return null
}

/** A repository with all workflows, where ours is the action by path, so that its inputs and outputs are checked. */
function lint() {
  const workflows = join(folder, 'lint/.github/workflows')
  mkdirSync(workflows, { recursive: true })
  mkdirSync(join(folder, 'lint/dist'))
  copyFileSync(join(root, 'action.yml'), join(folder, 'lint/action.yml'))
  copyFileSync(join(root, '.github/zizmor.yml'), join(folder, 'lint/.github/zizmor.yml'))
  writeFileSync(join(folder, 'lint/dist/index.js'), '')
  cpSync(join(root, '.github/workflows'), workflows, { recursive: true })
  const add = (name, text) => writeFileSync(join(workflows, name), text.replace(/org\/hf-vram-calc@\S+/g, './'))
  for (const document of ['README.md', ...readdirSync(join(root, 'docs')).map(name => `docs/${name}`)]) {
    if (!document.endsWith('.md')) continue
    const blocks = readFileSync(join(root, document), 'utf8').matchAll(/```ya?ml\n([\s\S]*?)```/g)
    for (const [i, [, text]] of [...blocks].entries())
      if (/^on:/m.test(text) && /^jobs:/m.test(text)) add(`${document.replace('/', '-')}-${i + 1}.yml`, text)
  }
  const consumer = join(folder, 'consumer')
  cpSync(join(root, 'examples'), consumer, { recursive: true, filter: path => !path.endsWith('hf-vram-calc.yml') })
  run(process.execPath, [join(root, 'dist/cli/index.js'), 'init'], consumer)
  for (const name of readdirSync(join(consumer, '.github/workflows')))
    add(`init-${name}`, readFileSync(join(consumer, '.github/workflows', name), 'utf8'))
  const files = readdirSync(workflows)
  run('git', ['init', '-q'], join(folder, 'lint'))
  const actionlint = tool('actionlint')
  if (actionlint) run(actionlint, [], join(folder, 'lint'))
  const zizmor = tool('zizmor')
  if (zizmor) run(zizmor, ['--offline', '--quiet', '.'], join(folder, 'lint'))
  console.log(`${files.length} workflows: ${files.join(', ')}`)
}

/** What the gate's step must end with, by job of test.yml. */
const GATE = { 'must-fail': 'failure', 'must-pass': 'success' }

/** The jobs in a copy of the commit that nothing connects to the network; actions of others are stand-ins. */
function runJobs() {
  const act = tool('act')
  if (!act) return
  const clone = join(folder, 'clone')
  run('git', ['clone', '-q', '--no-hardlinks', root, clone], folder)
  run('git', ['remote', 'remove', 'origin'], clone)
  const standIn = join(folder, 'stand-in')
  mkdirSync(standIn)
  writeFileSync(join(standIn, 'action.yml'), 'name: stand-in\nruns:\n  using: composite\n  steps: []\n')
  const event = {
    ref: 'refs/heads/main',
    before: '0'.repeat(40),
    repository: { full_name: 'org/hf-vram-calc', default_branch: 'main' },
  }
  writeFileSync(join(folder, 'event.json'), JSON.stringify(event))
  const setupNode = /actions\/setup-node@[0-9a-f]{40}/.exec(
    readFileSync(join(root, '.github/workflows/test.yml'), 'utf8'),
  )[0]
  let right = 0
  for (const [job, expected] of Object.entries(GATE)) {
    const said = run(
      act,
      ['push', '-C', '.', '-W', '.github/workflows/test.yml', '-j', job, '-P', 'ubuntu-latest=-self-hosted']
        .concat(['-e', join(folder, 'event.json'), '--json', '--no-cache-server', '-s', 'GITHUB_TOKEN=test_token_1234'])
        .concat(['--local-repository', `${setupNode}=${standIn}`]),
      clone,
      // Nothing of the caller's environment: on the host it would reach the steps.
      { env: { PATH: `${dirname(process.execPath)}:/usr/bin:/bin`, HOME: folder }, stdio: ['ignore', 'pipe', 'pipe'] },
    )
    const lines = said.split('\n').flatMap(line => (line.startsWith('{') ? [JSON.parse(line)] : []))
    const gate = lines.find(line => line.stepResult && line.stepID?.[0] === 'gate' && line.stage === 'Main')?.stepResult
    const result = lines.find(line => line.jobResult)?.jobResult
    const summary = lines.find(line => line.command === 'summary')?.content ?? ''
    if (gate === expected && result === 'success' && summary.startsWith('### ❌ FAIL')) right++
    else fail(`${job}: gate ${gate}, expected ${expected}; job ${result}; summary ${summary.slice(0, 80)}`)
  }
  console.log(`${right} jobs of test.yml as expected under act`)
}

if (process.argv.includes('lint')) lint()
if (process.argv.includes('run')) runJobs()
process.exit(failed ? 1 : 0)
