import { describe, expect, test } from '@jest/globals'
import { GGUF_FIRST_READ } from '../../../src/models/checkpoint/gguf.ts'
import { chooseGguf, ggufFacts, type ReadRange, safetensorsFacts } from '../../../src/models/sources/headers.ts'
import { localFacts } from '../../../src/models/sources/local.ts'
import { good, problemText } from '../../../src/problem.ts'
import type { Repository } from '../../../src/repository/repository.ts'
import { ggufFile, safetensorsFile } from '../../helpers/checkpoint-files.ts'

const counting = (file: Buffer): ReadRange & { ends: number[] } => {
  const ends: number[] = []
  const read: ReadRange = async (start, end) => {
    ends.push(end)
    return good(file.subarray(start, end))
  }
  return Object.assign(read, { ends })
}
const tensors = [
  { name: 'a', dtype: 'BF16', shape: [3, 5] },
  { name: 'b', dtype: 'F32', shape: [2] },
] as const
const keys = { 'general.architecture': 'llama', 'llama.block_count': 2 }

describe('a safetensors header', () => {
  test('is read at once when it is short, twice when it is long', async () => {
    const short = counting(safetensorsFile(tensors))
    const facts = { totalBytes: 38, elementsByDtype: { BF16: 15, F32: 2 }, tensors: null }
    expect(await safetensorsFacts(short)).toEqual(good(facts))
    const long = counting(safetensorsFile(tensors, 600_000))
    expect(await safetensorsFacts(long)).toEqual(good(facts))
    expect([short.ends.length, long.ends.length]).toEqual([1, 2])
  })

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['a text', Buffer.from('version https://git-lfs.github.com/spec/v1\n')],
    ['a cut file', safetensorsFile(tensors).subarray(0, 40)],
  ])('that is %s is a problem', async (_what, file) => {
    const read = await safetensorsFacts(counting(file))
    expect(read.ok ? null : read.problem.code).toBe('checkpoint-invalid')
  })
})

describe('a GGUF header', () => {
  test('is read further when the tokenizer is long, and over all its parts', async () => {
    const first = counting(ggufFile(keys, [{ name: 'x', dims: [4, 3] }], 400_000))
    const second = counting(ggufFile(keys, [{ name: 'y', dims: [8] }]))
    const read = await ggufFacts(['1', '2'], file => (file === '1' ? first : second))
    expect(read.ok && { ...read.value, tensors: read.value.tensors.length }).toMatchObject({
      architecture: 'llama',
      keys: { block_count: 2 },
      tensors: 2,
      bytes: 40,
      parameters: 20,
      vocabulary: 400_000,
    })
    expect(first.ends[0]).toBe(GGUF_FIRST_READ)
    expect([first.ends.length, second.ends.length]).toEqual([2, 1])
  })

  test.each([
    [
      'cut',
      ggufFile(keys, [{ name: 'x', dims: [4] }], 10).subarray(0, 120),
      'm.gguf: the file ends within its GGUF header',
    ],
    ['something else', Buffer.from('<html>not found</html>'), 'm.gguf: GGUF header: does not begin with GGUF'],
  ])('that is %s is a problem', async (_what, file, message) => {
    const read = await ggufFacts(['m.gguf'], () => counting(file))
    expect(read.ok ? null : read.problem.message).toBe(message)
  })
})

describe('of several GGUF files', () => {
  const files = [
    'README.md',
    'm-Q4_K_M.gguf',
    'm-Q4_K_S.gguf',
    'm-q8_0.gguf',
    'mmproj-m-f16.gguf',
    'big/m-IQ3_M-00002-of-00002.gguf',
    'big/m-IQ3_M-00001-of-00002.gguf',
    'BF16/m.gguf',
  ]
  test.each<[string | null, string[]]>([
    [null, ['m-Q4_K_M.gguf']],
    ['Q4_K_S', ['m-Q4_K_S.gguf']],
    ['q4_k_s', ['m-Q4_K_S.gguf']],
    ['Q8_0', ['m-q8_0.gguf']],
    ['bf16', ['BF16/m.gguf']],
    ['IQ3_M', ['big/m-IQ3_M-00001-of-00002.gguf', 'big/m-IQ3_M-00002-of-00002.gguf']],
    ['m-q8_0.gguf', ['m-q8_0.gguf']],
    ['m-IQ3_M-00001-of-00002.gguf', ['big/m-IQ3_M-00001-of-00002.gguf', 'big/m-IQ3_M-00002-of-00002.gguf']],
  ])('the variant %s is %j', (variant, expected) => {
    expect(chooseGguf(files, variant)).toEqual(good(expected))
  })

  test.each(['Q4_K', 'Q2_K', 'x.gguf', 'f16'])('the variant %s is none: those that are there are named', variant => {
    const chosen = chooseGguf(files, variant)
    expect(chosen?.ok ? null : chosen?.problem.hint).toContain('there are BF16/m.gguf, big/m-IQ3_M-00001-of-00002.gguf')
  })

  test('without Q4_K_M the first is taken; without any there is none', () => {
    expect(chooseGguf(['b-Q6_K.gguf', 'a-Q8_0.gguf'], null)).toEqual(good(['a-Q8_0.gguf']))
    expect(chooseGguf(['config.json', 'mmproj-f16.gguf'], null)).toBeNull()
  })
})

describe('in the repository', () => {
  const repository = (files: Record<string, Buffer | string>): Repository => ({
    list: async () => ({ files: Object.keys(files).map(path => ({ path, size: 1 })), truncated: false }),
    read: async path => (files[path] === undefined ? null : String(files[path])),
    readBytes: async (path, start, end) =>
      files[path] === undefined ? null : Buffer.from(files[path]).subarray(start, end),
  })
  const checkpoint = async (files: Record<string, Buffer | string>) => {
    const read = await localFacts(repository({ 'm/config.json': '{}', ...files }), 'm', 'a/b')
    return read.ok ? read.value.checkpoint : problemText(read.problem)
  }
  const index = JSON.stringify({ metadata: { total_size: 7 }, weight_map: { a: '1.safetensors', b: '2.safetensors' } })
  const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n'

  test('headers tell the bytes; where the files are not here the index does', async () => {
    expect(await checkpoint({ 'm/model.safetensors': safetensorsFile(tensors) })).toEqual({
      totalBytes: 38,
      elementsByDtype: { BF16: 15, F32: 2 },
      tensors: null,
    })
    const shards = { 'm/1.safetensors': safetensorsFile(tensors), 'm/2.safetensors': safetensorsFile([tensors[1]]) }
    expect(await checkpoint({ 'm/model.safetensors.index.json': index, ...shards })).toEqual({
      totalBytes: 46,
      elementsByDtype: { BF16: 15, F32: 4 },
      tensors: null,
    })
    const unknown = { elementsByDtype: null, tensors: null }
    expect(
      await checkpoint({ 'm/model.safetensors.index.json': index, ...shards, 'm/2.safetensors': pointer }),
    ).toEqual({ totalBytes: 7, ...unknown })
    expect(await checkpoint({ 'm/model.safetensors': pointer })).toEqual({ totalBytes: null, ...unknown })
    expect(await checkpoint({})).toEqual({ totalBytes: null, ...unknown })
  })

  test('a broken header or index is a problem that names the file', async () => {
    expect(await checkpoint({ 'm/model.safetensors': 'short' })).toContain('m/model.safetensors: safetensors: ')
    expect(await checkpoint({ 'm/model.safetensors.index.json': '{' })).toContain(
      'm/model.safetensors.index.json:1:1: ',
    )
  })

  test('a GGUF file is one by its path, by the variant of a folder, or alone in it', async () => {
    const one = ggufFile(keys, [{ name: 'x', dims: [4] }])
    const two = ggufFile(keys, [{ name: 'x', dims: [8] }])
    const both = repository({ 'm/a-Q8_0.gguf': one, 'm/a-Q2_K.gguf': two })
    const bytes = async (path: string, variant: string | null) => {
      const read = await localFacts(both, path, 'a/b', undefined, variant)
      return read.ok
        ? [read.value.checkpoint.totalBytes, read.value.gguf?.architecture, read.value.config]
        : read.problem.code
    }
    expect(await bytes('m/a-Q8_0.gguf', null)).toEqual([8, 'llama', {}])
    expect(await bytes('m', 'Q8_0')).toEqual([8, 'llama', {}])
    expect(await bytes('./m/', 'Q2_K')).toEqual([16, 'llama', {}])
    expect(await bytes('m', null)).toEqual([16, 'llama', {}])
    expect(await bytes('m', 'Q6_K')).toBe('model-not-found')
    expect(await bytes('n', null)).toBe('model-not-found')
    expect(await bytes('m/none.gguf', null)).toBe('checkpoint-invalid')
  })
})
