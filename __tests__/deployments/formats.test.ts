// biome-ignore-all lint/suspicious/noTemplateCurlyInString: shell and compose text
import { describe, expect, test } from '@jest/globals'
import type { Deployment } from '../../src/deployments/deployment.ts'
import { extractFrom } from '../helpers/files.ts'

const summary = (one: Deployment): string =>
  [
    one.workload === 'train' ? 'train' : one.format,
    one.engine.name,
    one.model.id,
    Object.entries(one.settings)
      .map(([name, setting]) => `${name}=${setting.value}`)
      .join(' '),
    `${one.hardware.accelerator} ${one.hardware.gpusPerReplica}/${one.hardware.nodes} ${one.hardware.names.map(name => name.name).join(',')}`.trim(),
  ].join(' | ')
const from = async (path: string, text: string, files: Record<string, string> = {}): Promise<string[]> =>
  (await extractFrom({ [path]: text, ...files })).deployments.filter(one => one.id.startsWith(`${path}#`)).map(summary)

const cases: [string, string, string, string[]][] = [
  [
    'KServe: the runtime of the same file gives arguments and image',
    'a.yaml',
    `apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: q}
spec:
  predictor:
    model:
      modelFormat: {name: vLLM}
      runtime: rt
      args: ["--max-model-len=8192"]
      storageUri: hf://org/m:abc
      resources: {limits: {nvidia.com/gpu: "2"}}
---
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata: {name: rt}
spec:
  containers:
  - command: [python, -m, vllm.entrypoints.openai.api_server]
    args: ["--model=/mnt/models", "--dtype=half", "--tensor-parallel-size=2"]
`,
    ['kserve | vllm | org/m | tensorParallel=2 dtype=half maxModelLen=8192 | nvidia 2/null'],
  ],
  [
    'KServe: other formats are no language models',
    'a.yaml',
    'apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nspec: {predictor: {model: {modelFormat: {name: sklearn}, storageUri: "gs://vllm/y"}}}\n',
    [],
  ],
  [
    'KServe LLMInferenceService: decode and prefill, each with its pods',
    'a.yaml',
    `apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {name: l}
spec:
  model: {uri: "hf://org/m", name: m}
  parallelism: {tensor: 4, data: 8, dataLocal: 4, expert: true}
  template: {containers: [{name: main, resources: {limits: {nvidia.com/gpu: 4}}, env: [{name: VLLM_ADDITIONAL_ARGS, value: "--max-model-len 8k"}]}]}
  worker: {containers: [{name: main}]}
  prefill: {template: {containers: [{name: main, resources: {limits: {nvidia.com/gpu: 2}}}]}, parallelism: {tensor: 2}}
`,
    [
      'kserve | vllm | org/m | maxModelLen=8000 tensorParallel=4 dataParallel=8 expertParallel=true | nvidia 8/2',
      'kserve | vllm | org/m | tensorParallel=2 | nvidia 2/null',
    ],
  ],
  [
    'KubeAI: Ollama on a CPU',
    'a.yaml',
    'apiVersion: kubeai.org/v1\nkind: Model\nspec: {url: "ollama://q:1b", engine: OLlama, env: {OLLAMA_CONTEXT_LENGTH: "2048"}, resourceProfile: "cpu:1"}\n',
    ['kubeai | ollama | ollama:q:1b | maxModelLen=2048 | cpu 0/null'],
  ],
  [
    'KubeAI: a catalogue counts what is enabled',
    'a.yaml',
    'catalog:\n  a: {enabled: true, url: "hf://org/a", engine: VLLM, resourceProfile: "nvidia-gpu-l4:2"}\n  b: {url: "hf://org/b", engine: VLLM, resourceProfile: "nvidia-gpu-l4:2"}\n',
    ['kubeai | vllm | org/a |  | nvidia 2/null l4'],
  ],
  [
    'NIM operator: the cache names card and source',
    'a.yaml',
    `apiVersion: apps.nvidia.com/v1alpha1
kind: NIMService
metadata: {name: n}
spec:
  image: {repository: nvcr.io/nim/nvidia/llm-nim, tag: "1.14"}
  storage: {nimCache: {name: c}}
  resources: {limits: {nvidia.com/gpu: 2}}
---
apiVersion: apps.nvidia.com/v1alpha1
kind: NIMCache
metadata: {name: c}
spec: {source: {hf: {namespace: org, modelName: m}, ngc: {model: {gpus: [{product: h100}]}}}}
`,
    ['nim-operator | nim | org/m |  | nvidia 2/null h100'],
  ],
  [
    'KAITO: instances of several GPUs, options in a ConfigMap',
    'a.yaml',
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  inference_config.yaml: |\n    vllm:\n      max-model-len: 4096\n---\napiVersion: kaito.sh/v1beta1\nkind: Workspace\nmetadata: {name: w}\nresource: {instanceType: Standard_NC48ads_A100_v4, count: 2}\ninference: {preset: {name: phi-4}, config: c}\n',
    ['kaito | kaito | kaito:phi-4 | maxModelLen=4096 | nvidia 4/2 Standard_NC48ads_A100_v4'],
  ],
  [
    'KAITO: tuning is training',
    'a.yaml',
    'apiVersion: kaito.sh/v1beta1\nkind: Workspace\nmetadata: {name: w}\nresource: {instanceType: Standard_NC24ads_A100_v4}\ntuning: {preset: {name: phi-4}, method: qlora}\n',
    ['train | kaito | kaito:phi-4 | method=qlora | nvidia 1/1 Standard_NC24ads_A100_v4'],
  ],
  [
    'Dynamo: bare gpu keys, several nodes, no front end',
    'a.yaml',
    'apiVersion: nvidia.com/v1alpha1\nkind: DynamoGraphDeployment\nmetadata: {name: d}\nspec:\n  services:\n    Frontend: {componentType: frontend, extraPodSpec: {mainContainer: {image: x/vllm, command: [python3, -m, dynamo.frontend, --model-path, org/m]}}}\n    W: {componentType: worker, multinode: {nodeCount: 2}, resources: {limits: {gpu: "8"}}, extraPodSpec: {mainContainer: {command: [python3, -m, dynamo.sglang], args: [--model-path, org/m, --tp, "16"]}}}\n',
    ['dynamo | sglang | org/m | tensorParallel=16 | nvidia 16/2'],
  ],
  [
    'Ray: GPUs are those of the parallel workers',
    'a.yaml',
    'kind: RayService\nmetadata: {name: r}\nspec:\n  serveConfigV2: |\n    applications:\n    - name: a\n      args:\n        llm_configs:\n        - model_loading_config: {model_id: m, model_source: org/m}\n          accelerator_type: H100\n          engine_kwargs: {tensor_parallel_size: 8, pipeline_parallel_size: 2, max_model_len: 4096}\n',
    ['ray | ray-llm | org/m | tensorParallel=8 pipelineParallel=2 maxModelLen=4096 | nvidia 16/null H100'],
  ],
  [
    'Ray: scripts that read variables, several models',
    'a.yaml',
    'kind: RayService\nmetadata: {name: r}\nspec:\n  serveConfigV2: |\n    applications:\n    - name: a\n      import_path: serve:app\n      runtime_env:\n        pip: ["vllm==0.6.1"]\n        env_vars: {MODEL_1_ID: org/a, MODEL_1_TENSOR_PARALLELISM: "2", MODEL_2_ID: org/b}\n',
    ['ray | vllm | org/a | tensorParallel=2 | nvidia 2/null', 'ray | vllm | org/b |  | null null/null'],
  ],
  [
    'production-stack: camel case options, extra arguments, Ray head',
    'values.yaml',
    'servingEngineSpec:\n  modelSpec:\n  - {name: a, repository: vllm/vllm-openai, tag: v0.9.0, modelURL: org/m, requestGPU: 2, vllmConfig: {tensorParallelSize: 2, pipelineParallelSize: 2, maxModelLen: 4096, extraArgs: [--dtype, half]}, raySpec: {headNode: {requestGPU: 2}}}\n',
    ['production-stack | vllm | org/m | tensorParallel=2 pipelineParallel=2 dtype=half maxModelLen=4096 | nvidia 4/2'],
  ],
  [
    'llm-d: the chart gives tensor x local data parallel GPUs',
    'values.yaml',
    'modelArtifacts: {uri: "pvc+hf://models/org/m", name: org/m}\ndecode: {replicas: 1, parallelism: {tensor: 4, dataLocal: 2}, containers: [{name: vllm, modelCommand: vllmServe, args: [--max-model-len, "8192"]}]}\nprefill: {create: false, containers: [{modelCommand: vllmServe}]}\n',
    ['llm-d | vllm | org/m | maxModelLen=8192 tensorParallel=4 | nvidia 8/null'],
  ],
  [
    'Helm: a framework key, parameters in a section beside',
    'values-x.yaml',
    'inference: {framework: vllm, modelServer: {resources: {limits: {nvidia.com/gpu: 1}}}}\nmodelParameters: {modelId: org/m, gpuMemoryUtilization: 0.8, maxModelLen: 8192}\n',
    ['helm-values | vllm | org/m | memoryFraction=0.8 maxModelLen=8192 | nvidia 1/null'],
  ],
  [
    'Helm: the Ollama chart pulls several models',
    'values.yaml',
    'ollama: {gpu: {enabled: true, number: 1}, models: {pull: [a:7b, b]}}\n',
    ['helm-values | ollama | ollama:a:7b |  | nvidia 1/null', 'helm-values | ollama | ollama:b |  | nvidia 1/null'],
  ],
  [
    'a recipe with a section named like the engine',
    'recipe.yaml',
    'deployment:\n  model: {id: org/m}\n  instance: {type: ml.g6e.12xlarge}\n  vllm: {tensor_parallel_size: 4, max_model_len: 4096}\n',
    ['helm-values | vllm | org/m | tensorParallel=4 maxModelLen=4096 | null null/null ml.g6e.12xlarge'],
  ],
  [
    'engine options: SGLang',
    'a.yaml',
    'model-path: org/m\nmem-fraction-static: "0.85"\ntp-size: "4"\n',
    ['engine-config | sglang | org/m | memoryFraction=0.85 tensorParallel=4 | null null/null'],
  ],
  [
    'engine options: TensorRT-LLM, flat recipe',
    'a.yaml',
    'tp_size: 4\nep_size: 4\nkv_cache_free_gpu_mem_fraction: 0.85\nllm_api_args: {kv_cache_config: {dtype: fp8}, enable_attention_dp: true}\n',
    [
      'engine-config | trtllm |  | memoryFraction=0.85 tensorParallel=4 expertParallel=4 kvCacheDtype=fp8 attentionDataParallel=4 | null null/null',
    ],
  ],
  [
    'SkyPilot: a set of alternatives, nodes, variables',
    'sky.yaml',
    'resources: {accelerators: {L4:2, A100-80GB:2}}\nnum_nodes: 2\nenvs: {M: org/m}\nrun: |\n  vllm serve $M -tp $SKYPILOT_NUM_GPUS_PER_NODE -pp $SKYPILOT_NUM_NODES\n',
    ['skypilot | vllm | org/m | tensorParallel=2 pipelineParallel=2 | nvidia 4/2 L4,A100-80GB'],
  ],
  [
    'SkyPilot: a file that a download names',
    'sky.yaml',
    'resources: {accelerators: "H100:1"}\nrun: |\n  P=$(hf download org/m-GGUF m.gguf)\n  llama-server -m "$P" -c 4096\n',
    ['skypilot | llamacpp | org/m-GGUF | maxModelLen=4096 | nvidia 1/null H100'],
  ],
  [
    'Truss: half a card is a slice',
    'config.yaml',
    'resources: {accelerator: H100_40GB}\ntrt_llm: {build: {checkpoint_repository: {repo: org/m, source: HF}, max_seq_len: 4096, tensor_parallel_count: 2, quantization_type: fp8_kv}}\n',
    ['truss | trtllm | org/m | maxModelLen=4096 tensorParallel=2 quantization=fp8_kv | nvidia 1/null H100-80GB'],
  ],
  [
    'training: LLaMA-Factory, quantised as loaded',
    'a.yaml',
    'model_name_or_path: org/m\nfinetuning_type: lora\nquantization_bit: 4\nlora_rank: 8\nlora_target: all\ncutoff_len: 2048\nper_device_train_batch_size: 1\nbf16: true\ndeepspeed: ds.json\n',
    [
      'train | llamafactory | org/m | sequenceLength=2048 microBatchSize=1 loraRank=8 precision=bf16 quantization=bitsandbytes-4bit method=qlora loraTargets=all sharding=ds.json | null null/null',
    ],
  ],
  [
    'training: TRL',
    'a.yaml',
    'model_name_or_path: org/m\ntorch_dtype: bfloat16\nuse_peft: true\nlora_r: 16\nmax_seq_length: 1024\nper_device_train_batch_size: 2\n',
    [
      'train | trl | org/m | sequenceLength=1024 microBatchSize=2 loraRank=16 dtype=bfloat16 method=lora | null null/null',
    ],
  ],
  [
    'training: ms-swift with Megatron',
    'a.yaml',
    'model: org/m\ntuner_type: lora\ndataset: [a/b]\nmax_length: 2048\nmicro_batch_size: 1\nexpert_model_parallel_size: 4\n',
    ['train | ms-swift | org/m | sequenceLength=2048 microBatchSize=1 expertParallel=4 method=lora | null null/null'],
  ],
  [
    'training: torchtune names a folder',
    'a.yaml',
    'model: {_component_: torchtune.models.llama3_1.qlora_llama3_1_8b, lora_rank: 8}\ntokenizer: {max_seq_len: 2048}\ncheckpointer: {checkpoint_dir: /tmp/m}\nbatch_size: 2\n',
    ['train | torchtune | /tmp/m | sequenceLength=2048 microBatchSize=2 loraRank=8 method=qlora | null null/null'],
  ],
  [
    'training: an export only merges',
    'a.yaml',
    'model_name_or_path: org/m\nadapter_name_or_path: a\ntemplate: x\nfinetuning_type: lora\nexport_dir: out\n',
    [],
  ],
  [
    'training: commands',
    'a.sh',
    'CUDA_VISIBLE_DEVICES=0,1 swift sft --model org/m --train_type lora --lora_rank 8 --dataset a b --max_length 2048\n',
    ['train | ms-swift | org/m | sequenceLength=2048 loraRank=8 method=lora | null 2/null'],
  ],
  [
    'Modal: added arguments, constants',
    'a.py',
    'import modal\nN = 2\nM = "org/m"\n@app.function(gpu=f"H100:{N}")\ndef f():\n    cmd = ["vllm", "serve", M]\n    cmd += ["--tensor-parallel-size", str(N)]\n',
    ['modal | vllm | org/m | tensorParallel=2 | nvidia 2/null H100'],
  ],
  [
    'Modal: the engine in the program',
    'a.py',
    'import modal\n@app.cls(gpu="L4")\nclass A:\n    llm = LLM(model="org/m", max_model_len=4096, enforce_eager=True)\n',
    ['modal | vllm | org/m | maxModelLen=4096 enforceEager=true | nvidia 1/null L4'],
  ],
  [
    'SageMaker in Terraform: variables without a default are reported',
    'main.tf',
    'variable "model" { default = "org/m" }\nenvironment = {\n  HF_MODEL_ID = var.model\n  OPTION_TENSOR_PARALLEL_DEGREE = tostring(var.n)\n  OPTION_MAX_MODEL_LEN = "4096"\n}\ninstance_type = "ml.g5.12xlarge"\n',
    ['sagemaker | vllm | org/m | maxModelLen=4096 | null null/null ml.g5.12xlarge'],
  ],
  [
    'Modelfile: a file beside it',
    'Modelfile',
    'FROM ./m.gguf\nPARAMETER num_ctx 4096\nADAPTER ./a.gguf\n',
    ['modelfile | ollama | ./m.gguf | maxModelLen=4096 | null null/null'],
  ],
  [
    'a quadlet is a podman run',
    'llm.container',
    '[Container]\nImage=docker.io/vllm/vllm-openai:v0.11.0\nAddDevice=nvidia.com/gpu=0\nExec=--model org/m --max-model-len 8192\n',
    ['systemd | vllm | org/m | maxModelLen=8192 | nvidia 1/null'],
  ],
  [
    'routers and exporters are no engines',
    'a.yaml',
    'services: {r: {image: "vllm/vllm-router", command: [--port, "1"]}, e: {image: "x/vllm-exporter"}, a: {image: "acme/rag-vllm"}}\n',
    [],
  ],
  [
    'Slurm: the allocation names the card and its count',
    'a.sbatch',
    '#!/bin/bash\n#SBATCH --gres gpu:nvidia-rtx-a6000:4\n#SBATCH -N 1\nvllm serve org/m -tp 4\n',
    ['shell | vllm | org/m | tensorParallel=4 | nvidia 4/null nvidia-rtx-a6000'],
  ],
  [
    'Slurm: over several nodes the count of one engine is not known; a count alone names no card',
    'a.sh',
    '#SBATCH --nodes=2\n#SBATCH --gpus-per-node=4\nvllm serve org/m -tp 4\n',
    ['shell | vllm | org/m | tensorParallel=4 | nvidia null/null'],
  ],
  [
    'Slurm: each engine has what its line makes visible',
    'a.sh',
    '#SBATCH -G A100:4\nCUDA_VISIBLE_DEVICES=0 vllm serve org/a &\nCUDA_VISIBLE_DEVICES=1,2 vllm serve org/b\n',
    ['shell | vllm | org/a |  | nvidia 1/null A100', 'shell | vllm | org/b |  | nvidia 2/null A100'],
  ],
  [
    'Slurm: the options of srun',
    'a.sh',
    'srun -p queue --gres=gpu:8 -n1 vllm serve org/m -tp 8\n',
    ['shell | vllm | org/m | tensorParallel=8 | nvidia 8/null'],
  ],
  [
    'a device that the caller gives has no count',
    'a.sh',
    `docker run --gpus '"device='$3'"' vllm/vllm-openai --model org/m\n`,
    ['shell | vllm | org/m |  | nvidia null/null'],
  ],
  [
    'systemd-run starts the program in its arguments',
    'a.sh',
    'systemd-run --user --scope -p MemoryMax=90% python3 -m vllm.entrypoints.openai.api_server --model org/m\n',
    ['shell | vllm | org/m |  | null null/null'],
  ],
  [
    'Dockerfile: an image that starts by itself needs only variables',
    'Dockerfile',
    'FROM ghcr.io/huggingface/text-generation-inference:2.0\nENV MODEL_ID=org/m\nENV NUM_SHARD=2\n',
    ['dockerfile | tgi | org/m | tensorParallel=2 | null null/null'],
  ],
  [
    'Cloud Run names the card in its own label',
    'a.yaml',
    'apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: s}\nspec: {template: {spec: {nodeSelector: {run.googleapis.com/accelerator: nvidia-l4}, containers: [{image: "vllm/vllm-openai", args: [--model, org/m], resources: {limits: {nvidia.com/gpu: "1"}}}]}}}\n',
    ['kubernetes | vllm | org/m |  | nvidia 1/null nvidia-l4'],
  ],
  [
    'Modal: defaults of variables, several names in one string',
    'a.py',
    'import modal\nimport os\nKIND = os.getenv("KIND", "H100")\nN = int(os.environ.get("N", "2"))\nM = os.environ.get("M", "org/m")\nNAME = M  # same\n@app.function(gpu=f"{KIND}:{N}")\ndef f():\n    subprocess.Popen(["vllm", "serve", NAME, "--tensor-parallel-size", str(N)])\n',
    ['modal | vllm | org/m | tensorParallel=2 | nvidia 2/null H100'],
  ],
  [
    'Ray in Python: conversions and defaults inside the call',
    'a.py',
    'import os\nfrom ray.serve.llm import LLMConfig\nc = LLMConfig(model_loading_config={"model_id": os.environ.get("M", "org/m")}, accelerator_type="L4", engine_kwargs={"tensor_parallel_size": int(os.getenv("TP", "2")), "dtype": os.getenv("DTYPE")})\n',
    ['ray-python | ray-llm | org/m | tensorParallel=2 | nvidia 2/null L4'],
  ],
  [
    'Ray in Python: a TPU is no GPU',
    'a.py',
    'from ray.serve.llm import LLMConfig\nc = LLMConfig(model_loading_config={"model_id": "org/m"}, accelerator_type="TPU-V6E", engine_kwargs={"tensor_parallel_size": 8})\n',
    ['ray-python | ray-llm | org/m | tensorParallel=8 | tpu 0/null TPU-V6E'],
  ],
  [
    'Dockerfile: continued lines and quotes inside a JSON string',
    'Dockerfile',
    'FROM vllm/vllm-openai:v0.11.0\nENV M=org/m L=8192\nCMD ["sh", "-c", "vllm serve \\"${M}\\" \\\n  --max-model-len ${L}"]\n',
    ['dockerfile | vllm | org/m | maxModelLen=8192 | null null/null'],
  ],
  [
    'Dockerfile: variables in the exec form are what the file sets',
    'Dockerfile',
    'FROM vllm/vllm-openai:v0.4.1\nENV M="org/m"\nCMD ["python3", "-m", "vllm.entrypoints.openai.api_server", \\\n  "--model", "${M}"]\n',
    ['dockerfile | vllm | org/m |  | null null/null'],
  ],
  [
    'Compose: the entry point of an engine image takes a path, and an entry script hands on what follows it',
    'compose.yaml',
    `services:
  path: {image: "vllm/vllm-openai", command: /models/Assistant-8B --max-num-seqs 4}
  script: {image: "lmsysorg/sglang", entrypoint: [/opt/nvidia_entrypoint.sh, bash, -c], command: ["pip install x && sglang serve --model-path org/m"]}
  shell: {image: "lmsysorg/sglang", entrypoint: [/bin/bash, /x/entrypoint.sh], command: python3 -m sglang.launch_server --model-path org/n}
`,
    [
      'compose | vllm | /models/Assistant-8B | maxNumSeqs=4 | null null/null',
      'compose | sglang | org/m |  | null null/null',
      'compose | sglang | org/n |  | null null/null',
    ],
  ],
  [
    'Compose: flags that one engine alone has tell an image of any name',
    'compose.yaml',
    `services:
  a: {image: "acme/inference:hpu", command: --model org/m --max-model-len 6144}
  vllm-like: {image: "acme/llm:server", command: -m /model.gguf -ngl 60}
  bench: {image: "acme/vllm-benchmark", command: --model org/m --max-model-len 6144}
  plain: {image: "acme/job", command: --model org/m --port 80}
`,
    ['compose | vllm | org/m | maxModelLen=6144 | hpu 0/null', 'compose | llamacpp | /model.gguf |  | null null/null'],
  ],
  [
    'Helm: a section of the engine with the model and no more; one that is off',
    'values.yaml',
    'tgi: {enabled: false, LLM_MODEL_ID: org/n}\nvllm: {enabled: true, LLM_MODEL_ID: org/m}\n',
    ['helm-values | vllm | org/m |  | null null/null'],
  ],
  [
    'Helm: values that name values, arguments in the section of the engine',
    'values.yaml',
    'image: {repository: vllm/vllm-openai}\nvllm:\n  model: org/m\n  args: ["--model={{ .Values.vllm.model }}", --max-num-seqs=64]\n',
    ['helm-values | vllm | org/m | maxNumSeqs=64 | null null/null'],
  ],
  [
    'Helm: an override file, the model in the environment',
    'overrides-gpu.yaml',
    'vllm: {image: {repository: acme/vllm-rocm}, env: {LLM_MODEL_ID: org/m}, extraCmdArgs: [--dtype, float16], resources: {limits: {amd.com/gpu: "2"}}}\n',
    ['helm-values | vllm | org/m | dtype=float16 | amd 2/null'],
  ],
  [
    'a group of leader and workers inside another object is one engine',
    'a.yaml',
    `kind: Service
apiVersion: inference.example.io/v1
metadata: {name: s}
spec:
  workloadTemplate:
    size: 2
    leaderTemplate: {spec: {containers: [{name: l, image: lmsysorg/sglang, command: [sglang, serve, --model-path, org/m, --tp, "2"], resources: {limits: {nvidia.com/gpu: 1}}}]}}
    workerTemplate: {spec: {containers: [{name: w, image: lmsysorg/sglang, command: [sglang, serve, --model-path, org/m, --tp, "2"], resources: {limits: {nvidia.com/gpu: 1}}}]}}
`,
    ['kubernetes | sglang | org/m | tensorParallel=2 | nvidia 2/2'],
  ],
  [
    'Shell: what the default of an argument does not start, another may',
    'run.sh',
    'up() { vllm serve org/m; }\ncase "${1:-help}" in\n  up) up ;;\n  help) echo ;;\nesac\n',
    ['shell | vllm | org/m |  | null null/null'],
  ],
  [
    'Shell: a program that computes the model hides it',
    'run.sh',
    'vllm serve "$(python pick.py --dir a/b)"\n',
    ['shell | vllm |  |  | null null/null'],
  ],
  [
    'files named like examples and templates are read',
    'compose.yml.example',
    'services: {llm: {image: "vllm/vllm-openai", command: --model org/m}}\n',
    ['compose | vllm | org/m |  | null null/null'],
  ],
  [
    'Dockerfile: what a health check runs is not the command',
    'Dockerfile',
    'FROM vllm/vllm-openai:v0.11.0\nCMD ["--model", "org/m"]\nHEALTHCHECK --interval=30s \\\n  CMD curl -f http://localhost:8000/health\n',
    ['dockerfile | vllm | org/m |  | null null/null'],
  ],
  [
    'Dockerfile: Ollama serves what was pulled while the image was built',
    'Dockerfile',
    'FROM ollama/ollama:0.12.3\nRUN nohup bash -c "ollama serve &" && sleep 5 \\\n  && ollama pull qwen3:8b\nCMD ["serve"]\n',
    ['dockerfile | ollama | ollama:qwen3:8b |  | null null/null'],
  ],
  [
    'Flux: the values of a HelmRelease, deep in a common chart',
    'release.yaml',
    'kind: HelmRelease\nmetadata: {name: r}\nspec:\n  values:\n    controllers: {llm: {containers: {app: {image: {repository: vllm/vllm-openai, tag: v0.11.0}, args: [--model, org/m], resources: {limits: {nvidia.com/gpu: 1}}}}}}\n',
    ['helm-values | vllm | org/m |  | nvidia 1/null'],
  ],
  [
    'Argo CD: values as an object',
    'app.yaml',
    'kind: Application\nspec: {source: {helm: {valuesObject: {servingEngineSpec: {modelSpec: [{name: m, modelURL: org/m, requestGPU: 2}]}}}}}\n',
    ['production-stack | vllm | org/m |  | nvidia 2/null'],
  ],
  [
    'Argo CD: values as text of one of several sources',
    'app.yaml',
    'kind: Application\nspec:\n  sources:\n  - {repoURL: x}\n  - helm:\n      values: |\n        image: {repository: vllm/vllm-openai}\n        extraArgs: [--model, org/m]\n',
    ['helm-values | vllm | org/m |  | null null/null'],
  ],
  [
    'Compose: variables with the name of the engine before them, Infinity with its version as a command',
    'compose.yaml',
    `services:
  own: {image: "acme/vllm-server", environment: {VLLM_MODEL: org/m, VLLM_MAX_MODEL_LEN: "8192", VLLM_QUANTIZATION: awq}}
  infinity: {image: "michaelf34/infinity:0.0.77", command: v2 --model-id org/e}
  vectors: {image: "infiniflow/infinity:v0.6.5"}
  index: {image: "acme/ollama-models-api"}
`,
    [
      'compose | vllm | org/m | quantization=awq maxModelLen=8192 | null null/null',
      'compose | infinity | org/e |  | null null/null',
    ],
  ],
  [
    'Modal: what a class sets',
    'app.py',
    'import modal\nMODEL = "org/m"\n\n@app.cls(gpu="L4")\nclass Server:\n    model_id: str = MODEL\n\n    def load(self):\n        self.llm = LLM(model=self.model_id, max_model_len=4096)\n',
    ['modal | vllm | org/m | maxModelLen=4096 | nvidia 1/null L4'],
  ],
  [
    'Shell: a required argument has no value',
    'serve.sh',
    'MODEL="${1:?model}"\nvllm serve "$MODEL"\n',
    ['shell | vllm |  |  | null null/null'],
  ],
  [
    'Shell: a command that a condition tests',
    'up.sh',
    'command -v llama-server\nif ! docker run --gpus all vllm/vllm-openai:v0.11.0 --model org/m; then exit 1; fi\nif command -v llama-server; then echo; fi\n',
    ['shell | vllm | org/m |  | nvidia null/null'],
  ],
  [
    'Shell: a manifest that it writes and starts',
    'setup.sh',
    "cat > compose.yml << 'EOF'\nservices:\n  llm: {image: vllm/vllm-openai, command: --model org/m}\nEOF\ndocker compose up -d\n",
    ['compose | vllm | org/m |  | null null/null'],
  ],
  [
    'Shell: a manifest that a test writes',
    'test.sh',
    "cat > c.yml << 'EOF'\nservices:\n  llm: {image: vllm/vllm-openai, command: --model org/m}\nEOF\ncheck c.yml\n",
    [],
  ],
  [
    "Shell: TRL's server is vLLM",
    'serve.sh',
    'trl vllm-serve --model org/m --tensor_parallel_size 2\nCUDA_VISIBLE_DEVICES=0,1 python -m trl.scripts.vllm_serve --model org/n --enforce_eager True\n',
    [
      'shell | vllm | org/m | tensorParallel=2 | null null/null',
      'shell | vllm | org/n | enforceEager=true | null 2/null',
    ],
  ],
  [
    'Compose: a comment inside a folded command is no model',
    'compose.yaml',
    'services:\n  llm:\n    image: vllm/vllm-openai\n    command: >\n      --model org/m\n\n      # for AWQ\n',
    ['compose | vllm | org/m |  | null null/null'],
  ],
]

describe('formats', () => {
  test.each(cases)('%s', async (_, path, text, expected) => {
    expect(await from(path, text)).toEqual(expected)
  })
  test('the suite looked at its cases', () => expect(cases).toHaveLength(68))

  test.each(cases)('with Windows line ends: %s', async (_, path, text, expected) => {
    expect(await from(path, text.replaceAll('\n', '\r\n'))).toEqual(expected)
  })

  test('services on one device add up', async () => {
    const service = (name: string, profile: string): string =>
      `  ${name}: {image: "vllm/vllm-openai", command: [--model, org/${name}], profiles: [${profile}], deploy: {resources: {reservations: {devices: [{driver: nvidia, device_ids: ["0"], capabilities: [gpu]}]}}}}\n`
    const { deployments } = await extractFrom({
      'compose.yaml': `services:\n${service('a', 'x')}${service('b', 'x')}${service('c', 'y')}`,
    })
    expect(
      deployments.map(one => [one.hardware.shared?.replicas ?? 1, one.findings.map(finding => finding.code)]),
    ).toEqual([
      [2, ['device-shared']],
      [2, ['device-shared']],
      [1, []],
    ])
  })

  test('scripts of the repository are followed with what the starter sets, and are no deployments of their own', async () => {
    const { deployments } = await extractFrom({
      's/vllm.service': '[Service]\nEnvironment=MODEL=org/unit\nExecStart=/srv/app/serve.sh\n',
      's/serve.sh': 'MODEL="$MODEL"\nexec vllm serve "$MODEL" --max-model-len 4096\n',
      'c/compose.yaml':
        'services:\n  vllm:\n    build: .\n    command: bash /scripts/run.sh\n    environment: {M: org/c}\n    volumes: ["./scripts:/scripts"]\n',
      'c/scripts/run.sh': 'vllm serve $M -tp 2\n',
      'd/Dockerfile': 'FROM vllm/vllm-openai:v0.9.0\nENV M=org/d\nENTRYPOINT ["/start.sh"]\n',
      'd/start.sh': 'vllm serve "$M"\n',
    })
    expect(deployments.map(one => [one.id, one.model.id])).toEqual([
      ['c/compose.yaml#vllm', 'org/c'],
      ['d/Dockerfile#image', 'org/d'],
      ['s/vllm.service#vllm', 'org/unit'],
    ])
  })

  test('images that take their options from variables alone', async () => {
    const found = await from(
      'compose.yaml',
      'services: {r: {image: "runpod/worker-v1-vllm:v2", environment: {MODEL_NAME: org/r, MAX_MODEL_LEN: "4096"}}}\n',
    )
    expect(found).toEqual(['compose | vllm | org/r | maxModelLen=4096 | null null/null'])
  })

  test('a file of a chart that options name is read beside it', async () => {
    const found = await from(
      'values.yaml',
      'workload: {model: {name: org/m}, gpus: 4, framework: vllm, configFile: args.yaml}\n',
      { 'args.yaml': 'max-model-len: 4096\ntensor-parallel-size: 4\n' },
    )
    expect(found).toEqual(['helm-values | vllm | org/m | tensorParallel=4 maxModelLen=4096 | nvidia 4/null'])
  })
})
