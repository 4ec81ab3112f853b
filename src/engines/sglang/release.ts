import { type Release, release, releaseText } from '../vllm/release.ts'

/** The newest SGLang release whose rules are known; an unknown version gets these. */
export const newestSglang: Release = release(0, 5, 23)

/** "0.5.23". */
export const releaseName = (version: Release): string => `${releaseText(version)}.${version % 1000}`

/** How a release sets the static fraction when it is not given (SGLang 0.4.3 to 0.5.23, server_args.py). */
type FractionRule =
  /** One value for each number of tensor ranks. */
  | 'by-ranks'
  /** The same up to 80 GiB; on larger cards all but 13 GiB. */
  | 'by-ranks-or-13-gib'
  /** A reserve in GiB for each class of card. */
  | 'by-class'
  /** A reserve in MiB summed from the prefill chunk, the ranks and the graphs. */
  | 'by-sum'

export interface SglangRules {
  readonly fraction: FractionRule
  /** MiB kept besides for a draft model of its own, and for EAGLE-like methods. */
  readonly draftReserve: { readonly standalone: number; readonly other: number; readonly ngram: boolean }
  /** The sum counts prefill graphs, and not with attention data parallelism, nor (0.5.10) with speculation. */
  readonly prefillGraphs: boolean
  readonly prefillGraphsWithAttentionData: boolean
  readonly prefillGraphsWithSpeculation: boolean
  /** `--disable-cuda-graph` lowers the sum. */
  readonly eagerCounts: boolean
  readonly deepep: boolean
  /** Cards of 20 to 35 GiB: chunk 4096 and graphs for 48 (160) sequences instead of 2048 and 24 (80). */
  readonly middleBand: boolean
  /** Vision models: nothing, 0.9 flat, or a factor by the size of the tower. */
  readonly vision: 'none' | 'flat' | 'factor'
  readonly chunks: 'by-25000-mib' | 'by-35-gib' | 'by-class'
  /** Attention data parallelism halves the chunk; later it is divided by the ranks. */
  readonly halvesChunk: boolean
  /** Marlin's FP4 experts keep the scales they were loaded with. */
  readonly keepsLoadedScales: boolean
}

/** The rules of a release; releases between two that were read take the older one's. */
export function sglangRules(version: Release): SglangRules {
  const from = (minor: number, patch: number): boolean => version >= release(0, minor, patch)
  return {
    fraction: from(5, 5) ? 'by-sum' : from(4, 9) ? 'by-class' : from(4, 6) ? 'by-ranks-or-13-gib' : 'by-ranks',
    draftReserve: from(5, 16)
      ? { standalone: 0, other: 0, ngram: false }
      : from(5, 10)
        ? { standalone: 6144, other: 4096, ngram: false }
        : from(5, 2)
          ? { standalone: 6144, other: 2048, ngram: false }
          : from(4, 9)
            ? { standalone: 2048, other: 2048, ngram: true }
            : { standalone: 0, other: 0, ngram: false },
    prefillGraphs: from(5, 10),
    prefillGraphsWithAttentionData: from(5, 20),
    prefillGraphsWithSpeculation: from(5, 13),
    eagerCounts: from(5, 16),
    deepep: from(5, 16),
    middleBand: from(5, 20),
    vision: from(5, 2) ? 'factor' : from(4, 9) ? 'flat' : 'none',
    chunks: from(5, 5) ? 'by-class' : from(4, 9) ? 'by-35-gib' : 'by-25000-mib',
    halvesChunk: !from(4, 6),
    keepsLoadedScales: !from(5, 16),
  }
}
