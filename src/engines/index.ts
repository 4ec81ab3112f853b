import type { EngineName } from '../deployments/deployment.ts'
import { embeddingServers } from './embedding.ts'
import type { Engine } from './engine.ts'
import { kaito } from './kaito.ts'
import { llamacpp } from './llamacpp/index.ts'
import { lmdeploy } from './lmdeploy.ts'
import { ollama } from './ollama.ts'
import { sglang } from './sglang/index.ts'
import { tgi } from './tgi.ts'
import { transformers } from './transformers.ts'
import { trtllm } from './trtllm.ts'
import { vllm } from './vllm/index.ts'
import { vllmInside } from './vllm/inside.ts'

/** Every engine that can be accounted for, in one list. */
export const engines: readonly Engine[] = [
  vllm,
  ...vllmInside,
  sglang,
  trtllm,
  tgi,
  lmdeploy,
  llamacpp,
  ollama,
  transformers,
  kaito,
  ...embeddingServers,
]

const byName = new Map(engines.map(engine => [engine.name, engine]))

/** The engine of that name; null when its accounting is not known. */
export function engineOf(name: EngineName): Engine | null {
  return byName.get(name) ?? null
}
