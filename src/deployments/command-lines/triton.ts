import { Collector } from '../values.ts'
import { baseName, type CommandLine } from './command-line.ts'

/**
 * Triton with a language-model backend. A plain tritonserver serves anything; only the TensorRT-LLM and vLLM variants
 * and the TensorRT-LLM launcher script are known to serve an LLM.
 */
export const triton: CommandLine = {
  engine: 'triton',
  title: 'Triton Inference Server with the TensorRT-LLM or vLLM backend',
  marks: ['triton'],
  program: argv =>
    argv.slice(0, 3).findIndex(word => baseName(word) === 'launch_triton_server.py') + 1 ||
    (baseName(argv[0] ?? '') === 'tritonserver' ? 1 : 0),
  image: /(?:^|\/)tritonserver$/,
  environment: /^TRITON_/,
  read: async start => {
    const tag = start.command.image?.value ?? ''
    const script = start.command.argv.some(word => word.value.includes('launch_triton_server.py'))
    if (!script && !/trtllm|vllm/.test(tag)) return null
    return { collector: new Collector(), model: { id: null, revision: null } }
  },
}
