import type { EngineInput } from '../engine.ts'
import { gpuFindings, headFindings } from '../model-findings.ts'
import { isFp8 } from './kv/format.ts'
import type { KvRules } from './kv/index.ts'
import { modelFindings } from './model-findings.ts'
import { quantizationFindings } from './quantization.ts'
import { release } from './release.ts'
import type { Resolved } from './settings.ts'

type Say = Resolved['say']

/** What vLLM refuses, wastes or ignores, whatever the memory. */
export function findings(input: EngineInput, r: Resolved, kv: KvRules, capability: number | null): void {
  heads(input, r, r.say)
  contextRanks(input, r, kv)
  modelFindings(input, r)
  const sizes = `tensor ${r.tensor} x pipeline ${r.pipeline} x data ${r.data}${r.prefillRanks > 1 ? ` x prefill context ${r.prefillRanks}` : ''}`
  const used = r.tensor * r.pipeline * r.data * r.prefillRanks
  gpuFindings(input.gpusPerReplica, used, sizes, input.settings.tensorParallel, r.say)
  kvDtype(input, r, kv, capability, r.say)
  quantizationFindings(input, r, capability)
  refused(input, r)
  withoutEffect(input, r, r.say)
}

/** Heads by the tensor ranks; a vision tower may be kept whole. */
function heads(input: EngineInput, r: Resolved, say: Say): void {
  const { facts } = input.shape
  const whole = r.option.text('mm-encoder-tp-mode') === 'data'
  const shape = whole ? { ...input.shape, facts: { ...facts, visionHeads: null } } : input.shape
  headFindings(shape, r.tensor, 'tensor-parallel-size', input.settings.tensorParallel, say)
  const { heads: queries, kvHeads: shared } = facts
  if (queries !== null && shared !== null && queries % shared !== 0)
    say('heads-not-divisible', 'error', `config.json: ${queries} attention heads do not divide by ${shared} KV heads`)
}

/**
 * Ranks that share a request's cache are some of the tensor ranks: those that would keep the same KV head (vLLM
 * config/model.py, verify_with_parallel_config).
 */
function contextRanks(input: EngineInput, r: Resolved, kv: KvRules): void {
  const ranks = r.contextRanks / r.prefillRanks
  if (ranks === 1 || r.prefillRanks > 1) return
  const { heads: queries, kvHeads: shared } = input.shape.facts
  const refuse = (message: string): void =>
    r.say(
      'ranks-not-divisible',
      'error',
      `decode-context-parallel-size ${ranks} ${message}`,
      input.settings.contextParallel,
    )
  if (r.tensor % ranks !== 0) refuse(`does not divide tensor-parallel-size ${r.tensor}`)
  else if (queries !== null && shared !== null && !kv.layers.some(layer => layer.latent)) {
    const most = Math.floor(r.tensor / shared)
    if (ranks > most || (queries / shared) % ranks !== 0)
      refuse(
        `is no divisor of ${queries / shared} up to ${Math.max(1, most)}, the ranks that keep each of ${shared} KV heads`,
      )
  }
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

/** What vLLM's own configuration refuses, whatever the model: ranks of adapters, lengths that older releases cannot solve. */
function refused(input: EngineInput, r: Resolved): void {
  const { maxLoraRank, maxModelLen } = input.settings
  if (r.loras !== null && !LORA_RANKS.includes(r.loras.rank))
    r.say('setting-invalid', 'error', `max-lora-rank ${r.loras.rank}: vLLM takes ${LORA_RANKS.join(', ')}`, maxLoraRank)
  if (r.maxModelLen === null && r.release < release(0, 14))
    r.say('setting-invalid', 'error', 'vLLM solves max-model-len auto from 0.14 on', maxModelLen)
  if (/mtp/.test(r.speculative?.method ?? '') && input.shape.mtp === null && input.draft === null)
    r.say(
      'draft-unknown',
      'warning',
      `prediction layers (mtp) of ${input.shape.modelType} are not known: none is counted`,
    )
}

const LORA_RANKS: readonly number[] = [1, 8, 16, 32, 64, 128, 256, 320, 512]

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
