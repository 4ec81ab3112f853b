// biome-ignore-all lint/suspicious/noTemplateCurlyInString: shell and compose text
import { describe, expect, test } from '@jest/globals'
import type { DeclaredHardware, Deployment } from '../../src/deployments/deployment.ts'
import { extractFrom } from '../helpers/files.ts'

const from = async (files: Record<string, string>): Promise<readonly Deployment[]> =>
  (await extractFrom(files)).deployments
const compose = async (service: string, files: Record<string, string> = {}): Promise<Deployment> => {
  const found = await from({
    'c/compose.yaml': `services:\n  llm:\n    image: vllm/vllm-openai:v0.11.0\n${service.replace(/^/gm, '    ')}\n`,
    ...files,
  })
  expect(found).toHaveLength(1)
  return found[0]!
}
const pod = async (spec: string, files: Record<string, string> = {}): Promise<Deployment> => {
  const found = await from({
    'k/a.yaml': `kind: Deployment\nmetadata: {name: llm}\nspec:\n  template:\n    spec:\n${spec.replace(/^/gm, '      ')}\n`,
    ...files,
  })
  expect(found).toHaveLength(1)
  return found[0]!
}
const short = (hardware: DeclaredHardware): string =>
  [
    hardware.accelerator,
    hardware.gpusPerReplica,
    hardware.nodes,
    hardware.names.map(one => `${one.kind}:${one.name}`).join(',') || '-',
  ].join(' ')

describe('compose', () => {
  const hardware: [string, string, string][] = [
    [
      'count',
      'deploy: {resources: {reservations: {devices: [{driver: nvidia, count: 2, capabilities: [gpu]}]}}}',
      'nvidia 2  -',
    ],
    [
      'device ids',
      "deploy: {resources: {reservations: {devices: [{driver: nvidia, device_ids: ['0', '2'], capabilities: [gpu]}]}}}",
      'nvidia 2  -',
    ],
    [
      'all is not known',
      'deploy: {resources: {reservations: {devices: [{driver: nvidia, count: all, capabilities: [gpu]}]}}}',
      'nvidia   -',
    ],
    ['no count is not known', 'deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}', 'nvidia   -'],
    [
      'a placeholder is not known',
      "deploy: {resources: {reservations: {devices: [{driver: nvidia, device_ids: ['${GPU}'], capabilities: [gpu]}]}}}",
      'nvidia   -',
    ],
    ['gpus', 'gpus: 4', 'nvidia 4  -'],
    ['gpus: all', 'gpus: all', 'nvidia   -'],
    ['runtime and visible devices', 'runtime: nvidia\nenvironment: ["NVIDIA_VISIBLE_DEVICES=0,1,3"]', 'nvidia 3  -'],
    ['AMD devices', 'devices: [/dev/kfd, /dev/dri]', 'amd   -'],
    ['CDI devices', 'devices: [nvidia.com/gpu=0, nvidia.com/gpu=1]', 'nvidia 2  -'],
    ['nothing', 'restart: always', '   -'],
  ]
  test.each(hardware)('GPUs: %s', async (_, service, expected) => {
    const found = await compose(`command: --model org/m\n${service}`)
    expect(short(found.hardware)).toBe(expected)
  })

  test('commands as string, list, folded text; defaults, .env and environment', async () => {
    const files = { 'c/.env': '# names\nMODEL=org/from-env\nLEN="4096" # tokens\n' }
    for (const command of [
      'command: --model ${MODEL} --max-model-len ${LEN:-1}',
      'command: [--model, "${MODEL}", --max-model-len, "${LEN}"]',
      'command: >\n  --model $MODEL\n  --max-model-len $LEN',
    ]) {
      const found = await compose(command, files)
      expect([found.model.id, found.settings.maxModelLen!.value, found.location, found.engine.version]).toEqual([
        'org/from-env',
        4096,
        { file: 'c/.env', line: 2, column: 7 },
        '0.11.0',
      ])
    }
    const plain = await compose('command: --model ${MODEL} --max-model-len ${LEN:-16384}')
    expect([plain.model.id, plain.unresolved.map(one => one.name), plain.settings.maxModelLen!.value]).toEqual([
      null,
      ['MODEL'],
      16384,
    ])
  })

  test('a shell entry point reads the service environment; $$ is the inner shell', async () => {
    const found = await compose(
      'environment: {M: org/m}\nentrypoint: [bash, -c, \'exec vllm serve $$M "$$@"\', --]\ncommand: [--max-model-len, "8192"]',
    )
    expect([found.model.id, found.settings.maxModelLen!.value, found.location.line]).toEqual(['org/m', 8192, 4])
  })

  test('anchors, merges and extends', async () => {
    const found = await from({
      'compose.yaml':
        'x-gpu: &gpu\n  image: vllm/vllm-openai\n  gpus: 1\nservices:\n  base:\n    image: nginx\n    environment: {A: b}\n  a:\n    <<: *gpu\n    command: --model org/a\n  b:\n    extends: {service: a}\n    command: --model org/b\n',
    })
    expect(found.map(one => [one.id, one.model.id, one.hardware.gpusPerReplica])).toEqual([
      ['compose.yaml#a', 'org/a', 1],
      ['compose.yaml#b', 'org/b', 1],
    ])
  })

  test('a mounted directory hints at the model, but is none', async () => {
    const found = await compose('command: --model /model\nvolumes: ["/srv/models/qwen-7b:/model:ro"]')
    expect(found.model).toMatchObject({ id: '/model', hint: 'qwen-7b' })
    const cache = await compose('command: --model /hub/models--acme--m-7b/snapshots/abc')
    expect(cache.model.id).toBe('acme/m-7b')
  })
})

describe('kubernetes', () => {
  const container = 'containers:\n- name: v\n  image: vllm/vllm-openai\n  args: [--model, org/m]\n'
  const hardware: [string, string, string][] = [
    [
      'label and limit',
      `${container}  resources: {limits: {nvidia.com/gpu: "2"}}\nnodeSelector: {cloud.google.com/gke-accelerator: nvidia-l4}`,
      'nvidia 2  product-label:nvidia-l4',
    ],
    [
      'the larger of limits and requests',
      `${container}  resources: {limits: {nvidia.com/gpu: 2}, requests: {nvidia.com/gpu: 1}}`,
      'nvidia 2  -',
    ],
    [
      'instance types',
      `${container}nodeSelector: {node.kubernetes.io/instance-type: g6.xlarge}`,
      '   instance-type:g6.xlarge',
    ],
    [
      'affinity alternatives',
      `${container}affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: nvidia.com/gpu.product, operator: In, values: [NVIDIA-L4, NVIDIA-A10G]}]}]}}}`,
      '   product-label:NVIDIA-L4,product-label:NVIDIA-A10G',
    ],
    [
      'labels of their own are hints',
      `${container}nodeSelector: {gpu-type: nvidia-2080ti, disk: ssd}`,
      '   hint:nvidia-2080ti',
    ],
    ['AMD', `${container}  resources: {limits: {amd.com/gpu: 1}}`, 'amd 1  -'],
    ['TPU is no GPU by intent', `${container}  resources: {limits: {google.com/tpu: 8}}`, 'tpu 0  -'],
    ['Gaudi is no GPU by intent', `${container}  resources: {limits: {habana.ai/gaudi: 1}}`, 'hpu 0  -'],
    ['an explicit zero', `${container}  resources: {limits: {nvidia.com/gpu: 0}}`, 'nvidia 0  -'],
    ['a hidden count', `${container}  resources: {limits: {nvidia.com/gpu: "\${N}"}}`, 'nvidia   -'],
    ['a CPU image', container.replace('vllm-openai', 'vllm-openai:cpu-v1'), 'cpu 0  -'],
    ['nothing is not known', container, '   -'],
  ]
  test.each(hardware)('GPUs: %s', async (_, spec, expected) => {
    expect(short((await pod(spec)).hardware)).toBe(expected)
  })

  test('MIG, sharing, exact memory', async () => {
    const mig = await pod(`${container}  resources: {limits: {nvidia.com/mig-3g.40gb: 1, nvidia.com/gpu: "0"}}`)
    expect([mig.hardware.mig, mig.hardware.gpusPerReplica]).toEqual(['3g.40gb', 1])
    const shared = await pod(
      `${container}nodeSelector: {nvidia.com/gpu.product: NVIDIA-L4-SHARED, nvidia.com/gpu.memory: "23034"}`,
    )
    expect(shared.hardware).toMatchObject({ shared: { kind: 'time-slicing' }, memoryBytes: 23034 * 1024 ** 2 })
  })

  test('$(VAR) from values, ConfigMaps of the file and of its neighbours', async () => {
    const spec =
      'containers:\n- name: v\n  image: vllm/vllm-openai\n  args: ["--model=$(MODEL)", "--max-model-len=$(LEN)"]\n  envFrom: [{configMapRef: {name: a}}]\n  env: [{name: LEN, valueFrom: {configMapKeyRef: {name: b, key: len}}}]'
    const found = await pod(spec, {
      'k/b.yaml':
        'kind: ConfigMap\nmetadata: {name: a}\ndata: {MODEL: org/m}\n---\nkind: ConfigMap\nmetadata: {name: b}\ndata:\n  len: "2048"\n',
    })
    expect([found.model.id, found.location, found.settings.maxModelLen]).toEqual([
      'org/m',
      { file: 'k/b.yaml', line: 3, column: 15 },
      expect.objectContaining({ value: 2048, file: 'k/b.yaml', line: 8 }),
    ])
  })

  test('a script that a ConfigMap mounts', async () => {
    const found = await pod(
      'containers:\n- name: v\n  image: acme/vllm\n  command: [bash, /scripts/run.sh]\n  volumeMounts: [{name: s, mountPath: /scripts}]\nvolumes: [{name: s, configMap: {name: scripts}}]',
      {
        'k/s.yaml': 'kind: ConfigMap\nmetadata: {name: scripts}\ndata:\n  run.sh: |\n    vllm serve org/m -tp 2\n',
      },
    )
    expect([found.model.id, found.location]).toEqual(['org/m', { file: 'k/s.yaml', line: 5, column: 16 }])
  })

  test('a leader and its workers are one engine', async () => {
    const gpu = 'resources: {limits: {nvidia.com/gpu: 8}}'
    const found = await from({
      'lws.yaml': `kind: LeaderWorkerSet\nmetadata: {name: g}\nspec:\n  replicas: 2\n  leaderWorkerTemplate:\n    size: 3\n    leaderTemplate: {spec: {containers: [{name: l, image: vllm/vllm-openai, command: [sh, -c, "ray start --nodes $(LWS_GROUP_SIZE); vllm serve org/m -tp 8 -pp $(LWS_GROUP_SIZE)"], ${gpu}}]}}\n    workerTemplate: {spec: {containers: [{name: w, image: vllm/vllm-openai, command: [sh, -c, ray start --block], ${gpu}}]}}\n`,
    })
    expect(found.map(one => [one.model.id, one.settings.pipelineParallel!.value, short(one.hardware)])).toEqual([
      ['org/m', 3, 'nvidia 24 3 -'],
    ])
  })

  test('several nodes of a StatefulSet', async () => {
    const found = await pod(
      'containers:\n- name: s\n  image: lmsysorg/sglang:v0.5.2\n  command: [python3, -m, sglang.launch_server, --model-path, org/m, --tp, "16", --nnodes, "2"]\n  resources: {limits: {nvidia.com/gpu: 8}}',
    )
    expect(short(found.hardware)).toBe('nvidia 16 2 -')
  })

  test('lists, several documents, the same object twice, init containers', async () => {
    const one = (name: string, model: string): string =>
      `{kind: Pod, metadata: {name: ${name}}, spec: {initContainers: [{name: i, image: vllm/vllm-openai, args: [--model, org/no]}], containers: [{name: v, image: vllm/vllm-openai, args: [--model, ${model}]}]}}`
    const found = await from({
      'a.yaml': `kind: List\nitems: [${one('a', 'org/a')}, ${one('b', 'org/b')}]\n---\n${one('c', 'org/c')}\n---\n${one('c', 'org/c')}\n`,
    })
    expect(found.map(deployment => deployment.id)).toEqual(['a.yaml#Pod/a/v', 'a.yaml#Pod/b/v', 'a.yaml#Pod/c/v'])
  })

  test('duplicate keys are found', async () => {
    const found = await pod(
      `${container}nodeSelector: {cloud.google.com/gke-accelerator: nvidia-l4}\nnodeSelector: {cloud.google.com/gke-accelerator: nvidia-a100-80gb}`,
    )
    expect([found.findings.map(one => one.code), short(found.hardware)]).toEqual([
      ['duplicate-key'],
      '   product-label:nvidia-a100-80gb',
    ])
  })
})

describe('what is no deployment', () => {
  const cases: [string, string, string][] = [
    [
      'a client',
      'compose.yaml',
      'services: {web: {image: open-webui, environment: {OPENAI_API_BASE: "http://vllm:8000", MODEL: org/m}}}',
    ],
    ['a router', 'litellm.yaml', 'model_list: [{model_name: a, litellm_params: {model: hosted_vllm/org/m}}]'],
    [
      'a definition',
      'crd.yaml',
      'kind: CustomResourceDefinition\nspec: {containers: [{image: vllm/vllm-openai, args: [--model, org/m]}]}',
    ],
    [
      'a GPU job',
      'job.yaml',
      'kind: Job\nspec: {containers: [{image: "pytorch/vllm-free", command: [sleep, "5"], resources: {limits: {nvidia.com/gpu: 1}}}]}',
    ],
    ['an autoscaler', 'hpa.yaml', 'kind: HorizontalPodAutoscaler\nspec: {metrics: [{name: "vllm:num_requests"}]}'],
    [
      'a bare configuration',
      'config.json',
      '{"architectures": ["LlamaForCausalLM"], "max_model_len": 1, "vllm": true}',
    ],
    ['a request', 'request.json', '{"model": "org/m", "messages": [], "engine": "vllm"}'],
    ['documentation', 'README.md', 'Run `vllm serve org/m`.'],
    [
      'a script that installs',
      'install.sh',
      'pip install vllm\necho "vllm serve org/m"\npgrep -f "vllm serve org/m"\n# vllm serve org/m\n',
    ],
    [
      'a disabled chart section',
      'values.yaml',
      'vllm: {enabled: false, image: {repository: vllm/vllm-openai}, extraArgs: [--model, org/m]}',
    ],
    [
      'a service of its own that is told where the server is',
      'compose.yaml',
      'services: {a: {image: acme/app-vllm, environment: {VLLM_BASE_URL: "http://vllm:8000/v1", VLLM_MODEL: org/m}}, b: {image: acme/lvm-tgi}}',
    ],
    ['a program of an image', 'run.sh', 'docker run --gpus all vllm-node ./start-node.sh --head\n'],
    ['help', 'docs.sh', 'infinity_emb v2 --help > cli.md\nvllm serve --help\n'],
    ['tests of an engine', 'Makefile', 'test:\n\tpoetry run coverage run --source ./infinity_emb -m pytest\n'],
  ]
  test.each(cases)('%s', async (_, path, text) => {
    expect(await from({ [path]: text })).toEqual([])
  })
  test('the suite looked at its cases', () => expect(cases).toHaveLength(14))
})

describe('Helm', () => {
  const template =
    'kind: Deployment\nmetadata:\n  name: {{ include "c.name" . }}\nspec:\n  template:\n    spec:\n      {{- with .Values.nodeSelector }}\n      nodeSelector:\n        {{- toYaml . | nindent 8 }}\n      {{- end }}\n      containers:\n        - name: v\n          image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"\n          args: ["--model", {{ .Values.model | quote }}, "--max-model-len={{ .Values.len | default 4096 }}"]\n          resources:\n            {{- toYaml .Values.resources | nindent 12 }}\n'
  test('a template with its values: the model stands in the values file', async () => {
    const values =
      'image: {repository: vllm/vllm-openai, tag: v0.11.0}\nmodel: org/m\nresources: {limits: {nvidia.com/gpu: 2}}\n'
    const found = (await from({ 'chart/templates/d.yaml': template, 'chart/values.yaml': values })).filter(
      one => one.format === 'kubernetes',
    )
    expect(
      found.map(one => [
        one.model.id,
        one.location,
        one.settings.maxModelLen!.value,
        one.hardware.gpusPerReplica,
        one.engine.version,
      ]),
    ).toEqual([['org/m', { file: 'chart/values.yaml', line: 2, column: 8 }, 4096, 2, '0.11.0']])
  })
  test('inside "with", the dot is the value: a node selector names the card', async () => {
    const values = (selector: string) =>
      `image: {repository: vllm/vllm-openai, tag: v0.11.0}\nmodel: org/m\nresources: {limits: {nvidia.com/gpu: 2}}\n${selector}`
    const cards = async (text: string, selector: string) =>
      (await from({ 'chart/templates/d.yaml': text, 'chart/values.yaml': values(selector) }))
        .filter(one => one.format === 'kubernetes')
        .flatMap(one => one.hardware.names.map(name => [name.name, name.at.file, name.at.line]))
    const product = 'nodeSelector: {nvidia.com/gpu.product: NVIDIA-L40S}\n'
    const expected = [['NVIDIA-L40S', 'chart/values.yaml', 4]]
    expect(await cards(template, product)).toEqual(expected)
    expect(await cards(template.replaceAll('.Values.nodeSelector', '$.Values.nodeSelector'), product)).toEqual(expected)
    const nested = template
      .replace('with .Values.nodeSelector', 'with .Values.placement')
      .replace('toYaml . ', 'toYaml .nodeSelector ')
    expect(await cards(nested, `placement: {${product.trim()}}\n`)).toEqual(expected)
    expect(await cards(template, '')).toEqual([])
  })
  test('a comment inside a branch that does not hold leaves it closed', async () => {
    const values = 'image: {repository: vllm/vllm-openai, tag: v0.11.0}\nmodel: org/m\nspare: false\n'
    const text = template.replace(
      '      {{- with .Values.nodeSelector }}\n',
      '      {{- if .Values.spare }}\n      {{- /* why */}}\n      runtimeClassName: x\n      nodeSelector: {nvidia.com/gpu.product: NVIDIA-L4}\n      {{- end }}\n      {{- with .Values.nodeSelector }}\n',
    )
    const found = await from({ 'chart/templates/d.yaml': text, 'chart/values.yaml': values })
    expect(found.filter(one => one.format === 'kubernetes').map(one => one.hardware.names)).toEqual([[]])
  })
  test('without values the placeholders are reported by name', async () => {
    const [found] = await from({
      'chart/templates/d.yaml': template.replace(
        '"{{ .Values.image.repository }}:{{ .Values.image.tag }}"',
        'vllm/vllm-openai',
      ),
    })
    expect([found!.model.id, found!.unresolved.map(one => one.name)]).toEqual([null, ['.Values.model']])
  })
  test('a template that hides everything is listed with its line', async () => {
    const { deployments, notUnderstood } = await extractFrom({
      'chart/templates/d.yaml':
        'kind: Deployment # vllm\nspec:\n  containers:\n    {{- range .Values.models }}\n    - name: {{ .name }}\n      image: {{ .image }}\n    {{- end }}\n',
    })
    expect(deployments).toEqual([])
    expect(notUnderstood).toEqual([
      expect.objectContaining({ file: 'chart/templates/d.yaml', line: 4, reason: 'helm-template' }),
    ])
  })
})

describe('files that cannot be read', () => {
  test('broken YAML is listed and hides no other file', async () => {
    const { deployments, notUnderstood } = await extractFrom({
      'a.yaml': 'image: "vllm\n',
      'b.yaml': 'kind: Pod\nspec: {containers: [{image: vllm/vllm-openai, args: [--model, org/m]}]}\n',
    })
    expect(deployments).toHaveLength(1)
    expect(notUnderstood).toEqual([expect.objectContaining({ file: 'a.yaml', reason: 'yaml-invalid' })])
  })
  test('a huge file is listed when it looks like a deployment', async () => {
    const filler = '# filler\n'.repeat(130_000)
    const { notUnderstood } = await extractFrom({ 'a.yaml': `image: vllm/vllm-openai\n${filler}`, 'b.yaml': filler })
    expect(notUnderstood.map(one => [one.file, one.reason])).toEqual([['a.yaml', 'file-too-large']])
  })
})
