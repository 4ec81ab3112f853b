import { manifest } from './scenario.ts'

type Files = Readonly<Record<string, string | null>>

/** A pull request: the files of its base, and what its head changes (null removes). */
export interface Scenario {
  readonly name: string
  readonly base: Files
  readonly head: Files
  /** Expected exit code of the action. */
  readonly code: number
}

const POLICY = '.github/hf-vram-calc.yml'
const compose = (command: string) =>
  `services:
  search:
    image: vllm/vllm-openai:v0.11.0
    command: ${command}
    deploy:
      resources:
        reservations:
          devices:
            - { driver: nvidia, count: 1, capabilities: [gpu] }
`

const models = [
  'meta-llama/Llama-3.1-8B-Instruct',
  'Qwen/Qwen3-8B',
  'mistralai/Mistral-7B-Instruct-v0.3',
  'Qwen/Qwen3-14B',
]
const cards = ['nvidia-l4', 'nvidia-tesla-a100', 'nvidia-a100-80gb', 'nvidia-h100-80gb']

/** Manifests of many teams: models, cards and contexts in turn. */
const many = (count: number, context: (i: number) => number): Record<string, string> =>
  Object.fromEntries(
    Array.from({ length: count }, (_, i) => [
      `teams/t${String(i).padStart(3, '0')}/serve.yaml`,
      manifest(context(i), { name: `serve-${i}`, model: models[i % 4]!, gpu: cards[Math.floor(i / 4) % 4]! }),
    ]),
  )

/** The same in fewer files, each of which has the documents of one kind. */
const manyInFiles = (files: number, documents: number): Record<string, string> => {
  const context = (i: number) => (i % 3 === 0 ? 131_072 : 8192)
  return Object.fromEntries(
    Object.entries(many(files, context)).map(([path, text]) => [
      path,
      Array.from({ length: documents }, (_, i) => text.replace(/serve-(\d+)/, `serve-$1-${i}`)).join('---\n'),
    ]),
  )
}

export const scenarios: readonly Scenario[] = [
  {
    name: 'all-fit',
    base: { 'deploy/chat.yaml': manifest(8192) },
    head: {
      'deploy/chat.yaml': manifest(16_384),
      'deploy/search.yaml': manifest(4096, { name: 'search', model: 'Qwen/Qwen3-8B' }),
    },
    code: 0,
  },
  {
    name: 'exceeds',
    base: { 'deploy/chat.yaml': manifest(8192) },
    head: { 'deploy/chat.yaml': manifest(131_072) },
    code: 1,
  },
  {
    name: 'tight',
    base: {
      'compose.yaml': compose('["--model", "Qwen/Qwen3-14B", "--max-model-len", "16384"]'),
      [POLICY]: 'version: 1\ndefaults: { target: A100-40GB }\n',
    },
    head: { 'compose.yaml': compose('["--model", "Qwen/Qwen3-14B", "--max-model-len", "40960"]') },
    code: 0,
  },
  {
    name: 'unknown',
    base: { 'README.md': 'models' },
    head: {
      'compose.yaml': compose(`["--model", "${'$'}{MODEL}", "--max-model-len", "4096"]`),
      'private.yaml': manifest(8192, { name: 'private', model: 'nobody/knows-this-one' }),
      'broken.yaml': `${manifest(8192, { name: 'broken' })}  oops: [\n`,
    },
    code: 0,
  },
  {
    name: 'mixed-40',
    base: many(40, () => 8192),
    head: { ...many(40, i => (i % 5 === 0 ? 65_536 : 8192)), 'teams/t001/serve.yaml': null },
    code: 1,
  },
  {
    name: 'only-removed',
    base: { 'deploy/chat.yaml': manifest(8192), 'deploy/old.yaml': manifest(131_072, { name: 'old' }) },
    head: { 'deploy/old.yaml': null },
    code: 0,
  },
  {
    name: 'policy-edited',
    base: { 'deploy/chat.yaml': manifest(131_072), [POLICY]: 'version: 1\nfail-on: [exceeds]\n' },
    head: { [POLICY]: 'version: 1\nfail-on: [exceeds]\nwarn-only: true\n' },
    code: 1,
  },
  {
    name: 'exempted',
    base: {
      'deploy/chat.yaml': manifest(65_536),
      [POLICY]:
        'version: 1\nexemptions:\n  - { deployment: "deploy/chat.yaml#**", reason: moves to H100 in spring, owner: platform, until: 2999-12-31 }\n  - { deployment: "deploy/gone.yaml#*", reason: left over }\n',
    },
    head: { 'deploy/chat.yaml': manifest(131_072) },
    code: 0,
  },
  {
    name: 'first-adoption',
    base: { 'deploy/chat.yaml': manifest(131_072) },
    head: { [POLICY]: 'version: 1\nfail-on: [exceeds]\nonly-new: true\n' },
    code: 0,
  },
  {
    name: 'many-rows',
    base: { 'README.md': 'models' },
    head: manyInFiles(250, 20),
    code: 1,
  },
]
