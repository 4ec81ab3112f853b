import type { Setting, Settings } from '../deployments/deployment.ts'
import type { Engine, EngineAnswer, EngineInput } from './engine.ts'
import { vllm } from './vllm/index.ts'

const operator = 'KAITO presets and inference base image'

export const kaito: Engine = {
  name: 'kaito',
  title: 'KAITO',
  defaults: [
    { setting: 'memoryFraction', value: '0.84; 0.82 on A10', versions: 'all', source: operator },
    { setting: 'maxModelLen', value: 'the largest that fits', versions: 'all', source: operator },
    {
      setting: 'tensorParallel',
      value: '1 where the model fits one GPU (the others are data ranks), else all GPUs',
      versions: 'all',
      source: operator,
    },
  ],
  estimate,
}

/** KAITO runs vLLM with defaults of its own: the model on one GPU when it fits, else over all. */
function estimate(input: EngineInput): EngineAnswer {
  const plain = vllm.estimate({ ...input, version: null, settings: withDefaults(input, 1) })
  const gpus = input.gpusPerReplica ?? 1
  const fits = (plain.estimate.perGpu.headroomBytes?.expected ?? 0) >= 0
  const spread = !fits && gpus > 1 && input.settings.tensorParallel === undefined
  const answer = spread ? vllm.estimate({ ...input, version: null, settings: withDefaults(input, gpus) }) : plain
  return {
    ...answer,
    estimate: { ...answer.estimate, assumptions: ['KAITO runs vLLM inside', ...answer.estimate.assumptions] },
  }
}

function withDefaults(input: EngineInput, tensor: number): Settings {
  const { settings } = input
  const gpus = Math.max(1, input.gpusPerReplica ?? 1)
  const kept = <T>(given: Setting<T> | undefined, value: T, note: string): Setting<T> =>
    given ?? { value, from: 'engine-default', note }
  const fraction = /\bA10\b/.test(input.gpu?.name ?? '') ? 0.82 : 0.84
  const ranks = settings.tensorParallel?.value ?? tensor
  return {
    ...settings,
    memoryFraction: kept(settings.memoryFraction, fraction, 'KAITO default'),
    maxModelLen: kept(settings.maxModelLen, 'auto', 'KAITO takes the largest that fits'),
    tensorParallel: kept(
      settings.tensorParallel,
      tensor,
      tensor === 1 ? 'the model fits one GPU' : 'all GPUs of the node',
    ),
    ...(settings.dataParallel === undefined && ranks === 1 && gpus > 1 && settings.pipelineParallel === undefined
      ? {
          dataParallel: { value: gpus, from: 'engine-default', note: 'one copy on each GPU' } satisfies Setting<number>,
        }
      : {}),
  }
}
