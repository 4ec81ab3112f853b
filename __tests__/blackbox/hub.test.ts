import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { FakeHub, type FakeModel, GOOD_TOKEN, SHA } from '../helpers/fake-hub.ts'
import { gitRepository, runAction, runCli, temporaryFolder, writeFiles } from '../helpers/run-action.ts'
import { manifest, pullRequestPayload, raisedContext } from '../helpers/scenario.ts'
import { githubs } from '../helpers/servers.ts'

jest.setTimeout(60_000)

const github = githubs()
const config = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  torch_dtype: 'bfloat16',
  hidden_size: 2048,
  intermediate_size: 8192,
  num_hidden_layers: 16,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  vocab_size: 128_256,
  max_position_embeddings: 131_072,
  tie_word_embeddings: true,
}
const PARAMETERS = 1_235_814_400
const model = (more: Partial<FakeModel> = {}, changed: Record<string, unknown> = {}): FakeModel => ({
  info: { safetensors: { parameters: { BF16: PARAMETERS }, total: PARAMETERS } },
  files: { 'config.json': JSON.stringify({ ...config, ...changed }), 'model.safetensors': 'x' },
  ...more,
})
const models: Record<string, FakeModel> = {
  'acme/open': model(),
  'acme/gated': model({ gated: true }),
  'acme/stored': model({ large: ['config.json'] }),
}
const hub = new FakeHub(models)
beforeAll(() => hub.start())
afterAll(() => hub.stop())
beforeEach(() => {
  hub.reset()
  for (const id of Object.keys(models)) if (id.startsWith('bad/')) delete models[id]
})

function folderWith(files: Record<string, string>): string {
  const folder = temporaryFolder()
  writeFiles(folder, files)
  return folder
}
const naming = (id: string) => folderWith({ 'a.yaml': manifest(8192, { model: id }) })

interface Row {
  model: { id: string; parameters: number | null; source: string | null }
  estimate: null | { perGpu: { totalBytes: { expected: number } } }
  verdict: { status: string; reasons: { code: string; message: string }[] }
}
async function act(folder: string, inputs: Record<string, string> = {}, env: Record<string, string> = {}) {
  const run = await runAction({
    workspace: folder,
    event: 'push',
    inputs: {
      offline: 'false',
      'hf-endpoint': hub.url,
      'max-retries': '0',
      'request-timeout': '500ms',
      timeout: '5s',
      ...inputs,
    },
    env,
  })
  const rows = run.outputs['report'] ? (JSON.parse(run.outputs['report']).deployments as Row[]) : []
  return { run, rows, row: rows[0]! }
}

describe('models of the Hub', () => {
  test('an open model: two requests, exact parameters, the commit in the report', async () => {
    const { row, run } = await act(naming('acme/open'))
    expect(row.model).toMatchObject({ parameters: PARAMETERS, source: 'hub', revision: SHA })
    expect(run.code).toBe(0)
    expect(hub.seen).toHaveLength(2)
  })

  test('case 37: the token goes to the Hub only, never to the store it redirects to', async () => {
    const { row } = await act(naming('acme/stored'), { 'hf-token': GOOD_TOKEN })
    expect(row.verdict.status).toBe('fits')
    expect(hub.seen.length).toBeGreaterThanOrEqual(2)
    expect(hub.seen.every(seen => seen.authorization === `Bearer ${GOOD_TOKEN}`)).toBe(true)
    expect(hub.seenByStore).toHaveLength(1)
    expect(hub.seenByStore[0]!.authorization).toBeUndefined()
  })

  test.each([
    ['../../x'],
    ['a/b/../../c'],
    ['http://evil/x'],
    ['acme/open?x=1'],
    ['%2e%2e/x'],
    [`acme/${'x'.repeat(10_000)}`],
    ['acme/o\\u0000pen'],
  ])('case 38: the id %j causes no request', async id => {
    const folder = folderWith({ 'a.yaml': manifest(8192, { model: `"${id}"` }) })
    const { run, rows } = await act(folder)
    expect(rows).toHaveLength(1)
    expect(rows[0]!.verdict.status).toBe('unknown')
    expect(hub.seen).toEqual([])
    expect(run.outputs['unknown-count']).toBe('1')
  })

  test('case 39 and 36: a server that echoes the token in its errors: it stands nowhere', async () => {
    const token = 'hf_no_access'
    const { run, row } = await act(naming('acme/gated'), { 'hf-token': token }, { RUNNER_DEBUG: '1' })
    expect(row.verdict.reasons[0]!.code).toMatch(/model-(gated|unauthorised)/)
    const said =
      run.stdout.replaceAll(/^::add-mask::.*$/gm, '') + run.stderr + run.summary + JSON.stringify(run.outputs)
    expect(said).not.toContain(token)
    expect(said).not.toContain(Buffer.from(token).toString('base64'))
  })

  test('case 69: one model in fifty deployments is fetched once, and a pull request takes at most six requests', async () => {
    const many = Object.fromEntries(
      Array.from({ length: 50 }, (_, i) => [`d/m${i}.yaml`, manifest(8192, { name: `m${i}`, model: 'acme/open' })]),
    )
    const server = await github()
    const { folder, base, head } = raisedContext(many)
    const run = await runAction({
      workspace: folder,
      payload: pullRequestPayload({ base, head }),
      apiUrl: server.url,
      inputs: { offline: 'false', 'hf-endpoint': hub.url },
    })
    expect(run.outputs['checked-count']).toBe('51')
    expect(hub.seen).toHaveLength(2)
    expect(server.asked.length).toBeLessThanOrEqual(6)
  })

  test('case 69: of many models at most eight are asked for at once', async () => {
    const names = Array.from({ length: 30 }, (_, i) => `bad/m${i}`)
    for (const name of names) models[name] = model()
    let open = 0
    let most = 0
    hub.intercept = (_request, response) => {
      most = Math.max(most, ++open)
      response.on('close', () => open--)
      return false
    }
    const files = names.map((name, i) => [`m${i}.yaml`, manifest(8192, { name: `m${i}`, model: name })])
    const { rows } = await act(folderWith(Object.fromEntries(files)), { timeout: '30s' })
    expect(rows.filter(row => row.verdict.status === 'fits')).toHaveLength(30)
    expect(hub.seen).toHaveLength(60)
    expect(most).toBeLessThanOrEqual(8)
  })

  describe('case 79: no other host is contacted', () => {
    /** A preload that writes down every address that the process connects to or looks up, before it does. */
    const watched = () => {
      const folder = temporaryFolder()
      const file = join(folder, 'asked')
      writeFileSync(file, '')
      writeFileSync(
        join(folder, 'watch.cjs'),
        `const { appendFileSync } = require('node:fs')
const note = text => appendFileSync(${JSON.stringify(file)}, text + '\\n')
const { Socket } = require('node:net')
const connect = Socket.prototype.connect
Socket.prototype.connect = function (...args) {
  const given = Array.isArray(args[0]) ? args[0][0] : args[0]
  note((given.host ?? 'localhost') + ':' + given.port)
  return connect.apply(this, args)
}
const dns = require('node:dns')
const { lookup } = dns
dns.lookup = (host, ...rest) => (note(host + ':dns'), lookup(host, ...rest))
require('node:dgram').createSocket = () => { note('udp:0'); throw new Error('no datagrams') }
require('node:module').syncBuiltinESMExports()
`,
      )
      const seen = () => [...new Set(readFileSync(file, 'utf8').split('\n').filter(Boolean))].sort()
      return { env: { NODE_OPTIONS: `--require ${join(folder, 'watch.cjs')}` }, seen }
    }
    const place = (url: string) => new URL(url).host

    test('the action: GitHub, the Hub, and the store that the Hub sends it to', async () => {
      const server = await github()
      const { folder, base, head } = raisedContext({
        'own.yaml': manifest(8192, { name: 'own', model: 'acme/open' }),
        'stored.yaml': manifest(8192, { name: 'stored', model: 'acme/stored' }),
      })
      const { env, seen } = watched()
      const run = await runAction({
        workspace: folder,
        payload: pullRequestPayload({ base, head }),
        apiUrl: server.url,
        inputs: { offline: 'false', 'hf-endpoint': hub.url },
        env,
      })
      expect([run.code, run.outputs['comment-status']]).toEqual([1, 'created'])
      expect(seen()).toEqual([server.url, hub.url, hub.storeUrl].map(place).sort())
    })

    test('the command line asks the Hub that it is given, by default huggingface.co, and offline nobody', async () => {
      const folder = naming('acme/open')
      for (const [given, expected] of [
        [{ HF_ENDPOINT: hub.url }, [place(hub.url)]],
        [{ HF_HUB_OFFLINE: '1' }, []],
      ] as const) {
        const { env, seen } = watched()
        expect((await runCli(folder, ['check'], { ...given, ...env })).code).toBe(0)
        expect(seen()).toEqual(expected)
      }
      const { env, seen } = watched()
      // A proxy that is a dead end stands for the world: what it is asked for is all that is asked for.
      const asked: string[] = []
      const proxy = createServer().on('connect', (request, socket) => {
        asked.push(request.url ?? '')
        socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
      })
      await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
      const { port } = proxy.address() as { port: number }
      try {
        await runCli(folder, ['check'], { https_proxy: `http://127.0.0.1:${port}`, ...env })
      } finally {
        proxy.closeAllConnections()
        proxy.close()
      }
      expect([...new Set(asked)]).toEqual(['huggingface.co:443'])
      expect(seen()).toEqual([`127.0.0.1:${port}`])
    }, 60_000)
  })
})

describe('case 64: what a Hub can do wrong', () => {
  const answers: [string, (response: ServerResponse) => void, RegExp][] = [
    [
      'HTML for JSON',
      r => r.writeHead(200, { 'content-type': 'text/html' }).end('<html>hello</html>'),
      /config-invalid|network/,
    ],
    [
      'truncated JSON',
      r => r.writeHead(200, { 'content-type': 'application/json' }).end('{"id": "acme/op'),
      /config-invalid|network/,
    ],
    ['an error page with 200', r => r.writeHead(200).end('{"error":"maintenance"}'), /config-invalid|network/],
    [
      'a redirect loop',
      r => r.writeHead(302, { location: `${hub.url}/api/models/acme/open/revision/HEAD` }).end(),
      /network/,
    ],
    ['a redirect to a file', r => r.writeHead(302, { location: 'file:///etc/passwd' }).end(), /network/],
    ['401 gated', r => r.writeHead(401, { 'x-error-code': 'GatedRepo' }).end('{}'), /model-gated/],
    ['403 gated', r => r.writeHead(403, { 'x-error-code': 'GatedRepo' }).end('{}'), /model-(gated|unauthorised)/],
    [
      '401 without a reason',
      r => r.writeHead(401, { 'x-error-code': 'RepoNotFound' }).end('{}'),
      /model-(not-found|unauthorised)/,
    ],
    ['404', r => r.writeHead(404, { 'x-error-code': 'RepoNotFound' }).end('{}'), /model-not-found/],
    ['429 without Retry-After', r => r.writeHead(429).end(), /rate-limited/],
    ['429 with a long one', r => r.writeHead(429, { 'retry-after': '3600' }).end(), /rate-limited/],
    ['500', r => r.writeHead(500).end(), /network/],
    ['a broken connection', r => r.socket?.destroy(), /network/],
    ['silence', () => {}, /network/],
    [
      'JSON of the wrong type',
      r => r.writeHead(200, { 'content-type': 'text/plain' }).end('[1, 2]'),
      /config-invalid|network/,
    ],
    [
      'one byte after the other',
      r => {
        r.writeHead(200, { 'content-type': 'application/json' })
        const more = setInterval(() => r.write(' '), 100)
        r.on('close', () => clearInterval(more))
      },
      /network/,
    ],
    [
      'a gzip bomb',
      r => r.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(64 * 1024 * 1024))),
      /network|config-invalid/,
    ],
    [
      'a body without end',
      r => {
        r.writeHead(200)
        const more = setInterval(() => r.write(Buffer.alloc(4 * 1024 * 1024)), 5)
        r.on('close', () => clearInterval(more))
      },
      /network|config-invalid/,
    ],
  ]
  test.each(answers)('%s: unknown with its reason, a warning, in bounded time', async (_name, answer, code) => {
    hub.intercept = (_request, response) => {
      answer(response)
      return true
    }
    const started = performance.now()
    const { run, row } = await act(naming('acme/open'))
    expect(row.verdict.status).toBe('unknown')
    expect(row.verdict.reasons[0]!.code).toMatch(code)
    expect(run.code).toBe(0)
    expect(run.outputs['verdict']).toBe('unknown')
    expect(performance.now() - started).toBeLessThan(9000)
  })

  test.each([
    ['a host that is not there', 'https://no-such-host.invalid'],
    ['TLS that is none', 'plain'],
  ])('%s', async (_name, address) => {
    const endpoint = address === 'plain' ? hub.url.replace('http:', 'https:') : address
    const { row } = await act(naming('acme/open'), { 'hf-endpoint': endpoint })
    expect(row.verdict.reasons[0]!.code).toBe('network')
  })

  test.each([
    ['fail', 1],
    ['warn', 0],
    ['ignore', 0],
  ])('on-network-error %s: exit %s', async (strictness, code) => {
    hub.intercept = (_request, response) => {
      response.writeHead(503).end()
      return true
    }
    expect((await act(naming('acme/open'), { 'on-network-error': strictness })).run.code).toBe(code)
  })
})

describe('case 65: retries', () => {
  const failing = (times: number, status: number) => {
    hub.intercept = (_request, response, nth) => {
      if (nth > times) return false
      response.writeHead(status).end()
      return true
    }
  }
  test('503 is tried again, and the run succeeds', async () => {
    failing(1, 503)
    const { row } = await act(naming('acme/open'), { 'max-retries': '2' })
    expect(row.verdict.status).toBe('fits')
    expect(hub.seen).toHaveLength(3)
  })
  test.each([400, 403, 404])('%s is final: one request', async status => {
    failing(99, status)
    await act(naming('acme/open'), { 'max-retries': '5' })
    expect(hub.seen).toHaveLength(1)
  })
  test('never beyond the timeout of all requests', async () => {
    failing(99, 503)
    const started = performance.now()
    await act(naming('acme/open'), { 'max-retries': '10', timeout: '2s' })
    expect(performance.now() - started).toBeLessThan(6000)
    expect(hub.seen.length).toBeLessThan(8)
  })
})

describe('case 66: proxies', () => {
  test('HTTP_PROXY and NO_PROXY, upper and lower case, are honoured on the Node of the runner', async () => {
    const asked: string[] = []
    const proxy = createServer((request, response) => {
      asked.push(request.url ?? '')
      response.writeHead(502).end()
    })
    proxy.on('connect', (request, socket) => {
      asked.push(request.url ?? '')
      socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
    })
    await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
    const address = `http://127.0.0.1:${(proxy.address() as { port: number }).port}`
    try {
      for (const name of ['HTTP_PROXY', 'http_proxy']) {
        asked.length = 0
        const { row } = await act(naming('acme/open'), {}, { [name]: address })
        expect(asked.length).toBeGreaterThanOrEqual(1)
        expect(row.verdict.status).toBe('unknown')
      }
      for (const name of ['NO_PROXY', 'no_proxy']) {
        asked.length = 0
        const { row } = await act(naming('acme/open'), {}, { http_proxy: address, [name]: '127.0.0.1' })
        expect(asked).toEqual([])
        expect(row.verdict.status).toBe('fits')
      }
    } finally {
      proxy.closeAllConnections()
      proxy.close()
    }
  })
})

describe('case 67: offline', () => {
  test('a complete lock: the same verdict without a request; a missing entry: unknown that names the lock', async () => {
    const folder = naming('acme/open')
    const locked = await runCli(folder, ['lock'], { HF_ENDPOINT: hub.url })
    expect(locked.code).toBe(0)
    hub.reset()
    const offline = await act(folder, { offline: 'true' })
    expect(offline.row).toMatchObject({
      model: { parameters: PARAMETERS, source: 'lock' },
      verdict: { status: 'fits' },
    })
    writeFiles(folder, { 'b.yaml': manifest(8192, { model: 'acme/other' }) })
    const missing = await act(folder, { offline: 'true' })
    expect(missing.rows[1]!.verdict).toMatchObject({ status: 'unknown', reasons: [{ code: 'model-unknown' }] })
    expect(hub.seen).toEqual([])
  })

  test('a lock that is broken is a configuration error', async () => {
    const folder = naming('acme/open')
    writeFileSync(join(folder, 'hf-vram-calc.lock.json'), '{"version": 1, "models": 7}')
    const { run } = await act(folder, { offline: 'true' })
    expect([run.code, run.outputs['verdict']]).toEqual([2, 'error'])
    expect(readFileSync(join(folder, 'hf-vram-calc.lock.json'), 'utf8')).toContain('7')
  })
})

describe("a pull request's lock file", () => {
  const lockOf = (folder: string) => readFileSync(join(folder, 'hf-vram-calc.lock.json'), 'utf8')
  /** The lock as the Hub fills it, and one in which the model is next to nothing. */
  async function locks() {
    const folder = naming('acme/open')
    expect((await runCli(folder, ['lock'], { HF_ENDPOINT: hub.url })).code).toBe(0)
    const right = lockOf(folder)
    const wrong = right
      .replace('"num_hidden_layers": 16', '"num_hidden_layers": 1')
      .replace(String(PARAMETERS), '1000000')
    expect(wrong).not.toBe(right)
    hub.reset()
    return { right, wrong }
  }
  async function pull(before: string | null, after: string, offline: boolean) {
    const LOCK = 'hf-vram-calc.lock.json'
    const server = await github()
    const { folder, commits } = gitRepository([
      { 'a.yaml': manifest(8192, { model: 'acme/open' }), [LOCK]: before },
      { 'a.yaml': manifest(131_072, { model: 'acme/open', gpu: 'nvidia-tesla-t4' }), [LOCK]: after },
    ])
    const run = await runAction({
      workspace: folder,
      payload: pullRequestPayload({ base: commits[0]!, head: commits[1]! }),
      apiUrl: server.url,
      inputs: { offline: String(offline), 'hf-endpoint': hub.url },
    })
    const report = JSON.parse(run.outputs['report']!)
    const said = report.policy.messages.map((one: { message: string }) => one.message) as string[]
    return { parameters: report.deployments[0].model.parameters as number, said, run, server }
  }

  test("other facts of the commit that the base pins: the base's count, and that is said", async () => {
    const { right, wrong } = await locks()
    for (const offline of [true, false]) {
      const { parameters, said, server } = await pull(right, wrong, offline)
      expect(parameters).toBe(PARAMETERS)
      expect(said).toEqual(["this change alters what hf-vram-calc.lock.json says of acme/open: the base's facts count"])
      expect(server.state.comments[0]!.body).toContain('this change alters what')
    }
    expect(hub.seen).toEqual([])
  })

  test("facts that the base does not pin: the Hub's count; without it they are shown as not compared", async () => {
    const { right, wrong } = await locks()
    const lie = await pull(null, wrong, false)
    expect([lie.parameters, lie.said]).toEqual([PARAMETERS, [expect.stringContaining("the Hub's facts count")]])
    expect(hub.seen.every(seen => seen.path.includes(SHA))).toBe(true)
    const alone = await pull(null, wrong, true)
    expect(alone.said).toEqual([expect.stringContaining('could not be compared with the Hub')])
    const honest = await pull(null, right, false)
    expect([honest.parameters, honest.said]).toEqual([PARAMETERS, []])
  })

  test('an unchanged one is not asked about', async () => {
    const { right } = await locks()
    const { parameters, said } = await pull(right, right, false)
    expect([parameters, said, hub.seen]).toEqual([PARAMETERS, [], []])
  })
})

describe('case 68: hostile facts', () => {
  const facts: [string, FakeModel][] = [
    [
      'negative counts',
      model({ info: { safetensors: { parameters: { BF16: -5 }, total: -5 } } }, { num_hidden_layers: -1 }),
    ],
    ['1e308 layers', model({}, { num_hidden_layers: 1e308 })],
    ['no layers', model({}, { num_hidden_layers: 0 })],
    ['a size that is text', model({}, { hidden_size: '4096 or so' })],
    ['heads that do not divide', model({}, { num_attention_heads: 30, num_key_value_heads: 7 })],
    ['no heads', model({}, { num_attention_heads: 0 })],
    ['a negative vocabulary', model({}, { vocab_size: -1 })],
    ['a list for a config', model({ files: { 'config.json': '[]', 'model.safetensors': 'x' } })],
    ['deep nesting', model({ files: { 'config.json': `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}` } })],
    ['null', model({ files: { 'config.json': 'null' } })],
    ['__proto__', model({ files: { 'config.json': '{"__proto__": {"hidden_size": 1}, "model_type": "llama"}' } })],
    [
      'an unknown architecture',
      model({}, { model_type: 'never-heard', architectures: ['NeverHeard'], hidden_size: null }),
    ],
    ['an unknown dtype', model({}, { torch_dtype: 'float7' })],
  ]
  /** Odd, but what they say can be counted: the class's own defaults, heads of another width, the Hub's dtype. */
  const usable = new Set(['an unknown dtype', 'heads that do not divide', '__proto__'])
  test.each(facts)('%s: never NaN, never "0 GiB fits"', async (name, given) => {
    models['bad/model'] = given
    const { run, row } = await act(naming('bad/model'))
    expect([0, 1]).toContain(run.code)
    expect(run.outputs['report']! + run.summary + run.stdout).not.toMatch(/NaN|Infinity|null GiB/)
    const need = row.estimate?.perGpu.totalBytes.expected ?? null
    if (!usable.has(name)) expect(row.verdict.status).toBe('unknown')
    if (row.verdict.status !== 'unknown') expect(need).toBeGreaterThan(2 ** 30)
  })
})

test('case 11: GitHub Enterprise: the API of GITHUB_API_URL is asked, links lead to GITHUB_SERVER_URL, GraphQL may be missing', async () => {
  const server = await github({ graphql: false })
  const { folder, base, head } = raisedContext()
  const run = await runAction({
    workspace: folder,
    payload: pullRequestPayload({ base, head }),
    apiUrl: server.url,
    env: { GITHUB_SERVER_URL: 'https://github.example.com' },
  })
  expect(run.outputs['comment-status']).toBe('created')
  expect(server.state.comments[0]!.body).toContain('https://github.example.com/octo/repo/blob/')
  expect(server.state.comments[0]!.body).not.toContain('https://github.com/')
})
