import type { Command } from '../command.ts'
import { assemble } from '../command-lines/index.ts'
import { readVllmMap, vllm } from '../command-lines/vllm.ts'
import type { DeclaredHardware, Deployment } from '../deployment.ts'
import type { Context, FileFormat } from '../format.ts'
import { engineStarts } from '../launch.ts'
import { constantsOf } from '../python.ts'
import { Text } from '../text.ts'
import { type Entry, MapNode, ScalarNode } from '../tree.ts'
import { acceleratorHardware } from './accelerators.ts'
import { bareCommand, deploymentsOf } from './shell.ts'

export const modal: FileFormat = {
  kind: 'file',
  name: 'modal',
  title: 'Modal programs: argument lists of subprocess calls, constants, gpu=',
  marks: ['import modal'],
  paths: path => path.endsWith('.py'),
  read: async context => (/^\s*(?:import modal|from modal import)/m.test(context.text.value) ? read(context) : []),
}

async function read(context: Context): Promise<Deployment[]> {
  const constants = constantsOf(context.text)
  const found: Deployment[] = []
  for (const { at, argv } of argumentLists(context.text, constants)) {
    const command: Command = {
      ...bareCommand(argv[0] ?? context.text),
      argv,
      hardware: gpuBefore(context.text, at, constants),
    }
    found.push(...(await deploymentsOf(engineStarts(command), context, 'modal', 'app')))
  }
  for (const { at, keys } of engineArguments(context.text, constants)) {
    const reading = readVllmMap(keys)
    const command: Command = { ...bareCommand(keys.start), hardware: gpuBefore(context.text, at, constants) }
    if (reading.model.id !== null || reading.collector.unresolved.length > 0)
      found.push(assemble(vllm, command, reading, { format: 'modal', name: 'app' }))
  }
  const pin = /["']vllm==([\d.]+(?:\.?post\d+)?)/.exec(context.text.value)?.[1]
  return found.map(one =>
    one.engine.name === 'vllm' && pin ? { ...one, engine: { ...one.engine, version: pin } } : one,
  )
}

/** `LLM(model=…)` and `AsyncEngineArgs(…)`: the engine in the program itself. */
function engineArguments(text: Text, constants: ReadonlyMap<string, Text>): { at: number; keys: MapNode }[] {
  return [...text.value.matchAll(/\b(?:LLM|(?:Async)?EngineArgs)\(([^()]{1,2000})\)/g)].slice(0, 20).map(match => {
    const inside = match.index + match[0].indexOf('(') + 1
    const entries = [
      ...match[1]!.matchAll(/(\w{1,60})\s{0,9}=\s{0,9}(?:f?"([^"\n]{0,300})"|f?'([^'\n]{0,300})'|([\w.]{1,80}))/g),
    ].map((pair): Entry => {
      const key = text.slice(inside + pair.index, inside + pair.index + pair[1]!.length)
      const literal = pair[2] ?? pair[3]
      const word = literal ?? pair[4]!
      const from = inside + pair.index + pair[0].lastIndexOf(word)
      const raw = text.slice(from, from + word.length)
      const value =
        literal !== undefined
          ? formatted(raw, constants)
          : (constants.get(word.replace('self.', '')) ??
            (/^(?:\d[\d.]*|True|False)$/.test(word) ? raw : Text.at(raw, `\${${word}}`)))
      const truth = word === 'True' ? true : word === 'False' ? false : value.value
      return { key, value: new ScalarNode(truth, value, true) }
    })
    return { at: match.index, keys: new MapNode(entries, text.slice(match.index, match.index)) }
  })
}

interface ArgumentList {
  readonly at: number
  /** The variable it is assigned to; later `+=` and `.extend` add to it. */
  readonly name: string
  readonly argv: Text[]
}

/** List literals whose strings start a program: `["vllm", "serve", MODEL, "--port", str(PORT)]`. */
function argumentLists(text: Text, constants: ReadonlyMap<string, Text>): ArgumentList[] {
  const lists: ArgumentList[] = []
  for (const match of text.value.matchAll(/\[\s{0,200}f?["'][^"'\n]{1,200}["']\s{0,200}[,\]]/g)) {
    const end = text.value.indexOf(']', match.index)
    if (end < 0 || lists.length >= 100) break
    const argv: Text[] = []
    const inside = text.value.slice(match.index + 1, end)
    for (const item of inside.matchAll(
      /#[^\n]*|f?"([^"\n]*)"|f?'([^'\n]*)'|(?:str\(\s*)?([A-Za-z_]\w*)\s*\)?(?=\s*(?:,|$))|(\d+(?:\.\d+)?)/g,
    )) {
      const literal = item[1] ?? item[2] ?? item[4]
      const from = match.index + 1 + item.index
      if (literal !== undefined)
        argv.push(
          formatted(
            text.slice(from + item[0].indexOf(literal), from + item[0].indexOf(literal) + literal.length),
            constants,
          ),
        )
      else if (item[3]) argv.push(constants.get(item[3]) ?? Text.at(text.slice(from), `\${${item[3]}}`))
    }
    const target = /([A-Za-z_]\w{0,60})\s{0,9}(?:\+=|\.extend\()\s{0,9}$/.exec(
      text.value.slice(Math.max(0, match.index - 90), match.index),
    )?.[1]
    const begun = target ? lists.findLast(list => list.name === target) : undefined
    if (begun) begun.argv.push(...argv)
    else
      lists.push({
        at: match.index,
        argv,
        name:
          /([A-Za-z_]\w{0,60})\s{0,9}=\s{0,9}$/.exec(
            text.value.slice(Math.max(0, match.index - 90), match.index),
          )?.[1] ?? '',
      })
  }
  return lists
}

/** Each `{NAME}` of an f-string whose names are all known. */
function formatted(text: Text, constants: ReadonlyMap<string, Text>): Text {
  const parts: Text[] = []
  let from = 0
  for (const match of text.value.matchAll(/\{(\w+)\}/g)) {
    const value = constants.get(match[1]!)
    if (!value) return text
    parts.push(text.slice(from, match.index), value)
    from = match.index + match[0].length
  }
  return from === 0 ? text : Text.join([...parts, text.slice(from)])
}

/** The `gpu=` argument of the decorator before the list; else the file's first. */
function gpuBefore(text: Text, index: number, constants: ReadonlyMap<string, Text>): DeclaredHardware {
  const all = [
    ...text.value.matchAll(
      /\bgpu\s{0,9}=\s{0,9}(?:f?"([^"\n]{1,60})"|f?'([^'\n]{1,60})'|([A-Z_]\w{0,60})|modal\.gpu\.(\w{1,30})\(([^)]{0,80})\))/g,
    ),
  ]
  const match = all.findLast(one => one.index < index) ?? all[0]
  if (!match) return acceleratorHardware(undefined, 'gpu')
  const literal = match[1] ?? match[2]
  const from = match.index + match[0].indexOf(literal ?? match[3] ?? match[4]!)
  let value =
    literal !== undefined
      ? formatted(text.slice(from, from + literal.length), constants)
      : (constants.get(match[3] ?? '') ?? null)
  if (match[4]) {
    const count = /count\s*=\s*(\d+)/.exec(match[5] ?? '')?.[1] ?? '1'
    const size = /size\s*=\s*["']([^"']+)/.exec(match[5] ?? '')?.[1]
    value = Text.at(text.slice(from), `${match[4]}${size ? `-${size}` : ''}:${count}`)
  }
  return value
    ? acceleratorHardware(new ScalarNode(value.value.replace('!', ''), value, true), 'gpu')
    : acceleratorHardware(undefined, 'gpu')
}
