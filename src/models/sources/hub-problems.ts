import type { Problem } from '../../problem.ts'
import type { HttpAnswer } from './http.ts'
import type { FactsReference } from './reference.ts'

interface Asked {
  readonly reference: FactsReference
  readonly endpoint: string
  readonly hasToken: boolean
  /** The file that was asked for; null for the repository itself. */
  readonly file: string | null
}

/**
 * What an answer of the Hub that is no success means. The Hub answers 401 both for gated repositories and for ones that
 * do not exist (or are private); only X-Error-Code tells them apart. Nothing of the answer's body is repeated: it may
 * hold what was sent.
 */
export function hubProblem(answer: HttpAnswer, asked: Asked): Problem {
  const { reference, endpoint, hasToken, file } = asked
  const { id } = reference
  const page = `${endpoint}/${id}`
  const host = new URL(endpoint).host
  if (answer.kind === 'failed') {
    const why = `${WORDS[answer.reason]} (${answer.detail.slice(0, 80)})`
    return {
      code: 'network',
      message: `${id}: ${host} ${why}`,
      hint: 'run again, or offline with a lock file: hf-vram-calc lock',
    }
  }
  const { status } = answer
  const code = answer.headers.get('x-error-code') ?? ''
  if (code === 'GatedRepo' && (status === 401 || status === 403))
    return {
      code: 'model-gated',
      message: hasToken ? `${id} is gated, and the token's account has no access to it` : `${id} is gated`,
      hint: hasToken
        ? `accept the licence at ${page} with the token's account, or wait for its approval`
        : `accept the licence at ${page} and set HF_TOKEN`,
    }
  if (code === 'RevisionNotFound')
    return {
      code: 'model-not-found',
      message: `${id} has no revision ${reference.revision ?? 'main'}`,
      hint: `see the branches and tags at ${page}/tree/main`,
    }
  if (code === 'EntryNotFound' || (status === 404 && file !== null && code === ''))
    return {
      code: 'model-not-found',
      message: `${id} has no ${file ?? 'such file'}`,
      hint: `see its files at ${page}/tree/main`,
    }
  if (code === 'RepoNotFound' || status === 404 || (status === 401 && !hasToken))
    return {
      code: 'model-not-found',
      message: `${id} does not exist on ${host}${hasToken ? ', or the token may not see it' : ', or is private'}`,
      hint: hasToken
        ? `open ${page} with the token's account`
        : `check its spelling at ${page}; for a private one set HF_TOKEN`,
    }
  if (status === 401)
    return {
      code: 'model-unauthorised',
      message: `${id}: ${host} refuses the token`,
      hint: 'HF_TOKEN may have expired: make a new one at huggingface.co/settings/tokens',
    }
  if (status === 403)
    return {
      code: 'model-unauthorised',
      message: `${id}: ${host} forbids it${code === '' ? '' : ` (${code.slice(0, 60)})`}`,
      hint: "the token needs read access to the repository's contents",
    }
  if (status === 429)
    return {
      code: 'rate-limited',
      message: `${id}: ${host} allows no more requests for now`,
      hint: `${hasToken ? 'run again later' : 'set HF_TOKEN for a higher limit'}, or pin the models with hf-vram-calc lock`,
    }
  return {
    code: 'network',
    message: `${id}: ${host} answered ${status}`,
    hint: 'run again, or offline with a lock file: hf-vram-calc lock',
  }
}

const WORDS = {
  unreachable: 'cannot be reached',
  timeout: 'does not answer',
  'too-large': 'answered too much',
  redirect: 'redirected',
  interrupted: 'broke off its answer',
} as const
