import { flagTable } from './flags.ts'

/** llama.cpp as vendored in llama-cpp-python 0.3.36, read from the option table in its source. */
export const llamacppFlags = flagTable({
  one: `
    adaptive-decay adaptive-target alias=-a api-key api-key-file api-prefix batch-size=-b cache-ram=-cram
    cache-reuse cache-type-k=-ctk cache-type-v=-ctv chat-template chat-template-file chat-template-kwargs
    checkpoint-min-step=-cms control-vector control-vector-scaled cors-headers cors-methods cors-origins
    cpu-mask-batch=-Cb cpu-mask=-C cpu-range-batch=-Crb cpu-range=-Cr cpu-strict cpu-strict-batch
    ctx-checkpoints=-ctxcp,--swa-checkpoints ctx-size=-c defrag-thold=-dt device=-dev docker-repo=-dr
    draft-min=--draft-n-min draft=--draft-n,--draft-max dry-allowed-length dry-base dry-multiplier
    dry-penalty-last-n dry-sequence-breaker dynatemp-exp dynatemp-range embd-normalize fit-ctx=-fitc
    fit-target=-fitt fit=-fit flash-attn=-fa frequency-penalty gpu-layers=-ngl,--n-gpu-layers grammar grammar-file
    hf-file=-hff hf-repo=-hf,-hfr hf-token=-hft host image-max-tokens image-min-tokens json-schema-file=-jf
    json-schema=-j keep kv-unified-per-slot lazy-mode=-lzm load-mode=-lm log-colors log-file log-prompts-dir
    logit-bias=-l lookup-cache-dynamic=-lcd lookup-cache-static=-lcs main-gpu=-mg mcp-servers-config
    mcp-servers-json media-path min-p mirostat mirostat-ent mirostat-lr mmproj-url=-mmu mmproj=-mm model-url=-mu
    model=-m models-dir models-max models-preset mtmd-batch-max-tokens n-cpu-ffn=-ncffn n-cpu-moe=-ncmoe numa
    override-kv override-tensor=-ot parallel=-np parallel=-np path poll poll-batch pooling port
    predict=-n,--n-predict presence-penalty prio prio-batch reasoning-budget reasoning-budget-message
    reasoning-effort reasoning-format reasoning=-rea repeat-last-n repeat-penalty reverse-prompt=-r rope-freq-base
    rope-freq-scale rope-scale rope-scaling rpc rpc=-mmdev sampler-seq=--sampling-seq samplers seed=-s
    sleep-idle-seconds slot-prompt-similarity=-sps slot-save-path
    spec-draft-cpu-mask-batch=-Cbd,--cpu-mask-batch-draft spec-draft-cpu-mask=-Cd,--cpu-mask-draft
    spec-draft-cpu-range=-Crd,--cpu-range-draft spec-draft-cpu-strict-batch=--cpu-strict-batch-draft
    spec-draft-cpu-strict=--cpu-strict-draft spec-draft-device=-devd,--device-draft
    spec-draft-hf=-hfd,-hfrd,--hf-repo-draft spec-draft-model=-md,--model-draft
    spec-draft-n-cpu-moe=--spec-draft-ncmoe,-ncmoed,--n-cpu-moe-draft spec-draft-n-max spec-draft-n-min
    spec-draft-ngl=-ngld,--gpu-layers-draft,--n-gpu-layers-draft
    spec-draft-override-tensor=-otd,--override-tensor-draft spec-draft-p-min=--draft-p-min
    spec-draft-p-split=--draft-p-split spec-draft-poll-batch=--poll-batch-draft spec-draft-poll=--poll-draft
    spec-draft-prio-batch=--prio-batch-draft spec-draft-prio=--prio-draft
    spec-draft-threads-batch=-tbd,--threads-batch-draft spec-draft-threads=-td,--threads-draft
    spec-draft-type-k=-ctkd,--cache-type-k-draft spec-draft-type-v=-ctvd,--cache-type-v-draft
    spec-ngram-map-k-min-hits spec-ngram-map-k-size-m spec-ngram-map-k-size-n spec-ngram-map-k4v-min-hits
    spec-ngram-map-k4v-size-m spec-ngram-map-k4v-size-n spec-ngram-min-hits spec-ngram-mod-n-match
    spec-ngram-mod-n-max spec-ngram-mod-n-min spec-ngram-simple-min-hits spec-ngram-simple-size-m
    spec-ngram-simple-size-n spec-ngram-size-m spec-ngram-size-n spec-synth-len spec-synth-rates spec-type
    split-mode=-sm sse-ping-interval ssl-cert-file ssl-key-file tags temp=--temperature tensor-split=-ts
    threads-batch=-tb threads-http threads=-t timeout=-to tools tools-runtime top-k top-nsigma=--top-n-sigma top-p
    typical=--typical-p ubatch-size=-ub ui-config-file=--webui-config-file ui-config=--webui-config
    verbosity=-lv,--log-verbosity video-ffmpeg-dir video-fps video-timestamp-interval xtc-probability xtc-threshold
    yarn-attn-factor yarn-beta-fast yarn-beta-slow yarn-ext-factor yarn-orig-ctx`,
  switches: `
    agent=-ag backend-sampling=-bs cache-idle-slots cache-list=-cl cache-prompt check-tensors completion-bash
    cont-batching=-cb context-shift cors-credentials cpu-moe=-cmoe embd-gemma-default embedding=--embeddings
    escape=-e fim-qwen-1.5b-default fim-qwen-14b-spec fim-qwen-30b-default fim-qwen-3b-default fim-qwen-7b-default
    fim-qwen-7b-spec gpt-oss-120b-default gpt-oss-20b-default ignore-eos jinja kv-offload=-kvo kv-unified=-kvu
    list-devices log-disable log-jsonl log-prefix log-timestamps lora lora-init-without-apply lora-scaled metrics
    mmproj-auto mmproj-offload models-autoload no-host offline op-offload perf prefill-assistant props
    reasoning-preserve repack rerank=--reranking reuse-port skip-chat-parsing slots spec-default
    spec-draft-backend-sampling spec-draft-cpu-moe=-cmoed,--cpu-moe-draft special=-sp spm-infill swa-full
    ui-mcp-proxy=--webui-mcp-proxy ui=--webui verbose=-v,--log-verbose version vision-gemma-12b-default
    vision-gemma-4b-default warmup`,
  two: `
    control-vector-layer-range`,
  negations: `
    agent=-no-ag cont-batching=-nocb kv-offload=-nkvo kv-unified=-no-kvu mmproj-auto=--no-mmproj repack=-nr
    ui-mcp-proxy=--no-webui-mcp-proxy ui=--no-webui`,
})
