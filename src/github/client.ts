/** A refusal of GitHub's API with what explains it. */
export interface ApiFailure {
  readonly ok: false
  readonly status: number
  readonly message: string
  /** Permissions that would have been accepted, by the x-accepted-github-permissions header. */
  readonly accepted: string | null
}
type ApiAnswer<T> = { readonly ok: true; readonly data: T; readonly next: boolean } | ApiFailure

export interface GitHubApi {
  readonly request: <T>(route: string, parameters?: Record<string, unknown>) => Promise<ApiAnswer<T>>
  readonly graphql: <T>(query: string, variables: Record<string, unknown>) => Promise<ApiAnswer<T>>
}

export interface RetryPolicy {
  readonly retries: number
  readonly requestTimeoutMs: number
  /** The run gives up after this instant (ms since the epoch). */
  readonly deadline: number
  readonly now: () => number
  readonly sleep: (ms: number) => Promise<void>
}

interface RequestError {
  readonly status?: number
  readonly message?: string
  readonly name?: string
  readonly response?: { readonly headers?: Record<string, string | number | undefined> }
}

/**
 * GitHub's API with retries by class of error: rate limits (429, or 403 with retry-after or an empty quota), 5xx,
 * time-outs and broken connections are tried again; a plain 403, 404 or 422 is final. Waits are bounded by the run's
 * deadline. The token goes to `baseUrl` only.
 */
export function gitHubApi(token: string, baseUrl: string, policy: RetryPolicy): GitHubApi {
  let made: ReturnType<typeof octokitFor> | null = null
  const octokit = () => (made ??= octokitFor(token, baseUrl))
  const attempt = async <T>(
    send: (signal: AbortSignal) => Promise<{ data: T; headers?: { link?: string | undefined } }>,
  ): Promise<ApiAnswer<T>> => {
    for (let tried = 0; ; tried++) {
      const left = policy.deadline - policy.now()
      if (left <= 0) return { ok: false, status: 0, message: 'the time for requests is used up', accepted: null }
      const abort = new AbortController()
      const timer = setTimeout(() => abort.abort(), Math.min(policy.requestTimeoutMs, left))
      try {
        const { data, headers } = await send(abort.signal)
        return { ok: true, data, next: /rel="next"/.test(headers?.link ?? '') }
      } catch (error) {
        const failure = error as RequestError
        const status = failure.status ?? 0
        const wait = waitBefore(failure, tried, policy.now())
        if (wait === null || tried >= policy.retries || policy.now() + wait > policy.deadline)
          return {
            ok: false,
            status,
            message: String(failure.message ?? failure.name ?? 'no answer')
              .split('\n')[0]!
              .slice(0, 300),
            accepted: header(failure, 'x-accepted-github-permissions'),
          }
        await policy.sleep(wait)
      } finally {
        clearTimeout(timer)
      }
    }
  }
  return {
    request: (route, parameters = {}) =>
      attempt(async signal => (await octokit()).request(route, { ...parameters, request: { signal } }) as never),
    graphql: (query, variables) =>
      attempt(async signal => ({
        data: (await (await octokit()).graphql(query, { ...variables, request: { signal } })) as never,
      })),
  }
}

/**
 * The toolkit's client, loaded on the first request. Its package reads the event file while it loads and breaks on one
 * that is no JSON; it needs no event, so it gets none.
 */
async function octokitFor(token: string, baseUrl: string) {
  const event = process.env['GITHUB_EVENT_PATH']
  delete process.env['GITHUB_EVENT_PATH']
  try {
    const { getOctokit } = await import('@actions/github')
    return getOctokit(token, { baseUrl })
  } finally {
    if (event !== undefined) process.env['GITHUB_EVENT_PATH'] = event
  }
}

function header(error: RequestError, name: string): string | null {
  const value = error.response?.headers?.[name]
  return value === undefined ? null : String(value)
}

const LONGEST_WAIT = 60_000

/** Milliseconds to wait before trying again; null when the error is final. */
function waitBefore(error: RequestError, tried: number, now: number): number | null {
  const status = error.status ?? 0
  const after = Number(header(error, 'retry-after'))
  const reset = Number(header(error, 'x-ratelimit-reset'))
  const limited =
    status === 429 ||
    (status === 403 && (header(error, 'retry-after') !== null || header(error, 'x-ratelimit-remaining') === '0'))
  const backOff = 500 * 2 ** tried
  if (limited) {
    if (Number.isFinite(after) && after > 0) return Math.min(after * 1000, LONGEST_WAIT)
    if (Number.isFinite(reset) && reset * 1000 > now) return Math.min(reset * 1000 - now, LONGEST_WAIT)
    return backOff
  }
  // Octokit reports a broken connection as status 500 without a response, an abort without a status.
  return status >= 500 || status === 0 || status === 408 ? backOff : null
}
