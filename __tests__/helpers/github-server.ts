import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Request as ApiRequest, OpenAPIBackend } from 'openapi-backend'

/** A loopback GitHub: its answers and what it is asked are checked against GitHub's own OpenAPI description. */

interface FakeComment {
  id: number
  body: string
  login: string
  minimized?: boolean
}

interface Asked {
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly body: unknown
  readonly authorization: string | null
}

interface Fault {
  readonly operation: string
  /** Answers to give instead, one a call; then the real one. */
  readonly answers: {
    readonly status: number
    readonly body?: unknown
    readonly headers?: Record<string, string>
    readonly reset?: boolean
  }[]
}

export interface GitHubState {
  comments: FakeComment[]
  /** Login the token belongs to. */
  me: string
  faults: Fault[]
  /** Files by commit, for contents, trees and comparisons. */
  files: Record<string, Record<string, string>>
  compare: { mergeBase: string; files: { filename: string; status: string; previous_filename?: string }[] } | null
  pulls: { number: number; head: string }[]
  graphql: boolean
  /** Runs before a comment is created: another run's comment may slip in. */
  beforeCreate?: (state: GitHubState) => void
}

export interface FakeGitHub {
  readonly url: string
  readonly asked: Asked[]
  /** Requests or answers that GitHub's description does not allow; every test expects none. */
  readonly violations: string[]
  readonly state: GitHubState
  readonly close: () => Promise<void>
}

const definition = JSON.parse(
  readFileSync(join(dirname(fileURLToPath(import.meta.url)), '../fixtures/github-openapi-23.0.2.json'), 'utf8'),
)

const backend = new OpenAPIBackend({
  definition,
  quick: true,
  ajvOpts: { strict: false, validateFormats: false, allErrors: true },
})
await backend.init()

const when = '2026-11-01T00:00:00Z'
const base = 'https://api.github.com'

const userOf = (login: string) => ({
  login,
  id: 1,
  node_id: 'U1',
  avatar_url: '',
  gravatar_id: '',
  url: base,
  html_url: base,
  followers_url: base,
  following_url: base,
  gists_url: base,
  starred_url: base,
  subscriptions_url: base,
  organizations_url: base,
  repos_url: base,
  events_url: base,
  received_events_url: base,
  type: login.endsWith('[bot]') ? 'Bot' : 'User',
  site_admin: false,
})

function commentOf(comment: FakeComment) {
  return {
    id: comment.id,
    node_id: `IC_${comment.id}`,
    url: `${base}/comments/${comment.id}`,
    html_url: `https://github.com/octo/repo/pull/7#issuecomment-${comment.id}`,
    issue_url: `${base}/repos/octo/repo/issues/7`,
    body: comment.body,
    user: userOf(comment.login),
    created_at: when,
    updated_at: when,
    author_association: 'NONE',
  }
}

const LARGEST_COMMENT = 65_536

/** Answers one operation from the state; null: not modelled. */
function answer(
  operation: string,
  request: ApiRequest & { params: Record<string, string> },
  query: Record<string, string>,
  state: GitHubState,
  origin: string,
): { status: number; body: unknown; headers?: Record<string, string> } {
  const body = request.body as { body?: string } | undefined
  const id = Number(request.params['comment_id'])
  const missing = { status: 404, body: { message: 'Not Found', documentation_url: base, status: '404' } }
  const tooLong = {
    status: 422,
    body: {
      message: 'Validation Failed',
      documentation_url: base,
      errors: [{ code: 'custom', message: 'body is too long (maximum is 65536 characters)' }],
    },
  }
  switch (operation) {
    case 'issues/list-comments': {
      const size = Math.min(Number(query['per_page'] ?? 30), 100)
      const page = Number(query['page'] ?? 1)
      const alive = state.comments
      const next = page * size < alive.length
      const link = `<${origin}/repos/octo/repo/issues/7/comments?per_page=${size}&page=${page + 1}>; rel="next"`
      return {
        status: 200,
        body: alive.slice((page - 1) * size, page * size).map(commentOf),
        headers: next ? { link } : {},
      }
    }
    case 'issues/create-comment': {
      if ((body?.body ?? '').length > LARGEST_COMMENT) return tooLong
      state.beforeCreate?.(state)
      const made = { id: Math.max(100, ...state.comments.map(c => c.id)) + 1, body: body!.body!, login: state.me }
      state.comments.push(made)
      return { status: 201, body: commentOf(made) }
    }
    case 'issues/update-comment': {
      if ((body?.body ?? '').length > LARGEST_COMMENT) return tooLong
      const comment = state.comments.find(c => c.id === id)
      if (!comment) return missing
      comment.body = body!.body!
      return { status: 200, body: commentOf(comment) }
    }
    case 'issues/delete-comment': {
      const at = state.comments.findIndex(c => c.id === id)
      if (at < 0) return missing
      state.comments.splice(at, 1)
      return { status: 204, body: undefined }
    }
    case 'pulls/get': {
      const pull = state.pulls.find(p => p.number === Number(request.params['pull_number']))
      return pull ? { status: 200, body: { number: pull.number, head: { sha: pull.head } } } : missing
    }
    case 'pulls/list':
      return { status: 200, body: state.pulls.map(p => ({ number: p.number, head: { sha: p.head } })) }
    case 'repos/compare-commits-with-basehead':
      return state.compare
        ? { status: 200, body: { merge_base_commit: { sha: state.compare.mergeBase }, files: state.compare.files } }
        : missing
    case 'repos/get-content': {
      const path = decodeURIComponent(request.params['path'] ?? '')
      const text = state.files[query['ref'] ?? '']?.[path]
      return text === undefined
        ? missing
        : {
            status: 200,
            body: {
              type: 'file',
              encoding: 'base64',
              size: text.length,
              name: path,
              path,
              sha: 'a'.repeat(40),
              content: Buffer.from(text).toString('base64'),
            },
          }
    }
    case 'git/get-tree': {
      const files = state.files[request.params['tree_sha'] ?? '']
      return files
        ? {
            status: 200,
            body: {
              sha: request.params['tree_sha'],
              url: base,
              truncated: false,
              tree: Object.entries(files).map(([path, text]) => ({
                path,
                mode: '100644',
                type: 'blob',
                sha: 'a'.repeat(40),
                size: text.length,
                url: base,
              })),
            },
          }
        : missing
    }
    default:
      return missing
  }
}

/** Operations whose whole answer is modelled and so checked; the rest is a part of what GitHub sends. */
const CHECKED = new Set([
  'issues/list-comments',
  'issues/create-comment',
  'issues/update-comment',
  'issues/delete-comment',
  'git/get-tree',
])

export async function fakeGitHub(given: Partial<GitHubState> = {}): Promise<FakeGitHub> {
  const state: GitHubState = {
    comments: [],
    me: 'github-actions[bot]',
    faults: [],
    files: {},
    compare: null,
    pulls: [],
    graphql: true,
    ...given,
  }
  const asked: Asked[] = []
  const violations: string[] = []
  let origin = ''

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString('utf8')
    const url = new URL(request.url ?? '/', origin)
    const query = Object.fromEntries(url.searchParams)
    const body: unknown = text === '' ? undefined : JSON.parse(text)
    const method = (request.method ?? 'GET').toLowerCase()
    asked.push({
      method: method.toUpperCase(),
      path: url.pathname,
      query,
      body,
      authorization: request.headers.authorization ?? null,
    })
    const send = (status: number, data: unknown, headers: Record<string, string> = {}) => {
      response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers })
      response.end(data === undefined ? undefined : JSON.stringify(data))
    }
    if (url.pathname === '/graphql')
      return graphql(body as { query: string; variables: { ids?: string[]; id?: string } }, send)
    const apiRequest: ApiRequest = {
      method,
      path: url.pathname,
      query,
      body,
      headers: { 'content-type': 'application/json' },
    }
    const operation = backend.matchOperation(apiRequest)
    if (!operation?.operationId) {
      violations.push(`no such operation: ${method} ${url.pathname}`)
      return send(404, { message: 'Not Found' })
    }
    const fault = state.faults.find(f => f.operation === operation.operationId && f.answers.length > 0)
    const scripted = fault?.answers.shift()
    if (scripted?.reset) {
      request.socket.destroy()
      return
    }
    if (scripted)
      return send(scripted.status, scripted.body ?? { message: `scripted ${scripted.status}` }, scripted.headers)
    const valid = backend.validateRequest(apiRequest, operation)
    if (!valid.valid) {
      violations.push(`${operation.operationId}: ${JSON.stringify(valid.errors)}`)
      return send(422, { message: 'Validation Failed' })
    }
    if (Number(query['per_page'] ?? 30) > 100) violations.push(`${operation.operationId}: per_page above 100`)
    const parsed = backend.router.parseRequest(apiRequest, operation) as ApiRequest & { params: Record<string, string> }
    const made = answer(operation.operationId, { ...parsed, body: body as never }, query, state, origin)
    if (CHECKED.has(operation.operationId) && made.status < 400 && made.status !== 204) {
      const checked = backend.validateResponse(made.body, operation, made.status)
      if (!checked.valid && checked.errors)
        violations.push(`answer of ${operation.operationId}: ${JSON.stringify(checked.errors).slice(0, 300)}`)
    }
    send(made.status, made.body, made.headers)
  }

  function graphql(
    body: { query: string; variables: { ids?: string[]; id?: string } },
    send: (status: number, data: unknown) => void,
  ): void {
    if (!state.graphql) {
      send(404, { message: 'Not Found' })
      return
    }
    if (body.query.includes('minimizeComment')) {
      const comment = state.comments.find(c => `IC_${c.id}` === body.variables.id)
      if (comment) comment.minimized = true
      send(200, { data: { minimizeComment: { minimizedComment: { isMinimized: true } } } })
      return
    }
    const nodes = (body.variables.ids ?? []).map(id => {
      const comment = state.comments.find(c => `IC_${c.id}` === id)
      return comment ? { id, isMinimized: comment.minimized ?? false } : null
    })
    send(200, { data: { viewer: { login: state.me }, nodes } })
  }

  const server: Server = createServer((request, response) => {
    handle(request, response).catch(error => {
      violations.push(`the server failed: ${String(error)}`)
      response.writeHead(500).end()
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: origin,
    asked,
    violations,
    state,
    close: () =>
      new Promise(resolve => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}
