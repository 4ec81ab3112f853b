import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { HttpOptions } from '../../../src/models/sources/http.ts'
import { type FactsCache, hubClient } from '../../../src/models/sources/hub.ts'
import type { FactsReference } from '../../../src/models/sources/reference.ts'
import { problemText, type Result } from '../../../src/problem.ts'
import { ggufFile, safetensorsFile } from '../../helpers/checkpoint-files.ts'
import { FakeHub, GOOD_TOKEN, SHA } from '../../helpers/fake-hub.ts'

const CONFIG = JSON.stringify({ model_type: 'llama', torch_dtype: 'bfloat16', hidden_size: 8 })
const AWQ = JSON.stringify({ model_type: 'llama', quantization_config: { quant_method: 'awq', bits: 4 } })
const KEYS = { 'general.architecture': 'llama' }
const INDEX = JSON.stringify({ metadata: { total_size: 4321 }, weight_map: {} })
const counts = (parameters: object) => ({ info: { safetensors: { parameters, total: 1 } } })
const files = { 'config.json': CONFIG, 'model.safetensors': 'x' }

const hub = new FakeHub({
  'org/plain': { ...counts({ BF16: 1000, F32: 10 }), files },
  'org/gated': { ...counts({ BF16: 1000 }), files, gated: true },
  'org/awq': {
    ...counts({ I32: 1000, F16: 10 }),
    files: { 'config.json': AWQ, 'model.safetensors.index.json': INDEX },
  },
  'org/torch': { files: { 'config.json': CONFIG, 'pytorch_model.bin.index.json': INDEX } },
  'org/nothing-known': { files },
  'org/large-index': {
    files: { ...files, 'model.safetensors.index.json': INDEX },
    large: ['model.safetensors.index.json', 'config.json'],
  },
  'org/modelopt': {
    ...counts({ F8_E4M3: 1000, BF16: 10 }),
    files: {
      ...files,
      'hf_quant_config.json': JSON.stringify({ producer: { name: 'modelopt' }, quantization: { quant_algo: 'FP8' } }),
    },
  },
  'org/m-GGUF': {
    files: {
      'm-Q4_K_M.gguf': ggufFile(KEYS, [{ name: 'x', dims: [4] }]),
      'm-Q8_0.gguf': ggufFile(KEYS, [{ name: 'x', dims: [8] }]),
      'config.json': CONFIG,
    },
    large: ['m-Q4_K_M.gguf', 'm-Q8_0.gguf'],
  },
  'org/single': {
    files: { 'config.json': CONFIG, 'model.safetensors': safetensorsFile([{ name: 'a', dtype: 'BF16', shape: [3] }]) },
    large: ['model.safetensors'],
  },
  'org/empty': { files: { 'README.md': '' } },
  'org/broken-config': { ...counts({ BF16: 1 }), files: { 'config.json': '{"model_type": ' } },
  'org/list-config': { ...counts({ BF16: 1 }), files: { 'config.json': '[1]' } },
  'org/infinity': {
    ...counts({ BF16: 1 }),
    files: { 'config.json': '{"model_type":"nemotron_h","time_step_limit":[0, Infinity]}' },
  },
  'org/hostile-counts': { ...counts({ BF16: -5, F32: 1e308 }), files },
  'org/no-sha': { info: { sha: '../../x' }, files },
  gpt2: { ...counts({ F32: 5 }), files },
})
beforeAll(() => hub.start())
afterAll(() => hub.stop())
beforeEach(() => hub.reset())

/** A clock that only the waiting moves, so that retries take no time and their waits can be asserted. */
function client(token: string | null = null, http: Partial<HttpOptions> = {}, cache?: FactsCache) {
  const waits: number[] = []
  let time = 0
  const ports = {
    fetch,
    sleep: async (ms: number) => {
      waits.push(ms)
      time += ms
    },
    now: () => time,
    random: () => 0.5,
  }
  return { ...hubClient({ endpoint: hub.url, token }, ports, { http, ...(cache ? { cache } : {}) }), waits }
}
const ref = (id: string, revision: string | null = null): FactsReference => ({ id, revision, variant: null })
const said = (result: Result<unknown>) =>
  result.ok
    ? 'ok'
    : `${result.problem.code}: ${problemText(result.problem)}`
        .replaceAll(hub.url, 'HUB')
        .replaceAll(new URL(hub.url).host, 'HOST')

describe('facts from the Hub', () => {
  test('take two requests, the second at the commit that the first named', async () => {
    const result = await client().facts(ref('org/plain'))
    expect(result).toEqual({
      ok: true,
      value: {
        id: 'org/plain',
        revision: SHA,
        source: 'hub',
        asOf: null,
        config: JSON.parse(CONFIG),
        checkpoint: { totalBytes: 2040, elementsByDtype: { BF16: 1000, F32: 10 }, tensors: null },
      },
    })
    expect(hub.seen.map(seen => seen.path)).toEqual([
      '/api/models/org/plain/revision/HEAD?expand=sha&expand=safetensors&expand=siblings',
      `/org/plain/resolve/${SHA}/config.json`,
    ])
  })

  test.each<[string, number | null, number]>([
    ['org/awq', 4321, 3],
    ['org/torch', 4321, 3],
    ['org/nothing-known', null, 3],
    ['org/single', 6, 3],
    ['org/large-index', 4321, 3],
    ['org/modelopt', 1020, 3],
    ['org/hostile-counts', null, 3],
    ['gpt2', 20, 2],
  ])('%s: %s bytes by %i requests', async (id, bytes, requests) => {
    const result = await client().facts(ref(id))
    expect(said(result)).toBe('ok')
    expect(result.ok && result.value.checkpoint.totalBytes).toBe(bytes)
    expect(hub.seen).toHaveLength(requests)
  })

  test('take the quantisation of older ModelOpt checkpoints from its own file', async () => {
    const result = await client().facts(ref('org/modelopt'))
    expect(result.ok && result.value.config['quantization_config']).toEqual({
      quant_method: 'modelopt',
      producer: { name: 'modelopt' },
      quant_algo: 'FP8',
    })
  })

  test('accept the bare Infinity of Python', async () => {
    const result = await client().facts(ref('org/infinity'))
    expect(result.ok && result.value.config['time_step_limit']).toEqual([0, Number.POSITIVE_INFINITY])
  })

  test.each<[string | null, number, string]>([
    [null, 8, 'm-Q4_K_M.gguf'],
    ['Q8_0', 16, 'm-Q8_0.gguf'],
    ['m-Q8_0.gguf', 16, 'm-Q8_0.gguf'],
  ])('of a GGUF repository come from the header of variant %s, by a range', async (variant, bytes, file) => {
    const result = await client().facts({ ...ref('org/m-GGUF'), variant })
    expect(said(result)).toBe('ok')
    expect(result.ok && [result.value.checkpoint.totalBytes, result.value.gguf?.architecture]).toEqual([bytes, 'llama'])
    expect(hub.seen).toHaveLength(2)
    expect(hub.seenByStore.map(seen => [seen.path, seen.range])).toEqual([[`/org/m-GGUF/${file}`, 'bytes=0-4194303']])
  })

  test('of a GGUF variant that is not there name those that are', async () => {
    const result = await client().facts({ ...ref('org/m-GGUF'), variant: 'Q2_K' })
    expect(said(result)).toBe(
      'model-not-found: org/m-GGUF: there is no GGUF quantisation "Q2_K" (there are m-Q4_K_M.gguf, m-Q8_0.gguf)',
    )
  })

  test('give the commit of a revision by one request', async () => {
    expect(await client().commit(ref('org/plain', 'main'))).toEqual({ ok: true, value: SHA })
    expect(hub.seen.map(seen => seen.path.split('?')[0])).toEqual(['/api/models/org/plain/revision/main'])
  })
})

describe('the token', () => {
  test('opens a gated model, and goes to the Hub only, never to the store it redirects to', async () => {
    expect(said(await client(GOOD_TOKEN).facts(ref('org/gated')))).toBe('ok')
    expect(said(await client(GOOD_TOKEN).facts(ref('org/large-index')))).toBe('ok')
    expect(hub.seen.map(seen => seen.authorization)).toEqual(hub.seen.map(() => `Bearer ${GOOD_TOKEN}`))
    expect(hub.seenByStore.map(seen => seen.authorization)).toEqual([undefined, undefined])
  })

  test('stands in no problem, whatever the Hub answers', async () => {
    const texts: string[] = []
    for (const status of [400, 401, 403, 404, 418, 429, 500]) {
      hub.intercept = (request, response) => {
        response
          .writeHead(status, { 'x-error-message': String(request.headers.authorization) })
          .end(`echo ${request.headers.authorization}`)
        return true
      }
      texts.push(said(await client(GOOD_TOKEN, { retries: 0 }).facts(ref('org/plain'))))
    }
    expect(texts).toHaveLength(7)
    expect(texts.join('\n')).not.toContain(GOOD_TOKEN)
  })
})

describe('refusals are told apart', () => {
  test.each<[string, string, string | null, string | null, string]>([
    [
      'gated without a token',
      'org/gated',
      null,
      null,
      'model-gated: org/gated is gated (accept the licence at HUB/org/gated and set HF_TOKEN)',
    ],
    [
      'gated for this account',
      'org/gated',
      'hf_no_access',
      null,
      "model-gated: org/gated is gated, and the token's account has no access to it (accept the licence at HUB/org/gated with the token's account, or wait for its approval)",
    ],
    [
      'no such repository',
      'org/nope',
      null,
      null,
      'model-not-found: org/nope does not exist on HOST, or is private (check its spelling at HUB/org/nope; for a private one set HF_TOKEN)',
    ],
    [
      'no such repository for this account',
      'org/nope',
      GOOD_TOKEN,
      null,
      "model-not-found: org/nope does not exist on HOST, or the token may not see it (open HUB/org/nope with the token's account)",
    ],
    [
      'no such revision',
      'org/plain',
      null,
      'v9',
      'model-not-found: org/plain has no revision v9 (see the branches and tags at HUB/org/plain/tree/main)',
    ],
    [
      'a token that is refused',
      'org/plain',
      'hf_expired',
      null,
      'model-unauthorised: org/plain: HOST refuses the token (HF_TOKEN may have expired: make a new one at huggingface.co/settings/tokens)',
    ],
    [
      'a config that is not JSON',
      'org/broken-config',
      null,
      null,
      'config-invalid: org/broken-config/config.json is not JSON: ',
    ],
    [
      'a config that is no object',
      'org/list-config',
      null,
      null,
      'config-invalid: org/list-config/config.json holds no JSON object (the file must be the config.json of a model)',
    ],
    [
      'neither config nor GGUF',
      'org/empty',
      null,
      null,
      'config-invalid: org/empty has no config.json and no GGUF file (name a model with a config.json in the policy',
    ],
    [
      'an answer without a commit',
      'org/no-sha',
      null,
      null,
      "network: org/no-sha: the Hub's answer is not the expected JSON (a proxy may have answered in its place; check HF_ENDPOINT)",
    ],
  ])('%s', async (_what, id, token, revision, expected) => {
    expect(said(await client(token).facts(ref(id, revision)))).toContain(expected)
  })

  test.each<[number, string, number]>([
    [403, 'model-unauthorised', 1],
    [404, 'model-not-found', 1],
    [418, 'network', 1],
    [408, 'network', 4],
    [429, 'rate-limited', 4],
    [500, 'network', 4],
    [503, 'network', 4],
  ])('status %i is %s after %i attempts', async (status, code, attempts) => {
    hub.intercept = (_request, response) => {
      response.writeHead(status).end('<html>')
      return true
    }
    expect(said(await client().facts(ref('org/plain')))).toMatch(new RegExp(`^${code}: `))
    expect(hub.seen).toHaveLength(attempts)
  })
})

describe('what passes is tried again', () => {
  const failing = (times: number, headers: Record<string, string>, status = 429) => {
    hub.intercept = (_request, response, nth) => {
      if (nth > times) return false
      response.writeHead(status, headers).end()
      return true
    }
  }
  test.each<[string, number, Record<string, string>, number, number[]]>([
    ['429 with Retry-After', 2, { 'retry-after': '7' }, 429, [7000, 7000]],
    [
      '429 with a date',
      1,
      { 'retry-after': 'Wed, 25 Nov 2026 00:00:12 GMT', date: 'Wed, 25 Nov 2026 00:00:00 GMT' },
      429,
      [12_000],
    ],
    ['429 with RateLimit', 1, { ratelimit: '"api";r=0;t=35' }, 429, [35_000]],
    ['503 without a word', 3, {}, 503, [500, 1000, 2000]],
  ])('%s', async (_what, times, headers, status, waits) => {
    failing(times, headers, status)
    const asked = client()
    expect(said(await asked.facts(ref('org/plain')))).toBe('ok')
    expect(asked.waits).toEqual(waits)
  })

  test('but not when the wait is too long, or all of it takes too long', async () => {
    failing(9, { 'retry-after': '3600' })
    const patient = client()
    expect(said(await patient.facts(ref('org/plain')))).toMatch(
      /^rate-limited: org\/plain: HOST allows no more requests for now \(set HF_TOKEN/,
    )
    failing(9, { 'retry-after': '50' })
    const hurried = client(null, { totalTimeout: 60_000 })
    expect(said(await hurried.facts(ref('org/plain')))).toMatch(/^rate-limited/)
    expect([patient.waits, hurried.waits]).toEqual([[], [50_000]])
  })

  test('a connection that breaks', async () => {
    hub.intercept = (request, _response, nth) => {
      if (nth > 1) return false
      request.socket.destroy()
      return true
    }
    expect(said(await client().facts(ref('org/plain')))).toBe('ok')
  })

  test('a Hub that cannot be reached is a network problem', async () => {
    const ports = { fetch, sleep: async () => {}, now: () => 0, random: () => 0 }
    const gone = hubClient({ endpoint: 'http://127.0.0.1:1', token: null }, ports, { http: { retries: 1 } })
    const result = await gone.facts(ref('org/plain'))
    expect(said(result)).toMatch(/^network: org\/plain: 127\.0\.0\.1:1 cannot be reached/)
  })
})

describe('hostile answers stay in bounds', () => {
  test('silence', async () => {
    hub.intercept = () => true
    expect(said(await client(null, { idleTimeout: 50, retries: 0 }).facts(ref('org/plain')))).toContain(
      'does not answer',
    )
  })
  test('a body that never ends', async () => {
    hub.intercept = (_request, response) => {
      response.writeHead(200)
      response.on('error', () => {})
      const chunk = Buffer.alloc(1024 * 1024, 32)
      const more = () => {
        while (!response.destroyed && response.write(chunk)) {}
      }
      response.on('drain', more)
      more()
      return true
    }
    expect(said(await client(null, { retries: 0 }).facts(ref('org/plain')))).toContain('answered too much')
  })
  test.each([
    ['a circle', () => '/api/models/org/plain/revision/HEAD', 6],
    ['another protocol', () => 'file:///etc/passwd', 1],
    ['nowhere', () => '', 6],
  ])('redirects to %s', async (_what, location, requests) => {
    hub.intercept = (_request, response) => {
      response.writeHead(302, { location: location() }).end()
      return true
    }
    expect(said(await client().facts(ref('org/plain')))).toMatch(/^network: org\/plain: HOST redirected/)
    expect(hub.seen).toHaveLength(requests)
  })
  test.each(['<html>login</html>', '{"sha": "', 'null', '[]', ''])('200 with %j', async body => {
    hub.intercept = (_request, response) => {
      response.writeHead(200).end(body)
      return true
    }
    expect(said(await client().facts(ref('org/plain')))).toMatch(
      /^network: org\/plain: the Hub's answer is not the expected JSON/,
    )
  })
})

describe('the cache', () => {
  test('saves all requests at a pinned commit, all but one at a branch', async () => {
    const kept = new Map<string, object>()
    const cache: FactsCache = {
      get: async (id, sha) => (kept.get(`${id}@${sha}`) as never) ?? null,
      put: async facts => void kept.set(`${facts.id}@${facts.revision}`, facts),
    }
    const asked = client(null, {}, cache)
    const first = await asked.facts(ref('org/plain'))
    expect(hub.seen).toHaveLength(2)
    expect(await asked.facts(ref('org/plain'))).toEqual(first)
    expect(hub.seen).toHaveLength(3)
    expect(await asked.facts(ref('org/plain', SHA))).toEqual(first)
    expect(hub.seen).toHaveLength(3)
  })
})

test('no more than six requests run at once', async () => {
  let running = 0
  let most = 0
  hub.intercept = (_request, response) => {
    running++
    most = Math.max(most, running)
    setTimeout(() => {
      running--
      response.writeHead(404, { 'x-error-code': 'RepoNotFound' }).end()
    }, 5)
    return true
  }
  const asked = client()
  await Promise.all(Array.from({ length: 30 }, (_, i) => asked.facts(ref(`org/m${i}`))))
  expect(hub.seen).toHaveLength(30)
  expect(most).toBe(6)
})
