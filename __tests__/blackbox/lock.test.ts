import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { FakeHub, type FakeModel, GOOD_TOKEN, SHA } from '../helpers/fake-hub.ts'
import { runCli, temporaryFolder, writeFiles } from '../helpers/run-action.ts'

const config = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  torch_dtype: 'bfloat16',
  hidden_size: 2048,
  intermediate_size: 8192,
  num_hidden_layers: 16,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  vocab_size: 128256,
  max_position_embeddings: 8192,
  tie_word_embeddings: true,
}
const model = (more: Partial<FakeModel> = {}): FakeModel => ({
  info: { safetensors: { parameters: { BF16: 1_235_814_400 }, total: 1_235_814_400 } },
  files: { 'config.json': JSON.stringify(config), 'model.safetensors': 'x' },
  ...more,
})
const models: Record<string, FakeModel> = { 'acme/open': model(), 'acme/gated': model({ gated: true }) }
const hub = new FakeHub(models)
beforeAll(() => hub.start())
afterAll(() => hub.stop())
beforeEach(() => {
  hub.reset()
  models['acme/open'] = model()
})

const LOCK = 'hf-vram-calc.lock.json'
const compose = (id: string) =>
  `services:\n  llm:\n    image: vllm/vllm-openai:v0.11.0\n    command: ["--model", "${id}", "--max-model-len", "4096"]\n`

function repository(ids: readonly string[]): string {
  const folder = temporaryFolder()
  writeFiles(folder, {
    ...Object.fromEntries(ids.map((id, i) => [`d${i}/compose.yaml`, compose(id)])),
    'hf-vram-calc.yml': 'version: 1\ndefaults: { target: L4 }\nmodels:\n  /models/x: { id: acme/open }\n',
  })
  return folder
}

async function run(folder: string, args: readonly string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await runCli(folder, args, { HF_ENDPOINT: hub.url, ...env })
  return { code, out: stdout, err: stderr }
}

describe('hf-vram-calc lock', () => {
  test('pins what the policy says a variable stands for', async () => {
    const folder = repository([`\${CHAT_MODEL}`])
    writeFiles(folder, {
      'hf-vram-calc.yml': `version: 1\ndefaults: { target: L4 }\nmodels: { "\${CHAT_MODEL}": { id: acme/open } }\n`,
    })
    expect((await run(folder, ['lock'])).out).toBe(`added acme/open at ${SHA.slice(0, 12)}\n${LOCK}: written\n`)
    expect((await run(folder, ['lock', '--check', '--offline'])).out).toBe(`${LOCK} is up to date\n`)
    expect((await run(folder, ['check', '--offline'])).out).toMatch(/fits +d0/)
  })

  test('writes what the files name, the same each time, and a locked run asks nothing', async () => {
    const folder = repository(['acme/open', '/models/x', '/models/unnamed'])
    const first = await run(folder, ['lock'])
    expect(first).toEqual({ code: 0, err: '', out: `added acme/open at ${SHA.slice(0, 12)}\n${LOCK}: written\n` })
    const text = readFileSync(join(folder, LOCK), 'utf8')
    expect(JSON.parse(text).models['acme/open']).toMatchObject({ revision: SHA, bytes: 2_471_628_800, config })
    expect((await run(folder, ['lock'])).out).toBe(`${LOCK}: unchanged\n`)
    expect(readFileSync(join(folder, LOCK), 'utf8')).toBe(text)

    hub.reset()
    const checked = await run(folder, ['check', 'd0', '--format', 'json'])
    expect(hub.seen).toEqual([])
    expect(JSON.parse(checked.out).deployments[0].model).toMatchObject({
      id: 'acme/open',
      parameters: 1_235_814_400,
      source: 'lock',
    })
  })

  test('keeps going past a gated model, and says what opens it', async () => {
    const folder = repository(['acme/gated', 'acme/open'])
    const without = await run(folder, ['lock'])
    expect(without.code).toBe(1)
    expect(without.out).toBe(`added acme/open at ${SHA.slice(0, 12)}\n${LOCK}: written\n`)
    expect(without.err).toBe(
      `hf-vram-calc: acme/gated is gated (accept the licence at ${hub.url}/acme/gated and set HF_TOKEN)\n`,
    )
    const withToken = await run(folder, ['lock'], { HF_TOKEN: GOOD_TOKEN })
    expect(withToken).toMatchObject({ code: 0, out: `added acme/gated at ${SHA.slice(0, 12)}\n${LOCK}: written\n` })
    expect(readFileSync(join(folder, LOCK), 'utf8')).not.toContain(GOOD_TOKEN)
  })

  test('--check names what is missing, unused or behind, and writes nothing', async () => {
    const folder = repository(['acme/open'])
    const missing = await run(folder, ['lock', '--check', '--offline'])
    expect(missing).toEqual({
      code: 1,
      out: '',
      err: `hf-vram-calc: ${LOCK}: acme/open is missing (run hf-vram-calc lock)\n`,
    })
    expect(existsSync(join(folder, LOCK))).toBe(false)
    await run(folder, ['lock'])
    expect(await run(folder, ['lock', '--check'])).toEqual({ code: 0, err: '', out: `${LOCK} is up to date\n` })
    models['acme/open'] = model({ sha: 'b'.repeat(40) })
    const behind = await run(folder, ['lock', '--check'])
    expect(behind).toMatchObject({ code: 1 })
    expect(behind.err).toContain(`acme/open is at ${'b'.repeat(12)} now, locked is ${SHA.slice(0, 12)}`)
    expect((await run(folder, ['lock', '--check', '--offline'])).code).toBe(0)
  })

  test('mends a broken lock, which checking refuses', async () => {
    const folder = repository(['acme/open'])
    writeFileSync(join(folder, LOCK), '{\n<<<<<<< HEAD\n')
    const refused = await run(folder, ['lock', '--check'])
    expect(refused.code).toBe(2)
    expect(refused.err).toContain('holds the marks of a merge conflict (write it anew with hf-vram-calc lock)')
    expect((await run(folder, ['lock'])).code).toBe(0)
    expect((await run(folder, ['lock', '--check', '--offline'])).code).toBe(0)
  })

  test('refuses --offline, which could pin nothing', async () => {
    const refused = await run(repository([]), ['lock', '--offline'])
    expect([refused.code, refused.err]).toEqual([2, expect.stringContaining('lock asks the Hub')])
  })
})

describe('the Hub from the command line', () => {
  test('takes two requests a model, however often it is named', async () => {
    const folder = repository(['acme/open', 'acme/open', 'acme/open'])
    const checked = await run(folder, ['check', '--format', 'json'])
    expect(JSON.parse(checked.out).counts.deployments).toBe(3)
    expect(hub.seen).toHaveLength(2)
  })

  test('an id that is none causes no request', async () => {
    const folder = repository(['../../x', 'http://evil', 'a/b?x=1', '%2e%2e/x'])
    const checked = await run(folder, ['check', '--format', 'json'])
    expect(JSON.parse(checked.out).counts.unknown).toBe(4)
    expect(hub.seen).toEqual([])
  })
})
