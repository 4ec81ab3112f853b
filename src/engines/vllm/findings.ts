import type { Finding } from '../../deployments/deployment.ts'
import type { EngineInput } from '../engine.ts'
import { isFp8 } from './kv/format.ts'
import type { KvRules } from './kv/index.ts'
import { placed, type Resolved } from './settings.ts'

/** What vLLM refuses, wastes or ignores, whatever the memory. */
export function findings(input: EngineInput, r: Resolved, kv: KvRules, capability: number | null): Finding[] {
  const { facts } = input.shape
  const list: Finding[] = []
  const say = (code: string, severity: Finding['severity'], message: string, at = {}): void => {
    list.push({ ...at, code, severity, message })
  }
  const at = placed(input.settings.tensorParallel)
  const { heads } = facts
  if (heads !== null && heads % r.tensor !== 0)
    say(
      'heads-not-divisible',
      'error',
      `${heads} attention heads do not divide by tensor-parallel-size ${r.tensor}`,
      at,
    )
  if (facts.visionHeads !== null && facts.visionHeads % r.tensor !== 0)
    say(
      'heads-not-divisible',
      'error',
      `${facts.visionHeads} heads of the vision tower do not divide by tensor-parallel-size ${r.tensor}`,
      at,
    )
  keyValueHeads(input, r, say, at)

  const { context, maxModelLen } = r
  if (
    context !== null &&
    maxModelLen !== null &&
    maxModelLen > context &&
    input.environment['VLLM_ALLOW_LONG_MAX_MODEL_LEN'] !== '1'
  )
    say(
      'context-above-model',
      'error',
      `max-model-len ${maxModelLen} is above the model's ${context}: vLLM refuses it unless VLLM_ALLOW_LONG_MAX_MODEL_LEN=1`,
      placed(input.settings.maxModelLen),
    )

  const needed = r.tensor * r.pipeline * r.data
  if (input.gpusPerReplica !== null && input.gpusPerReplica > 0 && input.gpusPerReplica !== needed)
    say(
      'gpus-unequal-parallelism',
      input.gpusPerReplica < needed ? 'error' : 'warning',
      `${input.gpusPerReplica} GPUs are asked for, vLLM uses ${needed} (tensor ${r.tensor} x pipeline ${r.pipeline} x data ${r.data})`,
      at,
    )
  kvDtype(input, r, kv, capability, say)
  if (r.poolBytes !== null && input.settings.memoryFraction !== undefined)
    say(
      'no-effect',
      'notice',
      'gpu-memory-utilization has no effect beside kv-cache-memory-bytes',
      placed(input.settings.memoryFraction),
    )
  if (r.loras === null && (input.settings.maxLoras ?? input.settings.maxLoraRank) !== undefined)
    say(
      'no-effect',
      'notice',
      'max-loras and max-lora-rank have no effect without enable-lora',
      placed(input.settings.maxLoras ?? input.settings.maxLoraRank),
    )
  return list
}

type Say = (code: string, severity: Finding['severity'], message: string, at?: object) => void

/** KV heads must divide by the ranks, or the ranks by them; then each is kept several times. */
function keyValueHeads(input: EngineInput, r: Resolved, say: Say, at: object): void {
  const seen = new Set<number>()
  for (const kind of input.shape.layers.kinds)
    for (const spec of kind.cache) if ('kvHeads' in spec) seen.add(spec.kvHeads)
  for (const heads of seen) {
    const [more, fewer] = heads >= r.tensor ? [heads, r.tensor] : [r.tensor, heads]
    if (more % fewer !== 0)
      say('kv-heads-not-divisible', 'error', `${heads} KV heads and tensor-parallel-size ${r.tensor} do not divide`, at)
    else if (heads < r.tensor && input.facts.config !== null)
      say(
        'kv-replication',
        'notice',
        `${heads} KV heads on ${r.tensor} tensor ranks: each is kept ${r.tensor / heads} times`,
        at,
      )
  }
}

function kvDtype(input: EngineInput, r: Resolved, kv: KvRules, capability: number | null, say: Say): void {
  const at = placed(input.settings.kvCacheDtype)
  const latent = kv.layers.some(layer => layer.latent)
  const refuse = (message: string): void => say('kv-dtype-unsupported', 'error', message, at)
  if (kv.unknownDtype)
    refuse(`KV cache dtype ${JSON.stringify(r.kvDtype)} is not known: the model's dtype stands in for it`)
  if (r.kvDtype === 'fp8_ds_mla' && !latent)
    refuse('fp8_ds_mla is for latent attention, which this model does not have')
  if (/^(?:turboquant|int4_per|int8_per|fp8_per|nvfp4$)/.test(r.kvDtype) && latent)
    refuse(`KV cache dtype ${r.kvDtype} does not go with latent attention`)
  if (capability === null || input.gpu?.maker !== 'NVIDIA') return
  if (r.kvDtype.startsWith('nvfp4') && capability < 100)
    refuse(
      `KV cache dtype ${r.kvDtype} needs a Blackwell GPU; ${input.gpu.name} has compute capability ${capability / 10}`,
    )
  if (isFp8(r.kvDtype) && capability < 80)
    refuse(`KV cache dtype ${r.kvDtype} needs compute capability 8.0; ${input.gpu.name} has ${capability / 10}`)
}
