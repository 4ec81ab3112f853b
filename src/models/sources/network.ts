import http from 'node:http'
import type { HttpPorts } from './http.ts'

/** The real network, clock and waiting, for the doors. */
export const network: HttpPorts = {
  fetch: (input, init) => fetch(input, init),
  sleep: milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds)),
  now: () => Date.now(),
  random: () => Math.random(),
}

const PROXY_NAMES = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy']

/**
 * Lets `fetch` go through the proxy that the environment names (HTTPS_PROXY, NO_PROXY and their kin). Call it once,
 * before the first request. Returns a warning when this Node cannot: versions before 24.14 have no such switch.
 */
export function useProxy(env: Readonly<Record<string, string | undefined>>): string | null {
  const named = PROXY_NAMES.find(name => env[name])
  if (named === undefined) return null
  const { setGlobalProxyFromEnv } = http as { setGlobalProxyFromEnv?: (env: object) => void }
  if (setGlobalProxyFromEnv === undefined)
    return `${named} is set, but Node ${process.versions.node} cannot use it; Node 24.14 or newer can`
  setGlobalProxyFromEnv(env)
  return null
}
