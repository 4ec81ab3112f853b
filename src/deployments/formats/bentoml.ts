import type { Command } from '../command.ts'
import { assemble } from '../command-lines/index.ts'
import { sglang } from '../command-lines/sglang.ts'
import { vllm } from '../command-lines/vllm.ts'
import type { FileFormat } from '../format.ts'
import { Text } from '../text.ts'
import { at, type Entry, ListNode, MapNode, type Node, ScalarNode, textAt, textsOf } from '../tree.ts'
import { positive } from '../values.ts'
import { acceleratorHardware } from './accelerators.ts'
import { kebabKeys } from './keys.ts'
import { bareCommand } from './shell.ts'

export const bentoml: FileFormat = {
  kind: 'file',
  name: 'bentoml',
  title: 'BentoML build arguments of an engine: pyproject.toml and bentofile.yaml',
  marks: ['tool.bentoml', 'model_id'],
  paths: path => /(?:^|\/)(?:pyproject\.toml|bentofile\.ya?ml)$/.test(path),
  read: async context => {
    const { text, path } = context
    const args = path.endsWith('.toml') ? tomlArguments(text) : at(context.documents()[0]?.root, 'args')
    const model = textAt(args, 'model_id')
    if (args?.kind !== 'map' || !model) return []
    const line = /sglang/i.test(text.value) ? sglang : vllm
    const named = acceleratorHardware(at(args, 'gpu_type'), 'gpu_type')
    // The service asks for as many GPUs as its tensor parallel ranks.
    const count = textAt(args, 'gpu') ?? textAt(args, 'tp')
    const gpus = count ? positive(count.value) : 1
    const command: Command = {
      ...bareCommand(model),
      hardware: {
        ...named,
        accelerator: named.accelerator ?? 'nvidia',
        gpusPerReplica: gpus ?? null,
        ...(count ? { gpusAt: count.place, gpusText: count.value } : {}),
      },
    }
    const keys = new MapNode(
      kebabKeys(args).entries.map(entry =>
        entry.key.value === 'model-id'
          ? { ...entry, key: Text.at(entry.key, line === vllm ? 'model' : 'model-path') }
          : entry,
      ),
      args.start,
    )
    const reading = await line.read({ command, args: textsOf(at(args, 'cli_args')), form: 'flags', keys }, context)
    return reading ? [assemble(line, command, reading, { format: 'bentoml', name: 'service' })] : []
  },
}

/** Strings, numbers and lists of strings of `[tool.bentoml.build.args]`. */
function tomlArguments(text: Text): Node | undefined {
  const start = /^\[tool\.bentoml\.build\.args\][^\n]*\n/m.exec(text.value)
  if (!start) return undefined
  const from = start.index + start[0].length
  const next = text.value.slice(from).search(/^\[/m)
  const section = text.slice(from, next < 0 ? undefined : from + next)
  const entries: Entry[] = []
  for (const match of section.value.matchAll(
    /^[ \t]*(\w{1,60})[ \t]*=[ \t]*(?:"([^"\n]{0,500})"|'([^'\n]{0,500})'|([\w.+-]{1,40})|\[([^\]]{0,4000})\])/gm,
  )) {
    const key = section.slice(match.index + match[0].indexOf(match[1]!)).slice(0, match[1]!.length)
    const word = match[2] ?? match[3] ?? match[4]
    const end = match.index + match[0].length - (match[4] === undefined ? 1 : 0)
    if (word !== undefined) {
      const value = section.slice(end - word.length, end)
      const plain = word === 'true' ? true : word === 'false' ? false : word
      entries.push({ key, value: new ScalarNode(plain, value, match[4] !== undefined) })
      continue
    }
    const inside = end - match[5]!.length
    const items = [...match[5]!.matchAll(/"([^"\n]{0,500})"|'([^'\n]{0,500})'/g)].map(item => {
      const value = section.slice(inside + item.index + 1, inside + item.index + item[0].length - 1)
      return new ScalarNode(value.value, value, false)
    })
    entries.push({ key, value: new ListNode(items, section.slice(inside, inside)) })
  }
  return new MapNode(entries, section.slice(0, 0))
}
