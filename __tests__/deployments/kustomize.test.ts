import { describe, expect, test } from '@jest/globals'
import { extractFrom } from '../helpers/files.ts'

const base = `apiVersion: apps/v1
kind: Deployment
metadata: { name: llm }
spec:
  template:
    spec:
      nodeSelector: { cloud.google.com/gke-accelerator: nvidia-l4 }
      containers:
        - name: server
          image: vllm/vllm-openai:v0.10.0
          args: ["--model", "$(MODEL)"]
          env: [{ name: MODEL, value: acme/a-8b }, { name: OTHER, value: "1" }]
          resources: { limits: { nvidia.com/gpu: 1 } }
`
const patch = `apiVersion: apps/v1
kind: Deployment
metadata: { name: llm }
spec:
  template:
    spec:
      nodeSelector: { cloud.google.com/gke-accelerator: nvidia-h100-80gb }
      containers:
        - name: server
          args: ["--model", "$(MODEL)", "-tp", "4"]
          env: [{ name: MODEL, value: acme/a-70b }]
          resources: { limits: { nvidia.com/gpu: 4 } }
`

const found = async (files: Record<string, string>): Promise<string[]> =>
  (await extractFrom(files)).deployments.map(one =>
    [
      one.id.replace(/#.*/, ''),
      one.format,
      one.engine.version,
      one.model.id,
      ...Object.entries(one.settings).map(([name, setting]) => `${name}=${setting.value}`),
      `${one.hardware.names[0]?.name}x${one.hardware.gpusPerReplica}`,
    ].join(' '),
  )

const cases: [string, Record<string, string>, string[]][] = [
  [
    'an overlay of a base folder stands for it',
    {
      'base/dep.yaml': base,
      'base/kustomization.yaml': 'resources: [dep.yaml]\n',
      'big/kustomization.yaml':
        'resources: [../base]\npatches: [{path: patch.yaml}]\nimages: [{name: vllm/vllm-openai, newTag: v0.11.0}]\n',
      'big/patch.yaml': patch,
    },
    ['big/kustomization.yaml kustomize 0.11.0 acme/a-70b tensorParallel=4 nvidia-h100-80gbx4'],
  ],
  [
    'a base that another overlay deploys as it stands counts too',
    {
      'base/dep.yaml': base,
      'base/kustomization.yaml': 'resources: [dep.yaml]\n',
      'big/kustomization.yaml': 'resources: [../base]\npatchesStrategicMerge: [patch.yaml]\n',
      'big/patch.yaml': patch,
      'same/kustomization.yaml':
        'resources: [../base]\npatches:\n- patch: |\n    kind: Deployment\n    metadata: {name: llm}\n    spec: {replicas: 3}\n',
    },
    [
      'base/dep.yaml kubernetes 0.10.0 acme/a-8b nvidia-l4x1',
      'big/kustomization.yaml kustomize 0.10.0 acme/a-70b tensorParallel=4 nvidia-h100-80gbx4',
    ],
  ],
  [
    'a manifest from another folder counts by itself, the patch does not',
    {
      'tgi/a.yaml': base,
      'tgi/par/kustomization.yaml': 'resources: [../a.yaml]\npatches: [{path: p.yaml, target: {kind: Deployment}}]\n',
      'tgi/par/p.yaml': patch.replace('name: llm', 'name: any'),
    },
    [
      'tgi/a.yaml kubernetes 0.10.0 acme/a-8b nvidia-l4x1',
      'tgi/par/kustomization.yaml kustomize 0.10.0 acme/a-70b tensorParallel=4 nvidia-h100-80gbx4',
    ],
  ],
  [
    'what the kustomization lists beside a changed manifest is not lost',
    {
      'a.yaml': base,
      'b.yaml': base.replace('name: llm', 'name: two'),
      'kustomization.yaml':
        'resources: [a.yaml, b.yaml]\npatches:\n- target: {name: two}\n  patch: |\n    - {op: replace, path: /spec/template/spec/containers/0/env/0/value, value: acme/c}\n    - {op: remove, path: /spec/template/spec/nodeSelector}\n',
    },
    [
      'kustomization.yaml kustomize 0.10.0 acme/a-8b nvidia-l4x1',
      'kustomization.yaml kustomize 0.10.0 acme/c undefinedx1',
    ],
  ],
  [
    'a script that a generated ConfigMap holds',
    {
      'dep.yaml': base
        .replace(
          'args: ["--model", "$(MODEL)"]',
          'command: [bash, /s/run.sh]\n          volumeMounts: [{name: s, mountPath: /s}]',
        )
        .replace('      containers', '      volumes: [{name: s, configMap: {name: scripts}}]\n      containers'),
      'kustomization.yaml':
        'resources: [dep.yaml]\nconfigMapGenerator:\n- name: scripts\n  files: [run.sh=scripts/start.sh]\n',
      'scripts/start.sh': 'vllm serve $MODEL --max-model-len 4096\n',
    },
    ['kustomization.yaml kustomize 0.10.0 acme/a-8b maxModelLen=4096 nvidia-l4x1'],
  ],
  [
    'variables of a generated ConfigMap',
    {
      'dep.yaml': base.replace(/env: .*/, 'envFrom: [{configMapRef: {name: c}}]'),
      'kustomization.yaml': 'resources: [dep.yaml]\nconfigMapGenerator: [{name: c, literals: [MODEL=acme/d]}]\n',
    },
    ['kustomization.yaml kustomize 0.10.0 acme/d nvidia-l4x1'],
  ],
  [
    'components, and kustomizations that list each other',
    {
      'a/kustomization.yaml': 'kind: Kustomization\nresources: [../b, dep.yaml]\ncomponents: [../c, ../c]\n',
      'a/dep.yaml': base,
      'b/kustomization.yaml': 'resources: [../a]\n',
      'c/kustomization.yaml':
        'kind: Component\ncomponents: [.]\npatches: [{target: {kind: Deployment}, patch: "[{op: add, path: /spec/template/spec/containers/0/args/-, value: --max-model-len=2048}]"}]\n',
    },
    ['a/kustomization.yaml kustomize 0.10.0 acme/a-8b maxModelLen=2048 nvidia-l4x1'],
  ],
  [
    'a Flux object is none',
    { 'a.yaml': 'apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\npatches: []\n' },
    [],
  ],
]

describe('kustomizations', () => {
  test.each(cases)('%s', async (_, files, expected) => {
    expect(await found(files)).toEqual(expected)
  })

  test('settings stand in the file that says them', async () => {
    const { deployments } = await extractFrom({
      'base/dep.yaml': base,
      'big/kustomization.yaml': 'resources: [../base/dep.yaml]\npatches: [{path: patch.yaml}]\n',
      'big/patch.yaml': patch,
    })
    const [one] = deployments
    expect([deployments.length, one!.location.file, one!.location.line]).toEqual([1, 'big/patch.yaml', 11])
    expect(one!.settings.tensorParallel).toMatchObject({ file: 'big/patch.yaml', line: 10, text: '-tp 4' })
  })

  test('alias bombs in patches end', async () => {
    const bomb = `a0: &a0 {x: 1}\n${Array.from({ length: 40 }, (_, i) => `a${i + 1}: &a${i + 1} {l: *a${i}, r: *a${i}}`).join('\n')}\n`
    const started = performance.now()
    await extractFrom({
      'dep.yaml': `kind: Deployment\nmetadata: {name: llm}\n${bomb}${base.slice(base.indexOf('spec:'))}`,
      'p.yaml': `kind: Deployment\nmetadata: {name: llm}\n${bomb}`,
      'kustomization.yaml':
        'resources: [dep.yaml]\npatches: [{path: p.yaml}]\nimages: [{name: vllm/vllm-openai, newTag: x}]\n',
    })
    expect(performance.now() - started).toBeLessThan(2000)
  })
})

describe('parts that stand beside a manifest', () => {
  const others: [string, Record<string, string>, string[]][] = [
    [
      'the script a pod runs',
      {
        'd/dep.yaml': base.replace('args: ["--model", "$(MODEL)"]', 'command: [bash, /s/run.sh]'),
        'd/run.sh': 'vllm serve $MODEL --max-model-len 4096\n',
      },
      ['d/dep.yaml kubernetes 0.10.0 acme/a-8b maxModelLen=4096 nvidia-l4x1'],
    ],
    [
      "KServe's runtime",
      {
        'k/isvc.yaml':
          'apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: q}\nspec:\n  predictor:\n    model:\n      modelFormat: {name: vLLM}\n      runtime: rt\n      storageUri: hf://org/m\n      resources: {limits: {nvidia.com/gpu: "2"}}\n',
        'k/rt.yaml':
          'apiVersion: serving.kserve.io/v1alpha1\nkind: ClusterServingRuntime\nmetadata: {name: rt}\nspec:\n  containers:\n  - image: vllm/vllm-openai:v0.11.0\n    args: ["--model=/mnt/models", "--tensor-parallel-size=2"]\n',
      },
      ['k/isvc.yaml kserve 0.11.0 org/m tensorParallel=2 undefinedx2'],
    ],
    [
      "Azure ML's Dockerfile",
      {
        'd.yml':
          'name: blue\nendpoint_name: e\nenvironment: {build: {path: env}}\nenvironment_variables: {MODEL_NAME: org/m, VLLM_ARGS: "--max-model-len 8192"}\ninstance_type: Standard_NC24ads_A100_v4\n',
        'env/Dockerfile':
          'FROM vllm/vllm-openai:v0.9.0\nENTRYPOINT python3 -m vllm.entrypoints.openai.api_server --model $MODEL_NAME $VLLM_ARGS\n',
      },
      ['d.yml azure-ml 0.9.0 org/m maxModelLen=8192 Standard_NC24ads_A100_v4xnull'],
    ],
    [
      'swift deploy hands its options on to vLLM; other backends are none',
      {
        'a.sh':
          'swift deploy --model org/m --infer_backend vllm --max_new_tokens 2048 --vllm_max_model_len 8192 --vllm_tensor_parallel_size 2\nswift deploy --model org/x\n',
      },
      ['a.sh shell  org/m tensorParallel=2 maxModelLen=8192 undefinedxnull'],
    ],
    [
      'BentoML arguments in YAML',
      { 'bentofile.yaml': 'args:\n  model_id: org/m\n  tp: 2\n  max_model_len: 4096\n  gpu_type: nvidia-l4\n' },
      ['bentofile.yaml bentoml  org/m tensorParallel=2 maxModelLen=4096 nvidia-l4x2'],
    ],
    [
      'lists of names are no model lists',
      { 'models.txt': '# models\norg/a\norg/b\n', 'requirements.txt': 'vllm\n' },
      [],
    ],
  ]
  test.each(others)('%s', async (_, files, expected) => {
    expect(await found(files)).toEqual(expected)
  })

  test.each(['[', '{"a":', 'f(a=', ' ', '# # ', '"', '"x" '])('long %s in a Python call end soon', async piece => {
    const started = performance.now()
    await extractFrom({
      'a.py': `from ray.serve.llm import LLMConfig\n${`c = LLMConfig(a=${piece.repeat(3000)}`.repeat(10)}`,
    })
    expect(performance.now() - started).toBeLessThan(2000)
  })

  test('a model list: revisions, comments, lines that are none', async () => {
    const { deployments, notUnderstood } = await extractFrom({
      'models.txt': '# checked by hf-vram-calc\n\norg/m@v1 maxModelLen=8192 # long\norg/m maxModelLen=x\nnonsense\n',
    })
    expect(deployments.map(one => [one.model.id, one.model.revision, one.location.line])).toEqual([['org/m', 'v1', 3]])
    expect(deployments[0]!.settings.maxModelLen).toMatchObject({
      value: 8192,
      from: 'file',
      file: 'models.txt',
      line: 3,
      column: 10,
    })
    expect(notUnderstood.map(one => one.line)).toEqual([4, 5])
  })
})
