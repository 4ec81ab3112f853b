import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Seen {
  readonly path: string
  readonly authorization: string | undefined
  readonly range: string | undefined
}

/** One model of the fake Hub. */
export interface FakeModel {
  readonly sha?: string
  readonly info?: object
  readonly files?: Readonly<Record<string, string | Uint8Array>>
  /** Needs a token that has access. */
  readonly gated?: boolean
  /** Files that are answered by a redirect to the other origin, as large files are. */
  readonly large?: readonly string[]
}

/** Answers a request itself; false lets the fake answer as usual. `nth` counts the requests so far. */
export type Intercept = (request: IncomingMessage, response: ServerResponse, nth: number) => boolean

export const SHA = 'a'.repeat(40)
export const GOOD_TOKEN = 'hf_good_token_12345678'

async function listen(
  handler: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ server: Server; url: string }> {
  const server = createServer(handler)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

const part = (bytes: Uint8Array, range: string | undefined) => {
  const match = /^bytes=(\d+)-(\d+)$/.exec(range ?? '')
  return match
    ? {
        body: bytes.subarray(Number(match[1]), Number(match[2]) + 1),
        range: `bytes ${match[1]}-${match[2]}/${bytes.length}`,
      }
    : null
}

function send(response: ServerResponse, bytes: Uint8Array, range: string | undefined, sha: string): void {
  const cut = part(bytes, range)
  response.writeHead(cut ? 206 : 200, {
    etag: '"x"',
    'x-repo-commit': sha,
    ...(cut ? { 'content-range': cut.range } : {}),
  })
  response.end(cut ? cut.body : bytes)
}

/**
 * A loopback Hub with a second origin for large files. It answers as the Hub does: 401 for gated and unknown repositories
 * alike, told apart by X-Error-Code; 404 for files; redirects of large files to the other origin, which refuses any
 * Authorization.
 */
export class FakeHub {
  readonly seen: Seen[] = []
  readonly seenByStore: Seen[] = []
  url = ''
  storeUrl = ''
  intercept: Intercept = () => false
  readonly #models: Readonly<Record<string, FakeModel>>
  readonly #servers: Server[] = []

  constructor(models: Readonly<Record<string, FakeModel>>) {
    this.#models = models
  }

  async start(): Promise<void> {
    const hub = await listen((request, response) => this.#answer(request, response))
    const store = await listen((request, response) => this.#store(request, response))
    this.#servers.push(hub.server, store.server)
    this.url = hub.url
    this.storeUrl = store.url
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    }
  }

  reset(): void {
    this.seen.length = 0
    this.seenByStore.length = 0
    this.intercept = () => false
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = decodeURIComponent((request.url ?? '').split('?')[0]!)
    const { authorization, range } = request.headers
    this.seen.push({ path: request.url ?? '', authorization, range })
    if (this.intercept(request, response, this.seen.length)) return
    const refuse = (status: number, code: string) => {
      response.writeHead(status, { 'content-type': 'application/json', 'x-error-code': code, 'x-error-message': code })
      response.end(JSON.stringify({ error: `refused ${authorization ?? ''}` }))
    }
    const token = authorization?.replace('Bearer ', '')
    if (token !== undefined && token !== GOOD_TOKEN && token !== 'hf_no_access') {
      response.writeHead(401).end('{"error":"Invalid credentials"}')
      return
    }
    const info = /^\/api\/models\/(.+?)\/revision\/([^/]+)$/.exec(path)
    const file = /^\/(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(path)
    const id = (info ?? file)?.[1] ?? ''
    const model = this.#models[id]
    if (model === undefined) {
      refuse(token === undefined ? 401 : 404, 'RepoNotFound')
      return
    }
    const sha = model.sha ?? SHA
    if (!['HEAD', 'main', sha].includes((info ?? file)![2]!)) {
      refuse(404, 'RevisionNotFound')
      return
    }
    if (info) {
      const siblings = Object.keys(model.files ?? {}).map(rfilename => ({ rfilename }))
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ id, sha, gated: model.gated ?? false, siblings, ...model.info }))
      return
    }
    if (model.gated && token !== GOOD_TOKEN) {
      refuse(token === undefined ? 401 : 403, 'GatedRepo')
      return
    }
    const content = model.files?.[file![3]!]
    if (content === undefined) {
      refuse(404, 'EntryNotFound')
      return
    }
    if (model.large?.includes(file![3]!)) {
      response.writeHead(302, {
        location: `${this.storeUrl}/${id}/${file![3]}`,
        'x-linked-size': String(content.length),
        'x-repo-commit': sha,
      })
      response.end()
      return
    }
    send(response, Buffer.from(content), range, sha)
  }

  #store(request: IncomingMessage, response: ServerResponse): void {
    const { authorization, range } = request.headers
    this.seenByStore.push({ path: request.url ?? '', authorization, range })
    const [, owner, name, ...rest] = decodeURIComponent(request.url ?? '').split('/')
    const content = this.#models[`${owner}/${name}`]?.files?.[rest.join('/')]
    if (authorization !== undefined || content === undefined) response.writeHead(400).end()
    else send(response, Buffer.from(content), range, SHA)
  }
}
