import type { Range } from '../../memory/parts.ts'
import type { JsonObject } from '../../models/config.ts'
import type { ModelShape } from '../../models/shape.ts'
import { GiB, gibText, grouped, MiB } from '../../units/bytes.ts'
import { release } from './release.ts'
import type { Resolved } from './settings.ts'

/** A modelled part: its range and how it was reckoned. */
export interface Modelled {
  readonly bytes: Range
  readonly formula: string
  readonly source: string
}

/**
 * Bytes of a forward pass over B tokens, in units of 2 B x B x (heads x head size), by TP 1, 2, 4, 8: dense models, and
 * mixtures of experts (aiconfigurator, backend vllm). At least 70 MiB.
 */
const FORWARD = { dense: [11, 6.5, 5, 5], experts: [22, 13, 10, 10] } as const
const FORWARD_FLOOR = 70 * MiB

const step = (ranks: number): 0 | 1 | 2 | 3 => (ranks <= 1 ? 0 : ranks <= 3 ? 1 : ranks <= 7 ? 2 : 3)

interface Arm extends Range {
  readonly text: string
}

/**
 * Transient peak of the profile run (fitted to printed logs, see docs/accuracy.md): the larger of the forward pass over B tokens and the sampler over
 * S rows, and with a vision tower its own peak on top (S and the tower were seen to add up). Neither the sampler nor the
 * tower is divided by tensor ranks.
 */
export function peak(shape: ModelShape, config: JsonObject, r: Resolved): Modelled {
  const forward = forwardArm(shape, r)
  const sampler = samplerArm(shape, r)
  const larger = sampler.expected > forward.expected ? sampler : forward
  const vision = visionArm(shape, config, r)
  return {
    bytes: {
      low: Math.max(forward.low, sampler.low) + vision.low,
      expected: larger.expected + vision.expected,
      high: Math.max(forward.high, sampler.high) + vision.high,
    },
    formula: larger.text + (vision.expected > 0 ? ` + ${vision.text}` : ''),
    source: 'profile run of vLLM: measured law of the sampler, factors of the forward pass by TP',
  }
}

function forwardArm(shape: ModelShape, r: Resolved): Arm {
  const { facts } = shape
  const width = (facts.heads ?? 1) * (facts.headDim ?? facts.hidden)
  const factor = FORWARD[facts.experts === null ? 'dense' : 'experts'][step(r.tensor)]
  const expected = Math.max(2 * r.batch.tokens * width * factor, FORWARD_FLOOR)
  return {
    low: Math.max(0.6 * expected, FORWARD_FLOOR),
    expected,
    high: 1.4 * expected + 0.2 * GiB,
    text: `forward pass ${factor} x ${grouped(r.batch.tokens)} tokens x ${grouped(width)} x 2 B`,
  }
}

/**
 * Copies of the fp32 logits that the sampler holds at once (vLLM v1/sample/ops/topk_topp_sampler.py). Sorted for top-p in
 * PyTorch: 9.73 in every clean log up to 0.15, V0 included; releases since 0.17 select without sorting, and logs of
 * 0.19 show about 5.5 and less. FlashInfer's masks and draws, half of it, take its place where the environment asks for
 * them; up to 0.11.0 also where it was installed, which one start shows (4.2; a multimodal model) and no other.
 */
function samplerFactor(r: Resolved, multimodal: boolean): Range {
  const asked = r.environment['VLLM_USE_FLASHINFER_SAMPLER']
  if (r.release >= release(0, 17)) return { low: 2.5, expected: 5, high: 7 }
  if (asked === '1' && !r.rules.v0) return { low: 3.5, expected: 4.3, high: 5 }
  const mayBe = multimodal && asked === undefined && r.release < release(0, 11, 1)
  return { low: mayBe ? 3.5 : 9.2, expected: 9.73, high: 10.2 }
}

function samplerArm(shape: ModelShape, r: Resolved): Arm {
  const rows = r.pooling ? 0 : r.batch.sequences * shape.facts.vocabulary * 4
  const c = samplerFactor(r, shape.facts.multimodal)
  return {
    low: c.low * rows,
    expected: c.expected * rows,
    high: c.high * rows + 0.1 * GiB,
    text: `sampler ${c.expected} x ${grouped(r.batch.sequences)} sequences x ${grouped(shape.facts.vocabulary)} x 4 B`,
  }
}

/**
 * The vision tower over as many image tokens as a batch takes, four patches a token: 20 copies of its activations
 * expected. Logs lie between nothing (one small image) and 40 (Qwen3-VL).
 */
function visionArm(shape: ModelShape, config: JsonObject, r: Resolved): Arm {
  const none = { low: 0, expected: 0, high: 0, text: '' }
  if (!shape.facts.multimodal || !shape.towers.some(tower => tower.role === 'vision') || withoutImages(r)) return none
  const patches = 4 * Math.min(r.batch.tokens, 16384)
  const copy = patches * towerWidth(config) * 2
  return {
    low: 0,
    expected: 20 * copy,
    high: 45 * copy,
    text: `vision tower 20 x ${grouped(patches)} patches x ${grouped(towerWidth(config))} x 2 B`,
  }
}

function withoutImages(r: Resolved): boolean {
  if (r.option.flag('language-model-only') === true || r.option.flag('skip-mm-profiling') === true) return true
  const limits = r.option.text('limit-mm-per-prompt')
  return limits !== null && /image\W+0\b/.test(limits) && (!limits.includes('video') || /video\W+0\b/.test(limits))
}

function towerWidth(config: JsonObject): number {
  const vision = config['vision_config']
  if (typeof vision === 'object' && vision !== null)
    for (const key of ['embed_dim', 'hidden_size', 'width']) {
      const value = (vision as JsonObject)[key]
      if (typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 65536) return value
    }
  return 1152
}

/**
 * Memory beside torch's allocator: CUDA context growth, cuBLAS, NCCL and all-reduce buffers (fitted to printed logs, see docs/accuracy.md): printed
 * 0.03 to 0.14 GiB on one rank, 0.25 to 0.55 on two; four are interpolated; eight follow from two models' equal rest.
 */
export function communication(r: Resolved): Modelled {
  const [low, expected, high] = (
    [
      [0.03, 0.14, 0.2],
      [0.25, 0.54, 0.7],
      [0.4, 0.9, 1.6],
      [1, 2.2, 2.8],
    ] as const
  )[step(r.tensor)]
  const pipeline = r.pipeline > 1 ? 0.3 : 0
  return {
    bytes: { low: low * GiB, expected: (expected + pipeline / 2) * GiB, high: (high + pipeline) * GiB },
    formula: `${gibText((expected + pipeline / 2) * GiB)} GiB outside PyTorch at TP ${r.tensor}, PP ${r.pipeline}`,
    source: 'non-torch memory printed by vLLM; NCCL buffers by ranks',
  }
}

/**
 * CUDA graphs: 93 public logs have their median at 0.54 GiB, most between 0.03 and 1.2; small batches capture fewer
 * sizes (0.11 to 0.15 at 16 sequences). Sizes captured: up to min(2 x S, 512).
 */
export function graphs(r: Resolved): Modelled {
  const none = r.eager || /"?cudagraph_mode"?\s*:\s*"?NONE/i.test(r.option.text('compilation-config') ?? '')
  if (none) return { bytes: { low: 0, expected: 0, high: 0 }, formula: 'none: eager', source: 'enforce-eager' }
  const largest = Math.min(2 * r.batch.sequences, 512)
  const share = largest / 512
  return {
    bytes: { low: 0.05 * GiB, expected: (0.1 + 0.4 * share) * GiB, high: (0.3 + 0.9 * share) * GiB },
    formula: `${gibText((0.1 + 0.4 * share) * GiB)} GiB for batch sizes up to ${largest}`,
    source: 'graph capture lines of public logs',
  }
}
