import type { DeclaredHardware, EngineName } from './deployment.ts'

/** "ghcr.io/org/name:tag@sha256:…" → "ghcr.io/org/name". */
export function imageName(image: string): string {
  const plain = image.trim().replace(/@sha256:.*$/, '')
  const colon = plain.lastIndexOf(':')
  return (colon > plain.lastIndexOf('/') ? plain.slice(0, colon) : plain).toLowerCase()
}

function imageTag(image: string): string {
  const plain = image.trim().replace(/@sha256:.*$/, '')
  const colon = plain.lastIndexOf(':')
  return colon > plain.lastIndexOf('/') ? plain.slice(colon + 1) : ''
}

/** Engines whose own words appear in composite tags: "rocm6.4.1_vllm_0.10.1", "…-vllm0.5.0-neuron". */
const TAGGED: Partial<Record<EngineName, RegExp>> = {
  vllm: /vllm[-_]?v?(\d+\.\d+(?:\.\d+)*(?:(?:\.post|rc)\d+)?)/i,
  sglang: /(?:sglang|sgl)[-_]?v?(\d+\.\d+(?:\.\d+)*(?:(?:\.post|rc)\d+)?)/i,
}

/** Release of the engine that an image's tag names ("v0.11.0-cu128" → "0.11.0"); null for latest, nightly, digests. */
export function imageVersion(image: string, engine: EngineName): string | null {
  const tag = imageTag(image)
  const composite = TAGGED[engine]?.exec(tag)?.[1]
  if (composite) return composite
  if (engine === 'llamacpp') return /(?:^|-)(b\d{3,6})(?:-|$)/.exec(tag)?.[1] ?? null
  // Distributions carry their own releases, not the engine's.
  if (/(?:ai-dynamo|dynamo|-runtime|llm-d|lmcache)(?=[/:]|$)/.test(imageName(image))) return null
  const plain = /^v?(\d+\.\d+(?:\.\d+)*(?:(?:\.post|rc|a|b)\d+)?)(?=$|[-._+a-z])/.exec(tag)?.[1]
  if ((engine === 'vllm' || engine === 'sglang') && !plain?.startsWith('0.')) return null
  return plain ?? null
}

/** What an image's name or tag says about the processor it runs on; null when nothing. */
export function imageAccelerator(image: string): DeclaredHardware['accelerator'] {
  const text = image.toLowerCase()
  if (/(?:^|[-_/:.])(?:rocm|amd)[\d.]*(?:[-_/:.]|$)|-rocm/.test(text)) return 'amd'
  if (/(?:^|[-_/:.])(?:gaudi\d?|hpu|habana)(?:[-_/:.]|$)/.test(text)) return 'hpu'
  if (/(?:^|[-_/:.])neuron[x\d]*(?:[-_/:.]|$)/.test(text)) return 'neuron'
  if (/(?:^|[-_/:.])tpu(?:[-_/:.]|$)/.test(text)) return 'tpu'
  if (/(?:^|[-_/:.])(?:xpu|ipex)(?:[-_/:.]|$)/.test(text)) return 'xpu'
  if (/(?:^|[-_/:.])(?:ascend|npu|cann)(?:[-_/:.]|$)/.test(text)) return 'npu'
  if (/(?:^|[-_/:.])cpu(?:[-_/:.]|$)/.test(text)) return 'cpu'
  return null
}
