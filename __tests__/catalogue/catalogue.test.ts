import { readFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'
import { catalogueRow } from '../../scripts/make-catalogue.mjs'
import { openCatalogue } from '../../src/catalogue/catalogue.ts'
import { catalogueBeside } from '../../src/catalogue/catalogue-file.ts'
import { ggufMix } from '../../src/models/checkpoint/gguf-mixes.ts'

const file = new URL('../../src/catalogue/catalogue.json', import.meta.url)
const text = readFileSync(file, 'utf8')
const catalogue = openCatalogue(() => text)
type Row = { id: string; aliases?: string[]; weights: { bytes?: number; parameters: number | null; source: string } }
const rows = (JSON.parse(text) as { models: Row[] }).models

describe('the catalogue', () => {
  test('holds at least 250 models in at most 0.8 MB, one a line, in order, as its command writes it', () => {
    expect(rows.length).toBeGreaterThanOrEqual(545)
    expect(text.length).toBeLessThanOrEqual(800_000)
    expect(text.trimEnd().split('\n')).toHaveLength(rows.length + 4)
    expect(catalogue.ids()).toEqual(rows.map(row => row.id))
    const ids = rows.map(row => row.id.toLowerCase())
    expect([...ids].sort()).toEqual(ids)
    expect(rows.map(row => JSON.stringify(catalogueRow(row)))).toEqual(rows.map(row => JSON.stringify(row)))
  })

  test('finds every model by id and alias, in any case', () => {
    let looked = 0
    for (const row of rows)
      for (const name of [row.id, row.id.toUpperCase(), ...(row.aliases ?? [])]) {
        const facts = catalogue.find(name)
        expect(facts?.id).toBe(row.id)
        expect(facts?.checkpoint.totalBytes).toBe(row.weights.bytes ?? null)
        looked++
      }
    expect(looked).toBeGreaterThan(1200)
    expect(catalogue.find('google/gemma-2b')).toMatchObject({
      source: 'catalogue',
      revision: null,
      asOf: '2026-11',
      config: { model_type: 'gemma' },
    })
  })

  test.each(['', 'llama', 'LlamaForCausalLM', 'id', 'meta-llama/nothing', 'bfloat16', '2026-11', '__proto__'])(
    'does not find %j',
    name => {
      expect(catalogue.find(name)).toBeNull()
    },
  )

  test.each([
    ['ollama:qwen3:8b', 'Qwen/Qwen3-8B'],
    ['ollama:qwen3', 'Qwen/Qwen3-8B'],
    ['ollama:library/LLAMA3.1', 'meta-llama/Llama-3.1-8B-Instruct:Q4_K_M'],
    ['ollama:registry.ollama.ai/library/llama3.1:8b', 'meta-llama/Llama-3.1-8B-Instruct:Q4_K_M'],
    ['ollama:llama3.1:8b-instruct-q8_0', 'meta-llama/Llama-3.1-8B-Instruct:Q8_0'],
    ['ollama:llama3.1:8b-instruct-fp16', 'meta-llama/Llama-3.1-8B-Instruct:FP16'],
    ['ollama:qwen3:30b-instruct', 'Qwen/Qwen3-30B-A3B-Instruct-2507:Q4_K_M'],
    ['ollama:qwen3:30b-a3b-q4_K_M', 'Qwen/Qwen3-30B-A3B-Instruct-2507:Q4_K_M'],
    ['ollama:gpt-oss:20b', 'openai/gpt-oss-20b:MXFP4_BF16'],
  ])('knows %s of Ollama’s library', (name, id) => {
    expect(catalogue.ollama(name)?.id).toBe(id)
  })

  test.each([
    'ollama:',
    'ollama:llama3.1:9b',
    'ollama:someone/llama3.1:8b',
    'ollama:gemma3:4b-it-qat',
    'ollama:__proto__',
    'llama3.1:8b',
  ])('does not know %s of it', name => {
    expect(catalogue.ollama(name)).toBeNull()
  })

  test("every name of Ollama's library is a model, and its tag a mix", () => {
    const { ollama } = JSON.parse(text) as { ollama: Record<string, string> }
    expect(Object.keys(ollama).length).toBeGreaterThan(190)
    for (const [name, known] of Object.entries(ollama)) {
      const [id, tag] = known.split(':')
      expect(rows.some(row => row.id === id || row.aliases?.includes(id!))).toBe(true)
      if (tag !== undefined) expect(ggufMix(tag)?.tag).toBe(tag)
      expect(catalogue.ollama(`ollama:${name}`)).not.toBeNull()
    }
    expect(openCatalogue(() => '{"asOf":"2026-11","models":[]}').ollama('ollama:qwen3:8b')).toBeNull()
  })

  test('is read once, when first asked', () => {
    let reads = 0
    const lazy = openCatalogue(() => {
      reads++
      return text
    })
    expect(reads).toBe(0)
    lazy.find('gpt2')
    lazy.find('gpt2-xl')
    expect(reads).toBe(1)
  })

  test('is found beside the sources; a broken installation says so', () => {
    expect(catalogueBeside(new URL('../../src/version.ts', import.meta.url).pathname)()).toBe(text)
    expect(catalogueBeside(process.execPath)).toThrow('catalogue.json is missing beside')
  })
})

describe('a catalogue row', () => {
  const row = {
    id: 'a/b',
    config: { model_type: 'llama', torch_dtype: 'float16' },
    weights: { parameters: 10, stored: 10, bytes: 20, source: 's' },
  }

  test.each<[string, object, object]>([
    ['exact bytes', {}, { bytes: 20 }],
    [
      'bytes rounded by their source',
      { weights: { ...row.weights, source: 'x (rounded to 0.01 GiB)' } },
      { roundedBytes: 20 },
    ],
  ])('with %s', (_what, change, expected) => {
    expect(catalogueRow({ ...row, ...change }).weights).toMatchObject(expected)
  })
  test('drops bytes of a copy in another data type', () => {
    expect(catalogueRow({ ...row, weights: { ...row.weights, bytes: 40 } }).weights).not.toHaveProperty('bytes')
  })
  test.each<[object, string]>([
    [{ id: '../x/y' }, 'is no model id'],
    [{ config: {} }, 'config has no model_type'],
    [{ weights: { ...row.weights, parameters: -1 } }, 'is no positive integer'],
    [{ weights: { ...row.weights, source: '' } }, 'weights have no source'],
  ])('is refused with %j', (change, message) => {
    expect(() => catalogueRow({ ...row, ...change })).toThrow(message)
  })
})
