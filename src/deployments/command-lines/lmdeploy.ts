import { lastUse, lastValue, optionsOf, walkFlags } from '../flags/flags.ts'
import { lmdeployFlags } from '../flags/lmdeploy.ts'
import { Collector, fraction, modelFrom, type Parse, positive, word } from '../values.ts'
import { baseName, type CommandLine, type EngineReading, pythonModule, type Start } from './command-line.ts'

export const lmdeploy: CommandLine = {
  engine: 'lmdeploy',
  title: 'LMDeploy: lmdeploy serve api_server',
  marks: ['lmdeploy'],
  program: argv => {
    const python = pythonModule(argv)
    const start = python?.module === 'lmdeploy' ? python.words : baseName(argv[0] ?? '') === 'lmdeploy' ? 1 : 0
    return start > 0 && argv[start] === 'serve' && argv[start + 1] === 'api_server' ? start + 2 : 0
  },
  image: /(?:^|\/)lmdeploy$/,
  environment: /^(?:LMDEPLOY|TM)_/,
  read: async start => readLmdeploy(start),
}

const NUMBERS: Readonly<Record<string, readonly [string, Parse<number>]>> = {
  maxModelLen: ['session-len', positive],
  memoryFraction: ['cache-max-entry-count', fraction],
  maxNumSeqs: ['max-batch-size', positive],
  maxNumBatchedTokens: ['max-prefill-token-num', positive],
  tensorParallel: ['tp', positive],
  dataParallel: ['dp', positive],
  contextParallel: ['cp', positive],
  expertParallel: ['ep', positive],
  blockSize: ['cache-block-seq-len', positive],
  speculativeTokens: ['speculative-num-draft-tokens', positive],
}

function readLmdeploy(start: Start): EngineReading | null {
  if (start.form === 'image' && start.args.length === 0) return null
  const { uses, positionals, holes } = walkFlags(start.args, lmdeployFlags, {
    underscores: false,
    prefixes: true,
    dotted: false,
  })
  const collector = new Collector()
  for (const hole of holes) collector.holes(hole)
  for (const [name, [flag, parse]] of Object.entries(NUMBERS)) {
    const written = lastValue(uses, flag)
    if (written) collector.set(name as 'maxNumSeqs', written, parse)
  }
  const dtype = lastValue(uses, 'dtype')
  if (dtype) collector.set('dtype', dtype, word)
  const format = lastValue(uses, 'model-format')
  if (format && format.value.value !== 'hf') collector.set('quantization', format, word)
  const policy = lastValue(uses, 'quant-policy')
  if (policy && policy.value.value !== '0')
    collector.set('kvCacheDtype', policy, text => ({ '4': 'int4', '8': 'int8', '42': 'turbo4' })[text] ?? word(text))
  const eager = lastUse(uses, 'eager-mode')
  if (eager) collector.put('enforceEager', eager.on, { value: eager.flag, text: eager.text })
  Object.assign(collector.options, optionsOf(uses))
  const revision = lastValue(uses, 'revision')
  const draft = lastValue(uses, 'speculative-draft-model')
  const model = modelFrom(positionals[0], collector, revision ? { revision: revision.value.value } : {})
  return { collector, model, draftModel: draft ? modelFrom(draft.value, collector) : null }
}
