import type { Command } from '../command.ts'
import type { Deployment } from '../deployment.ts'
import type { FileFormat } from '../format.ts'
import { Text } from '../text.ts'
import { bareCommand, readScript } from './shell.ts'

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
