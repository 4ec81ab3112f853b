// Compiles, bundles both doors with ncc, writes the catalogue beside them. The output is committed and must be the same
// bytes on every machine.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const run = (bin, ...args) =>
  execFileSync(process.execPath, [join(root, 'node_modules', bin), ...args], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })

rmSync(join(root, 'lib'), { recursive: true, force: true })
rmSync(join(root, 'dist'), { recursive: true, force: true })
run('typescript/bin/tsc', '-p', 'tsconfig.build.json')
run('@vercel/ncc/dist/ncc/cli.js', 'build', 'lib/main.js', '-o', 'dist', '--license', 'licenses.txt')
run('@vercel/ncc/dist/ncc/cli.js', 'build', 'lib/cli.js', '-o', 'dist/cli', '--license', 'licenses.txt')
if (existsSync(join(root, 'src/catalogue/catalogue.json'))) cpSync(join(root, 'src/catalogue/catalogue.json'), join(root, 'dist/catalogue.json'))
const files = [...readdirSync(join(root, 'dist')), ...readdirSync(join(root, 'dist/cli'))]
const chunks = files.filter(name => /^\d+\.index\.m?js$/.test(name))
if (chunks.length > 0) throw new Error(`the bundle has extra chunks: ${chunks.join(', ')}`)
console.log(`built dist (${files.length} entries)`)
