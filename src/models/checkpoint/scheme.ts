import type { Basis } from '../../memory/parts.ts'
import { bad, good, type Result } from '../../problem.ts'
import type { JsonObject } from '../config.ts'
import type { Layout } from './layouts.ts'
import { type ModuleList, moduleList } from './match.ts'
import type { Module } from './modules.ts'

/** A quantisation as a checkpoint or a flag declares it: which weights it touches and how they then lie in memory. */
export interface Scheme {
  /** For formulas and explain: "fp8 block 128x128". */
  readonly name: string
  readonly basis: Basis
  /** True when layers of one kind may be treated differently. */
  readonly byLayer: boolean
  /** KV cache dtype that the checkpoint brings scales for; null: none. */
  readonly kvCacheDtype: string | null
  /** Layout of a linear layer or embedding under these names; null: it stays in the model's dtype. */
  readonly layoutOf: (module: Module, names: readonly string[]) => Layout | null
}

/** Which linear layers a method takes when its list of exceptions is silent. */
export interface Reach {
  /** Vision and audio towers and projectors. */
  readonly towers: boolean
  readonly predictions: boolean
}

export const everywhere: Reach = { towers: true, predictions: true }
/** What the text model's own config declares. */
export const textModel: Reach = { towers: false, predictions: true }
/** Methods that walk the layers of the decoder (AWQ, GPTQ); the classes they walk have no prediction layers. */
export const decoderOnly: Reach = { towers: false, predictions: false }

/** Does the method's default rule take the module: linear, no router, no output head? */
export function inReach(module: Module, reach: Reach): boolean {
  if (module.weight.kind !== 'linear' || module.router || module.place === 'head') return false
  if (module.place === 'tower') return reach.towers
  return module.place !== 'prediction' || reach.predictions
}

/** One layout for every linear layer in reach, but for the modules of the list. */
export function uniform(
  layout: Layout,
  more: Partial<Pick<Scheme, 'basis' | 'kvCacheDtype'>> & { readonly skip?: ModuleList; readonly reach?: Reach } = {},
): Scheme {
  const reach = more.reach ?? everywhere
  return {
    name: layout.name,
    basis: more.basis ?? 'exact',
    byLayer: more.skip?.byLayer ?? false,
    kvCacheDtype: more.kvCacheDtype ?? null,
    layoutOf: (module, names) => (inReach(module, reach) && !more.skip?.matches(names) ? layout : null),
  }
}

export const asObject = (value: unknown): JsonObject | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : null

const MOST_GROUP = 1 << 24

/** A bit width, 1 to 16; absent or null gives `otherwise`, anything else is a problem. */
export function bitsOf(value: unknown, otherwise: number, field: string): Result<number> {
  if (value === undefined || value === null) return good(otherwise)
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 16
    ? good(value)
    : bad('config-invalid', `config.json: ${field} is ${JSON.stringify(value)}, expected a whole number of bits`)
}

/** A group size, -1 for a whole row; absent or null gives `otherwise`, anything else is a problem. */
export function groupOf(value: unknown, otherwise: number, field: string): Result<number> {
  if (value === undefined || value === null) return good(otherwise)
  return typeof value === 'number' && Number.isInteger(value) && (value === -1 || (value >= 1 && value <= MOST_GROUP))
    ? good(value)
    : bad('config-invalid', `config.json: ${field} is ${JSON.stringify(value)}, expected a group size`)
}

/** The first list of exceptions among the given keys. */
export function skipList(json: JsonObject, keys: readonly string[]): Result<ModuleList> {
  for (const key of keys)
    if (json[key] !== undefined && json[key] !== null) return moduleList(json[key], `quantization_config.${key}`)
  return moduleList(null, '')
}

/** Modules that have a layout of their own; null: they stay in the model's dtype. */
export interface ModuleRule {
  readonly modules: ModuleList
  readonly layout: Layout | null
}

/** Rules of a map from modules to layouts: entries with equal layouts become one list, so that long maps stay quick. */
export function moduleRules(
  entries: readonly { readonly pattern: string; readonly layout: Layout | null }[],
  field: string,
): Result<readonly ModuleRule[]> {
  const groups = new Map<string, { readonly layout: Layout | null; readonly patterns: string[] }>()
  for (const { pattern, layout } of entries) {
    const key = layout?.name ?? ''
    const group = groups.get(key) ?? { layout, patterns: [] }
    group.patterns.push(pattern)
    groups.set(key, group)
  }
  const rules: ModuleRule[] = []
  for (const { layout, patterns } of groups.values()) {
    const modules = moduleList(patterns, field)
    if (!modules.ok) return modules
    rules.push({ modules: modules.value, layout })
  }
  return good(rules)
}

/** What a method reads: its own keys, the whole config, and what it may reach. */
export interface Declaration {
  readonly json: JsonObject
  readonly config: JsonObject
  /** `everywhere`, or only the decoder where the text model's config declares the quantisation. */
  readonly reach: Reach
}

export type Method = (declaration: Declaration) => Result<Scheme>

/** The names that methods have for their lists of exceptions. */
export const SKIPPED: readonly string[] = [
  'modules_to_not_convert',
  'ignored_layers',
  'ignore',
  'exclude_modules',
  'exclude',
  'llm_int8_skip_modules',
  'skip_modules',
]
