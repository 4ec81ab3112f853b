import type { Command } from '../command.ts'
import type { Deployment } from '../deployment.ts'
import { parseDotenv } from '../dotenv.ts'
import type { Context, FileFormat } from '../format.ts'
import { engineStarts, scriptStarts, withScripts } from '../launch.ts'
import { splitText } from '../shell/words.ts'
import { Text } from '../text.ts'
import { bareCommand, deploymentsOf } from './shell.ts'

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
    const starts: Command[] = []
    for (const line of unit.get('ExecStart') ?? []) {
      const text = line.slice(/^[-@+!:]*/.exec(line.value)![0].length)
      const script = await withScripts({ ...command, argv: splitText(text) }, context)
      starts.push(...(script.files.size > 0 ? engineStarts(script) : scriptStarts(text, command, null)))
    }
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
  for (const match of text.value.matchAll(/^[ \t]*([A-Z]\w*)[ \t]*=[ \t]*((?:[^\n\\]|\\\r?\n|\\[^\n])*)/gm)) {
    const from = match.index + match[0].length - match[2]!.length
    const list = keys.get(match[1]!) ?? []
    list.push(text.slice(from, from + match[2]!.length).trim())
    keys.set(match[1]!, list)
  }
  return keys
}
