import * as v from 'valibot'
import type { SettingName } from '../deployments/deployment.ts'

/** Values of the settings that a policy or `--set` may give, by their report names (design section 5). */

const whole = (least: number, unit: string) => {
  const expected = `a whole number of ${unit} of at least ${least}`
  return v.pipe(
    v.number(expected),
    v.integer(expected),
    v.minValue(least, expected),
    v.maxValue(2 ** 40, `${expected} and at most 2^40`),
  )
}
const word = (example: string) => {
  const expected = `a name such as ${example}`
  return v.pipe(v.string(expected), v.regex(/^[A-Za-z0-9][\w.:+-]{0,99}$/, expected))
}
/** Spellings that engines take for the type of weights and activations. */
const DTYPES = ['auto', 'bfloat16', 'float16', 'float32', 'half', 'float', 'bf16', 'fp16', 'fp32']
const yesNo = v.boolean('true or false')
const bytes = 'a whole number of bytes, or a size such as 4GiB'
const size = v.union(
  [
    v.pipe(v.number(), v.integer(bytes), v.minValue(0, bytes), v.maxValue(2 ** 50, bytes)),
    v.pipe(v.string(), v.regex(/^\d{1,12}(\.\d{1,9})?\s?([KMGTkmgt]([iI]|[iI]?[bB])|[bB])$/, bytes)),
  ],
  bytes,
)
const fraction = 'a fraction above 0 and at most 1 such as 0.9'

const SETTINGS = {
  maxModelLen: v.union([whole(1, 'tokens'), v.literal('auto')], 'a whole number of tokens of at least 1, or auto'),
  memoryFraction: v.pipe(v.number(fraction), v.gtValue(0, fraction), v.maxValue(1, fraction)),
  maxNumSeqs: whole(1, 'sequences'),
  maxNumBatchedTokens: whole(1, 'tokens'),
  tensorParallel: whole(1, 'ranks'),
  pipelineParallel: whole(1, 'ranks'),
  dataParallel: whole(1, 'ranks'),
  contextParallel: whole(1, 'ranks'),
  expertParallel: v.union([yesNo, whole(1, 'ranks')], 'true, false, or a whole number of ranks'),
  attentionDataParallel: whole(1, 'ranks'),
  dtype: v.picklist(DTYPES, `one of ${DTYPES.join(', ')}`),
  quantization: word('fp8'),
  kvCacheDtype: word('fp8'),
  blockSize: whole(1, 'tokens'),
  enforceEager: yesNo,
  cpuOffloadBytes: size,
  kvCacheMemoryBytes: size,
  maxLoras: whole(0, 'adapters'),
  maxLoraRank: whole(1, 'rows'),
  speculativeTokens: whole(0, 'tokens'),
  sequenceLength: whole(1, 'tokens'),
  microBatchSize: whole(1, 'sequences'),
  gradientAccumulation: whole(1, 'steps'),
  method: word('lora'),
  loraRank: whole(1, 'rows'),
  loraTargets: v.union(
    [word('all-linear'), v.array(word('q_proj'))],
    'a list of module names such as [q_proj, v_proj], or all-linear',
  ),
  optimizer: word('adamw_torch'),
  gradientCheckpointing: yesNo,
  sharding: word('zero3'),
  precision: word('bf16'),
} satisfies Readonly<Record<SettingName, v.GenericSchema>>

/** Settings whose value is bytes: a size with a unit is turned into a number. */
export const BYTE_SETTINGS: ReadonlySet<string> = new Set<SettingName>(['cpuOffloadBytes', 'kvCacheMemoryBytes'])

export const settingNames = Object.keys(SETTINGS) as SettingName[]

export const settingsSchema = v.strictObject(
  Object.fromEntries(settingNames.map(name => [name, v.optional(SETTINGS[name])])) as {
    [Name in SettingName]: v.OptionalSchema<(typeof SETTINGS)[Name], undefined>
  },
  'settings such as { maxModelLen: 8192 }',
)

/**
 * Tells why a value given as text (`--set maxModelLen=8192`) is no value of a setting, or gives it in its type. Numbers,
 * true and false are read as in YAML; a comma makes a list.
 */
export function settingValue(name: SettingName, text: string): { value: unknown } | { expected: string } {
  const scalar = (word: string): unknown =>
    word === 'true' ? true : word === 'false' ? false : /^-?\d+(\.\d+)?(e-?\d+)?$/i.test(word) ? Number(word) : word
  const value = name === 'loraTargets' && text.includes(',') ? text.split(',').map(part => part.trim()) : scalar(text)
  const checked = v.safeParse(SETTINGS[name], value)
  return checked.success ? { value } : { expected: checked.issues[0].message }
}
