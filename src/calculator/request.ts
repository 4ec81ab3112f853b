import { bad, good, type Place, type Result } from '../problem.ts'
import { closest } from '../units/suggest.ts'

/** What the command line gave for the calculator, as typed; absent means not given. */
export interface Given {
  readonly model?: string
  readonly modelPath?: string
  readonly dtype?: string
  readonly maxBatchSize?: string
  readonly maxSeqLen?: string
  readonly loraRank?: string
  readonly tp?: string
  readonly pp?: string
  readonly ep?: string
  readonly maxNumTokens?: string
  readonly logLevel?: string
  readonly configDir?: string
  readonly listTypes?: boolean
}

/** The calculator's settings after command line, options file and defaults. */
export interface Request {
  readonly model: string | null
  readonly modelPath: string | null
  /** Names as asked, in order; null: detect. */
  readonly dtypes: readonly string[] | null
  /** The same as typed, blanks included, which the document repeats. */
  readonly dtypesTyped: string | null
  readonly batch: number
  readonly sequence: number
  readonly loraRank: number
  readonly tp: number
  readonly pp: number
  readonly ep: number
  readonly maxNumTokens: number
  readonly verbose: boolean
  readonly configDir: string | null
  readonly listTypes: boolean
  /** KV cache dtype by the options file ("fp8"); null: follows the weights. */
  readonly kvDtype: string | null
  readonly notices: readonly string[]
}

const ALGORITHMS: Readonly<Record<string, string>> = {
  fp8: 'fp8',
  fp16: 'fp16',
  bf16: 'bf16',
  fp32: 'fp32',
  int8: 'int8',
  int4: 'int4',
  nvfp4: 'nvfp4',
  w4a16: 'int4',
  w4a16_awq: 'awq_int4',
  w4a16_gptq: 'gptq_int4',
  w8a16: 'int8',
}

/** Keys of trtllm-bench's options file that are read; the others are named as without effect. */
const READ: Readonly<Record<string, readonly string[]>> = {
  build_config: ['max_batch_size', 'max_seq_len', 'max_num_tokens'],
  kv_cache_config: ['dtype'],
  quant_config: ['quant_algo', 'kv_cache_quant_algo'],
  lora_config: ['max_lora_rank'],
}
const READ_ABOVE = [
  'model',
  'model_path',
  'dtype',
  'log_level',
  'config_dir',
  'list_types',
  'tensor_parallel_size',
  'pipeline_parallel_size',
  'moe_expert_parallel_size',
]
const READ_NAMES = [...READ_ABOVE, ...Object.entries(READ).flatMap(([name, keys]) => keys.map(key => `${name}.${key}`))]

/** An options file as read, and where a key of it ("build_config.max_batch_size") stands. */
export interface OptionsFile {
  readonly keys: Yaml
  readonly at: (key: string) => Place | null
}

type Yaml = { readonly [key: string]: unknown }
const section = (yaml: Yaml, name: string): Yaml => {
  const value = yaml[name]
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Yaml) : {}
}

/**
 * Merges command line over options file over defaults: the command line wins, as the original's README says.
 * Problems: `usage` for sizes that are no whole numbers of at least 1, and unknown log levels.
 */
export function resolveRequest(given: Given, options: OptionsFile | null): Result<Request> {
  const file = options?.keys ?? {}
  const refuse = (key: string, message: string): Result<never> => {
    const at = options?.at(key) ?? null
    return bad('usage', message, at === null ? {} : { at })
  }
  const build = section(file, 'build_config')
  const kv = section(file, 'kv_cache_config')
  const quant = section(file, 'quant_config')
  const lora = section(file, 'lora_config')
  const notices: string[] = []

  for (const name of Object.keys(READ))
    if (file[name] !== undefined && file[name] !== null && section(file, name) !== file[name])
      return refuse(name, `options file: ${name} is ${JSON.stringify(file[name])}, expected a mapping`)
  const names = Object.keys(file).flatMap(name =>
    Object.hasOwn(READ, name) ? Object.keys(section(file, name)).map(key => `${name}.${key}`) : [name],
  )
  for (const name of names) {
    if (READ_NAMES.includes(name)) continue
    const near = READ_NAMES.find(known => known.split('.').at(-1) === name) ?? closest(name, READ_NAMES)
    notices.push(
      `options file: ${name} has no effect on the estimate${near === null ? '' : ` (did you mean ${near}?)`}`,
    )
  }

  const size = (
    name: string,
    flag: string | undefined,
    key: string,
    value: unknown,
    otherwise: number,
  ): Result<number> => {
    const chosen = flag ?? value ?? otherwise
    const number = typeof chosen === 'number' ? chosen : /^[+-]?\d+$/.test(String(chosen)) ? Number(chosen) : Number.NaN
    if (Number.isInteger(number) && number >= 1 && number <= 2 ** 40) return good(number)
    const expected = `expected a whole number of at least 1${number > 2 ** 40 ? ' and at most 2^40' : ''}`
    return flag !== undefined
      ? bad('usage', `--${name} is ${JSON.stringify(chosen)}, ${expected}`)
      : refuse(key, `options file: ${key} is ${JSON.stringify(chosen)}, ${expected}`)
  }
  const sizes = {
    batch: size('max_batch_size', given.maxBatchSize, 'build_config.max_batch_size', build['max_batch_size'], 1),
    sequence: size('max_seq_len', given.maxSeqLen, 'build_config.max_seq_len', build['max_seq_len'], 2048),
    loraRank: size('lora_rank', given.loraRank, 'lora_config.max_lora_rank', lora['max_lora_rank'], 64),
    maxNumTokens: size(
      'max-num-tokens',
      given.maxNumTokens,
      'build_config.max_num_tokens',
      build['max_num_tokens'],
      8192,
    ),
    tp: size('tp', given.tp, 'tensor_parallel_size', file['tensor_parallel_size'], 1),
    pp: size('pp', given.pp, 'pipeline_parallel_size', file['pipeline_parallel_size'], 1),
    ep: size('ep', given.ep, 'moe_expert_parallel_size', file['moe_expert_parallel_size'], 1),
  }
  for (const result of Object.values(sizes)) if (!result.ok) return result
  const value = (name: keyof typeof sizes): number => (sizes[name] as { value: number }).value

  const text = (name: string): string | null => {
    const entry = file[name]
    return typeof entry === 'string' && entry !== '' ? entry : null
  }
  const logLevel = given.logLevel ?? text('log_level') ?? 'info'
  if (logLevel !== 'info' && logLevel !== 'verbose')
    return given.logLevel === undefined
      ? refuse('log_level', `options file: log_level is ${JSON.stringify(logLevel)}, expected info or verbose`)
      : bad('usage', `--log_level is ${JSON.stringify(logLevel)}, expected info or verbose`)

  const kvText =
    typeof kv['dtype'] === 'string' && kv['dtype'].toLowerCase() !== 'auto' ? kv['dtype'].toLowerCase() : null
  const kvAlgorithm =
    typeof quant['kv_cache_quant_algo'] === 'string' ? quant['kv_cache_quant_algo'].toLowerCase() : null
  let dtype = given.dtype ?? text('dtype')?.toLowerCase() ?? null
  const algorithm = quant['quant_algo']
  if (dtype === null && typeof algorithm === 'string') {
    const name = algorithm.toLowerCase()
    dtype = ALGORITHMS[name] ?? (name.startsWith('fp8_') ? 'fp8' : null)
    if (dtype === null)
      notices.push(`options file: quant_config.quant_algo ${JSON.stringify(algorithm)} is not known and has no effect`)
  }
  if (dtype === null && kvText !== null && ALGORITHMS[kvText] !== undefined) {
    dtype = ALGORITHMS[kvText]!
    notices.push(
      `options file: kv_cache_config.dtype ${kvText} is the KV cache's data type in TensorRT-LLM; for want of another it is taken for the weights too (give --dtype to say otherwise)`,
    )
  } else if (kvAlgorithm !== null || kvText !== null) {
    const key = kvAlgorithm !== null ? 'quant_config.kv_cache_quant_algo' : 'kv_cache_config.dtype'
    notices.push(
      `options file: ${key} ${kvAlgorithm ?? kvText} is taken by the engine's table; the rule of thumb knows no KV data type, its KV column follows the type of the weights`,
    )
  }
  return good({
    model: given.model ?? text('model'),
    modelPath: given.modelPath ?? text('model_path'),
    dtypes: dtype === null ? null : dtype.split(',').map(name => name.trim()),
    dtypesTyped: dtype,
    batch: value('batch'),
    sequence: value('sequence'),
    loraRank: value('loraRank'),
    maxNumTokens: value('maxNumTokens'),
    tp: value('tp'),
    pp: value('pp'),
    ep: value('ep'),
    verbose: logLevel === 'verbose',
    configDir: given.configDir ?? text('config_dir'),
    listTypes: given.listTypes ?? file['list_types'] === true,
    kvDtype: kvAlgorithm ?? kvText,
    notices,
  })
}
