import { imageName } from '../images.ts'
import type { Text } from '../text.ts'
import { Collector, modelFrom, positive } from '../values.ts'
import type { CommandLine, EngineReading, Start } from './command-line.ts'

export const nim: CommandLine = {
  engine: 'nim',
  title: 'NVIDIA NIM: nim/<org>/<model> images, NIM_ variables',
  marks: ['/nim/', 'nim_'],
  program: () => 0,
  image: /(?:^|\/)nim\/[^/]+\/[^/]+$/,
  environment: /^NIM_/,
  read: async start => readNim(start),
}

const VARIABLES = {
  NIM_TENSOR_PARALLEL_SIZE: 'tensorParallel',
  NIM_PIPELINE_PARALLEL_SIZE: 'pipelineParallel',
  NIM_MAX_MODEL_LEN: 'maxModelLen',
  NIM_MAX_BATCH_SIZE: 'maxNumSeqs',
  NIM_MAX_GPU_LORAS: 'maxLoras',
  NIM_MAX_LORA_RANK: 'maxLoraRank',
} as const

function readNim(start: Start): EngineReading {
  const collector = new Collector()
  nimEnvironment(start.command.env, collector)
  return { collector, model: nimModel(start.command.env, start.command.image, collector) }
}

/** Settings that NIM takes from its environment. */
export function nimEnvironment(env: ReadonlyMap<string, Text>, collector: Collector): void {
  for (const [variable, name] of Object.entries(VARIABLES) as [string, 'maxNumSeqs'][]) {
    const value = env.get(variable)
    if (value) collector.set(name, { value, text: `${variable}=${value.value}` }, positive)
  }
}

/** `NIM_MODEL_NAME`, else the image's own name; the multi-model image names none. */
export function nimModel(
  env: ReadonlyMap<string, Text>,
  image: Text | null,
  collector: Collector,
): EngineReading['model'] {
  const named = env.get('NIM_MODEL_NAME')
  if (named) return modelFrom(named, collector)
  const path = image ? /(?:^|\/)nim\/([^/]+\/[^/]+)$/.exec(imageName(image.value))?.[1] : undefined
  if (!image || !path || path === 'nvidia/llm-nim') return { id: null, revision: null }
  const at = image.value.toLowerCase().indexOf(path)
  const model = modelFrom(image.slice(at, at + path.length), collector)
  return model.id === null ? model : { ...model, id: `nim:${model.id}` }
}
