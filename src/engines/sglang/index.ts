import { storageFor } from '../answer.ts'
import type { Engine, EngineAnswer, EngineInput } from '../engine.ts'
import { account } from './account.ts'
import { sglangDefaults } from './defaults.ts'
import { findings } from './findings.ts'
import { poolSettings } from './kv.ts'
import { resolve } from './resolve.ts'

export const sglang: Engine = { name: 'sglang', title: 'SGLang', defaults: sglangDefaults, estimate }

/** SGLang's own accounting of one deployment: engines.md 3, sglang-memory.md. */
function estimate(input: EngineInput): EngineAnswer {
  const r = resolve(input)
  const storage = storageFor(input, { dtype: r.dtype, quantization: r.quantization }, r.reader)
  const { pool, kvDtype } = poolSettings(input, r, storage)
  findings(input, r, kvDtype)
  return account({ input, r, storage, pool, kvDtype })
}
