import * as v from 'valibot'
import { bad, good, type Result } from '../../problem.ts'
import type { ModelFacts } from '../facts.ts'
import { isObject } from './config-text.ts'
import type { Lock, LockEntry } from './locked.ts'

/** The lock file's usual name, beside the policy at the root. */
export const LOCK_FILE = 'hf-vram-calc.lock.json'
/** A lock of thousands of models; larger is none. */
export const LOCK_LIMIT = 32 * 1024 * 1024

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const gguf = v.strictObject({
  architecture: v.string(),
  keys: v.record(v.string(), v.unknown()),
  tensors: v.array(v.strictObject({ name: v.string(), type: v.string(), dims: v.array(count), bytes: count })),
  bytes: count,
  parameters: count,
  fileType: v.nullable(v.string()),
  vocabulary: v.nullable(count),
  files: count,
})
const entrySchema = v.strictObject({
  revision: v.pipe(v.string(), v.regex(/^[0-9a-f]{40}$/), v.description('commit the facts are of')),
  locked: v.pipe(v.string(), v.regex(/^\d{4}-\d{2}-\d{2}$/), v.description('day the facts were read, in UTC')),
  config: v.pipe(v.record(v.string(), v.unknown()), v.description('fields of config.json that matter for memory')),
  bytes: v.pipe(v.nullable(count), v.description('bytes of all tensors as stored; null when not known')),
  tensors: v.pipe(
    v.nullable(v.record(v.string(), count)),
    v.description('elements by data type, as the Hub counts them'),
  ),
  gguf: v.optional(v.pipe(gguf, v.description('header of a GGUF file'))),
})

/** The one source of the reader's checks and of schema/lock.schema.json. */
export const lockSchema = v.strictObject({
  lockVersion: v.literal(1),
  models: v.pipe(
    v.record(v.string(), entrySchema),
    v.description('by "org/name", then "@revision" and ":variant" where the files ask for them'),
  ),
})

/** Reads a lock file's text. Problem: `lock-invalid`, naming the first thing that is wrong. */
export function parseLock(text: string, file: string): Result<Lock> {
  const fail = (message: string) =>
    bad('lock-invalid', `${file}: ${message}`, {
      hint: 'write it anew with hf-vram-calc lock',
      at: { file, line: 1, column: 1 },
    })
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    const conflict = /^(<<<<<<<|=======|>>>>>>>)/m.test(text)
    return fail(conflict ? 'holds the marks of a merge conflict' : `is not JSON: ${(error as Error).message}`)
  }
  if (isObject(json) && typeof json['lockVersion'] === 'number' && json['lockVersion'] > 1)
    return fail(`is of version ${json['lockVersion']}, this program reads version 1`)
  const checked = v.safeParse(lockSchema, json)
  if (checked.success) return good(new Map(Object.entries(checked.output.models)))
  const issue = checked.issues[0]
  const path = issue.path?.map(item => String(item.key)).join('.') ?? ''
  return fail(`${path === '' ? 'its form' : JSON.stringify(path)} is wrong: ${issue.message.slice(0, 200)}`)
}

/** The lock as text: models and keys in order, one form for one content, with a line break at its end. */
export function lockText(lock: Lock): string {
  const models = [...lock.keys()].sort().map((key): [string, unknown] => [key, lock.get(key)])
  return `${JSON.stringify({ lockVersion: 1, models: Object.fromEntries(models.map(([key, entry]) => [key, ordered(entry)])) }, null, 2)}\n`
}

function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered)
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map(key => [key, ordered(value[key])]),
  )
}

/** Keys of a config.json that say nothing about memory and only make a lock longer and change more often. */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  '_name_or_path',
  'auto_map',
  'bos_token_id',
  'custom_pipelines',
  'eos_token_id',
  'finetuning_task',
  'generation_config',
  'id2label',
  'initializer_range',
  'label2id',
  'pad_token_id',
  'task_specific_params',
  'transformers_version',
])

/** Facts as an entry of the lock, dated `today` ("2026-11-24"). The facts must be of a commit. */
export function lockEntry(facts: ModelFacts, today: string): LockEntry {
  return {
    revision: facts.revision ?? '',
    locked: today,
    config: lockedConfig(facts.config),
    bytes: facts.checkpoint.totalBytes,
    tensors: facts.checkpoint.elementsByDtype,
    ...(facts.gguf === undefined ? {} : { gguf: facts.gguf }),
  }
}

function lockedConfig(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const labels = config['id2label']
  const kept = Object.entries(config).filter(([key]) => !WITHOUT_EFFECT.has(key))
  const own = Object.fromEntries(kept.map(([key, value]) => [key, isObject(value) ? lockedConfig(value) : value]))
  // The number of labels is the width of a classifier's head.
  return isObject(labels) && own['num_labels'] === undefined ? { ...own, num_labels: Object.keys(labels).length } : own
}
