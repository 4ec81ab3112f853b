import type { EngineName } from '../deployments/deployment.ts'
import type { Engine } from './engine.ts'
import { sglang } from './sglang/index.ts'
import { vllm } from './vllm/index.ts'
import { vllmInside } from './vllm/inside.ts'

/** Every engine that can be accounted for, in one list. */
export const engines: readonly Engine[] = [vllm, ...vllmInside, sglang]

const byName = new Map(engines.map(engine => [engine.name, engine]))

/** The engine of that name; null when its accounting is not known. */
export function engineOf(name: EngineName): Engine | null {
  return byName.get(name) ?? null
}
