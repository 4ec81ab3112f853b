import type { Bucket, Plan } from './groups.ts'

/** What decides how many blocks a request takes, besides its length. */
export interface RequestSettings {
  /** Batch tokens, and tokens in flight (batch tokens times the batches that may run at once). */
  readonly batchTokens: number
  readonly inFlight: number
  /** Ranks that share one request's full-attention tokens (decode and prefill context parallel). */
  readonly contextRanks: number
  readonly speculativeTokens: number
  /** `align`: states are kept at block ends for prefix caching; `none`: only the running one. */
  readonly stateMode: 'align' | 'none'
  readonly crossByBatch: boolean
  /** Before 0.25 a request was charged by its layers, without the padding of groups. */
  readonly chargesGroups: boolean
}

/** Blocks that one request of `length` tokens takes in one group of the bucket (vLLM 0.33, v1/kv_cache_interface.py). */
export function blocksOf(bucket: Bucket, length: number, s: RequestSettings): number {
  const { reach, block } = bucket
  switch (reach.kind) {
    case 'full':
      return Math.ceil(Math.ceil(length / s.contextRanks) / block)
    case 'sliding':
      return Math.ceil(Math.min(reach.window - 1 + s.inFlight, length) / block) + 1
    case 'chunked':
      return Math.ceil(Math.min(reach.chunk + s.inFlight, length) / block)
    case 'cross':
      return Math.ceil((s.crossByBatch ? s.batchTokens : reach.encoderTokens) / block)
    case 'state':
      return (s.stateMode === 'align' ? 2 + bucket.checkpoints : 1) + s.speculativeTokens
  }
}

/** Blocks of one request over all groups. */
export function requestBlocks(plan: Plan, length: number, s: RequestSettings): number {
  let blocks = 0
  for (const bucket of plan.buckets) blocks += bucket.groups * blocksOf(bucket, length, s)
  return blocks
}

/** Bytes of one request on a pipeline stage, as the start check charges them. */
export function requestBytes(plan: Plan, length: number, stage: number, s: RequestSettings): number {
  if (s.chargesGroups) return requestBlocks(plan, length, s) * plan.blockBytes[stage]!
  let bytes = 0
  for (const bucket of plan.buckets) {
    const blocks = blocksOf(bucket, length, s)
    for (const member of bucket.members) bytes += blocks * member.counts[stage]! * member.page
  }
  return bytes
}

/** Bytes of a request's recurrent states alone, with their groups' padding where it is charged. */
export function stateBytesOf(plan: Plan, stage: number, s: RequestSettings): number {
  let bytes = 0
  for (const bucket of plan.buckets) {
    if (bucket.reach.kind !== 'state') continue
    const blocks = blocksOf(bucket, 1, s)
    if (s.chargesGroups) bytes += bucket.groups * blocks * plan.blockBytes[stage]!
    else for (const member of bucket.members) bytes += blocks * member.counts[stage]! * member.page
  }
  return bytes
}

/** The longest request up to `limit` whose bytes fit into `room` on the stage; 0 when not even one token does. */
export function longestThatFits(plan: Plan, limit: number, room: number, stage: number, s: RequestSettings): number {
  if (requestBytes(plan, limit, stage, s) <= room) return limit
  let low = 0
  let high = limit
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (requestBytes(plan, middle, stage, s) <= room) low = middle
    else high = middle
  }
  return low
}
