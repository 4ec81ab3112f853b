import { Collector, modelFrom, type Parse, positive, word } from '../values.ts'
import type { CommandLine, Start } from './command-line.ts'

/** Variables by which training containers of people's own take their parameters. */
const NUMBERS: readonly (readonly [string, RegExp, Parse<number>])[] = [
  ['loraRank', /^LORA_R(?:ANK)?$/, positive],
  ['microBatchSize', /^(?:TRAIN_BATCH_SIZE|PER_DEVICE_TRAIN_BATCH_SIZE|MICRO_BATCH_SIZE)$/, positive],
  ['gradientAccumulation', /^GRADIENT_ACCUMULATION_STEPS$/, positive],
  ['sequenceLength', /^MAX_SEQ(?:UENCE)?_LEN(?:GTH)?$/, positive],
]

export const customTraining: CommandLine = {
  engine: 'custom-training',
  title: 'Training containers that take model and parameters from variables',
  marks: ['lora_r', 'train_batch_size', 'gradient_accumulation_steps'],
  program: () => 0,
  image: /^$/,
  environment: /^$/,
  signature: env =>
    env.has('MODEL_NAME') &&
    [...env.keys()].filter(name => NUMBERS.some(([, pattern]) => pattern.test(name))).length >= 2,
  read: async start => ({ ...readVariables(start), workload: 'train' }),
}

function readVariables(start: Start): { collector: Collector; model: ReturnType<typeof modelFrom> } {
  const collector = new Collector()
  const { env } = start.command
  for (const [name, value] of env) {
    const row = NUMBERS.find(([, pattern]) => pattern.test(name))
    if (row) collector.set(row[0] as 'loraRank', { value, text: `${name}=${value.value}` }, row[2])
  }
  const rank = env.get('LORA_R') ?? env.get('LORA_RANK')
  if (rank)
    collector.set('method', { value: rank, text: `LORA_R=${rank.value}` }, text =>
      word(text) === undefined ? undefined : 'lora',
    )
  return { collector, model: modelFrom(env.get('MODEL_NAME'), collector) }
}
