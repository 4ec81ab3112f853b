import type { WeightStorage } from '../../models/checkpoint/storage.ts'
import { kvElementBytes } from '../answer.ts'
import type { EngineInput } from '../engine.ts'
import { draftLayersOf, type PoolSettings, slotsPerRequest } from './pool.ts'
import type { Resolved } from './resolve.ts'

/** Settings of the pool, from what was resolved. `storage` says which KV dtype the checkpoint asks for. */
export function poolSettings(
  input: EngineInput,
  r: Resolved,
  storage: WeightStorage,
): { readonly pool: PoolSettings; readonly kvDtype: string } {
  const { given, option, traits } = r
  const kvDtype = kvDtypeOf(r, storage)
  const ratio = Number(option.text('swa-full-tokens-ratio') ?? Number.NaN)
  const stateRatio = Number(option.text('mamba-full-memory-ratio') ?? Number.NaN)
  const radixCache = option.flag('disable-radix-cache') !== true
  const strategy = option.text('mamba-radix-cache-strategy')
  const switchedOff = option.flag('disable-overlap-schedule') === true
  const overlap = !switchedOff && given.pipeline === 1
  const plain = kvElementBytes(kvDtype)
  return {
    kvDtype,
    pool: {
      attentionRanks: Math.max(1, Math.floor(given.tensor / given.attentionData / given.decodeContextRanks)),
      attentionData: given.attentionData,
      pipeline: given.pipeline,
      elementBytes: plain ?? 2,
      page: r.reader.count('blockSize') ?? pageSize(r, radixCache, strategy),
      packedLatent: traits.sparse && plain === 1 && (r.card.capability ?? 90) < 100,
      windowRatio:
        ratio > 0 && ratio <= 1 ? ratio : traits.compressed || traits.modelType.startsWith('inkling') ? 0.1 : 0.8,
      hybridWindows: option.flag('disable-hybrid-swa-memory') !== true,
      radixCache,
      overlap,
      maxRunning: given.maxRunning,
      maxTotalTokens: given.maxTotalTokens,
      chunk: r.server.chunk,
      contextLength: r.maxModelLen,
      draftTokens: given.speculation === null ? 1 : given.draftTokens,
      draftLayers: draftLayers(input, given.speculation),
      runningDefault: traits.compressed ? 256 : given.speculation !== null ? 48 : null,
      stateRatio: stateRatio > 0 ? stateRatio : 0.9,
      stateSlots: option.count('max-mamba-cache-size'),
      ssmBytes: /16$/.test(option.text('mamba-ssm-dtype') ?? '') ? 2 : 4,
      slotsPerRequest: slotsPerRequest(strategy, switchedOff, overlap, radixCache),
    },
  }
}

/** The KV dtype in effect: `auto` is the checkpoint's own scheme, else the model's; DeepSeek-V3.2 and V4 have rules of their own. */
function kvDtypeOf(r: Resolved, storage: WeightStorage): string {
  if (r.kvDtype !== 'auto') return r.kvDtype
  if (r.traits.compressed) return 'fp8_e4m3'
  if (r.traits.sparse) return (r.card.capability ?? 90) >= 100 ? 'fp8_e4m3' : 'bfloat16'
  return storage.kvCacheDtype ?? r.dtype
}

/** A draft model's layers, else the prediction layers that config.json counts by this one name. */
function draftLayers(input: EngineInput, speculation: string | null): number {
  if (speculation === null || speculation === 'NGRAM') return 0
  if (input.draft !== null) return draftLayersOf(input.draft.shape.layers)
  const count = input.facts.config['num_nextn_predict_layers']
  return typeof count === 'number' && Number.isSafeInteger(count) && count > 0 ? count : 0
}

/**
 * Tokens of a page: 64 for the sparse indexer and on B200 and B300, 256 for DeepSeek-V4, 128 for MiMo-V2 on those cards.
 * Gated-delta models with the prefix cache's default strategy, Granite and Kimi delta attention stay at 1.
 */
function pageSize(r: Resolved, radixCache: boolean, strategy: string | null): number {
  const { traits, card } = r
  const blackwell = card.capability === 100 || card.capability === 103
  if (traits.compressed) return 256
  if (traits.sparse) return 64
  if (!blackwell || traits.delta || traits.modelType.startsWith('granitemoe')) return 1
  if (/^qwen3_(?:next|5)/.test(traits.modelType) && radixCache && !strategy?.startsWith('extra')) return 1
  return traits.modelType.startsWith('mimo_v2') ? 128 : 64
}
