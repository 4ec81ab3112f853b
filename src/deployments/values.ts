import { placeholders, shown, withoutPlaceholders } from './command.ts'
import type { Finding, ModelReference, Option, Setting, SettingName, Settings } from './deployment.ts'
import type { Text } from './text.ts'

/** Reads a value's text; undefined when it is malformed. */
export type Parse<T> = (text: string) => T | undefined

export const integer: Parse<number> = text => (/^[+-]?\d{1,15}$/.test(text) ? Number(text) : undefined)
export const positive: Parse<number> = text => {
  const value = integer(text)
  return value !== undefined && value > 0 ? value : undefined
}
export const fraction: Parse<number> = text => {
  const value = decimal(text)
  return value !== undefined && value >= 0 && value <= 1 ? value : undefined
}
const decimal: Parse<number> = text =>
  /^[+-]?(?:\d{1,15}(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,3})?$/i.test(text) ? Number(text) : undefined
export const word: Parse<string> = text => (text !== '' && text.length <= 2_000 ? text : undefined)
export const truth: Parse<boolean> = text => {
  if (/^(?:true|yes|on|1)$/i.test(text)) return true
  return /^(?:false|no|off|0)$/i.test(text) ? false : undefined
}
/** GiB, decimals allowed, as bytes. */
export const gibibytes: Parse<number> = text => {
  const value = decimal(text)
  return value !== undefined && value >= 0 ? Math.round(value * 1024 ** 3) : undefined
}

/** vLLM's human integers: 16k = 16,000 and 1.5m with decimals; 16K = 16,384, whole numbers only. */
export const vllmInteger: Parse<number> = text => {
  const match = /^([+-]?\d{1,15})(\.\d{1,9})?([kmgtKMGT]?)$/.exec(text)
  if (!match) return undefined
  const power = match[3] === '' ? 0 : 'kmgt'.indexOf(match[3]!.toLowerCase()) + 1
  const decimalUnit = match[3] === match[3]!.toLowerCase()
  if (match[2] && (power === 0 || !decimalUnit)) return undefined
  const value = Number(match[1]! + (match[2] ?? '')) * (decimalUnit ? 1000 : 1024) ** power
  return Number.isSafeInteger(Math.trunc(value)) ? Math.trunc(value) : undefined
}

/** SGLang's: 16k = 16,000 with decimals, 16Ki = 16,384 in whole numbers; 16K is none. */
export const sglangInteger: Parse<number> = text => {
  const match = /^([+-]?\d{1,15}(?:\.\d{1,9})?)(?:([kMGT])|([KMGT])i)?$/.exec(text)
  if (!match) return undefined
  if (match[3] && match[1]!.includes('.')) return undefined
  const unit = match[2] ?? match[3]
  const power = unit ? 'kmgt'.indexOf(unit.toLowerCase()) + 1 : 0
  const value = Number(match[1]) * (match[3] ? 1024 : 1000) ** power
  return Number.isSafeInteger(value) ? value : undefined
}

/** A value with what stands before it: "--max-model-len" and "8k". */
export interface Written {
  readonly value: Text
  /** The whole evidence: "--max-model-len 8k". */
  readonly text: string
}

/**
 * Collects one deployment's settings while a reader walks its flags: keeps the evidence, reports malformed values as
 * findings, and placeholders by name.
 */
export class Collector {
  readonly settings: { -readonly [K in SettingName]?: Settings[K] } = {}
  readonly options: Record<string, Option> = {}
  readonly findings: Finding[] = []
  readonly adapters: ModelReference[] = []
  readonly environment: Record<string, string> = {}
  readonly #unresolved = new Map<string, { name: string; at: ReturnType<Text['placeAt']> }>()

  get unresolved(): readonly { name: string; at: ReturnType<Text['placeAt']> }[] {
    return [...this.#unresolved.values()]
  }

  /** Notes the placeholders of a text; true when there are any. */
  holes(text: Text): boolean {
    const names = placeholders(text.value)
    for (const name of names) if (!this.#unresolved.has(name)) this.#unresolved.set(name, { name, at: text.place })
    return names.length > 0
  }

  /** Sets a setting from its text; a later call wins, as on a command line. An empty value is none. */
  set<K extends SettingName>(name: K, written: Written, parse: Parse<NonNullable<Settings[K]>['value']>): void {
    const text = written.value.trim()
    if (text.value === '' || text.value === 'None' || text.value === 'null') return
    if (this.holes(text)) {
      delete this.settings[name]
      return
    }
    const value = parse(text.value)
    if (value === undefined) {
      delete this.settings[name]
      this.refuse(name, written)
      return
    }
    this.put(name, value, written)
  }

  put<K extends SettingName>(name: K, value: NonNullable<Settings[K]>['value'], written: Written): void {
    const place = written.value.place
    const setting: Setting<typeof value> = {
      value,
      from: 'file',
      file: place.file,
      line: place.line,
      column: place.column,
      text: shown(written.text).slice(0, 300),
    }
    this.settings[name] = setting as Settings[K]
  }

  refuse(name: string, written: Written): void {
    const place = written.value.place
    this.findings.push({
      code: 'setting-invalid',
      severity: 'error',
      message: `${shown(written.text).slice(0, 200)}: not a value for ${name}`,
      file: place.file,
      line: place.line,
    })
  }

  note(code: string, severity: Finding['severity'], message: string, at: Text): void {
    const place = at.place
    this.findings.push({ code, severity, message, file: place.file, line: place.line })
  }
}

/**
 * The model that a text names. Null id when a placeholder hides it; a path with a variable in it may stand as the path
 * it is.
 */
export function modelFrom(
  text: Text | null | undefined,
  collector: Collector,
  more: Partial<ModelReference> = {},
): ModelReference {
  const trimmed = text?.trim()
  if (!trimmed || trimmed.value === '') return { id: null, revision: null, ...more }
  const evidence = { at: telling(trimmed), text: shown(trimmed.value).slice(0, 300) }
  if (collector.holes(trimmed)) {
    const rest = withoutPlaceholders(trimmed.value).replace(/^[./\\~]+|[/\\]+$/g, '')
    const path =
      /^[/.~$\uE000]/.test(trimmed.value) &&
      /[/\\]/.test(trimmed.value) &&
      rest.length > 0 &&
      !(/[)`]$/.test(trimmed.value) && /`|\$\(\w*[^\w)]/.test(trimmed.value))
    return { id: path ? shown(trimmed.value) : null, revision: null, ...evidence, ...more }
  }
  return {
    id: trimmed.value.replace(/^(?:hf|huggingface):\/\/|"/g, '').slice(0, 500),
    revision: null,
    ...evidence,
    ...more,
  }
}

/** Where a model's name stands: its last part, when a variable brought that from another line than the path before it. */
function telling(text: Text): ReturnType<Text['placeAt']> {
  const name = text.placeAt(text.value.replace(/\/+$/, '').lastIndexOf('/') + 1)
  const start = text.place
  return name.line === start.line && name.file === start.file ? start : name
}
