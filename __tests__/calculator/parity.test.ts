import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { builtInTables, tablesFrom } from '../../src/calculator/tables-from-files.ts'
import { displayWidth } from '../../src/report/grid.ts'
import { runCli, temporaryFolder, writeFiles } from '../helpers/run-action.ts'

/** What people type: the README's examples, and command lines that go wrong. Figures are in recording.test.ts. */

describe('the README of the original', () => {
  test('its Mistral-7B example, and the FP8 row as the program prints it', async () => {
    const folder = temporaryFolder()
    const run = await runCli(folder, [
      '--model',
      'mistralai/Mistral-7B-v0.1',
      '--dtype',
      'bf16,fp8',
      '--output_json',
      'deep/result.json',
      '--offline',
    ])
    expect(run.code).toBe(0)
    const rows = JSON.parse(readFileSync(join(folder, 'deep/result.json'), 'utf8')).memory_requirements
    const figures = (row: Record<string, number>) => [
      row['model_size_gib'],
      row['kv_cache_size_gib'],
      row['inference_total_gib'],
      row['training_gib'],
      row['lora_size_gib'],
    ]
    expect(figures(rows[0])).toEqual([13.49, 0.25, 16.19, 70.14, 16.73])
    expect(figures(rows[1])).toEqual([6.74, 0.12, 8.09, 35.07, 8.64])
    expect(run.stdout).toMatch(/BF16 +13\.49 +0\.89 +0\.25 +16\.19 +70\.14 +16\.73/)
  })

  test.each([
    ['a positional model', ['mistralai/Mistral-7B-v0.1']],
    [
      'dashes for underscores',
      ['--model', 'mistralai/Mistral-7B-v0.1', '--max-seq-len', '2048', '--max-batch-size', '1'],
    ],
    ['estimate as a word', ['estimate', '--model', 'mistralai/Mistral-7B-v0.1']],
  ])('%s is accepted', async (_name, argv) => {
    const run = await runCli(temporaryFolder(), [...argv, '--offline'])
    expect(run.code).toBe(0)
    expect(run.stdout).toContain('7,241,732,096 (7.24B)')
  })

  test('all twelve data types, and 16-bit KV for those below a byte', async () => {
    const all = 'fp32,fp16,bf16,fp8,int8,int4,mxfp4,nvfp4,awq_int4,gptq_int4,nf4,fp4'
    const folder = temporaryFolder()
    const run = await runCli(folder, [
      '--model',
      'mistralai/Mistral-7B-v0.1',
      '--dtype',
      all,
      '--output_json',
      'r.json',
      '--offline',
    ])
    expect(run.code).toBe(0)
    const { memory_requirements, engine_estimate } = JSON.parse(readFileSync(join(folder, 'r.json'), 'utf8'))
    expect(memory_requirements).toHaveLength(12)
    for (const row of memory_requirements.slice(5)) expect(row.kv_cache_size_gib).toBe(0.25)
    expect(engine_estimate.per_gpu).toHaveLength(12)
  })

  test('the command line wins over the options file, and keys without effect say so', async () => {
    const folder = temporaryFolder()
    writeFiles(folder, {
      'c.yaml':
        'model: mistralai/Mistral-7B-v0.1\nbuild_config:\n  max_batch_size: 64\n  max_seq_len: 4096\nperformance_options: {cuda_graphs: true}\nmax_batch_size: 3\nquant_config: {quant_algo: FP8}\nkv_cache_config: {dtype: fp8}\n',
    })
    const run = await runCli(folder, [
      '--extra_llm_api_options',
      'c.yaml',
      '--max_batch_size',
      '2',
      '--output_json',
      'r.json',
      '--offline',
    ])
    expect(run.code).toBe(0)
    expect(run.stdout).toContain('performance_options has no effect')
    expect(run.stdout).toMatch(/max_batch_size has no effect .* \(did you mean build_config\.max_batch_size\?\)/)
    const [row] = JSON.parse(readFileSync(join(folder, 'r.json'), 'utf8')).memory_requirements
    expect(row).toMatchObject({ dtype: 'FP8', batch_size: 2, sequence_length: 4096 })
  })

  test("a custom directory's GPUs, data types and display settings take effect in every table", async () => {
    const folder = temporaryFolder()
    writeFiles(folder, {
      'cfg/gpu_types.json': JSON.stringify([
        { name: 'Small Card', memory_gb: 8 },
        { name: 'Big Card', memory_gb: 800, category: 'datacenter' },
      ]),
      'cfg/data_types.json': JSON.stringify({
        fp16: { bytes_per_param: 2 },
        my_custom_int2: { bytes_per_param: 0.25, description: 'two bits' },
      }),
      'cfg/display_settings.json': JSON.stringify({ max_gpu_display: 1, preferred_categories: ['datacenter'] }),
    })
    const run = await runCli(folder, [
      'mistralai/Mistral-7B-v0.1',
      '--config-dir',
      'cfg',
      '--dtype',
      'my_custom_int2',
      '--log_level',
      'verbose',
      '--offline',
    ])
    expect(run.code).toBe(0)
    expect(run.stdout).toContain('Big Card')
    expect(run.stdout).not.toContain('Small Card')
    expect(run.stdout).toContain('MY_CUSTOM_INT2')
    expect(run.stdout).not.toContain('H100')
  })
})

describe("the engine's table", () => {
  const estimate = async (...argv: string[]) => {
    const folder = temporaryFolder()
    const run = await runCli(folder, [...argv, '--output_json', 'r.json', '--offline'])
    expect([run.code, run.stderr]).toEqual([0, ''])
    const { engine_estimate } = JSON.parse(readFileSync(join(folder, 'r.json'), 'utf8'))
    return {
      out: run.stdout,
      rows: engine_estimate.per_gpu as {
        dtype: string
        weights_scheme: string
        weights_bytes: number
        kv_cache_bytes: number
        rule_of_thumb_differs: string | null
      }[],
    }
  }
  const llama = 'meta-llama/Llama-3.1-8B-Instruct'

  test.each(['llamacpp', 'ollama'])('%s runs GGUF files of the types asked for', async engine => {
    const { out, rows } = await estimate(
      ...[llama, '--engine', engine, '--dtype', 'bf16,int8,int4,nf4', '--max_batch_size', '64'],
    )
    expect(rows.map(row => row.weights_scheme)).toEqual(['GGUF BF16', 'GGUF Q8_0', 'GGUF Q4_K_M'])
    const bits = rows.map(row => (row.weights_bytes * 8) / 8_030_261_248)
    expect(bits[0]).toBeGreaterThan(14)
    expect(bits[1]).toBeGreaterThan(7.5)
    expect(bits[1]).toBeLessThan(9)
    expect(bits[2]).toBeLessThan(5.5)
    // 64 contexts of 2,048 tokens, not one shared by 64 slots.
    for (const row of rows) expect(row.kv_cache_bytes).toBe(64 * 2048 * 131_072)
    expect(out).toContain('no layout is known for nf4')
  })

  test('TGI has no 32 bits, and the row says what it loads instead', async () => {
    const { rows } = await estimate(llama, '--engine', 'tgi', '--dtype', 'fp32')
    expect(rows[0]).toMatchObject({
      weights_scheme: 'float16',
      rule_of_thumb_differs: expect.stringMatching(/^weights take 14\.9\d GiB where the rule has 29\.92: FP32 needs/),
    })
  })

  test.each<[string, string[], RegExp | null]>([
    ['a small need', [llama], null],
    [
      'many long requests',
      [llama, '--max_batch_size', '64', '--max_seq_len', '8192'],
      /^KV cache is not in the rule's total, 64\.\d\d GiB at batch 64 x 8192 tokens: BF16 needs 7\d\.\d\d, the rule says 17\.95$/,
    ],
    ['four bits', [llama, '--dtype', 'int4'], /^weights take .* \(layers in more bits, scales\): INT4 needs/],
    [
      'many ranks',
      [llama, '--tp', '8'],
      /^working memory does not scale with the weights, .* GiB where the rule adds 0\.37: BF16 needs/,
    ],
    [
      'expert parallelism',
      ['Qwen/Qwen3-30B-A3B', '--tp', '2', '--ep', '4'],
      /copies on every rank; EP shares experts among the TP ranks, no further.*the rule says 9\.82$/,
    ],
  ])('one line says why the rule is off by more than a fifth: %s', async (_name, argv, line) => {
    const { out, rows } = await estimate(...argv)
    const [differs] = rows.map(row => row.rule_of_thumb_differs)
    expect(differs).toEqual(line === null ? null : expect.stringMatching(line))
    expect(out.includes('off by more than 20 %')).toBe(line !== null)
  })

  test('what the engine would refuse is said', async () => {
    const { out } = await estimate(llama, '--tp', '3')
    expect(out).toContain(`vLLM would refuse ${llama}: 32 attention heads do not divide by tensor-parallel-size 3`)
  })

  test('a checkpoint stored in another type than the recommended one says so', async () => {
    const { out } = await estimate('deepseek-ai/DeepSeek-V3')
    expect(out).toMatch(/stored as fp8 \(quantization_config\): --dtype fp8/)
    expect((await estimate('deepseek-ai/DeepSeek-V3', '--dtype', 'fp8')).out).not.toContain('stored as fp8 (quant')
  })

  test('several models print one table of each kind', async () => {
    const run = await runCli(temporaryFolder(), [llama, 'Qwen/Qwen3-30B-A3B', '--dtype', 'bf16,fp8', '--offline'])
    expect(run.code).toBe(0)
    for (const title of ['Model Information', 'Memory Requirements by', 'What vLLM Needs'])
      expect(run.stdout.split(title)).toHaveLength(2)
    expect(run.stdout.match(/^Qwen\/Qwen3-30B-A3B .*/gm)).toHaveLength(5)
  })

  test.each([80, 100, 140])('nothing is wider than a terminal of %i columns', async columns => {
    const models = [llama, 'Qwen/Qwen3-30B-A3B', 'deepseek-ai/DeepSeek-V3']
    const dtypes = 'fp32,bf16,fp8,int8,int4,mxfp4,nvfp4,awq_int4,gptq_int4,nf4,fp4'
    const env = { COLUMNS: String(columns) }
    for (const argv of [
      [...models, '--offline'],
      [models[2]!, '--dtype', dtypes, '--log_level', 'verbose', '--max_seq_len', '32768', '--offline'],
      ['--list_types'],
      ['--help'],
      ['estimate', '--help'],
      ['list', 'gpus'],
      ['list', 'engines'],
    ]) {
      const { stdout } = await runCli(temporaryFolder(), argv, env)
      expect(stdout.split('\n').filter(line => displayWidth(line) > columns)).toEqual([])
    }
  })
})

describe('errors', () => {
  const llama = JSON.stringify({
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    vocab_size: 49152,
    tie_word_embeddings: true,
  })
  const model = ['--model', 'org/x', '--model_path', 'model', '--offline']
  const tables = {
    'cfg/data_types.json': '{"fp16":{"bytes_per_param":2}}',
    'cfg/gpu_types.json': '[{"name":"X","memory_gb":8}]',
  }
  test.each<[string, Record<string, string>, string[], number, RegExp]>([
    ['an empty config', { 'model/config.json': '{}' }, model, 1, /model_type/],
    ['a config that is no JSON', { 'model/config.json': '{nope' }, model, 1, /config\.json/],
    ['a missing model path', {}, model, 1, /model_path "model"/],
    ['no arguments', {}, [], 2, /Usage/],
    ['no model', {}, ['--offline'], 2, /--model/],
    [
      'an unknown model type',
      { 'model/config.json': llama.replace('"llama"', '"frobnicate"') },
      model,
      1,
      /frobnicate/,
    ],
    ['an unknown flag', {}, ['--modle', 'x'], 2, /did you mean --model/],
    [
      'bad JSON in the custom directory',
      { ...tables, 'cfg/gpu_types.json': '{bad' },
      ['--config_dir', 'cfg', '--list_types'],
      2,
      /cfg\/gpu_types\.json:1:\d+/,
    ],
    [
      'a data type without bytes',
      { ...tables, 'cfg/data_types.json': '{"x":{}}' },
      ['--config_dir', 'cfg', '--list_types'],
      2,
      /"x" has no bytes_per_param/,
    ],
    [
      'a GPU without memory',
      { ...tables, 'cfg/gpu_types.json': '[{"name":"X"}]' },
      ['--config_dir', 'cfg', '--list_types'],
      2,
      /memory_gb/,
    ],
    ['a missing custom directory', {}, ['--config_dir', 'nodir', '--list_types'], 2, /nodir/],
    ['an empty data type', { 'model/config.json': llama }, [...model, '--dtype', 'bf16,'], 2, /unknown data type ""/],
    ['an unknown data type', { 'model/config.json': llama }, [...model, '--dtype', 'q4_k_m'], 2, /q4_k_m/],
    ['a data type in capitals', { 'model/config.json': llama }, [...model, '--dtype', 'BF16'], 2, /did you mean bf16/],
    [
      'a table without fp16',
      { ...tables, 'cfg/data_types.json': '{"w6":{"bytes_per_param":0.75}}', 'model/config.json': llama },
      [...model, '--config_dir', 'cfg'],
      2,
      /fp16/,
    ],
    [
      'a data type by another name',
      { 'model/config.json': llama },
      [...model, '--dtype', 'bfloat16'],
      2,
      /did you mean bf16/,
    ],
    ['a slip in a data type', { 'model/config.json': llama }, [...model, '--dtype', 'bf17'], 2, /did you mean bf16/],
    ['a part of a flag', {}, ['--rank', '8'], 2, /unknown flag --rank \(did you mean --lora-rank\?\)/],
    ['a flag for a value', {}, ['--model', '--offline'], 2, /--model needs a value: --model ID/],
    [
      'a size that is no number in the options file',
      { 'c.yaml': 'model: a/b\nbuild_config:\n  max_batch_size: many\n' },
      ['--extra_llm_api_options', 'c.yaml'],
      2,
      /c\.yaml:3:19: options file: build_config\.max_batch_size is "many"/,
    ],
    [
      'a section that is no mapping',
      { 'c.yaml': 'build_config: [3]' },
      ['--extra_llm_api_options', 'c.yaml'],
      2,
      /c\.yaml:1:15: options file: build_config is \[3\], expected a mapping/,
    ],
    ['a huge size', { 'model/config.json': llama }, [...model, '--max_seq_len', '99999999999999'], 2, /at most 2\^40/],
    [
      'a directory without a config',
      { 'model/readme.txt': 'x' },
      model,
      1,
      /--model_path "model" holds no config\.json \(give a directory/,
    ],
    [
      'the beginning of an id',
      {},
      ['mistralai/Mixtral-8x7B', '--offline'],
      1,
      /did you mean mistralai\/Mixtral-8x7B-v0\.1/,
    ],
    ['bad YAML', { 'c.yaml': 'a: [1' }, ['--extra_llm_api_options', 'c.yaml'], 2, /c\.yaml:\d+:\d+/],
    ['a zero size', { 'model/config.json': llama }, [...model, '--max_seq_len', '0'], 2, /max_seq_len/],
    ['a negative size', { 'model/config.json': llama }, [...model, '--tp', '-2'], 2, /tp/],
    ['an unknown id', {}, ['--model', 'mistralai/Mistral-7B-v0.2x', '--offline'], 1, /did you mean/],
  ])('%s', async (_name, files, argv, code, message) => {
    const folder = temporaryFolder()
    writeFiles(folder, files)
    const run = await runCli(folder, argv)
    expect([run.code, run.stderr]).toEqual([code, expect.stringMatching(message)])
    expect(run.stdout).toBe('')
  })

  test('nothing is ever written into the custom directory', async () => {
    const folder = temporaryFolder()
    writeFiles(folder, { 'cfg/readme.txt': 'x' })
    await runCli(folder, ['--config_dir', 'cfg', '--list_types'])
    expect(existsSync(join(folder, 'cfg/data_types.json'))).toBe(false)
    expect(tablesFrom('cfg', () => null)).toEqual({ ok: true, value: builtInTables })
  })
})
