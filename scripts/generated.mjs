// Files and parts of files that are made from others: README's tables from action.yml, docs/accuracy.md and its picture
// from measured points. `--check` compares instead of writing. (The JSON Schemas have their own command and test.)
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const check = process.argv.includes('--check')
let current = 0
const stale = []

const action = parse(readFileSync(join(root, 'action.yml'), 'utf8'))
const cell = text => text.replaceAll('|', '\\|')
const table = rows =>
  ['| name | what |', '| --- | --- |', ...rows.map(([name, row]) => `| \`${name}\` | ${cell(row.description)} |`)].join(
    '\n',
  )

let readme = readFileSync(join(root, 'README.md'), 'utf8')
const before = readme
for (const part of ['inputs', 'outputs']) {
  const rows = Object.entries(action[part])
  if (rows.length < 10) throw new Error(`action.yml has only ${rows.length} ${part}`)
  const pattern = new RegExp(`(<!-- ${part}:[^>]*-->)[\\s\\S]*?(<!-- /${part} -->)`)
  if (!pattern.test(readme)) throw new Error(`README.md has no place for the ${part}`)
  readme = readme.replace(pattern, (_whole, open, close) => `${open}\n\n${table(rows)}\n\n${close}`)
}
if (readme === before) current++
else if (check) stale.push('README.md')
else writeFileSync(join(root, 'README.md'), readme)

const done = spawnSync(
  process.execPath,
  ['--disable-warning=ExperimentalWarning', join(root, 'scripts/make-accuracy.mjs'), ...(check ? ['--check'] : [])],
  {
    cwd: root,
    encoding: 'utf8',
  },
)
if (done.status !== 0) stale.push(`docs/accuracy.md: ${done.stdout}${done.stderr}`.trim())
else current += Number(/(\d+) generated files are current/.exec(done.stdout)?.[1] ?? 1)

if (stale.length > 0) {
  console.error(`not current, run npm run generated: ${stale.join('\n')}`)
  process.exit(1)
}
console.log(check ? `${current} generated files are current` : 'generated files are written')
