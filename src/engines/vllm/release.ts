/**
 * vLLM releases and what changed between them for memory. Source: the released packages;
 * releases between the opened ones take the older rule (or the larger need, where said).
 */

/** A release as one comparable number: 0.11.2 -> 11_002. */
export type Release = number

/** The newest release whose rules are known; an unknown version gets these. */
export const newestRelease: Release = release(0, 33)

export function release(major: number, minor: number, patch = 0): Release {
  return major * 1_000_000 + minor * 1_000 + patch
}

/** "v0.11.0", "0.26.1rc1.dev608+g99a10304d" -> a release; null when the text starts with no version. */
export function releaseOf(text: string): Release | null {
  const match = /^v?(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?/.exec(text)
  return match ? release(Number(match[1]), Number(match[2]), Number(match[3] ?? 0)) : null
}

/** "0.20": as people write a minor release. */
export function releaseText(value: Release): string {
  return `${Math.floor(value / 1_000_000)}.${Math.floor((value % 1_000_000) / 1_000)}`
}

export interface Rules {
  /** The V0 engine profiled a whole batch through the model and kept no graphs apart. */
  readonly v0: boolean
  readonly memoryFraction: number
  /** The estimate of CUDA-graph memory is taken from the budget. */
  readonly graphsInBudget: boolean
  /** Tokens in flight in the window rule: batch tokens times the batches that may run at once. */
  readonly windowCountsBatches: boolean
  /** One block is kept for padding, and the start check leaves it out. */
  readonly nullBlock: boolean
  /** One request is charged by whole blocks of every group; before, by the layers' own blocks without padding. */
  readonly chargesGroups: boolean
  /** The printed token capacity is the concurrency times the length; before, the blocks of one group. */
  readonly capacityByConcurrency: boolean
  readonly asyncDefault: boolean
  /** Prefix caching of models with recurrent state is on unless switched off. */
  readonly statePrefixCaching: boolean
  /** State blocks of prefill checkpoints are charged, and align the attention block. */
  readonly stateCheckpoints: boolean
  /** Cross attention is charged by the encoder budget (the batch tokens) instead of the encoder's length. */
  readonly crossByBatch: boolean
  /** Batch defaults have a tier for cards of 160 GiB and more. */
  readonly hugeTier: boolean
  /** Batch defaults take an A100 (by its name; an A800 is none) for a small card. */
  readonly sparesA100: boolean
  /** Default blocks of MLA were set by the platform: 64 on Hopper, 128 on Blackwell. */
  readonly platformMlaBlocks: boolean
  /** Doubly quantised maxima of bitsandbytes are unpacked to float32 while loading; before, they stayed packed. */
  readonly unpacksDoubledMaxima: boolean
}

const cache = new Map<Release, Rules>()

/** The rules of a release with what the environment switches: the old engine (up to 0.10), graphs in the budget (from 0.19). */
export function rulesOf(version: Release, environment: Readonly<Record<string, string>>): Rules {
  const rules = newRules(version)
  const graphs = environment['VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS']
  if (environment['VLLM_USE_V1'] === '0' && version < release(0, 11)) return { ...rules, v0: true }
  return graphs && version >= release(0, 19) ? { ...rules, graphsInBudget: graphs !== '0' } : rules
}

function newRules(version: Release): Rules {
  let rules = cache.get(version)
  if (rules === undefined) {
    const from = (minor: number): boolean => version >= release(0, minor)
    rules = {
      v0: !from(8),
      memoryFraction: from(20) ? 0.92 : 0.9,
      graphsInBudget: from(20),
      windowCountsBatches: from(25),
      nullBlock: from(30),
      chargesGroups: from(25),
      capacityByConcurrency: from(20),
      asyncDefault: from(14),
      statePrefixCaching: from(20),
      stateCheckpoints: from(30),
      crossByBatch: from(13),
      hugeTier: from(30),
      sparesA100: from(9),
      platformMlaBlocks: !from(13),
      // starts of 0.7.1 (phi-4) and 0.8.3 (TinyLlama) print the packed size
      unpacksDoubledMaxima: from(9),
    }
    cache.set(version, rules)
  }
  return rules
}
