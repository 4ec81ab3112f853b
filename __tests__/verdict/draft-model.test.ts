import { describe, expect, test } from '@jest/globals'
import { check } from '../../src/check.ts'
import { defaultPolicy } from '../../src/policy/policy.ts'
import { bad, good } from '../../src/problem.ts'
import { configs, factsOf } from '../helpers/engine-input.ts'
import { filesOf } from '../helpers/files.ts'

const pod = (speculation: string) => `apiVersion: v1
kind: Pod
metadata: { name: chat }
spec:
  nodeSelector: { nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3 }
  containers:
    - name: vllm
      image: vllm/vllm-openai:v0.11.0
      args: [acme/chat, --max-model-len, "4096", --speculative-config, '${speculation}']
      resources: { limits: { nvidia.com/gpu: 1 } }
`

async function rowOf(speculation: string) {
  const { report } = await check({
    head: filesOf({ 'pod.yaml': pod(speculation) }),
    policy: defaultPolicy,
    base: null,
    ports: {
      findModel: async ({ id }) =>
        id === 'acme/chat' || id === 'acme/draft'
          ? good(factsOf(configs.llama8b))
          : bad('model-unknown', `${id} is neither in the lock file nor in the catalogue`, { hint: 'run online' }),
      now: new Date(0),
    },
  })
  return report.deployments[0]!
}

describe('a draft model', () => {
  test('that is known is a part, and nothing is said', async () => {
    const row = await rowOf('{"method":"draft_model","model":"acme/draft","num_speculative_tokens":2}')
    expect(row.estimate?.perGpu.parts.map(part => part.name)).toContain('draftWeights')
    expect(row.findings.map(finding => finding.code)).not.toContain('draft-unknown')
  })

  test('whose facts are missing is said to be left out, and why', async () => {
    const row = await rowOf('{"method":"eagle3","model":"acme/eagle","num_speculative_tokens":2}')
    expect(row.estimate?.perGpu.parts.map(part => part.name)).not.toContain('draftWeights')
    expect(row.findings).toContainEqual({
      code: 'draft-unknown',
      severity: 'warning',
      message:
        'the draft model acme/eagle is not counted: acme/eagle is neither in the lock file nor in the catalogue (run online)',
      file: 'pod.yaml',
      line: 9,
    })
  })
})
