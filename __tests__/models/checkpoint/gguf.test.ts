import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { modelFromKeys } from '../../../src/engines/llamacpp/model-from-keys.ts'
import { ggmlBytes, ggmlTypeNamed } from '../../../src/models/checkpoint/ggml-types.ts'
import { type GgufFacts, ggufParts, joinGguf, readGguf } from '../../../src/models/checkpoint/gguf.ts'
import { ggufMix, ggufTag, mixBytes } from '../../../src/models/checkpoint/gguf-mixes.ts'
import { gguf, ggufHeader, tensorBytes, tinyLlama } from '../../helpers/write-gguf.ts'

const folder = mkdtempSync(join(tmpdir(), 'gguf-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function factsOf(bytes: Uint8Array): GgufFacts {
  const read = readGguf(bytes)
  if (!read.ok) throw new Error(read.problem.message)
  if (read.value.kind === 'more') throw new Error(`asks for ${read.value.bytes} bytes`)
  return read.value.facts
}

describe('header of a GGUF file', () => {
  test.each(['F16', 'Q8_0', 'Q4_K'])('a %s file on disk, read back', type => {
    const { keys, tensors } = tinyLlama(type)
    const path = join(folder, `${type}.gguf`)
    writeFileSync(path, gguf(keys, tensors))
    const facts = factsOf(readFileSync(path))
    expect(facts.architecture).toBe('llama')
    expect(facts.tensors).toHaveLength(20)
    expect(facts.bytes).toBe(tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0))
    expect(facts.parameters).toBe(512 * 256 + 256 + 2 * (2 * 256 * 256 + 2 * 256 * 128 + 3 * 256 * 512 + 2 * 256))
    expect(facts.fileType).toBe({ F16: 'F16', Q8_0: 'Q8_0', Q4_K: 'Q4_K_M' }[type])
    const model = modelFromKeys(facts.architecture, facts.keys, facts.vocabulary)
    expect(model?.blocks).toHaveLength(2)
    expect(model?.blocks[0]?.keyWidth).toBe(128)
    expect(model?.contextLength).toBe(2048)
  })

  test('every kind of value; long lists and texts are passed over, the vocabulary counted', () => {
    const facts = factsOf(
      gguf(
        {
          'general.architecture': { text: 'x' },
          'x.big': { u64: 5_000_000_000 },
          'x.flag': { bool: true },
          'x.layers': { u32s: [1, 0, 2] },
          'x.pattern': { bools: [true, false] },
          'x.scale': { f32: 0.5 },
          'tokenizer.ggml.tokens': { texts: ['a', 'b', 'ü', ''] },
          'tokenizer.ggml.scores': { f32s: new Array<number>(5000).fill(0) },
          'split.count': { u32: 3 },
        },
        [],
      ),
    )
    expect(facts.keys).toMatchObject({
      big: 5_000_000_000,
      flag: true,
      layers: [1, 0, 2],
      pattern: [true, false],
      scale: 0.5,
    })
    expect(facts.vocabulary).toBe(4)
    expect(facts.files).toBe(3)
    expect(Object.keys(facts.keys).some(key => key.startsWith('tokenizer'))).toBe(false)
  })

  test('asks for more bytes until the header is whole', () => {
    const { keys, tensors } = tinyLlama('Q8_0')
    const whole = gguf(keys, tensors)
    let asked = 24
    let rounds = 0
    for (;;) {
      const read = readGguf(whole.subarray(0, asked))
      if (!read.ok) throw new Error(read.problem.message)
      if (read.value.kind === 'facts') break
      expect(read.value.bytes).toBeGreaterThan(asked)
      asked = read.value.bytes
      rounds++
    }
    expect(rounds).toBeGreaterThan(2)
    expect(asked).toBeLessThan(whole.length)
  })

  test.each([
    ['another magic', (bytes: Uint8Array) => bytes.fill(0, 0, 4)],
    ['version 1', (bytes: Uint8Array) => bytes.fill(1, 4, 5)],
    ['big endian', (bytes: Uint8Array) => bytes.set([0, 0, 0, 3], 4)],
    ['2^63 tensors', (bytes: Uint8Array) => bytes.fill(255, 8, 15)],
    ['2^56 keys', (bytes: Uint8Array) => bytes.fill(255, 16, 23)],
    ['a key of 2^32 bytes', (bytes: Uint8Array) => bytes.fill(255, 24, 29)],
  ])('refuses %s', (_what, harm) => {
    const { keys, tensors } = tinyLlama('F16')
    const bytes = gguf(keys, tensors)
    harm(bytes)
    const read = readGguf(bytes)
    expect(read.ok ? 'accepted' : read.problem.code).toBe('checkpoint-invalid')
  })

  test('refuses rows that do not divide into blocks, and sizes beyond every disk', () => {
    for (const dims of [
      [100, 4],
      [2 ** 40, 2 ** 20, 256],
    ]) {
      const read = readGguf(ggufHeader({ 'general.architecture': { text: 'x' } }, [{ name: 't', type: 'Q4_K', dims }]))
      expect(read.ok ? read.value.kind : read.problem.code).toBe('checkpoint-invalid')
    }
  })

  test('never throws on any bytes', () => {
    const { keys, tensors } = tinyLlama('F16')
    const good = gguf(keys, tensors).subarray(0, 1500)
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1499 }), fc.uint8Array({ minLength: 1, maxLength: 16 }), (at, harm) => {
        const bytes = good.slice()
        bytes.set(harm.subarray(0, Math.min(harm.length, bytes.length - at)), at)
        readGguf(bytes)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('split models', () => {
  test('names of the parts from the name of any', () => {
    expect(ggufParts('UD/m-00002-of-00003.gguf')).toEqual([
      'UD/m-00001-of-00003.gguf',
      'UD/m-00002-of-00003.gguf',
      'UD/m-00003-of-00003.gguf',
    ])
    expect(ggufParts('m.gguf')).toBeNull()
    expect(ggufParts('m-00001-of-99999.gguf')).toBeNull()
  })

  test('the parts joined hold all tensors under the keys of the first', () => {
    const { keys, tensors } = tinyLlama('F16')
    const first = factsOf(gguf(keys, tensors.slice(0, 5)))
    const second = factsOf(gguf({ 'general.architecture': { text: 'llama' } }, tensors.slice(5)))
    const joined = joinGguf([first, second])
    expect(joined?.tensors).toHaveLength(20)
    expect(joined?.bytes).toBe(first.bytes + second.bytes)
    expect(joined?.keys['block_count']).toBe(2)
    expect(joinGguf([])).toBeNull()
  })
})

describe('quantisation tags', () => {
  test.each([
    ['Qwen3-8B-Q4_K_M.gguf', 'Q4_K_M'],
    ['qwen2.5-0.5b-instruct-q8_0.gguf', 'Q8_0'],
    ['unsloth/Qwen3-30B-A3B-GGUF:UD-Q4_K_XL', 'UD-Q4_K_XL'],
    ['/m/MiniMax-M2.5-UD-Q3_K_XL-00001-of-00004.gguf', 'UD-Q3_K_XL'],
    ['gpt-oss-20b-MXFP4.gguf', 'MXFP4'],
    ['llama3.1:8b-instruct-fp16', 'FP16'],
    ['Meta-Llama-3.1-8B-Instruct-IQ4_XS.gguf', 'IQ4_XS'],
    ['model-bf16.gguf', 'BF16'],
    ['llama3.1:8b', null],
    ['model.gguf', null],
  ])('%s is %s', (text, tag) => {
    expect(ggufTag(text)).toBe(tag)
    if (tag !== null) expect(ggufMix(tag)).not.toBeNull()
  })

  test('bytes of a mix: half the layers of Q4_K_M store values in Q6_K', () => {
    const mix = ggufMix('Q4_K_M')!
    const bits = (part: 'plain' | 'value' | 'output') => (mixBytes(mix, part, 32, 1024, 4096) * 8) / (1024 * 4096)
    expect(bits('plain')).toBe(4.5)
    expect(bits('output')).toBe(6.5625)
    expect(bits('value')).toBe((4.5 + 6.5625) / 2)
    // Rows of 896 do not divide into blocks of 256: Q5_0 stands in for Q4_K.
    expect((mixBytes(mix, 'plain', 24, 10, 896) * 8) / 8960).toBe(5.5)
    expect(ggufMix('Q9_K')).toBeNull()
  })

  test('bits a value of every type that the references list', () => {
    const bits: Record<string, number> = {
      Q4_0: 4.5,
      Q4_1: 5,
      Q5_0: 5.5,
      Q5_1: 6,
      Q8_0: 8.5,
      Q2_K: 2.625,
      Q3_K: 3.4375,
      Q4_K: 4.5,
      Q5_K: 5.5,
      Q6_K: 6.5625,
      IQ1_S: 1.5625,
      IQ1_M: 1.75,
      IQ2_XXS: 2.0625,
      IQ2_XS: 2.3125,
      IQ2_S: 2.5625,
      IQ3_XXS: 3.0625,
      IQ3_S: 3.4375,
      IQ4_XS: 4.25,
      IQ4_NL: 4.5,
      TQ1_0: 1.6875,
      TQ2_0: 2.0625,
      MXFP4: 4.25,
      NVFP4: 4.5,
      BF16: 16,
      F16: 16,
      F32: 32,
    }
    for (const [name, expected] of Object.entries(bits)) {
      const type = ggmlTypeNamed(name)!
      expect([name, (ggmlBytes(type, 2560) * 8) / 2560]).toEqual([name, expected])
    }
    expect(Object.keys(bits)).toHaveLength(26)
  })
})
