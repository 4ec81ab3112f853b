import { createRequire } from 'node:module'
import { gitRepository } from './run-action.ts'

const require = createRequire(import.meta.url)
const examples = require('@octokit/webhooks-examples/api.github.com/index.json') as {
  name: string
  examples: Record<string, unknown>[]
}[]

/** GitHub's own example payload of a pull request event with this action, set to our repository and commits. */
export function pullRequestPayload(
  commits: { base: string; head: string },
  more: { fork?: boolean; number?: number; action?: string } = {},
): Record<string, unknown> {
  const action = more.action ?? 'synchronize'
  const found = examples
    .find(event => event.name === 'pull_request')
    ?.examples.find(example => example['action'] === action)
  if (!found) throw new Error(`no example of pull_request ${action}`)
  const payload = structuredClone(found) as {
    number: number
    pull_request: {
      number: number
      head: { sha: string; repo: { full_name: string; fork: boolean } }
      base: { sha: string; repo: { full_name: string } }
    }
  }
  payload.number = more.number ?? 7
  payload.pull_request.number = payload.number
  payload.pull_request.base.sha = commits.base
  payload.pull_request.base.repo.full_name = 'octo/repo'
  payload.pull_request.head.sha = commits.head
  payload.pull_request.head.repo.full_name = more.fork ? 'stranger/repo' : 'octo/repo'
  payload.pull_request.head.repo.fork = more.fork ?? false
  return payload
}

/** A Kubernetes deployment of Llama-3.1-8B on one L4; 21 lines, the context length on line 17. */
export function manifest(
  context: number,
  more: { name?: string; model?: string; gpu?: string; extra?: string } = {},
): string {
  return `apiVersion: apps/v1
kind: Deployment
metadata:
  name: ${more.name ?? 'chat'}
spec:
  template:
    spec:
      nodeSelector:
        cloud.google.com/gke-accelerator: ${more.gpu ?? 'nvidia-l4'}
      containers:
        - name: vllm
          image: vllm/vllm-openai:v0.11.0
          args:
            - --model
            - ${more.model ?? 'meta-llama/Llama-3.1-8B-Instruct'}
            - --max-num-seqs=16
            - --max-model-len=${context}
${more.extra ?? ''}          resources:
            limits:
              nvidia.com/gpu: 1
`
}

export const CONTEXT_LINE = 17

/** A pull request that raises the context from 8,192 to 131,072 tokens: fits at the base, exceeds at the head. */
export function raisedContext(more: Readonly<Record<string, string | null>> = {}): {
  folder: string
  base: string
  head: string
} {
  const { folder, commits } = gitRepository([
    { 'deploy/chat.yaml': manifest(8192), ...more },
    { 'deploy/chat.yaml': manifest(131_072) },
  ])
  return { folder, base: commits[0]!, head: commits[1]! }
}
