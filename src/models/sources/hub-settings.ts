import { bad, good, type Result } from '../../problem.ts'

/** Which Hub is asked, and as whom. */
export interface HubSettings {
  /** Without a slash at its end. */
  readonly endpoint: string
  readonly token: string | null
  /** The environment asks for no network (HF_HUB_OFFLINE). */
  readonly offline: boolean
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads the Hub's usual environment: HF_ENDPOINT, HF_TOKEN (or HUGGING_FACE_HUB_TOKEN, else the file that `hf auth
 * login` writes), HF_HUB_OFFLINE. `readFile` gives a file's text or null. Problem: `usage` for an address that is not
 * https (http is allowed to this machine), or a token that no header can carry; its text is never shown.
 */
export function hubSettings(env: Environment, readFile: (path: string) => string | null): Result<HubSettings> {
  const endpoint = checkedEndpoint(env['HF_ENDPOINT']?.trim() || 'https://huggingface.co')
  if (!endpoint.ok) return endpoint
  const named = ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN'].find(name => env[name]?.trim())
  const file = tokenFile(env)
  const token = (named ? env[named] : file === null ? null : readFile(file))?.trim() || null
  if (token !== null && !/^[\x21-\x7e]{1,4096}$/.test(token))
    return bad('usage', `the token in ${named ?? file} holds spaces, line breaks or letters beyond ASCII`, {
      hint: 'copy it anew from huggingface.co/settings/tokens',
    })
  const offline = ['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'].some(name => /^(1|true|yes|on)$/i.test(env[name] ?? ''))
  return good({ endpoint: endpoint.value, token, offline })
}

function checkedEndpoint(text: string): Result<string> {
  const fail = (why: string) =>
    bad('usage', `HF_ENDPOINT ${why}`, { hint: 'give an address such as https://huggingface.co' })
  let url: URL
  try {
    url = new URL(text)
  } catch {
    return fail('is no address')
  }
  if (url.username !== '' || url.password !== '') return fail('must not hold a user or password')
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname)))
    return fail('must be https (http only to this machine)')
  if (url.search !== '' || url.hash !== '') return fail('must not hold a query')
  return good(url.origin + url.pathname.replace(/\/+$/, ''))
}

const isLoopback = (host: string) => host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host)

/** Where the Hub's own tools keep the token. */
function tokenFile(env: Environment): string | null {
  if (env['HF_TOKEN_PATH']) return env['HF_TOKEN_PATH']
  if (env['HF_HOME']) return `${env['HF_HOME']}/token`
  const cache =
    env['XDG_CACHE_HOME'] ||
    (env['HOME'] ? `${env['HOME']}/.cache` : null) ||
    (env['USERPROFILE'] ? `${env['USERPROFILE']}/.cache` : null)
  return cache === null ? null : `${cache}/huggingface/token`
}
