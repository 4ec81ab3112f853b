import type { JsonObject } from '../models/config.ts'
import type { DataType } from './data.ts'

/** Name patterns in order; longer names stand before the names they contain. */
const NAME_PATTERNS: readonly (readonly [string, readonly string[]])[] = [
  ['mxfp4', ['mxfp4']],
  ['nvfp4', ['nvfp4']],
  ['awq_int4', ['awq-int4', 'awq_int4', 'awq']],
  ['gptq_int4', ['gptq-int4', 'gptq_int4', 'gptq']],
  ['nf4', ['nf4', 'bnb-4bit']],
  ['fp4', ['fp4']],
  ['bf16', ['bfloat16', 'bf16', 'brain-float16', 'brainf16']],
  ['fp32', ['float32', 'fp32']],
  ['fp16', ['float16', 'fp16', 'half']],
  ['fp8', ['float8', 'fp8']],
  ['int8', ['int8', '8bit', 'w8a16']],
  ['int4', ['int4', '4bit', 'w4a16']],
]

function occurs(name: string, pattern: string): boolean {
  if (pattern === 'half') return name.split(/[^a-z0-9]+/).includes('half')
  for (let at = name.indexOf(pattern); at >= 0; at = name.indexOf(pattern, at + 1))
    if (at === 0 || !/[a-z]/.test(name[at - 1]!)) return true
  return false
}

/** The data type a model's name says, or null. A 4-bit method's name that also says 8 bit is int8 (GPTQ-Int8). */
export function dtypeOfName(id: string): string | null {
  const name = id.toLowerCase()
  for (const [dtype, patterns] of NAME_PATTERNS) {
    if (!patterns.some(pattern => occurs(name, pattern))) continue
    const eightBit = (dtype === 'awq_int4' || dtype === 'gptq_int4') && (occurs(name, 'int8') || occurs(name, '8bit'))
    return eightBit ? 'int8' : dtype
  }
  return null
}

const CONFIG_DTYPES: Readonly<Record<string, string>> = {
  float32: 'fp32',
  float: 'fp32',
  float16: 'fp16',
  bfloat16: 'bf16',
  float8: 'fp8',
  int8: 'int8',
  int4: 'int4',
}

export interface DetectedType {
  readonly dtypes: readonly DataType[]
  readonly from: 'name' | 'config' | 'default'
  readonly notices: readonly string[]
}

/**
 * The recommended data type: model name, then the config's dtype, then fp16. Where the table in use lacks it: the
 * first of fp16, bf16, fp32 that it has, else every type of the table.
 */
export function detectType(id: string, configDtype: string | null, table: readonly DataType[]): DetectedType {
  const notices: string[] = []
  const fromName = dtypeOfName(id)
  let wanted = fromName
  let from: DetectedType['from'] = 'name'
  if (wanted === null && configDtype !== null) {
    const known =
      CONFIG_DTYPES[
        configDtype
          .toLowerCase()
          .trim()
          .replace(/^torch\./, '')
      ]
    if (known === undefined)
      notices.push(`the config's dtype ${JSON.stringify(configDtype)} has no entry in the rule's table: fp16 is used`)
    wanted = known ?? 'fp16'
    from = known === undefined ? 'default' : 'config'
  }
  if (wanted === null) {
    wanted = 'fp16'
    from = 'default'
  }
  const found = table.find(row => row.name === wanted)
  if (found) return { dtypes: [found], from, notices }
  const other = ['fp16', 'bf16', 'fp32']
    .map(name => table.find(row => row.name === name))
    .find(row => row !== undefined)
  notices.push(
    `the recommended data type ${wanted} is not in the table: ${other ? `${other.name} is used` : 'all of its types are shown'}`,
  )
  return { dtypes: other ? [other] : table, from, notices }
}

/** The quantisation method that a config states; '' for none. */
export function storedMethod(config: JsonObject): string {
  const own = config['quantization_config']
  return typeof own === 'object' && own !== null ? String((own as JsonObject)['quant_method'] ?? '') : ''
}

/** The type of the rule's table for a checkpoint's quantisation. */
const STORED_TYPES: Readonly<Record<string, string>> = {
  fp8: 'fp8',
  mxfp4: 'mxfp4',
  awq: 'awq_int4',
  gptq: 'gptq_int4',
}

/** Says that a checkpoint is stored in another type than its name and dtype recommend. */
export function storedNotice(config: JsonObject, recommended: readonly DataType[]): string[] {
  const method = storedMethod(config)
  const stored = STORED_TYPES[method]
  if (stored === undefined || recommended.some(dtype => dtype.name === stored || dtype.name === 'int8')) return []
  return [`The checkpoint is stored as ${method} (quantization_config): --dtype ${stored} shows what an engine loads`]
}
