import type { EngineDefault } from '../engine.ts'

const packages = 'released packages'

/** What `list engines` prints. */
export const vllmDefaults: readonly EngineDefault[] = [
  { setting: 'memoryFraction', value: '0.9', versions: 'up to 0.19', source: packages },
  { setting: 'memoryFraction', value: '0.92', versions: 'from 0.20', source: packages },
  {
    setting: 'maxNumSeqs',
    value: '1024 on cards of at least 70 GiB (A100 aside), else 256',
    versions: 'from 0.8',
    source: 'engine/arg_utils.py',
  },
  {
    setting: 'maxNumBatchedTokens',
    value: '8192 on cards of at least 70 GiB (A100 aside), else 2048',
    versions: 'from 0.8',
    source: 'engine/arg_utils.py',
  },
  {
    setting: 'maxNumBatchedTokens',
    value: '16384 on cards of at least 160 GiB',
    versions: 'from 0.30',
    source: 'engine/arg_utils.py',
  },
  { setting: 'maxModelLen', value: "the model's context", versions: 'all', source: 'config/model.py' },
  {
    setting: 'blockSize',
    value: '16; MLA 16 to 128 by card; models with recurrent state: as large as a state',
    versions: 'all',
    source: 'config/cache.py, attention backends',
  },
  { setting: 'dtype', value: "the checkpoint's; 32-bit is run in 16 bits", versions: 'all', source: 'config/model.py' },
  {
    setting: 'kvCacheDtype',
    value: "the model's dtype, or the checkpoint's KV scheme",
    versions: 'all',
    source: 'config/cache.py',
  },
  {
    setting: 'cudaGraphs',
    value: 'estimate taken from the budget',
    versions: 'from 0.20',
    source: 'v1/worker/gpu_worker.py',
  },
  { setting: 'maxLoras', value: '1 (with enable-lora)', versions: 'all', source: 'config/lora.py' },
  { setting: 'maxLoraRank', value: '16 (with enable-lora)', versions: 'all', source: 'config/lora.py' },
]
