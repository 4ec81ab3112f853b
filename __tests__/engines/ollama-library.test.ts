import { readFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'
import { openCatalogue } from '../../src/catalogue/catalogue.ts'
import { tensorsOfMix } from '../../src/engines/llamacpp/tensors.ts'
import { ggufMix, ggufTag } from '../../src/models/checkpoint/gguf-mixes.ts'
import { shapeOf } from '../../src/models/families/index.ts'

const beside = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')
const catalogue = openCatalogue(() => beside('../../src/catalogue/catalogue.json'))
const { files } = JSON.parse(beside('../fixtures/ollama-library.json')) as { files: Record<string, number> }

/**
 * What a file of the mix that the library's name stands for would have, less its header (the vocabulary takes 2 to 8 MB): a
 * tied head is stored once.
 */
function fileBytes(name: string): number {
  const facts = catalogue.ollama(`ollama:${name}`)!
  const shape = shapeOf(facts.config)
  if (!shape.ok) throw new Error(shape.problem.message)
  const parts = tensorsOfMix(shape.value, ggufMix(ggufTag(facts.id)!)!)
  const blocks = parts.blocks.reduce((sum, block) => sum + block.other + block.experts, 0)
  return blocks + parts.embedding + parts.output - (shape.value.tied ? parts.embedding : 0) + parts.towers
}

describe("mixes against the files of Ollama's library", () => {
  const errors = Object.entries(files).map(([name, bytes]) => Math.abs(fileBytes(name) / bytes - 1))
  test('each within 2.5 %, nine in ten within 1.5 %, half within 0.2 %', () => {
    expect(errors.length).toBeGreaterThan(80)
    const sorted = [...errors].sort((a, b) => a - b)
    expect(sorted.at(-1)).toBeLessThan(0.025)
    expect(sorted[Math.floor(0.9 * sorted.length)]).toBeLessThan(0.015)
    expect(sorted[Math.floor(0.5 * sorted.length)]).toBeLessThan(0.002)
  })
})
