// Brings the programs that try the workflows into a folder: act and actionlint built by Go, zizmor as a wheel, each of
// the version and checksum that tools/ pins. `node scripts/workflow-tools.mjs FOLDER`; put FOLDER on the PATH then. What
// cannot be brought here (no Go, no pip, no registry) is said in a line that begins with SKIPPED.
import { spawnSync } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const pinned = join(dirname(fileURLToPath(import.meta.url)), '../tools')
const MINUTES = 15

/** Runs a program to its end; null when that was well, else what went wrong in a line. */
function failureOf(program, args) {
  const done = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: MINUTES * 60_000,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  if (done.status === 0) return null
  const said = done.stderr?.trim().split('\n').at(-1)
  return `${program} ${args[0]}: ${done.error?.code ?? (said || `exit ${done.status ?? done.signal}`)}`
}

/** One line for each program that could not be brought. */
export function bringWorkflowTools(folder) {
  const modules = ['github.com/nektos/act', 'github.com/rhysd/actionlint/cmd/actionlint']
  const go = failureOf('go', ['-C', join(pinned, 'go'), 'build', '-o', `${folder}/`, ...modules])
  const requirements = join(pinned, 'python/requirements.txt')
  const zizmor = join(folder, 'zizmor-wheel')
  const pip = failureOf(
    'python3',
    ['-m', 'pip', 'install', '--quiet', '--no-deps', '--require-hashes', '--only-binary=:all:'].concat([
      '--target',
      zizmor,
      '--requirement',
      requirements,
    ]),
  )
  if (pip === null) symlinkSync(join(zizmor, 'bin/zizmor'), join(folder, 'zizmor'))
  return [...(go ? [`SKIPPED act and actionlint: ${go}`] : []), ...(pip ? [`SKIPPED zizmor: ${pip}`] : [])]
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2]
  if (folder === undefined) throw new Error('usage: node scripts/workflow-tools.mjs FOLDER')
  for (const line of bringWorkflowTools(resolve(folder))) console.log(line)
}
