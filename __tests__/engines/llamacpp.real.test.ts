import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { readGguf } from '../../src/models/checkpoint/gguf.ts'
import { gguf, tinyLlama, type Value } from '../helpers/write-gguf.ts'

/** What this test uses of node-llama-cpp, which is no dependency of this project. */
interface NodeLlamaCpp {
  readonly getLlama: (options: object) => Promise<{
    readonly loadModel: (options: object) => Promise<{
      /** Sum of the tensors' bytes as the library counts them. */
      readonly size: number
      readonly trainContextSize: number
      readonly embeddingVectorSize: number
      readonly dispose: () => Promise<void>
    }>
    readonly dispose: () => Promise<void>
  }>
}

const name = 'node-llama-cpp'
const library: NodeLlamaCpp | null = await import(name).then(
  module => module as NodeLlamaCpp,
  () => null,
)

/** The least vocabulary that node-llama-cpp opens a model with: it asks for tokens while it loads. Every byte has one. */
const byteTokens = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`)
const tokens = ['<unk>', '<s>', '</s>', ...byteTokens, ...Array.from({ length: 253 }, (_, i) => `t${i}`)]
const vocabulary: Readonly<Record<string, Value>> = {
  'tokenizer.ggml.model': { text: 'llama' },
  'tokenizer.ggml.tokens': { texts: tokens },
  'tokenizer.ggml.scores': { f32s: tokens.map((_, i) => -i) },
}

describe('llama.cpp itself', () => {
  if (library === null)
    test.skip('SKIPPED: node-llama-cpp is not installed (npm install --no-save node-llama-cpp, or NODE_PATH)', () => {})
  else
    test('loads the files that the tests write, and counts the same bytes', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'llama-'))
      const llama = await library.getLlama({ gpu: false, build: 'never', logLevel: 'error' })
      try {
        for (const type of ['F16', 'Q8_0', 'Q4_K']) {
          const { keys, tensors } = tinyLlama(type)
          const bytes = gguf({ ...keys, ...vocabulary }, tensors)
          const path = join(folder, `${type}.gguf`)
          writeFileSync(path, bytes)
          const read = readGguf(bytes)
          const facts = read.ok && read.value.kind === 'facts' ? read.value.facts : null
          const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 })
          expect(model.size).toBe(facts?.bytes)
          expect(model.trainContextSize).toBe(facts?.keys['context_length'])
          expect(model.embeddingVectorSize).toBe(facts?.keys['embedding_length'])
          await model.dispose()
        }
      } finally {
        await llama.dispose()
        rmSync(folder, { recursive: true, force: true })
      }
    }, 60_000)
})
