import type { PoolSettings, TokenBytes } from './pool.ts'

/** Bytes of budget that requests need. */
export interface RequestBudget {
  readonly tokens: number
  readonly slots: number
  readonly kv: number
  readonly state: number
  readonly total: number
}

/**
 * The least budget whose pool holds `requests` of `length` tokens: tokens in whole pages by the bytes of one token, and
 * with recurrent layers the slots' part, which the ratio of states to KV may make larger than the slots themselves.
 */
export function requestBudget(length: number, requests: number, t: TokenBytes, s: PoolSettings): RequestBudget {
  const asked = requests * Math.ceil(length / s.page) * s.page
  const least = t.window > 0 ? Math.ceil((t.windowTokens + 2 * s.page) / s.windowRatio / s.page) * s.page : 0
  const tokens = Math.max(asked, least)
  const kv = Math.ceil(tokens * t.perToken + t.fixed)
  if (t.state === 0) return { tokens, slots: 0, kv, state: 0, total: kv }
  const fixed = s.stateSlots ?? (!s.radixCache && s.maxRunning !== null ? s.maxRunning : null)
  const slots = fixed === null ? requests * s.slotsPerRequest : Math.floor(fixed / s.attentionData)
  const own = (slots + 1) * t.state
  const state = fixed === null ? Math.max(own, Math.ceil(kv * s.stateRatio)) : own
  return { tokens, slots, kv, state, total: kv + state }
}
