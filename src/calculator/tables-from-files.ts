import { bad, good, type Result } from '../problem.ts'
import {
  type DataType,
  type DisplaySettings,
  dataTypes,
  displaySettings,
  gibOfGb,
  type RuleGpu,
  ruleGpus,
} from './data.ts'

/** The tables in use: built in, or a --config_dir's files, each of which replaces its table whole. */
export interface Tables {
  readonly dataTypes: readonly DataType[]
  readonly gpus: readonly RuleGpu[]
  readonly display: DisplaySettings
}

export const builtInTables: Tables = { dataTypes, gpus: ruleGpus, display: displaySettings }

/**
 * Reads the three files of a configuration directory; `read` gives a file's text or null when it is absent (then the
 * built-in table stands). Problems: `usage` with file, line and column for bad JSON, and with the entry otherwise.
 */
export function tablesFrom(directory: string, read: (name: string) => string | null): Result<Tables> {
  const types = parsed(directory, 'data_types.json', read, readDataTypes)
  if (!types.ok) return types
  const gpus = parsed(directory, 'gpu_types.json', read, readGpus)
  if (!gpus.ok) return gpus
  const display = parsed(directory, 'display_settings.json', read, readDisplay)
  if (!display.ok) return display
  return good({
    dataTypes: types.value ?? dataTypes,
    gpus: gpus.value ?? ruleGpus,
    display: display.value ?? displaySettings,
  })
}

function parsed<T>(
  directory: string,
  name: string,
  read: (name: string) => string | null,
  interpret: (value: unknown, file: string) => Result<T>,
): Result<T | null> {
  const text = read(name)
  if (text === null) return good(null)
  const file = `${directory.replace(/\/+$/, '')}/${name}`
  let value: unknown
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''))
  } catch (error) {
    const at = jsonErrorPlace(text, error as SyntaxError)
    return bad('usage', `${name} is not valid JSON: ${(error as SyntaxError).message.replace(/\s+/g, ' ')}`, {
      at: { file, ...at },
      hint: 'mend the JSON, or remove the file to use the built-in table',
    })
  }
  return interpret(value, file)
}

/** Line and column of a JSON syntax error, from the position that the parser names, else the end of the text. */
function jsonErrorPlace(text: string, error: SyntaxError): { line: number; column: number } {
  const position = Number(/position (\d+)/.exec(error.message)?.[1] ?? text.length)
  const before = text.slice(0, position).split('\n')
  return { line: before.length, column: before.at(-1)!.length + 1 }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isSize = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value > 0

function readDataTypes(value: unknown, file: string): Result<readonly DataType[]> {
  const wrong = (message: string) => bad('usage', `${file}: ${message}`)
  if (!isObject(value)) return wrong('expected an object of data types')
  const rows: DataType[] = []
  for (const [name, entry] of Object.entries(value)) {
    if (!isObject(entry) || entry['bytes_per_param'] === undefined)
      return wrong(`data type ${JSON.stringify(name)} has no bytes_per_param`)
    if (!isSize(entry['bytes_per_param']))
      return wrong(
        `bytes_per_param of ${JSON.stringify(name)} is ${JSON.stringify(entry['bytes_per_param'])}, expected a number above 0`,
      )
    const description = entry['description']
    rows.push({
      name,
      bytesPerParameter: entry['bytes_per_param'],
      description: typeof description === 'string' ? description : '',
    })
  }
  return rows.length > 0 ? good(rows) : wrong('has no data type')
}

function readGpus(value: unknown, file: string): Result<readonly RuleGpu[]> {
  const wrong = (message: string) => bad('usage', `${file}: ${message}`)
  if (!Array.isArray(value)) return wrong('expected a list of GPUs')
  const rows: RuleGpu[] = []
  for (const entry of value as unknown[]) {
    const shown = JSON.stringify(entry)
    if (!isObject(entry) || typeof entry['name'] !== 'string' || !isSize(entry['memory_gb']))
      return wrong(`GPU ${shown.length > 80 ? `${shown.slice(0, 77)}...` : shown} needs name and memory_gb`)
    const gib = entry['memory_gib']
    if (gib !== undefined && !isSize(gib))
      return wrong(`memory_gib of ${entry['name']} is ${JSON.stringify(gib)}, expected a number above 0`)
    rows.push({
      name: entry['name'],
      memoryGb: entry['memory_gb'],
      memoryGib: isSize(gib) ? gib : gibOfGb(entry['memory_gb']),
      category: typeof entry['category'] === 'string' ? entry['category'] : 'unknown',
      architecture: typeof entry['architecture'] === 'string' ? entry['architecture'] : 'N/A',
    })
  }
  return rows.length > 0 ? good(rows) : wrong('has no GPU')
}

function readDisplay(value: unknown, file: string): Result<DisplaySettings> {
  const wrong = (message: string) => bad('usage', `${file}: ${message}`)
  if (!isObject(value)) return wrong('expected an object')
  const most = value['max_gpu_display']
  if (most !== undefined && !(Number.isInteger(most) && (most as number) > 0))
    return wrong(`max_gpu_display is ${JSON.stringify(most)}, expected a whole number above 0`)
  const categories = value['preferred_categories'] ?? []
  if (!Array.isArray(categories) || !categories.every(c => typeof c === 'string'))
    return wrong('preferred_categories: expected a list of texts')
  const colours = value['memory_color_thresholds'] ?? {}
  if (!isObject(colours)) return wrong('memory_color_thresholds: expected an object')
  const limit = (name: 'green' | 'yellow'): number | null => {
    const given = colours[name]
    return given === undefined ? displaySettings.thresholds[name] : isSize(given) ? given : null
  }
  const green = limit('green')
  const yellow = limit('yellow')
  if (green === null || yellow === null) return wrong('memory_color_thresholds: green and yellow are numbers above 0')
  return good({
    maxGpuDisplay: most === undefined ? null : (most as number),
    preferredCategories: categories as string[],
    thresholds: { green, yellow },
  })
}
