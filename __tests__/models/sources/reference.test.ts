import { describe, expect, test } from '@jest/globals'
import { hubSettings } from '../../../src/models/sources/hub-settings.ts'
import { hubReference } from '../../../src/models/sources/reference.ts'

const read = (id: string, revision: string | null = null) => hubReference({ id, revision, variant: null })

describe('a model reference', () => {
  test.each<[string, string, string | null]>([
    ['meta-llama/Llama-3.1-8B-Instruct', 'meta-llama/Llama-3.1-8B-Instruct', null],
    ['gpt2', 'gpt2', null],
    ['_org/name_1.0', '_org/name_1.0', null],
    ['bartowski/Qwen2.5-7B-GGUF:Q4_K_M', 'bartowski/Qwen2.5-7B-GGUF', 'Q4_K_M'],
  ])('%s is an id', (text, id, variant) => {
    expect(read(text)).toEqual({ ok: true, value: { id, revision: null, variant } })
  })

  test.each([
    '../../x',
    'a/b/../../c',
    'a/..',
    'http://evil',
    'https://huggingface.co/org/name',
    'a/b?x=1',
    'a/b#x',
    '%2e%2e/x',
    'a%2fb',
    '-rf/x',
    'org/-name',
    'org/name.',
    'org/',
    '/',
    '',
    ' ',
    'a b/c',
    'a/b\0',
    'a/b\n',
    'a/b/c',
    'a\\b',
    `org/${'x'.repeat(10_000)}`,
    'org/näme',
    '/../etc/passwd',
    '$MODEL',
  ])('%j is refused', text => {
    const result = read(text)
    expect(result.ok ? null : result.problem.code).toBe('model-id-invalid')
    expect(result.ok ? '' : result.problem.message.length).toBeLessThan(140)
    expect(result.ok ? '' : result.problem.message).not.toMatch(/[\0\n]/)
  })

  test.each([
    '/models/assistant',
    './model',
    'models/chat-q4_k_m.gguf',
    'chat.Q8_0.GGUF',
    'a/b/model.safetensors',
    's3://bucket/model',
    'gs://b/m',
    'pvc://claim/m',
    'oci://r/i:tag',
    'nim:meta/llama',
    'ollama:llama3.1:8b',
    'kaito:our-own',
  ])('%s is unknown until the policy names it', text => {
    const result = read(text)
    expect(result.ok ? null : result.problem.code).toBe('model-unknown')
    expect(result.ok ? null : result.problem.hint).toBe(
      `name it in the policy: models: { ${JSON.stringify(text)}: { id: org/name } }`,
    )
  })

  test('presets of KAITO are the models they serve', () => {
    const result = read('kaito:phi-4')
    expect(result.ok ? result.value.id : null).toBe('microsoft/phi-4')
  })

  test.each(['main', 'v1.0', 'refs/pr/3', 'a'.repeat(40), 'feature/x'])('revision %s is one', revision => {
    expect(read('a/b', revision).ok).toBe(true)
  })
  test.each(['', '-x', '../x', 'a//b', 'a b', 'x?y', 'x'.repeat(300), 'a\0'])('revision %j is none', revision => {
    const result = read('a/b', revision)
    expect(result.ok ? null : result.problem.code).toBe('model-id-invalid')
  })
})

describe("the Hub's settings", () => {
  const none = () => null

  test('are huggingface.co without a token when nothing is said', () => {
    expect(hubSettings({}, none)).toEqual({
      ok: true,
      value: { endpoint: 'https://huggingface.co', token: null, offline: false },
    })
  })

  test.each<[Record<string, string>, object]>([
    [{ HF_TOKEN: ' hf_a \n' }, { token: 'hf_a' }],
    [{ HUGGING_FACE_HUB_TOKEN: 'hf_b' }, { token: 'hf_b' }],
    [{ HF_TOKEN: 'hf_a', HUGGING_FACE_HUB_TOKEN: 'hf_b' }, { token: 'hf_a' }],
    [{ HF_TOKEN: '', HOME: '/h' }, { token: 'from /h/.cache/huggingface/token'.replace(' ', '') }],
    [{ HF_HOME: '/hf', HOME: '/h' }, { token: 'from/hf/token' }],
    [{ HF_TOKEN_PATH: '/t', HF_HOME: '/hf' }, { token: 'from/t' }],
    [{ XDG_CACHE_HOME: '/x', HOME: '/h' }, { token: 'from/x/huggingface/token' }],
    [{ HF_ENDPOINT: 'https://mirror.example/hf/' }, { endpoint: 'https://mirror.example/hf' }],
    [{ HF_ENDPOINT: 'http://127.0.0.1:8080' }, { endpoint: 'http://127.0.0.1:8080' }],
    [{ HF_HUB_OFFLINE: '1' }, { offline: true }],
    [{ HF_HUB_OFFLINE: '0' }, { offline: false }],
  ])('%j', (env, expected) => {
    const result = hubSettings(env, path => `from${path}\n`)
    expect(result.ok ? result.value : null).toMatchObject(expected)
  })

  test.each([
    'http://evil.example',
    'ftp://x',
    'no address',
    'https://user:pass@x',
    'https://x?y=1',
    'http://127.0.0.1.evil.example',
  ])('refuse %s', endpoint => {
    const result = hubSettings({ HF_ENDPOINT: endpoint }, none)
    expect(result.ok ? null : result.problem.code).toBe('usage')
    expect(result.ok ? '' : result.problem.message).not.toContain('pass@')
  })

  test.each(['hf_a b', 'hf_a\nInjected: 1', 'hf_ä'])('refuse token %j without showing it', token => {
    const result = hubSettings({ HF_TOKEN: token }, none)
    expect(result.ok ? null : result.problem.message).toBe(
      'the token in HF_TOKEN holds spaces, line breaks or letters beyond ASCII',
    )
  })
})
