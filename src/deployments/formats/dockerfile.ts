import type { Command } from '../command.ts'
import type { Deployment } from '../deployment.ts'
import type { Context, FileFormat } from '../format.ts'
import { engineStarts, scriptStarts, withScripts } from '../launch.ts'
import { interpolate } from '../shell/parameters.ts'
import { Text } from '../text.ts'
import { bareCommand, deploymentsOf } from './shell.ts'

export const dockerfile: FileFormat = {
  kind: 'file',
  name: 'dockerfile',
  title: 'Dockerfiles: ENTRYPOINT and CMD in both forms, ENV, FROM',
  marks: [],
  paths: path => /(?:^|\/)(?:[\w.-]*\.)?(?:Dockerfile|Containerfile)(?:\.[\w.-]+)?$/i.test(path),
  read: readDockerfile,
}

async function readDockerfile(context: Context): Promise<Deployment[]> {
  const start = dockerfileCommand(context.text)
  // An image that only wraps the engine's own names no model: it declares nothing to judge.
  const starts = engineStarts(await withScripts(start, context))
  // An image of Ollama serves what was pulled while it was built.
  for (const { 1: line } of context.text.value.matchAll(/^RUN[ \t]+((?:[^\n\\]|\\\r?\n|\\[^\n])*ollama pull.*)/gim)) {
    const from = context.text.value.indexOf(line!)
    const run = { ...start, argv: [], files: new Map() }
    starts.push(...scriptStarts(context.text.slice(from, from + line!.length), run, null))
  }
  const found = await deploymentsOf(starts, context, 'dockerfile', 'image')
  return found.filter(deployment => deployment.model.id !== null)
}

/** What a container of the Dockerfile's image starts, with the variables it sets. */
export function dockerfileCommand(text: Text): Command {
  const env = new Map<string, Text>()
  let image: Text | null = null
  let entrypoint: Text[] = []
  let command: Text[] = []
  for (const match of text.value.matchAll(/^[ \t]*([A-Z]+)[ \t]+((?:[^\n\\]|\\\r?\n|\\[^\n])*)/gim)) {
    const from = match.index + match[0].length - match[2]!.length
    const rest = text.slice(from, from + match[2]!.length).trim()
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
  const argv = [...entrypoint, ...command]
  // The exec form expands nothing, but what people mean by a variable in it is what the file sets.
  const meant = /sh$/.test(argv[0]?.value ?? '') ? argv : argv.map(word => interpolate(word, name => env.get(name)))
  return { ...bareCommand(text), argv: meant, env, image }
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

/** A JSON string's text without the backslashes before quotes; those at line ends are the shell's to join. */
function unescaped(text: Text): Text {
  const parts: Text[] = []
  let plain = 0
  for (const match of text.value.matchAll(/\\["\\]/g)) {
    parts.push(text.slice(plain, match.index))
    plain = match.index + 1
  }
  return Text.join([...parts, text.slice(plain)])
}

/** `["a", "b"]` or a shell command. */
function dockerWords(rest: Text): Text[] {
  if (rest.value.startsWith('[')) {
    const words = [...rest.value.matchAll(/"((?:[^"\\]|\\.)*)"/gs)]
    return words.map(match => unescaped(rest.slice(match.index + 1, match.index + 1 + match[1]!.length)))
  }
  return [Text.at(rest, 'sh'), Text.at(rest, '-c'), rest]
}
