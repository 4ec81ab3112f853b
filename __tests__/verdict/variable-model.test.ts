import { describe, expect, test } from '@jest/globals'
import { check } from '../../src/check.ts'
import { factsFinder } from '../../src/models/sources/find-facts.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import { bad, good } from '../../src/problem.ts'
import { configs, factsOf } from '../helpers/engine-input.ts'
import { filesOf } from '../helpers/files.ts'

const VARIABLE = `\${CHAT_MODEL}`
const compose = `services:
  a:
    image: vllm/vllm-openai:v0.11.0
    command: --model \${CHAT_MODEL} --max-model-len 4096
  b:
    image: ollama/ollama
`

async function rowsUnder(models: string) {
  const policy = await parsePolicy(`version: 1\ndefaults: { target: L4 }\n${models}`, 'p.yml')
  if (!policy.ok) throw new Error(JSON.stringify(policy.problems))
  const findModel = factsFinder({
    models: policy.value.models,
    repository: null,
    lock: null,
    catalogue: null,
    hub: async ({ id }) => (id === 'acme/chat' ? good(factsOf(configs.llama8b)) : bad('model-not-found', id)),
    refresh: false,
  })
  const head = filesOf({ 'compose.yaml': compose })
  const { report } = await check({ head, policy: policy.value, base: null, ports: { findModel, now: new Date(0) } })
  return report.deployments
}

describe('a model named by a variable that nothing resolves', () => {
  test('is unknown, and the hint gives the line of the policy that mends it', async () => {
    const [first, second] = await rowsUnder('')
    expect(first!.verdict.reasons[0]!.message).toBe(
      `nothing resolves CHAT_MODEL: give it a default where it is read, or say in the policy what it stands for: models: { "${VARIABLE}": { id: org/name } }`,
    )
    expect(second!.verdict.reasons[0]!.message).toBe(
      'no model is named: name it where the engine is started, or leave the deployment out by a rule with ignore: true',
    )
  })

  test('is what the policy says it stands for', async () => {
    const [row] = await rowsUnder(`models: { "${VARIABLE}": { id: acme/chat } }\n`)
    expect(row!.model).toMatchObject({ id: VARIABLE, parameters: 8_030_261_248 })
    expect(row!.verdict.status).toBe('fits')
  })
})
