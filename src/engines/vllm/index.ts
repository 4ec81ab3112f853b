import { sizeText } from '../../units/bytes.ts'
import { storageFor } from '../answer.ts'
import type { Engine, EngineAnswer, EngineInput } from '../engine.ts'
import { account } from './account.ts'
import { vllmDefaults } from './defaults.ts'
import { draftOf } from './draft.ts'
import { findings } from './findings.ts'
import { kvRules } from './kv/index.ts'
import { loaded } from './mxfp4.ts'
import { newestRelease, releaseText } from './release.ts'
import { resolve } from './settings.ts'

export const vllm: Engine = { name: 'vllm', title: 'vLLM', defaults: vllmDefaults, estimate }

/** The release that stands for older ones where the version is not known: the first whose logs are plenty. */
const OLDER = '0.11.0'

/** vLLM's own accounting of one deployment: engines.md 2, vllm-kv.md. */
function estimate(input: EngineInput): EngineAnswer {
  const answer = under(input)
  const unsure = input.version === null && input.gpu !== null
  const older = unsure ? olderText(answer, under({ ...input, version: OLDER })) : null
  if (older === null) return answer
  return { ...answer, estimate: { ...answer.estimate, assumptions: [...answer.estimate.assumptions, older] } }
}

function under(input: EngineInput): EngineAnswer {
  const r = resolve(input)
  const storage = storageFor(input, { dtype: r.dtype, quantization: r.quantization }, r)
  const capability = capabilityOf(input)
  const draft = draftOf(input, r, storage)
  const kv = kvRules(input.shape, r, storage, capability, draft.stacks)
  findings(input, r, kv, capability)
  return account({ input, r, storage: loaded(storage, input.facts.config, capability), draft, kv })
}

/** Says so when the rules of older releases lead to another answer; null when they agree. */
function olderText(newest: EngineAnswer, older: EngineAnswer): string | null {
  const room = (answer: EngineAnswer): number => answer.estimate.perGpu.headroomBytes?.expected ?? 0
  const [now, before] = [room(newest), room(older)]
  if (now < 0 === before < 0) return null
  const size = sizeText(Math.abs(before))
  const what = before < 0 ? `it would lack ${size}` : `it would fit, with ${size} to spare`
  return `the answer depends on the version: under the rules of ${releaseText(newestRelease)} it ${now < 0 ? 'does not fit' : 'fits'}, under those of ${OLDER} ${what}`
}

/** Compute capability times ten; null when the card is not known or has none. */
function capabilityOf(input: EngineInput): number | null {
  const text = input.gpu?.computeCapability
  const value = text === null || text === undefined ? Number.NaN : Number(text)
  return Number.isFinite(value) ? Math.round(value * 10) : null
}
