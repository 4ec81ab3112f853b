import type { EngineName } from '../../deployments/deployment.ts'
import type { Engine } from '../engine.ts'
import { vllmDefaults } from './defaults.ts'
import { vllm } from './index.ts'

/** A server that runs vLLM inside: its own version says nothing about vLLM's, so the newest rules hold. */
function inside(name: EngineName, title: string): Engine {
  return {
    name,
    title,
    defaults: vllmDefaults,
    estimate: input => {
      const answer = vllm.estimate({ ...input, version: null })
      const note = `${title} runs vLLM inside`
      return { ...answer, estimate: { ...answer.estimate, assumptions: [note, ...answer.estimate.assumptions] } }
    },
  }
}

export const vllmInside: readonly Engine[] = [
  inside('ray-llm', 'Ray Serve LLM'),
  inside('kserve-hf', 'KServe Hugging Face server'),
]
