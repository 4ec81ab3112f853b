// Benchmarks of the promises the README makes: CPU times as ratios measured in one run, never as tests.
// Run after `npm run build`: npm run bench
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const cli = join(root, 'dist/cli/index.js')
const folder = mkdtempSync(join(tmpdir(), 'bench-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const median = list => [...list].sort((a, b) => a - b)[list.length >> 1]

/** Median user + system CPU of a command over several runs, in ms, with its wall time and largest memory. */
function cpu(args, { env = {}, cwd = folder, runs = 9 } = {}) {
  const times = []
  const walls = []
  const rss = 0
  for (let i = 0; i < runs; i++) {
    const script = `const{spawnSync}=require('child_process');const r=spawnSync(process.execPath,${JSON.stringify(args)},{stdio:'ignore'});const u=process.resourceUsage();process.exit(r.status>1?r.status:0)`
    const started = performance.now()
    const child = spawnSync(
      '/usr/bin/env',
      [
        'bash',
        '-c',
        `TIMEFORMAT='%U %S'; time node ${args.map(a => `'${a.replaceAll("'", "'\\''")}'`).join(' ')} >/dev/null 2>&1`,
      ],
      { cwd, env: { ...process.env, ...env }, encoding: 'utf8' },
    )
    walls.push(performance.now() - started)
    const [user, system] = child.stderr.trim().split(/\s+/).slice(-2).map(Number)
    if (!Number.isFinite(user)) throw new Error(`no time for ${args.join(' ')}: ${child.stderr}`)
    times.push((user + system) * 1000)
    void script
  }
  return { ms: median(times), wall: median(walls), rss }
}

const rows = []
const row = (what, value, limit, ok) => rows.push({ what, measured: value, limit, ok: ok ? 'yes' : 'NO' })

const floor = cpu(['-e', '0'])
const one = cpu([cli, '--model', 'meta-llama/Llama-3.1-8B-Instruct', '--offline'])
row(
  'command line, one catalogued model / node -e 0 (CPU)',
  `${(one.ms / floor.ms).toFixed(2)} x (${one.ms.toFixed(0)} / ${floor.ms.toFixed(0)} ms)`,
  '2 x',
  one.ms <= 2 * floor.ms,
)

const many = join(folder, 'many')
mkdirSync(many)
const deployment = readFileSync(join(root, 'examples/deploy/chat.yaml'), 'utf8')
const filler = `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n${Array.from({ length: 75 }, (_, i) => `  key-${i}: "value ${i}"`).join('\n')}\n`
for (let i = 0; i < 1000; i++) writeFileSync(join(many, `m${i}.yaml`), i % 10 === 0 ? deployment : filler)
const manifests = cpu([cli, 'check', '.', '--offline', '--format', 'json'], { cwd: many, runs: 3 })
row('1,000 manifests, cold (wall)', `${(manifests.wall / 1000).toFixed(2)} s`, '1 s', manifests.wall < 1000)
const usage = spawnSync(
  '/usr/bin/env',
  [
    'bash',
    '-c',
    `node -e "process.on('exit',()=>require('fs').writeSync(2,'RSS '+process.resourceUsage().maxRSS+'\\n'));process.argv=[process.argv[0],'${cli}','check','.','--offline','--format','json'];import('${cli}')" > /dev/null`,
  ],
  { cwd: many, encoding: 'utf8' },
)
const rss = Number(/RSS (\d+)/.exec(usage.stderr)?.[1]) / 1024
row('1,000 manifests, memory', `${rss.toFixed(0)} MiB`, '150 MiB', rss < 150)

const size = path => statSync(join(root, path)).size / 1e6
row('dist/index.js', `${size('dist/index.js').toFixed(2)} MB`, '3 MB', size('dist/index.js') <= 3)
row('dist/cli/index.js', `${size('dist/cli/index.js').toFixed(2)} MB`, '1.5 MB', size('dist/cli/index.js') <= 1.5)
row('dist/catalogue.json', `${size('dist/catalogue.json').toFixed(2)} MB`, '0.8 MB', size('dist/catalogue.json') <= 0.8)

console.table(rows)
