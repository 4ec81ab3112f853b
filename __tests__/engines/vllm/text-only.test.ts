import { expect, test } from '@jest/globals'
import { vllm } from '../../../src/engines/vllm/index.ts'
import { configs, engineInput, type Given } from '../../helpers/engine-input.ts'

const { torch_dtype: _, ...text } = configs.llama8b
const seeing = {
  model_type: 'llava',
  torch_dtype: 'bfloat16',
  vision_feature_layer: -2,
  text_config: text,
  vision_config: {
    model_type: 'clip_vision_model',
    hidden_size: 1024,
    intermediate_size: 4096,
    num_hidden_layers: 24,
    num_attention_heads: 16,
    image_size: 336,
    patch_size: 14,
    projection_dim: 768,
    vocab_size: 32000,
  },
}

const part = (given: Given, name: string) =>
  vllm
    .estimate(engineInput({ version: '0.27.1', settings: { maxModelLen: 4096 }, ...given }))
    .estimate.perGpu.parts.find(one => one.name === name)!

test('--language-model-only leaves the towers out, and their peak', () => {
  const options = { 'language-model-only': true }
  const whole = part({ config: seeing }, 'weights')
  const only = part({ config: seeing, options }, 'weights')
  expect(only.formula).toMatch(/^8,030,261,248 parameters/)
  expect(only.bytes.expected).toBe(part({}, 'weights').bytes.expected)
  expect(whole.bytes.expected).toBeGreaterThan(only.bytes.expected + 2 * 300e6)
  expect(part({ config: seeing, options }, 'activations').formula).not.toContain('vision')
  expect(part({ options }, 'weights')).toEqual(part({}, 'weights'))
})

test('heads of a tower that is not loaded need not divide', () => {
  const config = { ...seeing, vision_config: { ...seeing.vision_config, num_attention_heads: 15 } }
  const settings = { tensorParallel: 2 }
  const said = (options: Given['options'] = {}) =>
    vllm.estimate(engineInput({ config, settings, options, version: '0.27.1' })).findings.map(one => one.message)
  expect(said().filter(message => message.includes('vision tower'))).toHaveLength(1)
  expect(said({ 'language-model-only': true }).filter(message => message.includes('vision tower'))).toHaveLength(0)
})
