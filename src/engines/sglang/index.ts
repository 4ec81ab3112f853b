import { storageFor } from '../answer.ts'
import type { Engine, EngineAnswer, EngineInput } from '../engine.ts'
import { saidBetween } from '../versions.ts'
import { account } from './account.ts'
import { sglangDefaults } from './defaults.ts'
import { findings } from './findings.ts'
import { poolSettings } from './kv.ts'
import { newestSglang, releaseName } from './release.ts'
import { resolve } from './resolve.ts'
import { heldStorage } from './weights.ts'

export const sglang: Engine = { name: 'sglang', title: 'SGLang', defaults: sglangDefaults, estimate }

/** The release that stands for older ones where the version is not known: before the reserve was summed from its causes. */
const OLDER = '0.5.2'

/** SGLang's own accounting of one deployment: the rules of its own code, by release. */
function estimate(input: EngineInput): EngineAnswer {
  const answer = under(input)
  if (input.version !== null || input.gpu === null) return answer
  return saidBetween(answer, under({ ...input, version: OLDER }), [releaseName(newestSglang), OLDER])
}

function under(input: EngineInput): EngineAnswer {
  const r = resolve(input)
  const stored = storageFor(input, { dtype: r.dtype, quantization: r.quantization }, r.reader)
  const storage = heldStorage(input, r, stored)
  const { pool, kvDtype } = poolSettings(input, r, storage)
  findings(input, r, kvDtype)
  return account({ input, r, storage, pool, kvDtype })
}
