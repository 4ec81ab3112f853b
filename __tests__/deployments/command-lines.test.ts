// biome-ignore-all lint/suspicious/noTemplateCurlyInString: shell and compose text
import { describe, expect, test } from '@jest/globals'
import type { Deployment } from '../../src/deployments/deployment.ts'
import { walkFlags } from '../../src/deployments/flags/flags.ts'
import { sglangFlags } from '../../src/deployments/flags/sglang.ts'
import { vllmFlags } from '../../src/deployments/flags/vllm.ts'
import { imageAccelerator, imageVersion } from '../../src/deployments/images.ts'
import { splitText } from '../../src/deployments/shell/words.ts'
import { Text } from '../../src/deployments/text.ts'
import { sglangInteger, vllmInteger } from '../../src/deployments/values.ts'
import { extractFrom } from '../helpers/files.ts'

const only = async (command: string, files: Record<string, string> = {}): Promise<Deployment> => {
  const { deployments } = await extractFrom({ 'a.sh': `${command}\n`, ...files })
  expect(deployments).toHaveLength(1)
  return deployments[0]!
}
const values = (deployment: Deployment): Record<string, unknown> =>
  Object.fromEntries(Object.entries(deployment.settings).map(([name, setting]) => [name, setting.value]))

describe('vLLM', () => {
  const cases: [string, string, string | null, Record<string, unknown>][] = [
    [
      'short flags and suffixes',
      'vllm serve org/m -tp 2 -pp=2 --max-model-len 8k',
      'org/m',
      { tensorParallel: 2, pipelineParallel: 2, maxModelLen: 8000 },
    ],
    [
      'binary suffix',
      'vllm serve org/m --max-model-len 16K --max-num-batched-tokens 1.5k',
      'org/m',
      { maxModelLen: 16384, maxNumBatchedTokens: 1500 },
    ],
    [
      'underscores and equals',
      'vllm serve org/m --max_model_len=4096 --gpu_memory_utilization=.85',
      'org/m',
      { maxModelLen: 4096, memoryFraction: 0.85 },
    ],
    [
      'unique prefixes',
      'vllm serve org/m --max-num-seq 4 --gpu-memory-util 0.5',
      'org/m',
      { maxNumSeqs: 4, memoryFraction: 0.5 },
    ],
    ['auto and -1', 'vllm serve org/m --max-model-len -1', 'org/m', { maxModelLen: 'auto' }],
    [
      '--model, and the old module',
      'python3 -m vllm.entrypoints.openai.api_server --model org/m --dtype half',
      'org/m',
      { dtype: 'half' },
    ],
    ['the positional beats --model', 'vllm serve org/m --model org/other', 'org/m', {}],
    [
      'switches and their negations',
      'vllm serve org/m --enforce-eager --no-enforce-eager --enable-expert-parallel',
      'org/m',
      { enforceEager: false, expertParallel: true },
    ],
    [
      'old booleans with a value',
      'vllm serve org/m --enable-expert-parallel=false --enforce-eager true',
      'org/m',
      { expertParallel: false, enforceEager: true },
    ],
    [
      'the last of two counts',
      'vllm serve org/m --max-model-len 1k --max-model-len 2k',
      'org/m',
      { maxModelLen: 2000 },
    ],
    [
      'served names swallow words, not flags',
      'vllm serve org/m --served-model-name a b c --dtype auto',
      'org/m',
      { dtype: 'auto' },
    ],
    [
      'an unknown flag never swallows the next flag',
      'vllm serve org/m --brand-new --dtype auto --other 1',
      'org/m',
      { dtype: 'auto' },
    ],
    [
      'JSON flags',
      `vllm serve org/m --speculative-config '{"method":"mtp","num_speculative_tokens":3}'`,
      'org/m',
      { speculativeTokens: 3 },
    ],
    [
      'dotted flags',
      'vllm serve org/m --speculative-config.method ngram --speculative-config.num_speculative_tokens 4',
      'org/m',
      { speculativeTokens: 4 },
    ],
    [
      'offload and cache sizes',
      'vllm serve org/m --cpu-offload-gb 2 --kv-cache-memory-bytes 8G --block-size 32',
      'org/m',
      { cpuOffloadBytes: 2147483648, kvCacheMemoryBytes: 8589934592, blockSize: 32 },
    ],
    ['a placeholder is no value', 'vllm serve "$MODEL" --max-model-len "$LEN" --dtype auto', null, { dtype: 'auto' }],
    [
      'a path with a variable may stand',
      'vllm serve "$HOME/models/m" --dtype auto',
      '$HOME/models/m',
      { dtype: 'auto' },
    ],
    [
      'wrappers',
      'FOO=1 nohup numactl --cpunodebind=0 vllm serve org/m -tp 4 > log 2>&1 &',
      'org/m',
      { tensorParallel: 4 },
    ],
    [
      'docker run with the image as entry point',
      'sudo docker run --rm --gpus all -e A=1 -p 8:8 vllm/vllm-openai:v0.11.0 --model org/m -q awq',
      'org/m',
      { quantization: 'awq' },
    ],
    [
      'docker run with a shell',
      `docker run --gpus '"device=0,1"' img bash -c "vllm serve org/m -tp 2"`,
      'org/m',
      { tensorParallel: 2 },
    ],
    [
      'uv, and options of python',
      'uv run --with vllm python3 -u -O -m vllm.entrypoints.openai.api_server --model org/m',
      'org/m',
      {},
    ],
  ]
  test.each(cases)('%s', async (_, command, model, settings) => {
    const found = await only(command)
    expect([found.engine.name, found.model.id, values(found)]).toEqual(['vllm', model, settings])
  })
  test('the suite looked at its cases', () => expect(cases).toHaveLength(21))

  test('malformed values are findings, never defaults', async () => {
    const found = await only(
      'vllm serve org/m --max-model-len 8kk --gpu-memory-utilization 1.5 --max-num-seqs 0 -tp two',
    )
    expect(values(found)).toEqual({})
    expect(found.findings.map(one => [one.code, one.severity])).toEqual(Array(4).fill(['setting-invalid', 'error']))
  })

  test('a flag given twice is a finding', async () => {
    const found = await only('vllm serve org/m --max-model-len 1k --max-model-len 2k')
    expect(found.findings).toEqual([expect.objectContaining({ code: 'duplicate-flag', severity: 'warning', line: 1 })])
  })

  test('misspelt flags are warned of, new ones are not', async () => {
    const found = await only('vllm serve org/m --max-modle-len 8k -tp4 --brand-new-thing 1')
    expect(found.findings.map(one => [one.code, one.message])).toEqual([
      ['flag-unknown', '--max-modle-len is no known option; did you mean --max-model-len?'],
      ['flag-unknown', '-tp4 is no known option; did you mean -tp 4?'],
    ])
  })

  test('evidence: file, line, column, text, also through variables', async () => {
    const found = await only('LEN=8192\nvllm serve org/m \\\n  --max-model-len $LEN \\\n  --dtype=half')
    expect(found.settings.maxModelLen).toEqual({
      value: 8192,
      from: 'file',
      file: 'a.sh',
      line: 1,
      column: 5,
      text: '--max-model-len 8192',
    })
    expect(found.settings.dtype).toEqual({
      value: 'half',
      from: 'file',
      file: 'a.sh',
      line: 4,
      column: 11,
      text: '--dtype=half',
    })
    expect(found.location).toEqual({ file: 'a.sh', line: 2, column: 12 })
  })

  test('--config: the file stands before the command line; a positional beats its model', async () => {
    const file =
      'model: org/file\nmax-model-len: 4k\ntensor_parallel_size: 2\nenforce-eager: true\ntrust-remote-code: false\n'
    const found = await only('vllm serve org/m --config conf/v.yaml --max-model-len 8k', { 'conf/v.yaml': file })
    expect([found.model.id, values(found)]).toEqual([
      'org/m',
      { maxModelLen: 8000, tensorParallel: 2, enforceEager: true },
    ])
    expect(found.settings.tensorParallel).toMatchObject({ file: 'conf/v.yaml', line: 3 })
    const plain = await only('vllm serve --config conf/v.yaml', { 'conf/v.yaml': file })
    expect([plain.model.id, plain.model.at]).toEqual(['org/file', { file: 'conf/v.yaml', line: 1, column: 8 }])
  })

  test('drafts and adapters', async () => {
    const found = await only(
      `vllm serve org/m --enable-lora --max-loras 2 --lora-modules a=org/a '{"name":"b","path":"org/b"}' --speculative-config '{"model":"org/draft","num_speculative_tokens":5}'`,
    )
    expect([found.draftModel!.id, found.adapters.map(one => one.id), values(found)]).toEqual([
      'org/draft',
      ['org/a', 'org/b'],
      { maxLoras: 2, speculativeTokens: 5 },
    ])
  })

  test('GGUF: repository and quantisation', async () => {
    const found = await only('vllm serve org/m-GGUF:Q4_K_M --revision abc')
    expect(found.model).toMatchObject({ id: 'org/m-GGUF', variant: 'Q4_K_M', revision: 'abc' })
  })

  test('a device that is no GPU', async () => {
    const found = await only('vllm serve org/m --device cpu')
    expect(found.hardware).toMatchObject({ accelerator: 'cpu', gpusPerReplica: 0 })
  })

  test('options keep every flag; keys and tokens are left out', async () => {
    const found = await only(
      'vllm serve org/m --num-gpu-blocks-override 512 --no-enable-prefix-caching --api-key sk-1 --hf-overrides.rope_scaling.factor 2',
    )
    expect(Object.keys(found.options)).toEqual([
      'num-gpu-blocks-override',
      'enable-prefix-caching',
      'hf-overrides.rope_scaling.factor',
    ])
    expect(found.options['enable-prefix-caching']!.value).toBe(false)
    expect(JSON.stringify(found)).not.toContain('sk-1')
  })
})

describe('other engines', () => {
  const cases: [string, string, string, string | null, Record<string, unknown>][] = [
    [
      'sglang',
      'python -m sglang.launch_server --model-path org/m --tp 8 --dp 8 --enable-dp-attention --context-length 16k --mem-fraction-static 0.8 --chunked-prefill-size -1',
      'sglang',
      'org/m',
      { tensorParallel: 8, dataParallel: 8, attentionDataParallel: 8, maxModelLen: 16000, memoryFraction: 0.8 },
    ],
    [
      'sglang serve',
      'sglang serve --model org/m --ep-size 4 --max-running-requests 64',
      'sglang',
      'org/m',
      { expertParallel: 4, maxNumSeqs: 64 },
    ],
    [
      'tgi flags over variables',
      'docker run -e MODEL_ID=org/env -e MAX_TOTAL_TOKENS=2048 -e QUANTIZE=awq ghcr.io/huggingface/text-generation-inference:3.0 --model-id org/m --num-shard 2',
      'tgi',
      'org/m',
      { tensorParallel: 2, maxModelLen: 2048, quantization: 'awq' },
    ],
    [
      'tei',
      'text-embeddings-router --model-id org/e --dtype float16 --max-batch-tokens 16384',
      'tei',
      'org/e',
      { dtype: 'float16', maxNumBatchedTokens: 16384 },
    ],
    [
      'trtllm',
      'trtllm-serve org/m --tp_size 4 --max_batch_size 32 --kv_cache_free_gpu_memory_fraction 0.8',
      'trtllm',
      'org/m',
      { tensorParallel: 4, maxNumSeqs: 32, memoryFraction: 0.8 },
    ],
    [
      'trtllm-bench',
      'trtllm-bench --model org/m throughput --max_seq_len 4096',
      'trtllm',
      'org/m',
      { maxModelLen: 4096 },
    ],
    [
      'dynamo',
      'python3 -m dynamo.trtllm --model-path org/m --max-num-tokens 4096',
      'trtllm',
      'org/m',
      { maxNumBatchedTokens: 4096 },
    ],
    [
      'llama.cpp',
      'llama-server -m /m/a.gguf -c 8192 -np 2 -ub 256 -ctk q8_0 -ngl 99',
      'llamacpp',
      '/m/a.gguf',
      { maxModelLen: 8192, maxNumSeqs: 2, maxNumBatchedTokens: 256, kvCacheDtype: 'q8_0' },
    ],
    [
      'llama.cpp from the Hub',
      'LLAMA_ARG_CTX_SIZE=4096 llama-server -hf org/m-GGUF:Q4_K_M -c 0',
      'llamacpp',
      'org/m-GGUF',
      {},
    ],
    [
      'llama-cpp-python',
      'python3 -m llama_cpp.server --model /m/a.gguf --n_ctx 2048 --n_gpu_layers -1',
      'llamacpp',
      '/m/a.gguf',
      { maxModelLen: 2048 },
    ],
    ['ollama', 'OLLAMA_CONTEXT_LENGTH=8192 ollama run llama3:8b', 'ollama', 'ollama:llama3:8b', { maxModelLen: 8192 }],
    [
      'lmdeploy',
      'lmdeploy serve api_server org/m --tp 2 --session-len 8192 --cache-max-entry-count 0.5 --quant-policy 8 --model-format awq',
      'lmdeploy',
      'org/m',
      { tensorParallel: 2, maxModelLen: 8192, memoryFraction: 0.5, kvCacheDtype: 'int8', quantization: 'awq' },
    ],
    ['infinity', 'infinity_emb v2 --model-id org/e --dtype float16', 'infinity', 'org/e', { dtype: 'float16' }],
    [
      'nim',
      'docker run --gpus 2 -e NIM_TENSOR_PARALLEL_SIZE=2 nvcr.io/nim/meta/llama-3.1-8b-instruct:1.3',
      'nim',
      'nim:meta/llama-3.1-8b-instruct',
      { tensorParallel: 2 },
    ],
    ['nim from the Hub', 'docker run -e NIM_MODEL_NAME=hf://org/m nvcr.io/nim/nvidia/llm-nim:1.14', 'nim', 'org/m', {}],
  ]
  test.each(cases)('%s', async (_, command, engine, model, settings) => {
    const found = await only(command)
    expect([found.engine.name, found.model.id, values(found)]).toEqual([engine, model, settings])
  })
  test('the suite looked at its cases', () => expect(cases).toHaveLength(15))

  test('ollama serve serves what its script pulls', async () => {
    const { deployments } = await extractFrom({
      'a.sh': 'ollama serve &\nsleep 5\nollama pull llama3:8b\nollama pull phi3\n',
    })
    expect(deployments.map(one => one.model.id)).toEqual(['ollama:llama3:8b', 'ollama:phi3'])
  })

  test('TensorRT-LLM: the options YAML overwrites the command line, and build_config is idle', async () => {
    const yaml =
      'kv_cache_config: {dtype: fp8, free_gpu_memory_fraction: 0.85}\nmax_batch_size: 16\nbuild_config: {max_seq_len: 100}\n'
    const found = await only('trtllm-serve org/m --max_batch_size 64 --extra_llm_api_options o.yaml', {
      'o.yaml': yaml,
    })
    expect(values(found)).toEqual({ maxNumSeqs: 16, memoryFraction: 0.85, kvCacheDtype: 'fp8' })
    expect(found.findings.map(one => one.code)).toEqual(['build-config-unused'])
  })

  test('TensorRT-LLM: windows, beams and token limits of the YAML are options', async () => {
    const yaml = 'max_beam_width: 2\nkv_cache_config:\n  max_tokens: 4096\n  max_attention_window: [512, 32768]\n'
    const { options } = await only('trtllm-serve org/m --extra_llm_api_options o.yaml', { 'o.yaml': yaml })
    expect(options['max-attention-window']).toMatchObject({ value: '512,32768', at: { file: 'o.yaml', line: 4 } })
    expect(options['max-tokens']?.value).toBe('4096')
    expect(options['max-beam-width']?.value).toBe('2')
  })
})

describe('the flag walker', () => {
  const walk = (text: string): string[] =>
    walkFlags(splitText(Text.file('a', text)), vllmFlags, { underscores: true, prefixes: true, dotted: true }).uses.map(
      use =>
        `${use.on ? '' : '!'}${use.name}${use.path ? `.${use.path}` : ''}${use.values.map(value => ` ${value.value}`).join('')}`,
    )
  test.each([
    ['-tp2 is no flag of vLLM and takes nothing', '-tp2 --dtype auto', ['tp2', 'dtype auto']],
    ['an ambiguous prefix is unknown', '--max 5', ['max 5']],
    ['optimisation levels', '-O3 --dtype auto', ['O3', 'dtype auto']],
    ['flag and value in one item', '"--dtype auto" --enforce-eager', ['dtype auto', 'enforce-eager']],
    ['negative numbers are values', '--seed -1', ['seed -1']],
    ['opposite switches', '--disable-chunked-prefill --no-enable-lora', ['!enable-chunked-prefill', '!enable-lora']],
    ['retired flags are known', '--swap-space 4 --use-v2-block-manager', ['swap-space 4', 'use-v2-block-manager']],
  ])('%s', (_, text, expected) => expect(walk(text)).toEqual(expected))

  test('the tables are whole', () => {
    const names = (table: typeof vllmFlags): number => new Set([...table.spelled.values()].map(flag => flag.name)).size
    expect(names(vllmFlags)).toBeGreaterThan(360)
    expect(names(sglangFlags)).toBeGreaterThan(500)
  })
})

test('human integers follow each engine', () => {
  expect(
    ['16k', '16K', '1.5k', '1.5K', '1g', '8G', '7', '1.5', 'x', '', '1e3', '99999999999999g'].map(vllmInteger),
  ).toEqual([16000, 16384, 1500, undefined, 1e9, 8 * 2 ** 30, 7, undefined, undefined, undefined, undefined, undefined])
  expect(['16k', '16Ki', '16K', '1.5M', '1.5Mi', '5'].map(sglangInteger)).toEqual([
    16000,
    16384,
    undefined,
    1500000,
    undefined,
    5,
  ])
})

test('images tell release and processor', () => {
  const version = (image: string, engine: 'vllm' | 'sglang' | 'llamacpp' | 'tgi' = 'vllm'): string | null =>
    imageVersion(image, engine)
  expect([
    version('vllm/vllm-openai:v0.11.0'),
    version('vllm/vllm-openai:v0.11.0-cu128'),
    version('vllm/vllm-openai:latest'),
    version('r:5000/vllm@sha256:abc'),
    version('rocm/vllm:rocm6.4.1_vllm_0.10.1_20250909'),
    version('lmcache/vllm-openai:v0.3.9post2'),
    version('aibrix/vllm-openai:v0.7.3.self.post1'),
    version('lmsysorg/sglang:v0.5.2-cu126', 'sglang'),
    version('ghcr.io/ggml-org/llama.cpp:server-cuda-b4567', 'llamacpp'),
    version('ghcr.io/huggingface/text-generation-inference:3.0.1', 'tgi'),
  ]).toEqual(['0.11.0', '0.11.0', null, null, '0.10.1', null, '0.7.3', '0.5.2', 'b4567', '3.0.1'])
  expect(
    [
      'vllm/vllm-openai:v1',
      'rocm/vllm:1',
      'opea/vllm-rocm:1',
      'x/vllm-cpu:1',
      'opea/vllm-gaudi',
      'x:neuron-sdk2',
      'ghcr.io/huggingface/text-embeddings-inference:cpu-1.6',
    ].map(imageAccelerator),
  ).toEqual([null, 'amd', 'amd', 'cpu', 'hpu', 'neuron', 'cpu'])
})
