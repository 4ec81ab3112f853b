import type { Option, Setting } from '../deployments/deployment.ts'
import { ggmlTypeNamed } from '../models/checkpoint/ggml-types.ts'
import { GiB } from '../units/bytes.ts'
import type { Engine, EngineDefault, EngineInput } from './engine.ts'
import { account } from './llamacpp/account.ts'
import { resolve } from './llamacpp/resolve.ts'

const source = 'ollama envconfig and discover packages'

const ollamaDefaults: readonly EngineDefault[] = [
  {
    setting: 'maxModelLen',
    value: '4,096 below 24 GiB, 32,768 below 48 GiB, else 262,144',
    versions: 'from 0.13',
    source,
  },
  { setting: 'maxNumSeqs', value: '1', versions: 'from 0.9', source },
  { setting: 'kvCacheDtype', value: 'f16', versions: 'all', source },
  { setting: 'OLLAMA_FLASH_ATTENTION', value: 'on where the model can', versions: 'from 0.13', source },
]

/**
 * Ollama runs llama.cpp and always starts: layers that do not fit run on the CPU. What is judged is whether the model
 * runs wholly on the GPU.
 */
export const ollama: Engine = {
  name: 'ollama',
  title: 'Ollama',
  defaults: ollamaDefaults,
  estimate: input => {
    const translated = asServer(input)
    const r = resolve(translated)
    const answer = account(translated, { ...r, fitsContext: false, fitsLayers: true }, 'Ollama')
    const given = input.settings.maxModelLen
    const each = contextOf(input)
    const length: Setting<number | 'auto'> =
      given === undefined
        ? { value: each, from: 'engine-default', note: "Ollama's default for this much GPU memory" }
        : typeof given.value === 'number' && given.value > each
          ? { ...given, effective: each, note: "the model's training context: Ollama takes no more" }
          : given
    const most = answer.estimate.kvCache?.maxModelLenThatFits ?? null
    const fitting = most === null ? null : Math.floor(most / slotsOf(input))
    const kvCache = answer.estimate.kvCache && { ...answer.estimate.kvCache, maxModelLenThatFits: fitting }
    return {
      ...answer,
      estimate: { ...answer.estimate, kvCache },
      settings: { ...answer.settings, maxModelLen: length },
    }
  },
}

/**
 * Context of one request: as asked, else by all the GPU memory of the machine: 4k, 32k or 256k (discover: totalVRAM); cut to
 * the model's own ("requested context size too large for model", llm/server.go).
 */
function contextOf(input: EngineInput): number {
  const asked = input.settings.maxModelLen?.value
  const memory = input.gpu === null ? 0 : input.gpu.driverBytes * Math.max(1, input.gpusPerReplica ?? 1)
  const usual = memory >= 47 * GiB ? 262_144 : memory >= 23 * GiB ? 32_768 : 4096
  const size = typeof asked === 'number' ? asked : usual
  const trained = input.shape.facts.contextLength
  return trained === null ? size : Math.min(size, trained)
}

/** OLLAMA_NUM_PARALLEL: 1 unless given. */
function slotsOf(input: EngineInput): number {
  const value = input.settings.maxNumSeqs?.value
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 ? value : 1
}

/** Ollama's variables as options of the server it starts: a context for each of the parallel requests, split caches. */
function asServer(input: EngineInput): EngineInput {
  const given = input.settings
  const parallel = slotsOf(input)
  const each = contextOf(input)
  const flash = input.environment['OLLAMA_FLASH_ATTENTION']
  const options: Record<string, Option> = { ...input.options }
  const at = { file: '', line: 1, column: 1 }
  if (flash !== undefined && /^(?:0|false|no)$/i.test(flash))
    options['flash-attn'] = { value: 'off', at, text: `OLLAMA_FLASH_ATTENTION=${flash}` }
  // towers are part of the library's models
  options['mmproj'] = { value: 'auto', at, text: '' }
  const cache = given.kvCacheDtype?.value
  if (typeof cache === 'string' && ggmlTypeNamed(cache) !== null)
    options['cache-type-v'] = { value: cache, at, text: given.kvCacheDtype?.text ?? cache }
  const assumed = (value: number): Setting<number> => ({ value, from: 'engine-default' })
  return {
    ...input,
    options,
    settings: {
      ...given,
      maxModelLen:
        given.maxModelLen === undefined ? assumed(each * parallel) : { ...given.maxModelLen, value: each * parallel },
      maxNumSeqs: given.maxNumSeqs ?? { ...assumed(parallel), note: 'OLLAMA_NUM_PARALLEL' },
    },
  }
}
