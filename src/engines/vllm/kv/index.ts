import type { WeightStorage } from '../../../models/checkpoint/storage.ts'
import type { LayerStack, ModelShape } from '../../../models/shape.ts'
import type { Resolved } from '../settings.ts'
import { type Blocks, blocksFor } from './block-size.ts'
import { isFp8, type KvFormat, kvFormat } from './format.ts'
import { type Plan, plan } from './groups.ts'
import { type CacheLayer, cacheLayers, checkpointAlignment, type LayerSettings } from './layers.ts'
import type { RequestSettings } from './request.ts'

/** The KV cache and recurrent state of a model under given settings, before any length is known. */
export interface KvRules {
  readonly plan: Plan
  readonly request: RequestSettings
  readonly layers: readonly CacheLayer[]
  readonly blocks: Blocks
  /** The KV dtype as the engine resolves it: "auto" (the model's), "fp8", … */
  readonly dtype: string
  /** The asked dtype has no known layout; the model's dtype stands in for it. */
  readonly unknownDtype: boolean
}

const DTYPE_BYTES: Readonly<Record<string, number>> = { float32: 4, float16: 2, bfloat16: 2 }
const bytesOf = (dtype: string): number => DTYPE_BYTES[dtype] ?? 2

/** Everything about the cache that does not depend on a request's length. */
export function kvRules(
  shape: ModelShape,
  r: Resolved,
  storage: WeightStorage,
  capability: number | null,
  drafts: readonly LayerStack[],
): KvRules {
  const modelBytes = bytesOf(r.dtype)
  const dtype = kvDtype(shape, r, storage, capability)
  const format = dtype === 'auto' ? plain(modelBytes) : kvFormat(dtype, modelBytes)
  const speculativeTokens = r.speculative?.tokens ?? 0
  const prefix = r.prefixCaching && prefixCachingOf(shape, r)
  const stateMode = prefix ? 'align' : 'none'
  const s: LayerSettings = {
    tensor: r.tensor,
    pipeline: r.pipeline,
    format: format ?? plain(modelBytes),
    plain: plain(modelBytes),
    ...skipping(shape, r, dtype),
    ...stateDtypes(shape, r, modelBytes),
    speculativeTokens,
    capability,
    stateCheckpoints: r.rules.stateCheckpoints,
    drafts,
  }
  const layers = cacheLayers(shape, s)
  const blocks = blocksFor(layers, widestHead(shape), {
    asked: r.blockSize,
    format: s.format,
    capability,
    stateMode,
    checkpointAlignment: checkpointAlignment(shape, s),
    platformMlaBlocks: r.rules.platformMlaBlocks,
  })
  return {
    plan: plan(layers, { ...blocks, hybridManager: r.hybridManager, stages: r.pipeline }),
    request: {
      batchTokens: r.batch.tokens,
      inFlight: r.batch.tokens * concurrentBatches(r),
      contextRanks: r.contextRanks,
      speculativeTokens,
      stateMode,
      crossByBatch: r.rules.crossByBatch,
      chargesGroups: r.rules.chargesGroups,
    },
    layers,
    blocks,
    dtype,
    unknownDtype: format === null,
  }
}

const plain = (elementBytes: number): KvFormat => ({ kind: 'plain', elementBytes })

/** The flag's dtype, else the checkpoint's own KV scheme, else what the model's class asks for (vLLM 0.33, models/config.py). */
function kvDtype(shape: ModelShape, r: Resolved, storage: WeightStorage, capability: number | null): string {
  const kinds = shape.layers.kinds.flatMap(kind => kind.cache.map(spec => spec.kind))
  if (kinds.includes('compressed-mla')) return 'fp8_ds_mla'
  const hopper = (capability ?? 90) < 100
  const indexed = kinds.includes('indexer')
  const asked = r.kvDtype === 'auto' && storage.kvCacheDtype !== null ? storage.kvCacheDtype : r.kvDtype
  if (asked === 'auto' && indexed && !r.rules.nullBlock) return hopper ? 'fp8_ds_mla' : 'fp8'
  if (indexed && hopper && isFp8(asked)) return 'fp8_ds_mla'
  return asked
}

/** Batches in flight: two with async scheduling; with pipeline stages one a stage, and one more (vLLM 0.33, config/vllm.py). */
function concurrentBatches(r: Resolved): number {
  if (!r.rules.windowCountsBatches) return 1
  if (r.v2Runner) return r.asyncScheduling ? r.pipeline + 1 : r.pipeline
  return r.pipeline === 1 && r.asyncScheduling ? 2 : r.pipeline
}

/** Attention layers that keep the model's dtype: those of the skip list; the first and last two under turboquant. */
function skipping(shape: ModelShape, r: Resolved, dtype: string): Pick<LayerSettings, 'skipped' | 'skipWindows'> {
  const skipped = new Set<number>()
  const asked = (r.option.text('kv-cache-dtype-skip-layers') ?? '').split(/[,\s]+/)
  for (const word of asked) if (/^\d{1,6}$/.test(word)) skipped.add(Number(word))
  if (dtype.startsWith('turboquant')) {
    const attention: number[] = []
    shape.layers.order.forEach((kind, layer) => {
      if (shape.layers.kinds[kind]!.cache.some(spec => 'kvHeads' in spec)) attention.push(layer)
    })
    for (const layer of [...attention.slice(0, 2), ...attention.slice(-2)]) skipped.add(layer)
  }
  return { skipped, skipWindows: asked.includes('sliding_window') }
}

/** `auto`: the convolution in the model's dtype, the recurrent part as the config says, else like the convolution. */
function stateDtypes(
  shape: ModelShape,
  r: Resolved,
  modelBytes: number,
): Pick<LayerSettings, 'convBytes' | 'ssmBytes'> {
  const named = (text: string | null): number | null =>
    text === null || text === 'auto' ? null : (DTYPE_BYTES[text] ?? null)
  const convBytes = named(r.option.text('mamba-cache-dtype')) ?? modelBytes
  const ssmBytes = named(r.option.text('mamba-ssm-cache-dtype')) ?? named(shape.facts.stateDtype) ?? convBytes
  return { convBytes, ssmBytes }
}

/** Models of states only (Mamba) and older releases for any state run without prefix caching. */
function prefixCachingOf(shape: ModelShape, r: Resolved): boolean {
  if (!r.rules.statePrefixCaching && r.option.flag('enable-prefix-caching') !== true) return false
  return shape.layers.kinds.some(kind => kind.cache.some(spec => 'kvHeads' in spec || spec.kind === 'mla'))
}

function widestHead(shape: ModelShape): number | null {
  let widest: number | null = null
  for (const kind of shape.layers.kinds)
    for (const spec of kind.cache) if ('kvHeads' in spec) widest = Math.max(widest ?? 0, spec.keyDim)
  return widest
}
