import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { openCatalogue } from '../../../src/catalogue/catalogue.ts'
import type { ModelFacts } from '../../../src/models/facts.ts'
import { cacheFolder, fileCache } from '../../../src/models/sources/file-cache.ts'
import { type FactsPorts, factsFinder } from '../../../src/models/sources/find-facts.ts'
import { localFacts } from '../../../src/models/sources/local.ts'
import { lockEntry } from '../../../src/models/sources/lock-file.ts'
import type { FactsReference } from '../../../src/models/sources/reference.ts'
import { bad, good, problemText, type Result } from '../../../src/problem.ts'
import type { Repository } from '../../../src/repository/repository.ts'

const SHA = 'b'.repeat(40)
const config = { model_type: 'llama' }
const hubFacts = (id: string): ModelFacts => ({
  id,
  revision: SHA,
  source: 'hub',
  asOf: null,
  config,
  checkpoint: { totalBytes: 7, elementsByDtype: { BF16: 3 }, tensors: null },
})
const catalogue = openCatalogue(
  () =>
    '{"asOf":"2026-11","models":[\n{"id":"Org/Known","aliases":["copy/Known"],"config":{"model_type":"llama"},"weights":{"bytes":5}},\n{"id":"org/known-large","config":{"model_type":"llama"},"weights":{}}\n]}\n',
)
const files = (texts: Record<string, string | Uint8Array>): Repository => ({
  list: async () => ({
    files: Object.entries(texts).map(([path, text]) => ({ path, size: text.length })),
    truncated: false,
  }),
  read: async path => (typeof texts[path] === 'string' ? texts[path] : null),
  readBytes: async (path, start, end) =>
    texts[path] === undefined ? null : Buffer.from(texts[path]).subarray(start, end),
})
const at = { file: 'p.yml', line: 3, column: 3 }

function finder(ports: Partial<FactsPorts> = {}) {
  const asked: FactsReference[] = []
  const hub = async (reference: FactsReference): Promise<Result<ModelFacts>> => {
    asked.push(reference)
    return reference.id.includes('nope')
      ? bad('model-not-found', 'gone', { hint: 'look' })
      : good(hubFacts(reference.id))
  }
  const find = factsFinder({
    models: new Map(),
    repository: null,
    lock: null,
    catalogue,
    hub,
    refresh: false,
    ...ports,
  })
  return {
    asked,
    find: (id: string, revision: string | null = null, variant: string | null = null) =>
      find({ id, revision, variant }),
  }
}
const lock = new Map([['Org/Known', lockEntry(hubFacts('Org/Known'), '2026-11-24')]])
const source = (result: Result<ModelFacts>) => (result.ok ? result.value.source : result.problem.code)

describe('facts are looked for in order', () => {
  const entry = { id: null, revision: null, path: null, at }
  const local = {
    models: new Map([
      ['Org/Known', { ...entry, path: 'models/k' }],
      ['/models/x', { ...entry, id: 'org/known-large' }],
      ['acme/pinned', { ...entry, id: 'org/other', revision: 'v2' }],
      ['acme/bad', { ...entry, id: '../x' }],
    ]),
    repository: files({ 'models/k/config.json': '{"model_type":"qwen3"}' }),
  }
  test.each<[string, Partial<FactsPorts>, string, string | null, string]>([
    ['a policy path before all', { ...local, lock }, 'Org/Known', null, 'local'],
    ['the lock before the catalogue', { lock }, 'Org/Known', null, 'lock'],
    ['the lock in any case', { lock }, 'org/known', null, 'lock'],
    ['the lock only at the revision asked for', { lock }, 'Org/Known', 'v2', 'hub'],
    ['the catalogue before the Hub', {}, 'org/known', null, 'catalogue'],
    ['the catalogue by an alias', {}, 'copy/known', null, 'catalogue'],
    ['the catalogue for the default branch', {}, 'org/known', 'main', 'catalogue'],
    ['the Hub under refresh', { refresh: true }, 'org/known', null, 'hub'],
    ['the lock also under refresh', { lock, refresh: true }, 'Org/Known', null, 'lock'],
    ['the Hub for a revision', {}, 'org/known', 'v2', 'hub'],
    ['the Hub for what is not catalogued', {}, 'org/new', null, 'hub'],
    ['nothing offline', { hub: null }, 'org/new', null, 'model-unknown'],
    ['what a policy id stands for', local, '/models/x', null, 'catalogue'],
    ['a policy id at its revision', local, 'acme/pinned', null, 'hub'],
    ['a policy id that is none', local, 'acme/bad', null, 'model-id-invalid'],
  ])('%s', async (_what, ports, id, revision, expected) => {
    expect(source(await finder(ports).find(id, revision))).toBe(expected)
  })

  test('a policy revision is what the Hub is asked for', async () => {
    const { asked, find } = finder(local)
    await find('acme/pinned', 'v1')
    expect(asked).toEqual([{ id: 'org/other', revision: 'v2', variant: null }])
  })
})

test('one model asked for fifty times is looked for once', async () => {
  const { asked, find } = finder()
  await Promise.all(Array.from({ length: 50 }, () => find('org/new')))
  await find('org/new', 'v2')
  expect(asked).toHaveLength(2)
})

test('hostile ids cause no request and no look at a file', async () => {
  const reads: string[] = []
  const read = async (path: string) => {
    reads.push(path)
    return null
  }
  const repository: Repository = { ...files({}), read }
  const { asked, find } = finder({ repository })
  for (const id of ['../../x', 'a/b/../../c', 'http://evil', 'a/b?x=1', '%2e%2e', 'a\0b', 'x'.repeat(10_240), '-x/y'])
    expect(source(await find(id))).toBe('model-id-invalid')
  expect([asked, reads]).toEqual([[], []])
})

test.each<[string, string | null, boolean, string]>([
  ['org/knwon', null, true, 'did you mean Org/Known?'],
  ['known-large', null, true, 'did you mean org/known-large?'],
  ['other/known', null, true, 'did you mean Org/Known?'],
  ['quite/different', null, true, 'run online, or pin it with hf-vram-calc lock'],
  ['Org/Known', 'v2', true, 'the catalogue knows Org/Known, but not at a revision: run hf-vram-calc lock'],
  ['org/nope-known', null, false, 'look'],
])('the hint for %s at %s, offline %s, is %s', async (id, revision, offline, hint) => {
  const result = await finder(offline ? { hub: null } : {}).find(id, revision)
  expect(result.ok ? null : result.problem.hint).toContain(hint)
})

describe('a folder of the repository', () => {
  test('gives config, index size and the quantisation beside it', async () => {
    const repository = files({
      'm/config.json': '{"model_type":"llama","x":NaN}',
      'm/model.safetensors.index.json': '{"metadata":{"total_size":99},"weight_map":{"a":"m.safetensors"}}',
      'm/hf_quant_config.json': '{"quantization":{"quant_algo":"NVFP4"}}',
    })
    for (const path of ['m', 'm/', 'm/config.json']) {
      const result = await localFacts(repository, path, 'acme/m')
      expect(result.ok ? result.value : null).toEqual({
        id: 'acme/m',
        revision: null,
        source: 'local',
        asOf: null,
        config: {
          model_type: 'llama',
          x: null,
          quantization_config: { quant_method: 'modelopt', quant_algo: 'NVFP4' },
        },
        checkpoint: { totalBytes: 99, elementsByDtype: null, tensors: null },
      })
    }
  })

  test('without a config, or with a broken one, names the place', async () => {
    const missing = await localFacts(files({}), 'm', 'acme/m', at)
    expect(missing.ok ? '' : problemText(missing.problem)).toBe(
      'p.yml:3:3: "m" holds no config.json for acme/m (the path must be a folder with the model\'s config.json, or a GGUF file)',
    )
    const broken = await localFacts(files({ 'm/config.json': '[]' }), 'm', 'acme/m')
    expect(broken.ok ? '' : problemText(broken.problem)).toContain(
      'm/config.json:1:1: m/config.json holds no JSON object',
    )
  })

  test('needs a repository', async () => {
    const models = new Map([['a/b', { id: null, revision: null, path: 'm', at }]])
    expect(source(await finder({ models }).find('a/b'))).toBe('model-not-found')
  })
})

describe('the cache folder', () => {
  const folder = mkdtempSync(join(tmpdir(), 'facts-'))

  test('gives back what was put, by commit and variant', async () => {
    const cache = fileCache(join(folder, 'new'))
    const facts = hubFacts('org/m')
    expect(await cache.get('org/m', SHA, null)).toBeNull()
    await cache.put(facts, null)
    expect(await cache.get('org/m', SHA, null)).toEqual(facts)
    expect(await cache.get('org/m', 'c'.repeat(40), null)).toBeNull()
    expect(await cache.get('org/m', SHA, 'Q4_K_M')).toBeNull()
    await cache.put(facts, 'a/b.gguf')
    expect(await cache.get('org/m', SHA, 'a/b.gguf')).toEqual(facts)
    expect(readdirSync(join(folder, 'new', 'facts-1', 'org--m'))).toEqual([`${SHA}-a%2Fb.gguf.json`, `${SHA}.json`])
  })

  test('never fails: broken files and folders that cannot be written hold nothing', async () => {
    writeFileSync(join(folder, 'file'), '')
    const blocked = fileCache(join(folder, 'file'))
    await blocked.put(hubFacts('org/m'), null)
    expect(await blocked.get('org/m', SHA, null)).toBeNull()
    writeFileSync(join(folder, 'new/facts-1/org--m', `${SHA}.json`), '{"id":')
    expect(await fileCache(join(folder, 'new')).get('org/m', SHA, null)).toBeNull()
    rmSync(folder, { recursive: true })
  })

  test.each<[Record<string, string>, string, string | null]>([
    [{ XDG_CACHE_HOME: '/x', HOME: '/h' }, 'https://huggingface.co', '/x/hf-vram-calc/huggingface.co'],
    [{ HOME: '/h' }, 'https://mirror.example:8443/hf', '/h/.cache/hf-vram-calc/mirror.example-8443'],
    [{ HOME: '/h' }, 'http://127.0.0.1:8080', null],
    [{}, 'https://huggingface.co', null],
  ])('is found from %j for %s', (env, endpoint, expected) => {
    expect(cacheFolder(env, endpoint)).toBe(expected)
  })
})

describe("names of Ollama's library", () => {
  const library = openCatalogue(
    () =>
      '{"asOf":"2026-11",\n"ollama":{"known:7b":"org/known:Q4_0"},\n"models":[\n{"id":"org/known","config":{"model_type":"llama"},"weights":{}}\n]}\n',
  )
  test('are known without a request, also under refresh; the policy comes first', async () => {
    for (const refresh of [false, true]) {
      const { asked, find } = finder({ catalogue: library, refresh })
      expect(await find('ollama:known:7b')).toMatchObject({ ok: true, value: { id: 'org/known:Q4_0' } })
      expect(await find('ollama:known:8b')).toMatchObject({ ok: false, problem: { code: 'model-unknown' } })
      expect(asked).toEqual([])
    }
    const told = finder({
      catalogue: library,
      models: new Map([['ollama:known:7b', { id: 'org/other', revision: null, path: null, at }]]),
    })
    expect(await told.find('ollama:known:7b')).toMatchObject({ ok: true, value: { id: 'org/other' } })
  })
})

describe('GGUF conversions offline', () => {
  const catalogue = openCatalogue(() =>
    readFileSync(new URL('../../../src/catalogue/catalogue.json', import.meta.url), 'utf8'),
  )
  const find = factsFinder({ models: new Map(), repository: null, lock: null, catalogue, hub: null, refresh: false })
  test.each([
    ['Qwen/Qwen3-32B', 'Q4_K_M', 'Qwen/Qwen3-32B'],
    ['Qwen/Qwen3-32B-GGUF', 'Q8_0', 'Qwen/Qwen3-32B'],
    ['Qwen/Qwen3-32B-GGUF', null, 'Qwen/Qwen3-32B'],
  ])('%s:%s is read as a conversion of %s', async (id, variant, original) => {
    const found = await find({ id, revision: null, variant })
    expect(found).toMatchObject({ ok: true, value: { id: original, source: 'catalogue' } })
  })
  test.each([
    ['someone/Qwen3-32B-GGUF', 'Q8_0'],
    ['Qwen/Qwen3-32B', 'model.safetensors'],
  ])('%s:%s is not guessed', async (id, variant) => {
    expect((await find({ id, revision: null, variant })).ok).toBe(false)
  })
})
