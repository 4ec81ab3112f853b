import type { EngineDefault } from '../engine.ts'

const args = 'srt/server_args.py of the released packages'

/** What `list engines` prints. */
export const sglangDefaults: readonly EngineDefault[] = [
  {
    setting: 'memoryFraction',
    value: '0.88, 0.87, 0.85, 0.81, 0.79 at TP 1, 2, 4, 8, 16',
    versions: 'up to 0.4.5',
    source: args,
  },
  {
    setting: 'memoryFraction',
    value: 'the same up to 80 GiB, else all but 13 GiB',
    versions: '0.4.6 to 0.4.8',
    source: args,
  },
  {
    setting: 'memoryFraction',
    value: 'all but 2.8, 9.5, 12 or 32 GiB by card, and more by ranks',
    versions: '0.4.9 to 0.5.4',
    source: args,
  },
  {
    setting: 'memoryFraction',
    value: 'all but 512 MiB + 1.5 x chunk + 128 x TP x PP + 2 x graph batch (10 GiB at least above 60 GiB)',
    versions: '0.5.5 to 0.5.9',
    source: args,
  },
  {
    setting: 'memoryFraction',
    value: 'the same, and 8 MiB for each prefill graph',
    versions: 'from 0.5.10',
    source: args,
  },
  { setting: 'maxNumBatchedTokens', value: '2048 below 25000 MiB, else 8192', versions: 'up to 0.4.8', source: args },
  {
    setting: 'maxNumBatchedTokens',
    value: '2048 below 35 GiB, 8192, 16384 from 160 GiB',
    versions: '0.4.9 to 0.5.4',
    source: args,
  },
  {
    setting: 'maxNumBatchedTokens',
    value: '2048 below 20 GiB (35 GiB before 0.5.20), 4096 below 60, 8192 below 160, else 16384',
    versions: 'from 0.5.5',
    source: args,
  },
  {
    setting: 'maxNumSeqs',
    value: '512 x pool tokens / context, from 2048 to 4096; 48 with speculation',
    versions: 'all',
    source: 'srt/mem_cache',
  },
  {
    setting: 'maxModelLen',
    value: "the model's context; longer requests than the pool are rejected",
    versions: 'all',
    source: args,
  },
  {
    setting: 'kvCacheDtype',
    value: "the checkpoint's KV scheme, else the model's dtype",
    versions: 'all',
    source: args,
  },
  {
    setting: 'blockSize',
    value: '1; 64 on B200 and B300 and for sparse attention; 256 for DeepSeek-V4',
    versions: 'from 0.5.10',
    source: args,
  },
  { setting: 'dtype', value: "the checkpoint's", versions: 'all', source: args },
]
