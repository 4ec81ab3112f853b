import type { Deployment } from '../deployment.ts'
import type { DocumentFormat } from '../format.ts'
import { engineStarts } from '../launch.ts'
import { interpolate, type Lookup } from '../shell/parameters.ts'
import { splitText } from '../shell/words.ts'
import type { Text } from '../text.ts'
import { listAt, mapAt, textAt, textsOf } from '../tree.ts'
import { bareCommand, deploymentsOf } from './shell.ts'

export const llamaSwap: DocumentFormat = {
  kind: 'document',
  name: 'llama-swap',
  title: 'llama-swap configurations: the server of each model, macros',
  marks: [],
  claims: root => (mapAt(root, 'models')?.entries ?? []).some(({ value }) => textAt(value, 'cmd') !== undefined),
  read: async (root, context) => {
    const macro: Lookup = name => textAt(root, 'macros', name)
    const found: Deployment[] = []
    for (const { key, value } of mapAt(root, 'models')?.entries ?? []) {
      const cmd = textAt(value, 'cmd')
      if (!cmd) continue
      const env = new Map<string, Text>()
      for (const one of listAt(value, 'env').flatMap(textsOf)) {
        const equals = one.value.indexOf('=')
        env.set(one.value.slice(0, equals), one.slice(equals + 1))
      }
      // A macro may hold another one; line breaks are blanks.
      const argv = splitText(interpolate(interpolate(cmd, macro), macro))
      const starts = engineStarts({ ...bareCommand(cmd), argv, env })
      found.push(...(await deploymentsOf(starts, context, 'llama-swap', key.value)))
    }
    return found
  },
}
