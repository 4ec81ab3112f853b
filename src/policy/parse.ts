import * as v from 'valibot'
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from 'yaml'
import type { Setting, Settings } from '../deployments/deployment.ts'
import { lookUpGpu } from '../hardware/look-up.ts'
import type { Place, Problem } from '../problem.ts'
import { parseBytes } from '../units/bytes.ts'
import { deploymentGlobs, globsOrNames } from './globs.ts'
import {
  type Amount,
  type Choices,
  defaultPolicy,
  type Exemption,
  type ModelEntry,
  noChoices,
  type Policy,
  type PolicySubject,
  type Told,
} from './policy.ts'
import { type Complaint, complaintsOf, type KeyPath, pathText, shown, unknownKeys } from './problems.ts'
import { type ChoicesInFile, type PolicyFile, policySchema } from './schema.ts'
import { BYTE_SETTINGS } from './settings.ts'

export type PolicyResult =
  | { readonly ok: true; readonly value: Policy }
  | { readonly ok: false; readonly problems: readonly Problem[] }

const LARGEST_POLICY = 1024 * 1024

/** Reads a policy file. Every problem (`policy-invalid`) is found in one pass and has its line and column. */
export async function parsePolicy(text: string, file: string): Promise<PolicyResult> {
  if (text.length > LARGEST_POLICY) return refused(file, 'the policy is larger than 1 MiB')
  const lines = new LineCounter()
  let document: Document
  let value: unknown
  try {
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true })
    const faults = [...document.errors, ...document.warnings]
    if (faults.length > 0) return { ok: false, problems: faults.map(fault => yamlProblem(fault, file, lines)) }
    value = document.toJS({ maxAliasCount: 100 })
  } catch (error) {
    // Nesting beyond the stack, and aliases that expand without end.
    return refused(file, error instanceof RangeError ? 'the policy is nested too deeply' : (error as Error).message)
  }
  if (value === null || value === undefined)
    return refused(file, 'the policy is empty', 'start it with version: 1, or delete the file')
  if (typeof value !== 'object' || Array.isArray(value))
    return refused(file, `the policy is ${shown(value)}, expected keys such as version, defaults and rules`)
  const places = new Places(document, file, lines)
  const checked = v.safeParse(policySchema, value, { abortPipeEarly: true })
  const complaints = [...unknownKeys(policySchema, value), ...complaintsOf(checked.issues ?? [])]
  // What is wrong in form is not told a second time for its meaning.
  const trail = (path: KeyPath) => `${path.join('\0')}\0`
  const told = complaints.map(({ path }) => trail(path))
  const isTold = ({ path }: Complaint) => told.some(one => one.startsWith(trail(path)))
  complaints.push(...meaningComplaints(value).filter(complaint => !isTold(complaint)))
  if (complaints.length > 0 || !checked.success) {
    const problems = complaints.map(complaint => asProblem(complaint, places))
    return { ok: false, problems: problems.sort((a, b) => a.at!.line - b.at!.line || a.at!.column - b.at!.column) }
  }
  return { ok: true, value: await policyOf(checked.output, file, places) }
}

function refused(file: string, message: string, hint?: string): PolicyResult {
  const at = { file, line: 1, column: 1 }
  return { ok: false, problems: [{ code: 'policy-invalid', message, ...(hint ? { hint } : {}), at }] }
}

function yamlProblem(
  fault: { message: string; pos: readonly [number, number]; code: string },
  file: string,
  lines: LineCounter,
): Problem {
  const { line, col } = lines.linePos(fault.pos[0])
  const at = { file, line: Math.max(1, line), column: Math.max(1, col) }
  const message =
    fault.code === 'DUPLICATE_KEY'
      ? 'the key stands twice in one map'
      : `not valid YAML: ${fault.message.split('\n')[0]}`
  return { code: 'policy-invalid', message, at }
}

function asProblem(complaint: Complaint, places: Places): Problem {
  const { message, hint } = complaint
  const at = complaint.aboutKey ? places.ofKey(complaint.path) : places.of(complaint.path)
  return { code: 'policy-invalid', message, ...(hint ? { hint } : {}), at }
}

/** Places of values in the document, found by walking along their path. */
class Places {
  readonly #document: Document
  readonly #file: string
  readonly #lines: LineCounter

  constructor(document: Document, file: string, lines: LineCounter) {
    this.#document = document
    this.#file = file
    this.#lines = lines
  }

  /** Place of the value at the path, or of the nearest that exists above it. */
  of(path: KeyPath): Place {
    return this.#place(this.#walk(path).node)
  }

  /** Place of the key itself. */
  ofKey(path: KeyPath): Place {
    const { key, node } = this.#walk(path)
    return this.#place(key ?? node)
  }

  /** The value as written in the file. */
  text(path: KeyPath): string {
    const { node } = this.#walk(path)
    return isScalar(node) ? (node.source ?? String(node.value)) : shown(node?.toJS(this.#document))
  }

  #walk(path: KeyPath): { node: Node | null; key: Node | null } {
    let node = this.#document.contents as Node | null
    let key: Node | null = null
    for (const part of path) {
      const whole = isAlias(node) ? (node.resolve(this.#document) ?? null) : node
      const pair: Pair | undefined = isMap(whole)
        ? whole.items.find(item => isScalar(item.key) && String(item.key.value) === String(part))
        : undefined
      const next = isSeq(whole) ? whole.items[Number(part)] : pair?.value
      key = (pair?.key as Node | undefined) ?? null
      if (next === undefined || next === null) break
      node = next as Node
    }
    return { node, key }
  }

  #place(node: Node | null): Place {
    const { line, col } = this.#lines.linePos(node?.range?.[0] ?? 0)
    return { file: this.#file, line: Math.max(1, line), column: Math.max(1, col) }
  }
}

/** What the form cannot say: dates and GPUs that exist, entries that say something, paths inside the repository. */
function meaningComplaints(value: object): Complaint[] {
  const found: Complaint[] = []
  const add = (path: KeyPath, message: string, hint: string) => found.push({ path, aboutKey: false, message, hint })
  // Of any form, for the form may be wrong elsewhere.
  type Any = Readonly<Record<string, unknown>>
  const policy = value as Any
  const maps = (of: unknown): [string, Any][] =>
    Object.entries(typeof of === 'object' ? (of ?? {}) : {}).filter(
      ([, one]) => typeof one === 'object' && one !== null,
    )
  for (const [i, { until }] of maps(policy['exemptions']))
    if (typeof until === 'string' && !isDate(until))
      add(
        ['exemptions', Number(i), 'until'],
        `exemptions[${i}].until is ${shown(until)}, which is no date`,
        'write year-month-day',
      )
  const target = (path: KeyPath, text: unknown) => {
    const gpu = typeof text === 'string' ? lookUpGpu(text) : null
    if (gpu && !gpu.ok) add(path, `${pathText(path)}: ${gpu.problem.message}`, gpu.problem.hint ?? 'name another GPU')
  }
  const rules = maps(policy['rules'])
  for (const [key, one] of maps({ defaults: policy['defaults'] })) target([key, 'target'], one['target'])
  for (const [i, rule] of rules) target(['rules', Number(i), 'target'], rule['target'])
  for (const [id, model] of maps(policy['models'])) {
    const at = ['models', id]
    const { path } = model
    if (model['id'] === undefined && path === undefined)
      add(at, `${pathText(at)} says neither id nor path`, 'give { id: org/name } or { path: folder }')
    if (typeof path === 'string' && (path.startsWith('/') || path.split('/').includes('..')))
      add(
        [...at, 'path'],
        `${pathText([...at, 'path'])} is ${shown(path)}, outside the repository`,
        'give a path relative to its root',
      )
    if (model['revision'] !== undefined && model['id'] === undefined)
      add(
        [...at, 'revision'],
        `${pathText([...at, 'revision'])} has no effect without id`,
        'a path is read as it stands in the repository',
      )
  }
  for (const [i, rule] of rules.slice(0, -1))
    if (!['paths', 'models', 'engines', 'deployments'].some(key => rule[key]))
      add(
        ['rules', Number(i)],
        `rules[${i}] has no selector and hides the rules after it`,
        'add paths, models, engines or deployments, or use defaults',
      )
  return found
}

function isDate(text: string): boolean {
  const time = Date.parse(`${text}T00:00:00Z`)
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text)
}

/** A checked size or percentage as a number. */
export function amountOf(text: string | 0): Amount {
  if (text === 0) return { bytes: 0 }
  return text.endsWith('%') ? { fraction: percent(text) } : { bytes: parseBytes(text) ?? 0 }
}

/** "90%" as 0.9, without the rounding of a division in binary for whole percentages. */
export const percent = (text: string): number => Number.parseFloat(text) / 100

async function policyOf(checked: PolicyFile, file: string, places: Places): Promise<Policy> {
  const rules = (checked.rules ?? []).map(async (rule, i) => ({
    ...choicesOf(rule, ['rules', i], places),
    ignore: rule.ignore ?? false,
    at: places.of(['rules', i]),
    matches: await selector(rule),
  }))
  const exemptions = (checked.exemptions ?? []).map(
    async (entry, i): Promise<Exemption> => ({
      deployment: entry.deployment,
      reason: entry.reason,
      owner: entry.owner ?? null,
      until: entry.until ?? null,
      at: places.of(['exemptions', i]),
      matches: await deploymentGlobs([entry.deployment]),
    }),
  )
  const models = Object.entries(checked.models ?? {}).map(([id, entry]): [string, ModelEntry] => [
    id,
    { id: entry.id ?? null, revision: entry.revision ?? null, path: entry.path ?? null, at: places.of(['models', id]) },
  ])
  const { gate } = defaultPolicy
  return {
    file,
    include: checked.include ?? [],
    exclude: checked.exclude ?? [],
    defaults: checked.defaults ? choicesOf(checked.defaults, ['defaults'], places) : noChoices,
    rules: await Promise.all(rules),
    overrides: noChoices,
    models: new Map(models),
    gate: {
      failOn: checked['fail-on'] ?? gate.failOn,
      onUnknown: checked['on-unknown'] ?? gate.onUnknown,
      onEmpty: checked['on-empty'] ?? gate.onEmpty,
      onNetworkError: checked['on-network-error'] ?? gate.onNetworkError,
      onlyNew: checked['only-new'] ?? gate.onlyNew,
      maxIncrease: checked['max-increase'] === undefined ? gate.maxIncrease : amountOf(checked['max-increase']),
    },
    warnAt: checked['warn-at'] === undefined ? null : percent(checked['warn-at']),
    warnOnly: checked['warn-only'] ?? false,
    exemptions: await Promise.all(exemptions),
  }
}

async function selector(rule: NonNullable<PolicyFile['rules']>[number]): Promise<(about: PolicySubject) => boolean> {
  const paths = rule.paths ? await globsOrNames(rule.paths) : null
  const models = rule.models ? await globsOrNames(rule.models) : null
  const deployments = rule.deployments ? await deploymentGlobs(rule.deployments) : null
  const { engines } = rule
  return about =>
    (paths === null || paths(about.file)) &&
    (models === null || about.models.some(models)) &&
    (deployments === null || deployments(about.id)) &&
    (engines === undefined || engines.some(engine => engine === about.engine))
}

function choicesOf(from: ChoicesInFile, path: KeyPath, places: Places): Choices {
  const told = <T>(key: string, value: T): Told<T> => ({
    value,
    text: `${key}: ${places.text([...path, key])}`,
    from: 'policy',
    at: places.of([...path, key]),
  })
  return {
    ...(from.target === undefined ? {} : { target: told('target', from.target) }),
    ...(from['gpus-per-replica'] === undefined
      ? {}
      : { gpusPerReplica: told('gpus-per-replica', from['gpus-per-replica']) }),
    ...(from.headroom === undefined ? {} : { headroom: told('headroom', amountOf(from.headroom)) }),
    ...(from['min-concurrency'] === undefined
      ? {}
      : { minConcurrency: told('min-concurrency', from['min-concurrency']) }),
    settings: settingsOf(from.settings ?? {}, [...path, 'settings'], places),
  }
}

function settingsOf(from: Readonly<Record<string, unknown>>, path: KeyPath, places: Places): Settings {
  const settings: Record<string, Setting> = {}
  for (const [name, value] of Object.entries(from)) {
    const { file, line, column } = places.of([...path, name])
    const text = `${name}: ${places.text([...path, name])}`
    settings[name] = { value: settingNumber(name, value), from: 'policy', file, line, column, text }
  }
  return settings as Settings
}

/** A checked setting's value; sizes of byte settings become numbers. */
export function settingNumber(name: string, value: unknown): unknown {
  return BYTE_SETTINGS.has(name) && typeof value === 'string' ? parseBytes(value) : value
}
