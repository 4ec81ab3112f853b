// Compiles, bundles both doors with ncc, and writes the catalogue beside them. The output is committed and must be the
// same bytes on every machine.
import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { minify } from 'terser'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const run = (bin, ...args) =>
  execFileSync(process.execPath, [join(root, 'node_modules', bin), ...args], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  })

rmSync(join(root, 'lib'), { recursive: true, force: true })
run('typescript/bin/tsc', '-p', 'tsconfig.build.json')

// One file, evaluated on use: without this word the bundler writes a chunk of its own for each import on use. Of yaml
// the ES modules are taken, for the bundler leaves out what is unused of these only.
const yaml = join(root, 'node_modules/yaml/browser/dist/index.js')
for (const entry of readdirSync(join(root, 'lib'), { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !entry.name.endsWith('.js')) continue
  const path = join(entry.parentPath, entry.name)
  const text = readFileSync(path, 'utf8')
  const eager = text.replace(/\bimport\((?=['"])/g, 'import(/* webpackMode: "eager" */ ')
  writeFileSync(path, eager.replace(/(?<=from |\/ )'yaml'/g, `'${relative(entry.parentPath, yaml)}'`))
}
rmSync(join(root, 'dist'), { recursive: true, force: true })
// Bundles are CommonJS, which Node starts a few milliseconds sooner: the bundler writes it where no type is said.
const untyped = join(root, 'lib/package.json')
writeFileSync(untyped, '{}')
for (const [entry, out] of [
  ['lib/main.js', 'dist'],
  ['lib/cli.js', 'dist/cli'],
]) {
  const stats = `lib/stats-${out.replace('/', '-')}.json`
  run('@vercel/ncc/dist/ncc/cli.js', 'build', entry, '-o', out, '--license', 'licenses.txt', '--stats-out', stats)
  checkLicences(stats, join(out, 'licenses.txt'))
}
rmSync(untyped)

/** The bundler's wrapper taken off, and its modules plain functions: V8 reads those written as arrows twice. */
function unwrapped(text) {
  const begin = /^\/\*+\/ \(\(\) => \{ \/\/ webpackBootstrap\n/.exec(text)?.[0]
  const end = /\n\/\*+\/ \}\)\(\)\n;\s*$/.exec(text)?.[0]
  if (begin === undefined || end === undefined) throw new Error('the bundler wraps its output in another way')
  return text
    .slice(begin.length, -end.length)
    .replace(/(?<=^\/\*+\/ \()(?:\((.*)\)|(\w+)) => \{$/gm, (_, list, one) => `function(${list ?? one}) {`)
}

/** Modules at the margin, short lists and objects on one line, no semicolons: less to read, for people and for V8. */
function laidOut(code) {
  const out = []
  let inModule = false
  for (const line of code.split('\n')) {
    const start = /^ \d+: function\(.*\) \{$/.test(line)
    const end = inModule && /^ \},?$/.test(line)
    out.push(inModule && !end ? line.replace(/^ {2}/, '') : line)
    if (start || end) inModule = !end
    else if (/^ *[}\]]/.test(line)) joinLiteral(out)
  }
  const text = out
    .join('\n')
    .replace(/(?<!^ *(?:for|while|if|else)\b.*);(?=\n+ *[\w$}])/gm, '')
    .replace(/\n+/g, '\n')
  return text.replace(PLAIN_LINE, line =>
    line.replace(STRING_OR_PADDING, found => (/^[[{ ]/.test(found) ? found.trim() : found)),
  )
}

/** A line without regular expressions, templates and escapes, in which strings are easily told. */
const PLAIN_LINE = /^(?:[^/`\\'"\n]|'[^'\\\n]*'|"[^"\\\n]*")+$/gm
/** A string, which stays as it is, or the blank within a bracket. */
const STRING_OR_PADDING = /'[^']*'|"[^"]*"|[[{] (?=\S)|(?<=\S) [\]}]/g

const LONGEST_LINE = 300
const depth = line => line.search(/[^ ]/)

/** Puts the literal that the last line closes on one line, if it holds no other and is short. */
function joinLiteral(lines) {
  const end = lines.length - 1
  let at = end - 1
  let length = lines[end].length
  while (at > 0 && depth(lines[at]) === depth(lines[end]) + 1 && length <= LONGEST_LINE) {
    if (at < end - 1 ? !lines[at].endsWith(',') : /[;{[]$|^ *\}+$/.test(lines[at])) return
    length += lines[at--].trim().length + 1
  }
  if (at === end - 1 || depth(lines[at]) !== depth(lines[end]) || !/[{[]$/.test(lines[at])) return
  const joined = lines.slice(at).map((line, i) => (i === 0 ? line : line.trim()))
  if (length + lines[at].length <= LONGEST_LINE) lines.splice(at, joined.length, joined.join(' '))
}

// The bundler leaves unused exports of libraries in. They and all comments go, nothing is renamed or packed together:
// the bundles stay readable, the comments are in src.
for (const file of ['dist/index.js', 'dist/cli/index.js']) {
  const text = readFileSync(join(root, file), 'utf8')
  const shebang = /^#!.*\n/.exec(text)?.[0] ?? ''
  const { code } = await minify(unwrapped(text.slice(shebang.length)), {
    module: true,
    ecma: 2020,
    mangle: false,
    compress: {
      defaults: false,
      unused: true,
      dead_code: true,
      side_effects: true,
      toplevel: true,
      join_vars: true,
      collapse_vars: true,
      reduce_vars: true,
      evaluate: true,
      comparisons: true,
      passes: 2,
      keep_fargs: true,
      keep_classnames: true,
      keep_fnames: true,
    },
    format: { beautify: true, comments: false, indent_level: 1, quote_style: 3, ascii_only: true },
  })
  const plain = async text => (await minify(text, { compress: false, mangle: false })).code
  const same = (await plain(laidOut(code))) === (await plain(code))
  if (!same) console.warn(`${file}: a text over several lines looks like code, so the layout stays as it is`)
  // The bundler calls imported functions as (0, module.name)(...), to hand them no `this`. Nothing on the command line's
  // side asks for one: there the plain call reads better.
  const called = code => (file === 'dist/index.js' ? code : code.replace(/\(0,\s+([\w$]+\.[\w$]+)\)\(/g, '$1('))
  const named = called(same ? laidOut(code) : code)
    .replace(/__WEBPACK_IMPORTED_MODULE_(\d+)__/g, '__$1')
    .replace(/__nccwpck_require__/g, 'require_')
    .replace(/\bblocks_weights\b/g, 'blocks_')
    .replace(/__unused_webpack_+(?:webpack_)?(module|exports)(?:__)?\b/g, '_$1')
    .replace(/__webpack_exports__/g, 'exports_')
  writeFileSync(join(root, file), `${shebang}${named}\n`)
}
for (const file of ['dist/index.js', 'dist/cli/index.js'])
  execFileSync(process.execPath, ['--check', join(root, file)], { stdio: 'inherit' })
chmodSync(join(root, 'dist/cli/index.js'), 0o755)
cpSync(join(root, 'src/catalogue/catalogue.json'), join(root, 'dist/catalogue.json'))
writeFileSync(join(root, 'dist/package.json'), '{ "type": "commonjs" }\n')

const files = readdirSync(join(root, 'dist'), { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
const chunks = files.filter(entry => /^\d+\.index\.m?js$/.test(entry.name))
if (chunks.length > 0)
  throw new Error(`the bundle has chunks of its own: ${chunks.map(chunk => chunk.name).join(', ')}`)
console.log(`built dist (${files.length} files)`)

/** Every package that the bundler took modules from is named in the licences file; else the build fails. */
function checkLicences(stats, licences) {
  const names = new Set()
  const visit = modules => {
    for (const { name, modules: inner } of modules ?? []) {
      const found = [...(name ?? '').matchAll(/node_modules\/((?:@[^/]+\/)?[^/]+)/g)].at(-1)
      if (found) names.add(found[1])
      visit(inner)
    }
  }
  visit(JSON.parse(readFileSync(join(root, stats), 'utf8')).modules)
  const named = new Set(readFileSync(join(root, licences), 'utf8').split('\n'))
  const missing = [...names].filter(name => !named.has(name))
  if (names.size < 3) throw new Error(`${stats} names only ${names.size} packages`)
  if (missing.length > 0) throw new Error(`${licences} lacks ${missing.join(', ')}`)
  console.log(`${licences} names all ${names.size} packages of its bundle`)
}
