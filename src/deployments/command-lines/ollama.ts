import type { Text } from '../text.ts'
import { Collector, modelFrom, positive, word } from '../values.ts'
import { baseName, type CommandLine, type EngineReading, type Start } from './command-line.ts'

export const ollama: CommandLine = {
  engine: 'ollama',
  title: 'Ollama: ollama serve and run, image entry point, OLLAMA_ variables',
  marks: ['ollama'],
  program: argv => (baseName(argv[0] ?? '') === 'ollama' && /^(?:serve|run|start)$/.test(argv[1] ?? '') ? 1 : 0),
  image: /(?:^|\/)ollama(?:-[a-z0-9]+)?$/,
  environment:
    /^OLLAMA_(?:CONTEXT_LENGTH|NUM_PARALLEL|KV_CACHE_TYPE|FLASH_ATTENTION|MAX_LOADED_MODELS|GPU_OVERHEAD|SCHED_SPREAD|NUM_GPU|NEW_ENGINE)$/,
  read: async start => readOllama(start),
}

function readOllama(start: Start): EngineReading {
  const collector = new Collector()
  ollamaEnvironment(start.command.env, collector)
  const named = start.args[0]?.value === 'run' ? start.args.slice(1).find(one => !one.value.startsWith('-')) : undefined
  const model = modelFrom(named, collector)
  return { collector, model: model.id === null ? model : { ...model, id: `ollama:${model.id}` } }
}

/** The variables that stand for settings: context, parallel requests, KV type. */
export function ollamaEnvironment(env: ReadonlyMap<string, Text>, collector: Collector): void {
  for (const [variable, name] of [
    ['OLLAMA_CONTEXT_LENGTH', 'maxModelLen'],
    ['OLLAMA_NUM_PARALLEL', 'maxNumSeqs'],
  ] as const) {
    const value = env.get(variable)
    if (value) collector.set(name, { value, text: `${variable}=${value.value}` }, positive)
  }
  const cache = env.get('OLLAMA_KV_CACHE_TYPE')
  if (cache) collector.set('kvCacheDtype', { value: cache, text: `OLLAMA_KV_CACHE_TYPE=${cache.value}` }, word)
}
