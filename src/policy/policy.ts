import type { Setting, Settings } from '../deployments/deployment.ts'
import type { Place } from '../problem.ts'
import type { PathTest } from '../repository/selection.ts'
import type { Gate } from '../verdict/run.ts'

/** A size in bytes, or a share of something that the key names. */
export type Amount = { readonly bytes: number } | { readonly fraction: number }

/** A value with the text and the place it comes from; no place on the command line. */
export interface Told<T> {
  readonly value: T
  readonly text: string
  readonly from: 'policy' | 'flag'
  readonly at?: Place
}

/** What `defaults`, a rule or the command line say about a deployment. */
export interface Choices {
  readonly target?: Told<string>
  readonly gpusPerReplica?: Told<number>
  readonly headroom?: Told<Amount>
  readonly minConcurrency?: Told<number>
  readonly settings: Settings
}

interface Rule extends Choices {
  readonly ignore: boolean
  readonly at: Place
  /** Do all selectors of the rule match? */
  readonly matches: (about: PolicySubject) => boolean
}

/** What an id in the files stands for: another id, a revision of it, or a path in the repository. */
export interface ModelEntry {
  readonly id: string | null
  readonly revision: string | null
  readonly path: string | null
  readonly at: Place
}

export interface Exemption {
  readonly deployment: string
  readonly reason: string
  readonly owner: string | null
  /** Last day it holds ("2027-03-31", UTC); null: no end. */
  readonly until: string | null
  readonly at: Place
  readonly matches: PathTest
}

/** A whole policy, read and checked; without a file all its defaults. */
export interface Policy {
  readonly file: string | null
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  readonly defaults: Choices
  readonly rules: readonly Rule[]
  /** What the command line or the action's inputs say: they win over rules and defaults. */
  readonly overrides: Choices
  readonly models: ReadonlyMap<string, ModelEntry>
  readonly gate: Gate
  /** Share of the budget above which what fits is reported as tight; null: never. */
  readonly warnAt: number | null
  readonly warnOnly: boolean
  readonly exemptions: readonly Exemption[]
}

/** What rules select by. */
export interface PolicySubject {
  readonly id: string
  readonly file: string
  readonly engine: string
  /** Ids of the model: as the file says it, and what the policy's `models:` makes of it. */
  readonly models: readonly string[]
}

/** What the policy says about one deployment: the command line over the first matching rule over the defaults. */
export interface Effective extends Choices {
  readonly ignore: boolean
  /** Place of the rule that matched; null when none did. */
  readonly rule: Place | null
}

export const noChoices: Choices = { settings: {} }

export const defaultPolicy: Policy = {
  file: null,
  include: [],
  exclude: [],
  defaults: noChoices,
  rules: [],
  overrides: noChoices,
  models: new Map(),
  gate: {
    failOn: ['exceeds'],
    onUnknown: 'warn',
    onEmpty: 'warn',
    onNetworkError: 'warn',
    onlyNew: false,
    maxIncrease: null,
  },
  warnAt: null,
  warnOnly: false,
  exemptions: [],
}

/** Resolves the policy for one deployment. */
export function effectiveFor(policy: Policy, about: PolicySubject): Effective {
  const rule = policy.rules.find(candidate => candidate.matches(about))
  const layers: readonly Choices[] = [policy.defaults, rule ?? noChoices, policy.overrides]
  const settings: Record<string, Setting | undefined> = {}
  for (const layer of layers) Object.assign(settings, layer.settings)
  const last = <K extends keyof Choices>(key: K) => layers.findLast(layer => layer[key] !== undefined)?.[key]
  const target = last('target')
  const gpusPerReplica = last('gpusPerReplica')
  const headroom = last('headroom')
  const minConcurrency = last('minConcurrency')
  return {
    ...(target === undefined ? {} : { target }),
    ...(gpusPerReplica === undefined ? {} : { gpusPerReplica }),
    ...(headroom === undefined ? {} : { headroom }),
    ...(minConcurrency === undefined ? {} : { minConcurrency }),
    settings: settings as Settings,
    ignore: rule?.ignore ?? false,
    rule: rule?.at ?? null,
  }
}
