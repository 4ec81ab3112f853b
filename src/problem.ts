/**
 * What can go wrong, as values. The union of codes is closed: a new kind of problem is added here, so that every place
 * that prints or judges problems sees it. Exceptions are bugs (exit 70).
 */
export type ProblemCode =
  // configuration and usage (exit 2)
  | 'usage'
  | 'policy-invalid'
  | 'lock-invalid'
  | 'path-missing'
  | 'revision-missing'
  // the repository's files
  | 'yaml-invalid'
  | 'file-too-large'
  | 'too-many-files'
  | 'unreadable'
  | 'helm-template'
  | 'not-understood'
  // the model
  | 'no-model'
  | 'model-id-invalid'
  | 'model-unknown' // not in lock or catalogue, and the run is offline
  | 'model-not-found'
  | 'model-gated'
  | 'model-unauthorised'
  | 'network'
  | 'rate-limited'
  | 'config-invalid'
  | 'field-missing'
  | 'field-invalid'
  | 'architecture-unsupported'
  | 'checkpoint-invalid'
  | 'unresolved-placeholder'
  // hardware and engine
  | 'no-target'
  | 'gpu-unknown'
  | 'accelerator-unsupported'
  | 'engine-unsupported'
  | 'setting-invalid'

/** Where something stands in a file of the repository; 1-based. */
export interface Place {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** One problem: what is wrong, where, and what to do about it. */
export interface Problem {
  readonly code: ProblemCode
  /** What was wrong, with the offending text; no line break. */
  readonly message: string
  /** What would resolve it; a sentence for people. */
  readonly hint?: string
  readonly at?: Place
}

export type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: Problem }

export const good = <T>(value: T): Result<T> => ({ ok: true, value })
export const bad = (code: ProblemCode, message: string, more: { hint?: string; at?: Place } = {}): Result<never> => ({
  ok: false,
  problem: { code, message, ...more },
})

/** "deploy/a.yaml:12:7: message. Hint" : the one spelling of a problem on a terminal or in a log. */
export function problemText(problem: Problem): string {
  const where = problem.at ? `${problem.at.file}:${problem.at.line}:${problem.at.column}: ` : ''
  return `${where}${problem.message}${problem.hint ? ` (${problem.hint})` : ''}`
}
