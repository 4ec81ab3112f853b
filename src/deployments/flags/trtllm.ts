import { flagTable } from './flags.ts'

/** TensorRT-LLM 1 (tensorrt_llm/commands/serve.py and bench, click options; Dynamo's worker), dashes for underscores. */
export const trtllmFlags = flagTable({
  one: `
    backend cluster-size config=--extra-llm-api-options,--extra-engine-args context-parallel-size=--cp-size
    custom-tokenizer dataset dtype engine-dir free-gpu-memory-fraction=--kv-cache-free-gpu-memory-fraction,--kv-cache-free-gpu-mem-fraction
    gpus-per-node host kv-cache-dtype log-level max-batch-size max-beam-width max-input-len max-num-tokens
    max-seq-len metadata-server-config-file model=-m,--model-path model-type
    moe-cluster-parallel-size moe-expert-parallel-size=--ep-size,--ep,--expert-parallel-size num-postprocess-workers
    pipeline-parallel-size=--pp-size,--pp port quantization reasoning-parser revision served-model-name server-role
    tensor-parallel-size=--tp-size,--tp tokenizer tool-parser workspace=-w`,
  switches: `
    enable-attention-dp enable-chunked-context enable-chunked-prefill fail-fast-on-attention-window-too-large
    otlp-traces streaming trust-remote-code`,
})
