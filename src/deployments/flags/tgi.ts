import { flagTable } from './flags.ts'

/** Text Generation Inference 3 (launcher/src/main.rs, options derived by clap), with the older spellings. */
export const tgiFlags = flagTable({
  one: `
    api-key cors-allow-origin cuda-graphs cuda-memory-fraction dtype hostname huggingface-hub-cache kv-cache-dtype
    lora-adapters master-addr master-port max-batch-prefill-tokens max-batch-size max-batch-total-tokens max-best-of
    max-client-batch-size max-concurrent-requests max-image-fetch-size max-input-length max-input-tokens
    max-stop-sequences max-top-n-tokens max-total-tokens max-waiting-tokens model-id ngrok-authtoken ngrok-edge
    num-shard otlp-endpoint otlp-service-name payload-limit port=-p prometheus-port quantize revision rope-factor
    rope-scaling shard-uds-path sharded speculate tokenizer-config-path usage-stats validation-workers
    waiting-served-ratio watermark-delta watermark-gamma weights-cache-override`,
  switches: `
    disable-crash-reports disable-custom-kernels disable-grammar-support disable-usage-stats enable-prefill-logprobs
    env=-e json-output ngrok trust-remote-code`,
})

/** Text Embeddings Inference 1 (router/src/main.rs, options derived by clap). */
export const teiFlags = flagTable({
  one: `
    api-key cors-allow-origin default-prompt default-prompt-name dense-path dtype hf-api-token hf-token hostname
    huggingface-hub-cache max-batch-requests max-batch-tokens max-client-batch-size max-concurrent-requests model-id
    otlp-endpoint otlp-service-name payload-limit pooling port=-p prometheus-port revision served-model-name
    tokenization-workers uds-path`,
  switches: 'auto-truncate disable-spans json-output',
})
