import type { Document, Facts, MemoryRow, RecordedRun, Section } from './recorded-runs.ts'

/**
 * What a recorded run must give here: the recording, save for the documented differences below. The figures of a run
 * that differs are worked out anew from the documented formulas, which first have to reproduce the recording itself.
 */

/** The inputs of the formulas, as the original took them or as its README says they are taken. */
export interface Inputs {
  name: string
  parameters: number
  dtypes: readonly string[]
  /** As typed or as the options file gives it; null: detected. */
  userDtype: string | null
  batch: number
  sequence: number
  loraRank: number
  tp: number
  maxNumTokens: number
  /** Bytes of a KV element for types below one byte; the original has 0 for all of them but int4. */
  subByteKv: number
  sections: boolean
  gpus: readonly (readonly [string, number, number])[]
  /** The strategy asked for with its share of routed experts, or null. */
  requested: { tp: number; pp: number; ep: number; routed: number } | null
}

const SIZES: Readonly<Record<string, number>> = {
  fp32: 4,
  fp16: 2,
  bf16: 2,
  fp8: 1,
  int8: 1,
  int4: 0.5,
  mxfp4: 0.5,
  nvfp4: 0.5,
  awq_int4: 0.5,
  gptq_int4: 0.5,
  nf4: 0.5,
  fp4: 0.5,
}
const GiB = 2 ** 30

type Json = Readonly<Record<string, unknown>>
const objectOf = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {})

/** The text model's config, which is all that the rule reads. */
export function textConfig(run: RecordedRun): Json {
  const config = objectOf(run.config)
  return 'text_config' in config ? objectOf(config['text_config']) : config
}

function sizeOf(run: RecordedRun, dtype: string): number {
  const custom = objectOf(objectOf(run.files)['cfg/data_types.json'])[dtype]
  return custom === undefined ? SIZES[dtype]! : (objectOf(custom)['bytes_per_param'] as number)
}

/** Half to even on exact ties, as Python rounds; a double is a tie only on an odd multiple of the next binary place. */
function rounded(x: number, digits: 1 | 2): number {
  const tie = (x * 2 ** (digits + 1)) % 2
  if (tie !== 1) return Number(x.toFixed(digits))
  const lower = Math.floor(x * 10 ** digits)
  return (lower + (lower % 2)) / 10 ** digits
}

/** 7.24B, 134.5M, 12.3K. */
function short(n: number): string {
  if (n >= 1e9) return `${(n / 1e9).toFixed(n >= 1e11 ? 0 : n >= 1e10 ? 1 : 2)}B`
  return n >= 1e6 ? `${(n / 1e6).toFixed(1)}M` : `${(n / 1e3).toFixed(1)}K`
}

interface Figures {
  readonly dtype: string
  readonly weights: number
  readonly inference: number
  readonly training: number
  readonly lora: number
  /** NaN where the config leaves the fields to its class. */
  readonly kvCache: number
  readonly activation: number
}

/** The rule's formulas in GiB, unrounded, in the documented order of operations. */
function figures(run: RecordedRun, inputs: Inputs, dtype: string): Figures {
  const config = textConfig(run)
  const first = (...names: string[]) => {
    const name = names.find(key => key in config)
    return name === undefined ? Number.NaN : ((config[name] ?? Number.NaN) as number)
  }
  const hidden = first('hidden_size', 'n_embd', 'd_model')
  const layers = first('num_hidden_layers', 'num_layers', 'n_layer', 'n_layers')
  const heads = first('num_attention_heads', 'n_head', 'num_heads')
  const byClass = config['multi_query'] === undefined ? heads : Number.NaN
  const kvHeads = (config['num_key_value_heads'] ?? byClass) as number
  const { parameters, batch, sequence, loraRank, tp, maxNumTokens } = inputs
  const size = sizeOf(run, dtype)
  const weights = (parameters * size) / GiB
  const kvBytes = dtype === 'int8' || dtype === 'int4' ? 2 : size < 1 ? inputs.subByteKv : Math.trunc(size)
  const over = ((parameters * 0.25 * ((2 * loraRank) / 4096)) / 1e9) * 2 * 4.0
  return {
    dtype,
    weights,
    inference: weights * 1.2,
    training: weights * 4.0 * 1.3,
    lora: (weights + over) * 1.2,
    kvCache: (2 * batch * sequence * Math.floor(hidden / heads) * kvHeads * layers * kvBytes) / GiB,
    activation:
      (((Math.min(maxNumTokens, sequence * batch) * hidden) / tp) * (34 + (5 * heads * sequence) / hidden)) / GiB,
  }
}

const STEPS = [4, 8, 16, 24, 40, 80]
const STRATEGIES = [
  ['Single GPU', 1, 1, 1],
  ['Tensor Parallel', 2, 1, 1],
  ['Tensor Parallel', 4, 1, 1],
  ['Tensor Parallel', 8, 1, 1],
  ['Pipeline Parallel', 1, 2, 1],
  ['Pipeline Parallel', 1, 4, 1],
  ['Pipeline Parallel', 1, 8, 1],
  ['TP + PP', 2, 2, 1],
  ['TP + PP', 2, 4, 1],
  ['TP + PP', 4, 2, 1],
  ['TP + PP', 4, 4, 1],
  ['Data Parallel', 1, 1, 2],
  ['Data Parallel', 1, 1, 4],
  ['Data Parallel', 1, 1, 8],
] as const

function section(inputs: Inputs, row: Figures): Section {
  const strategy = (name: string, tp: number, pp: number, ep: number, dp: number, gib: number) => {
    const step = STEPS.find(size => gib <= size)
    return { strategy: name, tp, pp, ep, dp, gib_per_gpu: rounded(gib, 2), min_gpu: step ? `${step}GB+` : '>80GB' }
  }
  const asked = inputs.requested
  const routed = asked === null ? 0 : row.inference * asked.routed
  return {
    dtype: row.dtype.toUpperCase(),
    parallel: [
      ...STRATEGIES.map(([name, tp, pp, dp]) => strategy(name, tp, pp, 1, dp, row.inference / tp / pp)),
      ...(asked === null
        ? []
        : [
            strategy(
              'Requested',
              asked.tp,
              asked.pp,
              asked.ep,
              1,
              (row.inference - routed + routed / asked.ep) / asked.tp / asked.pp,
            ),
          ]),
    ],
    gpus: inputs.gpus.map(([name, gb, gib]) => {
      const fits = (need: number) => Number(need <= gib)
      return [name, gb, fits(row.inference), fits(row.training), fits(row.lora)] as const
    }),
    minimum: {
      inference: rounded(row.inference, 1),
      training: rounded(row.training, 1),
      lora: rounded(row.lora, 1),
    },
  }
}

export interface Expected {
  readonly document: Document
  readonly facts: Facts
}

/** Document and printed tables for the inputs; KV and activation stay the recorded ones where no input of theirs changed. */
export function byFormula(run: RecordedRun, inputs: Inputs, recorded: Inputs | null): Expected {
  const rows = inputs.dtypes.map((dtype, i): [Figures, MemoryRow] => {
    const row = figures(run, inputs, dtype)
    const before = run.json?.memory_requirements[i]
    const same = (keys: readonly (keyof Inputs)[]) =>
      before !== undefined && recorded !== null && keys.every(key => inputs[key] === recorded[key])
    const sameType = before?.dtype === dtype.toUpperCase() && (sizeOf(run, dtype) >= 1 || dtype === 'int4')
    return [
      row,
      {
        dtype: dtype.toUpperCase(),
        batch_size: inputs.batch,
        sequence_length: inputs.sequence,
        lora_rank: inputs.loraRank,
        tensor_parallel_size: inputs.tp,
        max_num_tokens: inputs.maxNumTokens,
        model_size_gib: rounded(row.weights, 2),
        kv_cache_size_gib: sameType && same(['batch', 'sequence']) ? before.kv_cache_size_gib : rounded(row.kvCache, 2),
        inference_total_gib: rounded(row.inference, 2),
        training_gib: rounded(row.training, 2),
        lora_size_gib: rounded(row.lora, 2),
        activation_size_gib: same(['batch', 'sequence', 'tp', 'maxNumTokens'])
          ? before!.activation_size_gib
          : rounded(row.activation, 2),
      },
    ]
  })
  const sorted = [...rows].sort(([a], [b]) => (a.dtype < b.dtype ? -1 : a.dtype > b.dtype ? 1 : 0))
  return {
    document: {
      model: {
        name: inputs.name,
        architecture: String(textConfig(run)['model_type'] ?? objectOf(run.config)['model_type']),
        parameters: inputs.parameters,
        parameters_formatted: short(inputs.parameters),
        original_torch_dtype: run.json?.model.original_torch_dtype ?? null,
        user_specified_dtype: inputs.userDtype?.toUpperCase() ?? null,
      },
      memory_requirements: rows.map(([, row]) => row),
    },
    facts: {
      table_title: `(Batch Size: ${inputs.batch}, Sequence Length: ${inputs.sequence})`,
      memory_table: sorted.map(([, row]) => ({
        dtype: row.dtype,
        model_size: row.model_size_gib,
        activation: row.activation_size_gib,
        kv_cache: row.kv_cache_size_gib,
        inference: row.inference_total_gib,
        training: row.training_gib,
        lora: row.lora_size_gib,
      })),
      ...(inputs.sections ? { sections: rows.map(([row]) => section(inputs, row)) } : {}),
    },
  }
}
