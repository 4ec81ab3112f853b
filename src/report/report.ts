import type { Finding, Settings } from '../deployments/deployment.ts'
import type { Estimate } from '../engines/engine.ts'
import type { Range } from '../memory/parts.ts'
import type { Problem } from '../problem.ts'

/** Report version 1: the contract of design section 5; `schema/report-v1.schema.json` describes it. */
export interface Report {
  readonly schemaVersion: 1
  readonly tool: { readonly name: 'hf-vram-calc'; readonly version: string }
  readonly verdict: 'pass' | 'warn' | 'fail' | 'unknown' | 'error'
  readonly enforced: boolean
  readonly counts: {
    readonly deployments: number
    readonly fits: number
    readonly tight: number
    readonly exceeds: number
    readonly unknown: number
    readonly skipped: number
    readonly exempted: number
    readonly filesRead: number
    readonly filesParsed: number
  }
  readonly deployments: readonly ReportDeployment[]
  readonly notUnderstood: readonly { file: string; line: number; reason: string; message: string }[]
  readonly problems: readonly Problem[]
  /** What the policy did: which file, edits on a pull request, unused exemptions. */
  readonly policy?: ReportPolicy
  /** Deployments the base had and the head has not; only on comparisons. */
  readonly removed?: readonly { readonly id: string; readonly model: string | null; readonly status: Status }[]
}

export interface ReportPolicy {
  readonly file: string | null
  readonly from: 'base' | 'head' | 'remote' | 'defaults'
  /** The pull request edits the policy: what its own policy would say. */
  readonly edited: { readonly verdictWithHeadPolicy: Report['verdict']; readonly message: string } | null
  readonly messages: readonly { readonly level: 'warning' | 'notice'; readonly message: string }[]
}

export type Status = 'fits' | 'tight' | 'exceeds' | 'unknown' | 'skipped'

export interface Verdict {
  readonly status: Status
  /** exceeds: the low end is over the budget too; fits: the high end is within. */
  readonly certain: boolean
  readonly reasons: readonly { readonly code: string; readonly message: string }[]
}

export interface Remedy {
  readonly change: readonly {
    readonly setting: string
    readonly from: unknown
    readonly to: unknown
    readonly flag: string | null
  }[]
  readonly totalBytes: Range
  readonly status: Status
  readonly note: string
}

export interface Baseline {
  readonly status: Status
  readonly totalBytes: Range | null
  readonly deltaBytes: number | null
  /** new: not in the base; changed; unchanged; renamed: same content under another id. */
  readonly change: 'new' | 'changed' | 'unchanged' | 'renamed'
  readonly causes: readonly {
    readonly setting: string
    readonly from: unknown
    readonly to: unknown
    readonly deltaBytes: number
  }[]
}

export interface ReportModel {
  readonly id: string | null
  readonly revision: string | null
  readonly family: string | null
  readonly parameters: number | null
  readonly activeParameters: number | null
  readonly count: 'exact' | 'derived' | 'unknown'
  readonly checkpointBytes: number | null
  readonly source: 'local' | 'lock' | 'hub' | 'catalogue' | null
  readonly asOf: string | null
}

export interface ReportTarget {
  readonly gpu: string | null
  readonly gpusPerReplica: number | null
  readonly nodes: number | null
  readonly memoryBytes: number | null
  readonly from: 'file' | 'policy' | 'flag' | 'assumed'
  readonly file?: string
  readonly line?: number
  readonly text?: string
}

export interface ReportDeployment {
  readonly id: string
  readonly location: { readonly file: string; readonly line: number; readonly column: number }
  readonly format: string
  readonly workload: 'serve' | 'train'
  readonly engine: { readonly name: string; readonly version: string | null }
  readonly model: ReportModel
  readonly draftModel: ReportModel | null
  readonly adapters: readonly { readonly id: string | null }[]
  readonly unresolved: readonly { readonly name: string; readonly file?: string; readonly line?: number }[]
  readonly settings: Settings
  readonly target: ReportTarget | null
  readonly estimate: Estimate | null
  readonly verdict: Verdict
  readonly findings: readonly Finding[]
  readonly remedies: readonly Remedy[]
  readonly baseline: Baseline | null
  readonly exemption: {
    readonly reason: string
    readonly until: string | null
    readonly owner: string | null
    readonly expired: boolean
  } | null
}

/** Is the deployment excused today? */
export const isExempted = (row: ReportDeployment): boolean => row.exemption !== null && !row.exemption.expired
