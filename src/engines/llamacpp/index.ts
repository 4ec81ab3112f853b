import type { Engine, EngineDefault } from '../engine.ts'
import { account } from './account.ts'
import { resolve } from './resolve.ts'

const server = 'llama-server of September 2026 (v0.4.0): option table and printed starts'

const llamacppDefaults: readonly EngineDefault[] = [
  {
    setting: 'maxModelLen',
    value: "the model's training context, lowered to fit, not under 4,096",
    versions: 'from December 2025',
    source: server,
  },
  { setting: 'maxNumSeqs', value: '4 slots sharing one cache', versions: 'from December 2025', source: server },
  { setting: 'maxNumBatchedTokens', value: '512 (ubatch-size)', versions: 'all', source: server },
  { setting: 'batch-size', value: '2048', versions: 'all', source: server },
  { setting: 'kvCacheDtype', value: 'f16', versions: 'all', source: server },
  { setting: 'flash-attn', value: 'auto: on where the device can', versions: 'from August 2025', source: server },
  { setting: 'gpu-layers', value: 'all that fit', versions: 'from December 2025', source: server },
  { setting: 'swa-full', value: 'off', versions: 'all', source: server },
]

/** llama.cpp allocates what a start needs on each device; there is no fraction and no pool. */
export const llamacpp: Engine = {
  name: 'llamacpp',
  title: 'llama.cpp',
  defaults: llamacppDefaults,
  estimate: input => account(input, resolve(input), 'llama.cpp'),
}
