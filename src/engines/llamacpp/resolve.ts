import { ggmlTypeNamed } from '../../models/checkpoint/ggml-types.ts'
import { ggufMix, ggufTag } from '../../models/checkpoint/gguf-mixes.ts'
import type { EngineInput } from '../engine.ts'
import { readSettings, type SettingsReader } from '../settings-reader.ts'
import type { ContextOptions } from './context.ts'
import type { Placement } from './devices.ts'
import { type Draft, draftOf } from './draft.ts'
import type { LlamaModel } from './model.ts'
import { modelFromKeys } from './model-from-keys.ts'
import { modelFromShape } from './model-from-shape.ts'
import { type OptionReader, readOptions } from './options.ts'
import { type TensorBytes, tensorsOfFile, tensorsOfMix } from './tensors.ts'

/** Everything a start depends on, with the server's defaults filled in. */
export interface Resolved {
  readonly reader: SettingsReader
  readonly model: LlamaModel
  readonly tensors: TensorBytes
  readonly placement: Placement
  readonly draft: Draft | null
  /** `context` 0 where the server fits it to the memory. */
  readonly asked: ContextOptions
  readonly assumptions: string[]
  /** The server may lower the context, or leave layers on the CPU, rather than fail. */
  readonly fitsContext: boolean
  readonly fitsLayers: boolean
}

const DEFAULT_TAG = 'Q4_K_M'
/** Layers a flag means by "all": more than any model has. */
const ALL = 100_000

/** Reads settings and options of llama-server; the defaults are those of its server, v0.4.0. */
export function resolve(input: EngineInput): Resolved {
  const reader = readSettings(input)
  const options = readOptions(input.options, (message, option) =>
    reader.findings.push({
      code: 'setting-invalid',
      severity: 'error',
      message,
      file: option.at.file,
      line: option.at.line,
    }),
  )
  const assumptions: string[] = []
  const { model, tensors } = modelAndTensors(input, reader, options, assumptions)
  const asked = contextOptions(reader, options)
  const placement = placementOf(input, options, tensors.blocks.length, assumptions)
  const fit = options.flag('fit') !== false
  const layersGiven = /^\d+$|^all$/.test(options.text('gpu-layers') ?? '')
  return {
    reader,
    model,
    tensors,
    placement,
    draft: draftOf(input, options),
    asked,
    assumptions,
    fitsContext: fit && asked.context === 0,
    fitsLayers: fit && !layersGiven,
  }
}

/** The file's own header where it is known, else what a conversion of the model would be. */
function modelAndTensors(
  input: EngineInput,
  reader: SettingsReader,
  options: OptionReader,
  assumptions: string[],
): { readonly model: LlamaModel; readonly tensors: TensorBytes } {
  const gguf = input.facts.gguf
  const own = gguf ? modelFromKeys(gguf.architecture, gguf.keys, gguf.vocabulary) : null
  if (gguf && own && (options.has('mmproj') || options.has('mmproj-url')))
    assumptions.push('the projector file (--mmproj) is not counted')
  if (gguf && own) {
    if (gguf.fileType !== null)
      reader.fill('quantization', gguf.fileType, 'general.file_type of the GGUF file', 'model-config')
    return { model: own, tensors: tensorsOfFile(gguf, own.blocks.length) }
  }
  const tag = writtenTag(input, options)
  const mix = tag === null ? null : ggufMix(tag)
  // gpt-oss exists in one format only.
  const usual = input.shape.modelType === 'gpt_oss' ? 'MXFP4' : DEFAULT_TAG
  if (mix === null) assumptions.push(`quantisation of the GGUF file: ${usual}, the usual one where no tag is given`)
  else reader.fill('quantization', mix.tag, 'tag in the name of the GGUF file', 'model-config')
  const tensors = tensorsOfMix(input.shape, mix ?? { ...ggufMix(usual)!, spread: usual === DEFAULT_TAG ? 0.25 : 0.05 })
  return { model: modelFromShape(input.shape), tensors }
}

/** The tag in the quantization setting or in what names the file. */
function writtenTag(input: EngineInput, options: OptionReader): string | null {
  const setting = input.settings.quantization?.value
  const places = [
    setting,
    options.text('hf-file'),
    options.text('model'),
    options.text('hf-repo'),
    options.text('model-url'),
    input.facts.id,
  ]
  for (const place of places) {
    const tag = typeof place === 'string' ? ggufTag(place) : null
    if (tag !== null && ggufMix(tag) !== null) return tag
  }
  return null
}

function contextOptions(reader: SettingsReader, options: OptionReader): ContextOptions {
  const length = reader.length('maxModelLen')
  const slots = reader.count('maxNumSeqs')
  const sequences = slots ?? 4
  if (slots === null)
    reader.fill('maxNumSeqs', 4, 'slots of llama-server when --parallel is not given, sharing one cache')
  const microBatch = reader.countOr('maxNumBatchedTokens', 512, 'ubatch-size of llama.cpp')
  const batch = options.count('batch-size') ?? 2048
  const key = reader.text('kvCacheDtype')
  if (key === null) reader.fill('kvCacheDtype', 'f16', 'cache-type-k and -v of llama.cpp')
  const keyType = key === null ? null : ggmlTypeNamed(key)
  if (key !== null && keyType === null)
    reader.say('kv-dtype-unsupported', 'error', `cache type ${key} is not one of llama.cpp's`)
  const flash = (options.text('flash-attn') ?? (options.flag('flash-attn') === true ? 'on' : 'auto')).toLowerCase()
  const embedding = options.flag('embedding') === true || options.flag('rerank') === true
  return {
    context: typeof length === 'number' ? length : 0,
    batch: embedding ? microBatch : batch,
    microBatch,
    sequences,
    typeK: keyType ?? ggmlTypeNamed('F16')!,
    typeV: options.has('cache-type-v')
      ? options.type('cache-type-v', options.text('cache-type-v'))
      : options.type('', null),
    flashAttention:
      flash === 'on' || flash === '1' || flash === 'true'
        ? 'on'
        : flash === 'off' || flash === '0' || flash === 'false'
          ? 'off'
          : 'auto',
    windowFull: options.flag('swa-full') === true,
    unified: options.flag('kv-unified') ?? slots === null,
    outputs: embedding ? microBatch : sequences,
    embeddings: embedding,
    snapshots: 0,
  }
}

function placementOf(input: EngineInput, options: OptionReader, layers: number, assumptions: string[]): Placement {
  const mode = options.text('split-mode')
  const written = options.text('gpu-layers')
  const count = written === null || !/^\d{1,6}$/.test(written) ? ALL : Number(written)
  const override = options.text('override-tensor') ?? ''
  const allExperts = options.flag('cpu-moe') === true || /exps[^,]*=\s*CPU/i.test(override)
  if (allExperts && /\d/.test(override.split('=')[0] ?? ''))
    assumptions.push('--override-tensor names single layers: counted as if it kept all routed experts in host memory')
  const devices = Math.max(1, input.gpusPerReplica ?? 1)
  return {
    devices,
    shares: options.shares('tensor-split'),
    offloaded: Math.min(count, layers + 1),
    hostExperts: allExperts ? layers : Math.min(layers, options.count('n-cpu-moe') ?? 0),
    mode: mode === 'none' || mode === 'row' ? mode : 'layer',
    mainDevice: Math.min(devices - 1, options.count('main-gpu') ?? 0),
    cacheOnDevice: options.flag('kv-offload') !== false,
    towersOnDevice:
      options.flag('mmproj-auto') !== false &&
      options.flag('mmproj-offload') !== false &&
      (options.has('mmproj') || options.has('mmproj-url') || options.has('hf-repo')),
  }
}
