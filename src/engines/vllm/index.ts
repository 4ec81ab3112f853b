import { storageFor } from '../answer.ts'
import type { Engine, EngineAnswer, EngineInput } from '../engine.ts'
import { saidBetween } from '../versions.ts'
import { account } from './account.ts'
import { vllmDefaults } from './defaults.ts'
import { draftOf } from './draft.ts'
import { findings } from './findings.ts'
import { kvRules } from './kv/index.ts'
import { loadedModel } from './loaded.ts'
import { loaded } from './mxfp4.ts'
import { newestRelease, releaseText } from './release.ts'
import { resolve } from './settings.ts'

export const vllm: Engine = { name: 'vllm', title: 'vLLM', defaults: vllmDefaults, estimate }

/** The release that stands for older ones where the version is not known: the first whose logs are plenty. */
const OLDER = '0.11.0'

/** vLLM's own accounting of one deployment: the rules of its own code, by release. */
function estimate(input: EngineInput): EngineAnswer {
  const answer = under(input)
  if (input.version !== null || input.gpu === null) return answer
  return saidBetween(answer, under({ ...input, version: OLDER }), [releaseText(newestRelease), OLDER])
}

function under(asked: EngineInput): EngineAnswer {
  const r = resolve(asked)
  const input = loadedModel(asked, r)
  const format = { dtype: r.dtype, quantization: r.quantization }
  const held = storageFor(input, format, r)
  const packed = held.scheme.startsWith('bitsandbytes 4-bit') && !r.rules.unpacksDoubledMaxima
  const storage = packed ? storageFor(input, { ...format, where: 'file' }, r) : held
  const capability = capabilityOf(input)
  const draft = draftOf(input, r, storage)
  const kv = kvRules(input.shape, r, storage, capability, draft.stacks)
  findings(input, r, kv, capability)
  return account({ input, r, storage: loaded(storage, input.facts.config, capability), draft, kv })
}

/** Compute capability times ten; null when the card is not known or has none. */
function capabilityOf(input: EngineInput): number | null {
  const text = input.gpu?.computeCapability
  const value = text === null || text === undefined ? Number.NaN : Number(text)
  return Number.isFinite(value) ? Math.round(value * 10) : null
}
