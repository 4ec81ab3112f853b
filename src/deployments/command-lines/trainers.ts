import { type FlagUse, flagTable, lastValue, optionsOf, walkFlags } from '../flags/flags.ts'
import { Collector, modelFrom, type Parse, positive, word } from '../values.ts'
import { baseName, type CommandLine, type EngineReading, type Start } from './command-line.ts'

/** The options of these trainers' commands that matter here; each takes one value, lists take several. */
const flags = flagTable({
  one: `
    model=--model_name_or_path,--model_id_or_path,--base_model,--model-path model_revision train_type=--tuner_type,--finetuning_type,--sft_type
    lora_rank=--lora_r max_length=--cutoff_len,--max_seq_length,--max_seq_len per_device_train_batch_size=--micro_batch_size
    gradient_accumulation_steps torch_dtype=--dtype optim=--optimizer deepspeed gradient_checkpointing quant_bits=--quantization_bit
    infer_backend tensor_model_parallel_size=--tensor_parallel_size pipeline_model_parallel_size expert_model_parallel_size
    context_parallel_size bf16 fp16 output_dir learning_rate num_train_epochs`,
  many: 'dataset target_modules=--lora_target,--lora_target_modules adapters=--adapter_name_or_path val_dataset',
})

const VERBS = /^(?:sft|pt|rlhf|dpo|grpo|kto|orpo|reward|train)$/

/** Trainers started by their own command line; servers started by `swift deploy` have an engine of their own. */
function trainer(
  engine: 'ms-swift' | 'llamafactory' | 'trl',
  title: string,
  programs: RegExp,
  mark: string,
): CommandLine {
  return {
    engine,
    title,
    marks: [mark],
    program: argv => {
      const [first = '', second = '', third = ''] = argv
      if (!programs.test(baseName(first))) return 0
      if (first === 'megatron') return VERBS.test(second) ? 2 : 0
      return VERBS.test(second) ? 2 : second === 'run' && VERBS.test(third) ? 3 : 0
    },
    image: /^$/,
    environment: /^$/,
    read: async start => readTrainer(start),
  }
}

export const swift = trainer(
  'ms-swift',
  'ms-swift: swift sft, pt, rlhf; megatron sft',
  /^(?:swift|megatron)$/,
  'swift ',
)
export const llamafactoryCli = trainer(
  'llamafactory',
  'LLaMA-Factory: llamafactory-cli train with flags',
  /^(?:llamafactory-cli|lmf)$/,
  'llamafactory-cli',
)
export const trlCli = trainer('trl', 'TRL: trl sft, dpo, grpo with flags', /^trl$/, 'trl ')

const NUMBERS: readonly (readonly [string, string, Parse<number>])[] = [
  ['sequenceLength', 'max_length', positive],
  ['microBatchSize', 'per_device_train_batch_size', positive],
  ['gradientAccumulation', 'gradient_accumulation_steps', positive],
  ['loraRank', 'lora_rank', positive],
  ['tensorParallel', 'tensor_model_parallel_size', positive],
  ['pipelineParallel', 'pipeline_model_parallel_size', positive],
  ['expertParallel', 'expert_model_parallel_size', positive],
  ['contextParallel', 'context_parallel_size', positive],
]

function readTrainer(start: Start): EngineReading | null {
  const { uses } = walkFlags(start.args, flags, { underscores: false, prefixes: false, dotted: false })
  const named = lastValue(uses, 'model')
  // A command that only names its configuration file: the file is a deployment by itself.
  if (!named) return null
  const collector = new Collector()
  for (const [name, flag, parse] of NUMBERS) {
    const written = lastValue(uses, flag)
    if (written) collector.set(name as 'loraRank', written, parse)
  }
  for (const [name, flag] of [
    ['dtype', 'torch_dtype'],
    ['optimizer', 'optim'],
    ['sharding', 'deepspeed'],
  ] as const) {
    const written = lastValue(uses, flag)
    if (written) collector.set(name, written, word)
  }
  methodOf(uses, collector)
  Object.assign(collector.options, optionsOf(uses))
  const revision = lastValue(uses, 'model_revision')
  return {
    collector,
    workload: 'train',
    model: modelFrom(named.value, collector, revision ? { revision: revision.value.value } : {}),
  }
}

function methodOf(uses: readonly FlagUse[], collector: Collector): void {
  const bits = lastValue(uses, 'quant_bits')
  if (bits && /^[48]$/.test(bits.value.value))
    collector.put('quantization', `bitsandbytes-${bits.value.value}bit`, bits)
  const type = lastValue(uses, 'train_type')
  if (type) collector.set('method', type, text => (text === 'lora' && bits ? 'qlora' : word(text)))
}
