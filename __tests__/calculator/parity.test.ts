import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { builtInTables, tablesFrom } from '../../src/calculator/tables-from-files.ts'
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
        'model: mistralai/Mistral-7B-v0.1\nbuild_config:\n  max_batch_size: 64\n  max_seq_len: 4096\nperformance_options: {cuda_graphs: true}\nquant_config: {quant_algo: FP8}\nkv_cache_config: {dtype: fp8}\n',
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
