import { assemble, commandLines } from '../command-lines/index.ts'
import { readSglangMap } from '../command-lines/sglang.ts'
import { readTrtllmMap } from '../command-lines/trtllm.ts'
import { readVllmMap } from '../command-lines/vllm.ts'
import type { EngineName } from '../deployment.ts'
import type { FlagTable } from '../flags/flags.ts'
import { sglangFlags } from '../flags/sglang.ts'
import { vllmFlags } from '../flags/vllm.ts'
import type { DocumentFormat } from '../format.ts'
import type { Node } from '../tree.ts'
import { bareCommand } from './shell.ts'

export const engineConfig: DocumentFormat = {
  kind: 'document',
  name: 'engine-config',
  title: "Engines' own option files: vllm serve --config, sglang --config, TensorRT-LLM options",
  marks: [
    'gpu-memory-utilization',
    'gpu_memory_utilization',
    'max-model-len',
    'max_model_len',
    'mem-fraction-static',
    'mem_fraction_static',
    'kv_cache_config',
    'kv_cache_free_gpu_mem',
  ],
  claims: root => engineOf(root) !== null,
  read: async (root, context) => {
    const engine = engineOf(root)
    if (root.kind !== 'map' || engine === null) return []
    const reading =
      engine === 'vllm' ? readVllmMap(root) : engine === 'sglang' ? readSglangMap(root) : readTrtllmMap(root)
    const line = commandLines.find(one => one.engine === engine)
    const command = bareCommand(root.entries[0]?.key ?? context.text)
    return line ? [assemble(line, command, reading, { format: 'engine-config', name: 'config' })] : []
  },
}

/** Options of which one engine's file has at least two; nothing else has them at its top level. */
const TELLING = {
  vllm: /^(?:gpu-memory-utilization|max-model-len|max-num-seqs|max-num-batched-tokens|tensor-parallel-size|kv-cache-dtype|enforce-eager)$/,
  sglang:
    /^(?:mem-fraction-static|context-length|max-running-requests|chunked-prefill-size|model-path|cuda-graph-max-bs|tp-size|disable-radix-cache|disaggregation-mode)$/,
  trtllm:
    /^(?:kv-cache-config|kv-cache-free-gpu-mem-fraction|max-num-tokens|max-batch-size|max-seq-len|tp-size|tensor-parallel-size|pp-size|cuda-graph-config|enable-attention-dp|moe-config|build-config|quant-config)$/,
} as const

function engineOf(root: Node): (EngineName & keyof typeof TELLING) | null {
  if (root.kind !== 'map' || root.entries.length < 2 || root.entries.length > 200) return null
  const keys = root.entries.map(({ key }) => key.value.replaceAll('_', '-'))
  const telling = (engine: keyof typeof TELLING): number => keys.filter(key => TELLING[engine].test(key)).length
  if (trtllmOnly(keys) && telling('trtllm') >= 2) return 'trtllm'
  if (keys.includes('mem-fraction-static') && telling('sglang') >= 2 && mostly(keys, sglangFlags)) return 'sglang'
  const whole = keys.length >= 3 && keys.every(key => vllmFlags.spelled.has(key))
  if ((telling('vllm') >= 2 && mostly(keys, vllmFlags)) || (telling('vllm') === 1 && whole)) return 'vllm'
  return null
}

/** Keys that only TensorRT-LLM's option files have. */
function trtllmOnly(keys: readonly string[]): boolean {
  return keys.some(key => /^(?:kv-cache-config|kv-cache-free-gpu-mem-fraction|llm-api-args)$/.test(key))
}

function mostly(keys: readonly string[], table: FlagTable): boolean {
  return keys.filter(key => table.spelled.has(key)).length >= 0.8 * keys.length
}
