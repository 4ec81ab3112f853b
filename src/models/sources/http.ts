/**
 * GET requests to the Hub as it needs them: the token only to its own origin, redirects followed by hand, bodies capped,
 * time-outs on silence and in all, and retries where a retry can help. The network, the clock and the waiting are handed
 * in.
 */
export interface HttpPorts {
  readonly fetch: typeof globalThis.fetch
  /** Waits that many milliseconds. */
  readonly sleep: (milliseconds: number) => Promise<void>
  /** Milliseconds since some start. */
  readonly now: () => number
  /** 0 to 1, for spreading retries. */
  readonly random: () => number
}

export interface HttpOptions {
  /** Milliseconds without a byte after which an attempt is given up. */
  readonly idleTimeout: number
  /** Milliseconds that one request may take in all, retries and waiting included. */
  readonly totalTimeout: number
  readonly retries: number
}

export const httpDefaults: HttpOptions = { idleTimeout: 10_000, totalTimeout: 120_000, retries: 3 }

export interface HttpRequest {
  readonly url: string
  /** Sent as a bearer to `origin` only. */
  readonly token: string | null
  readonly origin: string
  /** Largest body in bytes, after decompression. */
  readonly limit: number
  /** First and last byte wanted. */
  readonly range?: readonly [number, number]
}

export type HttpAnswer =
  | { readonly kind: 'answer'; readonly status: number; readonly headers: Headers; readonly body: Uint8Array }
  | { readonly kind: 'failed'; readonly reason: FailReason; readonly detail: string }
type FailReason = 'unreachable' | 'timeout' | 'too-large' | 'redirect' | 'interrupted'

const MOST_REDIRECTS = 5
/** The longest that a server may make us wait before the next attempt; beyond it we say so instead. */
const LONGEST_WAIT = 60_000
const RETRIED_STATUS: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504])
/** Faults of a connection that another attempt may not meet; not among them: unknown hosts and bad certificates. */
const RETRIED_CODES =
  /^(ECONNRESET|ECONNREFUSED|ECONNABORTED|EPIPE|ETIMEDOUT|EAI_AGAIN|UND_ERR_SOCKET|UND_ERR_CONNECT_TIMEOUT|UND_ERR_HEADERS_TIMEOUT|UND_ERR_BODY_TIMEOUT)$/

/** One GET with its retries; never throws for what a server or the network does. */
export async function get(request: HttpRequest, ports: HttpPorts, options: HttpOptions): Promise<HttpAnswer> {
  const deadline = ports.now() + options.totalTimeout
  for (let attempt = 0; ; attempt++) {
    const { answer, retry } = await follow(request, ports, options, deadline)
    const wait = retry ? (waitOf(answer) ?? 500 * 2 ** attempt * (0.5 + ports.random())) : 0
    if (!retry || attempt >= options.retries || wait > LONGEST_WAIT || ports.now() + wait >= deadline) return answer
    await ports.sleep(wait)
  }
}

/**
 * Milliseconds a server asks us to wait: `Retry-After` in seconds, or as a date against the answer's own date (its clock
 * need not be ours), else the reset time of the Hub's `RateLimit: "api";r=0;t=35`; null when it does not say.
 */
function waitOf(answer: HttpAnswer): number | null {
  if (answer.kind !== 'answer') return null
  const after = answer.headers.get('retry-after')?.trim() ?? ''
  if (/^\d{1,9}$/.test(after)) return Number(after) * 1000
  const wait = Date.parse(after) - Date.parse(answer.headers.get('date') ?? '')
  if (!Number.isNaN(wait)) return Math.max(0, wait)
  const reset = /;\s*t=(\d{1,9})/.exec(answer.headers.get('ratelimit') ?? '')
  return reset && answer.status === 429 ? Number(reset[1]) * 1000 : null
}

interface Attempt {
  readonly answer: HttpAnswer
  readonly retry: boolean
}

async function follow(
  request: HttpRequest,
  ports: HttpPorts,
  options: HttpOptions,
  deadline: number,
): Promise<Attempt> {
  let url = request.url
  for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
    const one = await attempt(url, request, ports, options, deadline)
    if (one.answer.kind !== 'answer' || !isRedirect(one.answer.status)) return one
    const next = redirectTarget(url, one.answer.headers.get('location'))
    if (next === null) return failed('redirect', 'to an address that is not allowed')
    url = next
  }
  return failed('redirect', `more than ${MOST_REDIRECTS} times`)
}

const isRedirect = (status: number) => [301, 302, 303, 307, 308].includes(status)

/** Where a redirect leads; null when there is no address, or it leaves https. */
function redirectTarget(from: string, location: string | null): string | null {
  try {
    const target = new URL(location ?? '', from)
    const downgrade = target.protocol === 'http:' && new URL(from).protocol === 'https:'
    if (location === null || downgrade || !/^https?:$/.test(target.protocol) || target.username !== '') return null
    return target.href
  } catch {
    return null
  }
}

function failed(reason: FailReason, detail: string, retry = false): Attempt {
  return { answer: { kind: 'failed', reason, detail }, retry }
}

async function attempt(
  url: string,
  request: HttpRequest,
  ports: HttpPorts,
  options: HttpOptions,
  deadline: number,
): Promise<Attempt> {
  const control = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const alive = () => {
    clearTimeout(timer)
    const left = Math.max(0, Math.min(options.idleTimeout, deadline - ports.now()))
    timer = setTimeout(() => control.abort(), left)
  }
  const ownOrigin = new URL(url).origin === request.origin
  const headers: Record<string, string> = {
    'user-agent': 'hf-vram-calc',
    ...(request.token !== null && ownOrigin ? { authorization: `Bearer ${request.token}` } : {}),
    // A range of a compressed body would be of no use.
    ...(request.range ? { range: `bytes=${request.range[0]}-${request.range[1]}`, 'accept-encoding': 'identity' } : {}),
  }
  try {
    alive()
    const response = await ports.fetch(url, { headers, redirect: 'manual', signal: control.signal })
    const ok = response.status === 200 || response.status === 206
    // The body of an error is read only so far that the connection can be used again.
    const body = await bodyOf(response, ok ? request.limit : 64 * 1024, alive)
    if (body === null && ok) {
      control.abort()
      return failed('too-large', `more than ${request.limit} bytes`)
    }
    const answer: HttpAnswer = {
      kind: 'answer',
      status: response.status,
      headers: response.headers,
      body: body ?? new Uint8Array(),
    }
    return { answer, retry: RETRIED_STATUS.has(response.status) }
  } catch (error) {
    if (control.signal.aborted) return failed('timeout', `no answer for ${options.idleTimeout / 1000} s`, true)
    const cause = (error as { cause?: { code?: string; message?: string } }).cause
    const code = cause?.code ?? ''
    const detail = code || cause?.message || (error as Error).message
    return failed(
      /TERMINATED|aborted|UND_ERR_SOCKET|ECONNRESET/i.test(detail) ? 'interrupted' : 'unreachable',
      detail,
      RETRIED_CODES.test(code),
    )
  } finally {
    clearTimeout(timer)
  }
}

/** A response's bytes, decompressed; null when there are more than allowed. */
async function bodyOf(response: Response, limit: number, alive: () => void): Promise<Uint8Array | null> {
  if (response.body === null) return new Uint8Array()
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    alive()
    size += chunk.length
    if (size > limit) return null
    chunks.push(chunk)
  }
  const whole = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}
