import type { EngineInput } from '../engine.ts'
import { isFp8 } from './kv/format.ts'
import type { KvRules } from './kv/index.ts'
import { modelFindings } from './model-findings.ts'
import { quantizationFindings } from './quantization.ts'
import type { Resolved } from './settings.ts'

type Say = Resolved['say']

/** What vLLM refuses, wastes or ignores, whatever the memory. */
export function findings(input: EngineInput, r: Resolved, kv: KvRules, capability: number | null): void {
  heads(input, r, r.say)
  modelFindings(input, r)
  gpus(input, r, r.say)
  kvDtype(input, r, kv, capability, r.say)
  quantizationFindings(input, r, capability)
  withoutEffect(input, r, r.say)
}

/**
 * Attention heads must divide by the tensor ranks. KV heads must divide by them, or they by the KV heads; then each head
 * is kept several times. Latent attention has no KV heads to divide.
 */
function heads(input: EngineInput, r: Resolved, say: Say): void {
  const { shape, settings } = input
  const at = settings.tensorParallel
  const t = r.tensor
  if (shape.facts.heads !== null && shape.facts.heads % t !== 0)
    say(
      'heads-not-divisible',
      'error',
      `${shape.facts.heads} attention heads do not divide by tensor-parallel-size ${t}`,
      at,
    )
  const vision = shape.facts.visionHeads
  if (vision !== null && vision % t !== 0 && r.option.text('mm-encoder-tp-mode') !== 'data')
    say(
      'heads-not-divisible',
      // a tower that no verified rule reads may be one that vLLM does not divide
      shape.count === 'exact' ? 'error' : 'warning',
      `${vision} heads of the vision tower do not divide by tensor-parallel-size ${t}`,
      at,
    )
  const { heads: queries, kvHeads: shared } = shape.facts
  if (queries !== null && shared !== null && queries % shared !== 0)
    say('heads-not-divisible', 'error', `config.json: ${queries} attention heads do not divide by ${shared} KV heads`)
  const counts = new Set<number>()
  for (const kind of shape.layers.kinds) for (const spec of kind.cache) if ('kvHeads' in spec) counts.add(spec.kvHeads)
  for (const count of counts) {
    const [more, fewer] = count >= t ? [count, t] : [t, count]
    if (more % fewer !== 0)
      say(
        'kv-heads-not-divisible',
        'error',
        `${count} KV heads and tensor-parallel-size ${t}: neither divides the other`,
        at,
      )
    else if (count < t)
      say('kv-replication', 'notice', `${count} KV heads on ${t} tensor ranks: each is kept ${t / count} times`, at)
  }
}

/** GPUs that the parallel sizes use against those that are asked for. */
function gpus(input: EngineInput, r: Resolved, say: Say): void {
  const asked = input.gpusPerReplica
  const used = r.tensor * r.pipeline * r.data * r.prefillRanks
  if (asked === null || asked <= 0 || asked === used) return
  const sizes = `tensor ${r.tensor} x pipeline ${r.pipeline} x data ${r.data}${r.prefillRanks > 1 ? ` x prefill context ${r.prefillRanks}` : ''}`
  say(
    'gpus-unequal-parallelism',
    asked < used ? 'error' : 'warning',
    `${asked} GPUs are asked for, vLLM uses ${used} (${sizes})`,
    input.settings.tensorParallel,
  )
}

/** KV dtypes that have no layout, or that the model or the card cannot use. */
function kvDtype(input: EngineInput, r: Resolved, kv: KvRules, capability: number | null, say: Say): void {
  const name = r.kvDtype
  const latent = kv.layers.some(layer => layer.latent)
  const refuse = (message: string): void => say('kv-dtype-unsupported', 'error', message, input.settings.kvCacheDtype)
  if (kv.unknownDtype) refuse(`KV cache dtype ${JSON.stringify(name)} is not known: the model's dtype stands in for it`)
  if (name.endsWith('ds_mla') && !latent) refuse(`${name} is for latent attention, which this model does not have`)
  if (latent && /^(?:turboquant|int4_per|int8_per|fp8_per|nvfp4$)/.test(name))
    refuse(`KV cache dtype ${name} does not go with latent attention`)
  if (capability === null || input.gpu?.maker !== 'NVIDIA') return
  const card = `${input.gpu.name} has compute capability ${input.gpu.computeCapability}`
  if (name.startsWith('nvfp4') && capability < 100) refuse(`KV cache dtype ${name} needs a Blackwell GPU; ${card}`)
  if (isFp8(name) && capability < 80) refuse(`KV cache dtype ${name} needs compute capability 8.0; ${card}`)
}

/** Flags that change nothing beside the others. */
function withoutEffect(input: EngineInput, r: Resolved, say: Say): void {
  const { settings } = input
  if (r.poolBytes !== null && settings.memoryFraction !== undefined)
    say(
      'no-effect',
      'notice',
      'gpu-memory-utilization has no effect beside kv-cache-memory-bytes',
      settings.memoryFraction,
    )
  const lora = settings.maxLoras ?? settings.maxLoraRank
  if (r.loras === null && lora !== undefined)
    say('no-effect', 'notice', 'max-loras and max-lora-rank have no effect without enable-lora', lora)
  if (r.expertParallel && input.shape.facts.experts === null)
    say(
      'no-effect',
      'notice',
      'enable-expert-parallel has no effect: the model has no experts',
      settings.expertParallel,
    )
  if (r.eager && r.option.has('compilation-config'))
    say('no-effect', 'notice', 'compilation-config has no effect beside enforce-eager', settings.enforceEager)
}
