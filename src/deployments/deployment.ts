import type { Place, Problem } from '../problem.ts'

/** Engines and trainers by the names of the report. */
export type EngineName =
  | 'vllm'
  | 'sglang'
  | 'tgi'
  | 'trtllm'
  | 'llamacpp'
  | 'ollama'
  | 'nim'
  | 'kaito'
  | 'ray-llm'
  | 'kserve-hf'
  | 'triton'
  | 'tei'
  | 'lmdeploy'
  | 'infinity'
  | 'transformers'
  | 'axolotl'
  | 'llamafactory'
  | 'trl'
  | 'torchtune'
  | 'ms-swift'
  | 'megatron'
  | 'deepspeed'
  | 'accelerate'
  | 'llm-compressor'
  | 'custom-training'

type SettingFrom = 'file' | 'policy' | 'flag' | 'model-config' | 'engine-default' | 'assumed'

/** One setting with its evidence, in the report's form: it is printed as it stands. */
export interface Setting<T = unknown> {
  /** What the file says, normalised in type and spelling. */
  readonly value: T
  /** What the engine makes of it, where that differs. */
  readonly effective?: unknown
  readonly from: SettingFrom
  readonly file?: string
  readonly line?: number
  readonly column?: number
  /** The text it was read from: "--max-model-len 8k". */
  readonly text?: string
  readonly note?: string
}

/**
 * The settings every engine shares, by the report's names (design section 5). A reader fills what the file says; an
 * engine adds its defaults. `maxModelLen` is a number of tokens, or 'auto' where the engine solves for it.
 */
export interface Settings {
  readonly maxModelLen?: Setting<number | 'auto'>
  readonly memoryFraction?: Setting<number>
  readonly maxNumSeqs?: Setting<number>
  readonly maxNumBatchedTokens?: Setting<number>
  readonly tensorParallel?: Setting<number>
  readonly pipelineParallel?: Setting<number>
  readonly dataParallel?: Setting<number>
  readonly contextParallel?: Setting<number>
  readonly expertParallel?: Setting<boolean | number>
  readonly attentionDataParallel?: Setting<number>
  readonly dtype?: Setting<string>
  readonly quantization?: Setting<string>
  readonly kvCacheDtype?: Setting<string>
  readonly blockSize?: Setting<number>
  readonly enforceEager?: Setting<boolean>
  readonly cpuOffloadBytes?: Setting<number>
  readonly kvCacheMemoryBytes?: Setting<number>
  readonly maxLoras?: Setting<number>
  readonly maxLoraRank?: Setting<number>
  readonly speculativeTokens?: Setting<number>
  readonly sequenceLength?: Setting<number>
  readonly microBatchSize?: Setting<number>
  readonly gradientAccumulation?: Setting<number>
  readonly method?: Setting<string>
  readonly loraRank?: Setting<number>
  readonly loraTargets?: Setting<readonly string[] | string>
  readonly optimizer?: Setting<string>
  readonly gradientCheckpointing?: Setting<boolean>
  readonly sharding?: Setting<string>
  readonly precision?: Setting<string>
}
export type SettingName = keyof Settings

/** An option of the engine beyond the shared settings, by its long dashed name ("num-gpu-blocks-override"). */
export interface Option {
  /** true/false for switches, the text for the rest; repeated values in order. */
  readonly value: string | boolean | readonly string[]
  readonly at: Place
  readonly text: string
}

/** Where a deployment's hardware was declared, as written; the catalogue turns it into a GPU later. */
export interface DeclaredHardware {
  /** Label values, instance types, accelerator fields in order of trust; several of one rank are alternatives. */
  readonly names: readonly DeclaredName[]
  /** GPUs of one engine instance over all its nodes; 0 = no GPU by intent; null = the file does not say. */
  readonly gpusPerReplica: number | null
  readonly gpusAt?: Place
  readonly gpusText?: string
  /** Nodes of one instance; null when the file does not say. */
  readonly nodes: number | null
  /** nvidia unless a resource, image or flag says otherwise. */
  readonly accelerator: 'nvidia' | 'amd' | 'cpu' | 'tpu' | 'hpu' | 'neuron' | 'rbln' | 'npu' | 'xpu' | null
  /** MIG profile of each device ("3g.40gb"). */
  readonly mig?: string
  /** Memory of one GPU in bytes where a label states it. */
  readonly memoryBytes?: number
  readonly memoryAt?: Place
  /** Several containers share the card: by time slicing, MPS, or a shared device list. */
  readonly shared?: {
    readonly kind: 'time-slicing' | 'mps' | 'device'
    readonly replicas: number | null
    readonly at?: Place
  }
}

export interface DeclaredName {
  readonly name: string
  /** Which key it came from, in the order of trust. */
  readonly kind: 'product-label' | 'instance-type' | 'accelerator-field' | 'hint'
  readonly at: Place
  readonly text: string
}

export interface ModelReference {
  /** Hub id, path, URI, `nim:…`, `kaito:…`, `ollama:…`; null when nothing names it. */
  readonly id: string | null
  readonly revision: string | null
  readonly at?: Place
  readonly text?: string
  /** File inside a GGUF repository or a quantisation tag ("Q4_K_M"). */
  readonly variant?: string
  /** Weak evidence for a Hub id (served name, volume mount): shown, never used for a verdict. */
  readonly hint?: string
}

export interface Finding {
  readonly code: string
  /** error: the engine would refuse to start whatever the memory. */
  readonly severity: 'error' | 'warning' | 'notice'
  readonly message: string
  readonly file?: string
  readonly line?: number
}

/** One engine instance (or training run) that a file declares: what readers produce. */
export interface Deployment {
  /** Stable: file, then object path or service name: "k8s/llama.yaml#Deployment/llama/vllm". */
  readonly id: string
  /** The model id's place, else the engine's command's. */
  readonly location: Place
  /** The reader that found it: "kubernetes", "compose", … */
  readonly format: string
  readonly workload: 'serve' | 'train'
  readonly engine: { readonly name: EngineName; readonly version: string | null; readonly at?: Place }
  readonly model: ModelReference
  readonly draftModel: ModelReference | null
  readonly adapters: readonly ModelReference[]
  /** Placeholders nothing resolved, by name. */
  readonly unresolved: readonly { readonly name: string; readonly at?: Place }[]
  readonly settings: Settings
  readonly options: Readonly<Record<string, Option>>
  /** Environment variables that change memory, as set for the engine. */
  readonly environment: Readonly<Record<string, string>>
  readonly hardware: DeclaredHardware
  /** What the reader itself noticed: duplicate flags, contradictions, keys without effect. */
  readonly findings: readonly Finding[]
}

/** Something that looked like a deployment but could not be read. */
export interface NotUnderstood {
  readonly file: string
  readonly line: number
  readonly reason: 'helm-template' | 'yaml-invalid' | 'unsupported-form' | 'file-too-large' | 'unreadable'
  readonly message: string
}

export interface Extraction {
  readonly deployments: readonly Deployment[]
  readonly notUnderstood: readonly NotUnderstood[]
  readonly problems: readonly Problem[]
  readonly counts: { readonly filesRead: number; readonly filesParsed: number }
}

export const noHardware: DeclaredHardware = { names: [], gpusPerReplica: null, nodes: null, accelerator: null }

/** What a deployment declares, without its places. */
export function declared({ engine, model, settings, hardware }: Deployment): string {
  const values = Object.entries(settings).map(([name, setting]) => [name, setting.value])
  const names = hardware.names.map(name => [name.kind, name.name])
  return JSON.stringify([engine.name, model.id, model.revision, values.sort(), hardware.gpusPerReplica, names])
}
