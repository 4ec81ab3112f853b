import type { Command } from '../command.ts'
import { deploymentOf } from '../command-lines/index.ts'
import { type Deployment, noHardware } from '../deployment.ts'
import { parseDotenv } from '../dotenv.ts'
import type { Context, FileFormat } from '../format.ts'
import { engineStarts, scriptStarts } from '../launch.ts'
import { Text } from '../text.ts'

const MAX_SCRIPT = 256 * 1024

export const shell: FileFormat = {
  kind: 'file',
  name: 'shell',
  title: 'Shell scripts: engines, docker run, variables, continuations, functions',
  marks: [],
  paths: path => /\.(?:sh|bash|zsh|ksh|slurm|sbatch|command)$/i.test(path),
  read: async context => readScript(context.text, context, 'shell'),
}

/** A command at the top of a file: nothing known but where it stands. */
export function bareCommand(at: Text): Command {
  return { argv: [], env: new Map(), image: null, mounts: [], hardware: noHardware, names: [], at, files: new Map() }
}

/** Deployments of a script's text, with the `.env` files that it sources. */
export async function readScript(
  text: Text,
  context: Context,
  format: string,
  command: Command = bareCommand(context.text),
  name = '',
): Promise<Deployment[]> {
  const sources = new Map<string, Text>()
  const script = text.value.length > MAX_SCRIPT ? text.slice(0, MAX_SCRIPT) : text
  for (const match of script.value.matchAll(/(?:^|[\s;&])(?:source|\.)[ \t]+["']?([\w./-]*\.?env[\w.-]*)["']?/g)) {
    const path = match[1]!
    const file = sources.size < 8 ? await context.read(path) : null
    if (file) sources.set(path, file)
  }
  return deploymentsOf(scriptStarts(script, command, null, 0, sources), context, format, name)
}

export async function deploymentsOf(
  starts: readonly Command[],
  context: Context,
  format: string,
  name: string,
): Promise<Deployment[]> {
  const found: Deployment[] = []
  for (const start of starts) {
    const deployment = await deploymentOf(
      start,
      { format, name: name === '' ? (start.argv[0]?.value.split('/').at(-1) ?? format) : name },
      context,
    )
    if (deployment) found.push(deployment)
  }
  return found
}

export const makefile: FileFormat = {
  kind: 'file',
  name: 'makefile',
  title: 'Makefiles and justfiles: recipes that start an engine',
  marks: [],
  paths: path => /(?:^|\/)(?:GNUm|M|m)akefile$|\.mk$|(?:^|\/)\.?[Jj]ustfile$/.test(path),
  read: async context => {
    const command: Command = { ...bareCommand(context.text), env: makeVariables(context.text) }
    const found: Deployment[] = []
    for (const { name, recipe } of recipes(context.text))
      found.push(...(await readScript(recipe, context, 'makefile', command, name)))
    return found
  },
}

/** `NAME = value`, `?=`, `:=` at the start of a line. */
function makeVariables(text: Text): Map<string, Text> {
  const variables = new Map<string, Text>()
  for (const match of text.value.matchAll(/^(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*[?:]{0,2}=[ \t]*([^\n#]*)/gm)) {
    const value = match[2]!.trimEnd().replace(/^(["'])(.*)\1$/, '$2')
    const from = match.index + match[0].indexOf(value, match[0].indexOf('=') + 1)
    if (value !== '' && !/\$[({]/.test(value)) variables.set(match[1]!, text.slice(from, from + value.length))
  }
  return variables
}

/** Recipe lines of each target, as one script; `$(VAR)` and `$$VAR` of make become what a shell reads. */
function recipes(text: Text): { name: string; recipe: Text }[] {
  const found: { name: string; recipe: Text }[] = []
  let name = ''
  let from = -1
  let offset = 0
  const close = (end: number): void => {
    if (from >= 0) found.push({ name, recipe: makeToShell(text.slice(from, end)) })
    from = -1
  }
  for (const line of `${text.value}\n`.split('\n')) {
    const target = /^([\w./$(){}-]+)(?:[ \t]+[^:=\n]*)?:(?!=)/.exec(line)
    if (/^[ \t]+\S/.test(line)) {
      if (from < 0) from = offset
    } else if (target || (line.trim() !== '' && !line.startsWith('#'))) {
      close(offset)
      if (target) name = target[1]!
    }
    offset += line.length + 1
  }
  close(text.value.length)
  return found
}

function makeToShell(recipe: Text): Text {
  const parts: Text[] = []
  let plain = 0
  for (const match of recipe.value.matchAll(
    /\$\$|\$\(([A-Za-z_]\w*)\)|\{\{\s*([A-Za-z_]\w*)\s*\}\}|(?<=^|\n)[ \t]+[@-]/g,
  )) {
    parts.push(recipe.slice(plain, match.index))
    const here = recipe.slice(match.index, match.index + match[0].length)
    const variable = match[1] ?? match[2]
    parts.push(
      match[0] === '$$' ? Text.at(here, '$') : variable ? Text.at(here, `\${${variable}}`) : Text.at(here, ' '),
    )
    plain = match.index + match[0].length
  }
  parts.push(recipe.slice(plain))
  return Text.join(parts)
}

export const systemd: FileFormat = {
  kind: 'file',
  name: 'systemd',
  title: 'systemd units and Podman quadlets: ExecStart, Environment, Image, Exec',
  marks: [],
  paths: path => /\.(?:service|container)$/.test(path),
  read: async context => {
    const unit = readUnit(context.text)
    const env = new Map<string, Text>()
    for (const file of unit.get('EnvironmentFile') ?? []) {
      const text = await context.read(file.value.replace(/^-/, ''))
      if (text) for (const [name, value] of parseDotenv(text)) env.set(name, value)
    }
    for (const line of unit.get('Environment') ?? []) addEnvironment(env, line)
    const image = unit.get('Image')?.at(-1)
    const command = { ...bareCommand(context.text), env, names: [context.path] }
    if (image) return readContainer(unit, command, image, context)
    const starts = (unit.get('ExecStart') ?? []).flatMap(line =>
      scriptStarts(line.slice(/^[-@+!:]*/.exec(line.value)![0].length), command, null),
    )
    return deploymentsOf(starts, context, 'systemd', '')
  },
}

/** A quadlet is a `podman run` in keys. */
async function readContainer(
  unit: ReadonlyMap<string, readonly Text[]>,
  command: Command,
  image: Text,
  context: Context,
): Promise<Deployment[]> {
  const words = ['docker', 'run'].map(word => Text.at(image, word))
  const flags: [string, string][] = [
    ['AddDevice', '--device'],
    ['Volume', '-v'],
    ['Environment', '-e'],
  ]
  for (const [key, flag] of flags) for (const value of unit.get(key) ?? []) words.push(Text.at(value, flag), value)
  const argv = [...words, image]
  const script = Text.join([...argv.flatMap(word => [word, Text.at(word, ' ')]), ...(unit.get('Exec') ?? [])])
  return deploymentsOf(scriptStarts(script, command, null), context, 'systemd', '')
}

function addEnvironment(env: Map<string, Text>, line: Text): void {
  for (const match of line.value.matchAll(/"([A-Za-z_]\w*)=([^"]*)"|([A-Za-z_]\w*)=(\S*)/g)) {
    const name = (match[1] ?? match[3])!
    const value = (match[2] ?? match[4])!
    const from = match.index + match[0].indexOf('=') + 1
    env.set(name, line.slice(from, from + value.length))
  }
}

/** Keys of a unit file with all their values; backslash continuations stay for the shell reader. */
function readUnit(text: Text): Map<string, Text[]> {
  const keys = new Map<string, Text[]>()
  for (const match of text.value.matchAll(/^[ \t]*([A-Z]\w*)[ \t]*=[ \t]*((?:[^\n\\]|\\[^\n]|\\\r?\n)*)/gm)) {
    const from = match.index + match[0].length - match[2]!.length
    const list = keys.get(match[1]!) ?? []
    list.push(text.slice(from, from + match[2]!.length).trim())
    keys.set(match[1]!, list)
  }
  return keys
}

export const dockerfile: FileFormat = {
  kind: 'file',
  name: 'dockerfile',
  title: 'Dockerfiles: ENTRYPOINT and CMD in both forms, ENV, FROM',
  marks: [],
  paths: path => /(?:^|\/)(?:[\w.-]*\.)?(?:Dockerfile|Containerfile)(?:\.[\w.-]+)?$/i.test(path),
  read: readDockerfile,
}

async function readDockerfile(context: Context): Promise<Deployment[]> {
  const env = new Map<string, Text>()
  let image: Text | null = null
  let entrypoint: Text[] = []
  let command: Text[] = []
  for (const match of context.text.value.matchAll(
    /^[ \t]*(FROM|ENV|ARG|ENTRYPOINT|CMD)[ \t]+((?:[^\n\\]|\\[^\n]|\\\r?\n)*)/gim,
  )) {
    const from = match.index + match[0].length - match[2]!.length
    const rest = context.text.slice(from, from + match[2]!.length).trim()
    switch (match[1]!.toUpperCase()) {
      case 'FROM':
        image = rest.slice(/^(?:--\S+\s+)*/.exec(rest.value)![0].length)
        image = image.slice(0, image.value.search(/\s|$/))
        entrypoint = []
        command = []
        break
      case 'ENV':
      case 'ARG':
        addDockerVariable(env, rest)
        break
      case 'ENTRYPOINT':
        entrypoint = dockerWords(rest)
        break
      case 'CMD':
        command = dockerWords(rest)
    }
  }
  if (entrypoint.length === 0 && command.length === 0) return []
  const start: Command = { ...bareCommand(context.text), argv: [...entrypoint, ...command], env, image }
  // An image that only wraps the engine's own names no model: it declares nothing to judge.
  const found = await deploymentsOf(engineStarts(start), context, 'dockerfile', 'image')
  return found.filter(deployment => deployment.model.id !== null)
}

function addDockerVariable(env: Map<string, Text>, rest: Text): void {
  const pairs = [...rest.value.matchAll(/([A-Za-z_]\w*)=("[^"]*"|'[^']*'|[^\s\\]*)/g)]
  for (const match of pairs) {
    const quoted = /^["']/.test(match[2]!) ? 1 : 0
    const from = match.index + match[1]!.length + 1 + quoted
    env.set(match[1]!, rest.slice(from, from + match[2]!.length - 2 * quoted))
  }
  const single = pairs.length === 0 ? /^([A-Za-z_]\w*)\s+(.+)$/s.exec(rest.value) : null
  if (single) env.set(single[1]!, rest.slice(rest.value.length - single[2]!.length).trim())
}

/** `["a", "b"]` or a shell command. */
function dockerWords(rest: Text): Text[] {
  if (rest.value.startsWith('[')) {
    const words = [...rest.value.matchAll(/"((?:[^"\\]|\\.)*)"/g)]
    return words.map(match => rest.slice(match.index + 1, match.index + 1 + match[1]!.length))
  }
  return [Text.at(rest, 'sh'), Text.at(rest, '-c'), rest]
}
