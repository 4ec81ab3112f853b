import { ruleGpus } from '../../src/calculator/data.ts'
import { byFormula, type Expected, type Inputs, textConfig } from './recorded-rule.ts'
import type { RecordedName, RecordedRun } from './recorded-runs.ts'

/**
 * Where this calculator differs from the recorded one on purpose. Every difference has a rule that says when it
 * applies and what the original's README promises instead; a run that no rule covers must come out as recorded.
 */

/** Name patterns in the order of the README's table; a pattern is none behind a letter, "half" only a word of its own. */
const NAMES: readonly (readonly [string, RegExp])[] = [
  ['mxfp4', /mxfp4/],
  ['nvfp4', /nvfp4/],
  ['awq_int4', /awq/],
  ['gptq_int4', /gptq/],
  ['nf4', /nf4|bnb-4bit/],
  ['fp4', /fp4/],
  ['bf16', /bfloat16|bf16|brain-float16|brainf16/],
  ['fp32', /float32|fp32/],
  ['fp16', /float16|fp16|(?<![0-9])half(?![a-z0-9])/],
  ['fp8', /float8|fp8/],
  ['int8', /int8|8bit|w8a16/],
  ['int4', /int4|4bit|w4a16/],
]
const behindNoLetter = (pattern: RegExp) => new RegExp(`(?<![a-z])(?:${pattern.source})`)
const CONFIG: Readonly<Record<string, string>> = {
  float32: 'fp32',
  float: 'fp32',
  float16: 'fp16',
  bfloat16: 'bf16',
  float8: 'fp8',
  int8: 'int8',
  int4: 'int4',
}

/** The data type for a name and a config's dtype: name, then config, then fp16. */
export function documentedType(name: string, configDtype: string | null): string {
  const text = name.toLowerCase()
  const found = NAMES.find(([, pattern]) => behindNoLetter(pattern).test(text))?.[0]
  const eightBit = /^(awq|gptq)/.test(found ?? '') && /(?<![a-z])(int8|8bit)/.test(text)
  return (eightBit ? 'int8' : found) ?? CONFIG[(configDtype ?? '').replace(/^torch\./, '')] ?? 'fp16'
}

export const knownConfigType = (dtype: string): boolean => dtype in CONFIG

/** Why a name's type differs from the recorded one, or null where the recording is right. */
export function nameDifference(row: RecordedName): string | null {
  const name = row.model_name.toLowerCase()
  if (row.seed_fault !== undefined) return '9.1 item 5: rules that could not be reached, "half" anywhere'
  if (/awq|gptq/.test(name) && /^fp/.test(row.recommended))
    return '9.1 item 5: the method stands before its 16 or 8 bit'
  if (/[a-z]fp8/.test(name) && row.recommended === 'fp8') return '9.1 item 5: no pattern behind a letter'
  return null
}

/** The config's dtype as transformers reads it: the text model's, then the file's. */
export function configDtype(run: RecordedRun): string | null {
  const root = (run.config ?? {}) as Record<string, unknown>
  for (const part of [textConfig(run), root])
    for (const key of ['dtype', 'torch_dtype'])
      if (typeof part[key] === 'string') return part[key].replace(/^torch\./, '')
  return null
}

const flag = (run: RecordedRun, name: string): string | null => {
  const at = run.argv.indexOf(`--${name}`)
  return at < 0 ? null : run.argv[at + 1]!
}
const count = (run: RecordedRun, name: string, otherwise: number) => Number(flag(run, name) ?? otherwise)
const yamlOf = (run: RecordedRun): string => String(run.files?.['c.yaml'] ?? '')
const gibOf = (gb: number): number => Number(((gb * 1e9) / 2 ** 30).toFixed(2))

/** The recorded matrix shortens names to its column, and two of them write 288B for 288GB. */
export const sameGpu = (recorded: string, ours: string): boolean => ours.startsWith(recorded.replace(/(\d)B$/, '$1GB'))

/** What the original computed from: its own document, or the command line where it stopped. */
export function recordedInputs(run: RecordedRun): Inputs {
  const row = run.json?.memory_requirements[0]
  const name = run.json?.model.name ?? flag(run, 'model') ?? ''
  const dtype = flag(run, 'dtype')
  return {
    name,
    parameters: run.json?.model.parameters ?? run.true_params_unique ?? Number.NaN,
    dtypes: run.json?.memory_requirements.map(each => each.dtype.toLowerCase()) ??
      dtype?.split(',') ?? [documentedType(name, configDtype(run))],
    userDtype: run.json === null ? dtype : run.json.model.user_specified_dtype,
    batch: row?.batch_size ?? count(run, 'max_batch_size', 1),
    sequence: row?.sequence_length ?? count(run, 'max_seq_len', 2048),
    loraRank: row?.lora_rank ?? count(run, 'lora_rank', 64),
    tp: row?.tensor_parallel_size ?? count(run, 'tp', 1),
    maxNumTokens: row?.max_num_tokens ?? count(run, 'max-num-tokens', 8192),
    subByteKv: 0,
    sections: run.json === null ? flag(run, 'log_level') === 'verbose' : run.stdout_facts.sections !== undefined,
    gpus:
      run.stdout_facts.sections?.[0]?.gpus.map(([gpu, gb]) => [gpu, gb, gibOf(gb)] as const) ??
      ruleGpus.map(gpu => [gpu.name, gpu.memoryGb, gibOf(gpu.memoryGb)] as const),
    requested: null,
  }
}

interface Difference {
  readonly item: string
  readonly applies: (run: RecordedRun, inputs: Inputs) => boolean
  readonly change: (run: RecordedRun, inputs: Inputs) => Partial<Inputs>
}

/** The share of the routed experts: three matrices each, in every layer. */
function routedShare(run: RecordedRun, parameters: number): number {
  const config = textConfig(run) as Record<string, number>
  const experts = config['num_local_experts'] ?? config['num_experts'] ?? 0
  const width = config['moe_intermediate_size'] ?? config['intermediate_size'] ?? 0
  return (config['num_hidden_layers']! * experts * 3 * config['hidden_size']! * width || 0) / parameters
}

const DIFFERENCES: readonly Difference[] = [
  {
    item: '9.1 item 2: all twelve data types',
    applies: run => /documented dtypes? /.test(run.seed_fault ?? ''),
    change: () => ({}),
  },
  {
    item: 'section 2 and 9.1 item 9: a known model is counted from its config, without its code',
    applies: run => run.json === null && !/documented dtypes? |KeyError/.test(run.seed_fault ?? ''),
    change: () => ({}),
  },
  {
    item: 'section 2: distinct weights, not each use of a tied one',
    applies: (run, inputs) => run.true_params_unique !== null && run.true_params_unique !== inputs.parameters,
    change: run => ({ parameters: run.true_params_unique! }),
  },
  {
    item: '9.1 item 4: 16-bit KV for types below a byte',
    applies: (_run, inputs) => inputs.subByteKv === 0,
    change: () => ({ subByteKv: 2 }),
  },
  {
    item: '9.1 item 5: table 5.3',
    applies: run => run.fault_scope?.includes('dtype') ?? false,
    change: (run, inputs) => ({ dtypes: [documentedType(inputs.name, configDtype(run))] }),
  },
  {
    item: '9.1 item 1: the command line beats the options file',
    applies: run => /command line overrides YAML/.test(run.seed_fault ?? ''),
    change: (run, inputs) => ({
      name: flag(run, 'model') ?? inputs.name,
      dtypes: flag(run, 'model') === null ? inputs.dtypes : [documentedType(flag(run, 'model')!, configDtype(run))],
      loraRank: count(run, 'lora_rank', inputs.loraRank),
      sequence: count(run, 'max_seq_len', inputs.sequence),
      sections: (flag(run, 'log_level') ?? (inputs.sections ? 'verbose' : 'info')) === 'verbose',
    }),
  },
  {
    item: '8.2: the KV cache has its own data type',
    applies: run => /KV dtype wins/.test(run.seed_fault ?? ''),
    change: run => {
      const algorithm = /quant_algo: (\w+)/.exec(yamlOf(run))![1]!
      return { dtypes: [algorithm], userDtype: algorithm }
    },
  },
  {
    item: '9.1 item 8: sections of the options file are read leniently, algorithms as TensorRT-LLM spells them',
    applies: run => /quant_algo in TensorRT-LLM spelling|KeyError/.test(run.seed_fault ?? ''),
    change: run => {
      const dtype = /W4A16_AWQ/.test(yamlOf(run)) ? 'awq_int4' : null
      return dtype === null ? {} : { dtypes: [dtype], userDtype: dtype }
    },
  },
  {
    item: '9.1 items 3 and 10: GPUs and display settings of --config_dir take effect',
    applies: (run, inputs) => flag(run, 'config_dir') !== null && inputs.sections,
    change: run => {
      const gpus = run.files!['cfg/gpu_types.json'] as Record<string, unknown>[]
      const display = run.files!['cfg/display_settings.json'] as Record<string, unknown>
      const preferred = display['preferred_categories'] as string[]
      const rank = (gpu: Record<string, unknown>) => (preferred.includes(String(gpu['category'])) ? 0 : 1)
      return {
        gpus: [...gpus]
          .sort((a, b) => rank(a) - rank(b))
          .slice(0, display['max_gpu_display'] as number)
          .map(gpu => {
            const gb = gpu['memory_gb'] as number
            return [String(gpu['name']), gb, (gpu['memory_gib'] as number | undefined) ?? gibOf(gb)] as const
          }),
      }
    },
  },
  {
    item: '9.1 item 6: --tp, --pp and --ep have a row of their own',
    applies: (run, inputs) => inputs.sections && ['tp', 'pp', 'ep'].some(name => count(run, name, 1) > 1),
    change: (run, inputs) => ({
      requested: {
        tp: count(run, 'tp', 1),
        pp: count(run, 'pp', 1),
        ep: count(run, 'ep', 1),
        routed: routedShare(run, inputs.parameters),
      },
    }),
  },
]

/** What the run must give, and the items of the documentation that say so where it is not what was recorded. */
export function expectedOf(run: RecordedRun): { expected: Expected; items: readonly string[] } {
  const recorded = recordedInputs(run)
  let inputs = recorded
  const items: string[] = []
  for (const difference of DIFFERENCES) {
    if (!difference.applies(run, inputs)) continue
    const before = JSON.stringify(inputs)
    inputs = { ...inputs, ...difference.change(run, inputs) }
    const lowers = inputs.dtypes.some(dtype => /4$|^my_|^w6$/.test(dtype) && dtype !== 'int4')
    if (difference.item.startsWith('9.1 item 4') ? lowers : JSON.stringify(inputs) !== before || run.json === null)
      items.push(difference.item)
  }
  const expected =
    items.length === 0 ? { document: run.json!, facts: run.stdout_facts } : byFormula(run, inputs, recorded)
  const dtype = configDtype(run)
  if (run.json !== null) return { expected, items }
  const model = { ...expected.document.model, original_torch_dtype: dtype === null ? null : `torch.${dtype}` }
  return { expected: { ...expected, document: { ...expected.document, model } }, items }
}

/** The items that must show in results; the two about stops show only where the original gave none. */
export const differencesOfResults: readonly string[] = DIFFERENCES.slice(2).map(difference => difference.item)
