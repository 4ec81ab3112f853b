import type { Command } from '../command.ts'
import { assemble } from '../command-lines/index.ts'
import type { FileFormat } from '../format.ts'
import { Collector, modelFrom, positive } from '../values.ts'
import { bareCommand } from './shell.ts'

export const modelfile: FileFormat = {
  kind: 'file',
  name: 'modelfile',
  title: 'Ollama Modelfiles: FROM, PARAMETER num_ctx, ADAPTER',
  marks: ['from '],
  paths: path => /(?:^|\/)(?:[\w-]+\.)?Modelfile(?:[.-][\w.-]+)?$/.test(path),
  read: async context => {
    const { text } = context
    const collector = new Collector()
    const from = /^[ \t]*FROM[ \t]+(\S+)/im.exec(text.value)
    if (!from) return []
    const named = text.slice(from.index + from[0].length - from[1]!.length, from.index + from[0].length)
    for (const match of text.value.matchAll(/^[ \t]*PARAMETER[ \t]+num_ctx[ \t]+(\S+)/gim)) {
      const end = match.index + match[0].length
      collector.set('maxModelLen', { value: text.slice(end - match[1]!.length, end), text: match[0].trim() }, positive)
    }
    for (const match of text.value.matchAll(/^[ \t]*ADAPTER[ \t]+(\S+)/gim)) {
      const end = match.index + match[0].length
      collector.adapters.push(modelFrom(text.slice(end - match[1]!.length, end), collector))
    }
    const model = modelFrom(named, collector)
    const path = /^[./~]|\.gguf$|\.safetensors$/i.test(named.value)
    const command: Command = bareCommand(named)
    return [
      assemble(
        { engine: 'ollama', environment: /^$/ },
        command,
        { collector, model: path || model.id === null ? model : { ...model, id: `ollama:${model.id}` } },
        { format: 'modelfile', name: 'model' },
      ),
    ]
  },
}
