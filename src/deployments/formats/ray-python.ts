import type { FileFormat } from '../format.ts'
import { callArguments, constantsOf } from '../python.ts'
import { llmConfig } from './ray.ts'

export const rayPython: FileFormat = {
  kind: 'file',
  name: 'ray-python',
  title: 'Ray Serve LLM in Python: LLMConfig calls with literal arguments',
  marks: ['llmconfig('],
  paths: path => path.endsWith('.py'),
  read: async ({ text }) => {
    if (!/\bray\.(?:serve|data)\b/.test(text.value)) return []
    const constants = constantsOf(text)
    return [...text.value.matchAll(/\bLLMConfig\(/g)].slice(0, 50).flatMap(match => {
      const config = callArguments(text, match.index + match[0].length, constants)
      return config ? llmConfig(config, undefined, 'serve').map(one => ({ ...one, format: 'ray-python' })) : []
    })
  },
}
