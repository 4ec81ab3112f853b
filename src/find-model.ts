import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AssessPorts } from './assess.ts'
import { type Catalogue, openCatalogue } from './catalogue/catalogue.ts'
import { catalogueBeside } from './catalogue/catalogue-file.ts'
import type { ModelFacts } from './models/facts.ts'
import { factsFinder, type Vet } from './models/sources/find-facts.ts'
import type { FactsCache, Hub } from './models/sources/hub.ts'
import { hubSettings } from './models/sources/hub-settings.ts'
import type { ModelEntry } from './policy/policy.ts'
import { good, type Result } from './problem.ts'
import type { Repository } from './repository/repository.ts'

/** What the pipeline asks about models. */
export type ModelPorts = Pick<AssessPorts, 'findModel' | 'quantisedVariants'>

/** What decides where model facts are looked for. */
export interface ModelChoices {
  readonly models: ReadonlyMap<string, ModelEntry>
  /** For paths of the policy and the lock file; null: neither. */
  readonly repository: Repository | null
  /** Path of the lock file in the repository; null: at its usual place, if there. */
  readonly lockFile: string | null
  readonly vet?: Vet | undefined
  readonly offline: boolean
  readonly refresh: boolean
  /** HF_TOKEN, HF_ENDPOINT and the like. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Where facts of the Hub are kept; else in the user's cache folder, where the environment names one. */
  readonly cache?: FactsCache
  readonly http?: { readonly idleTimeout?: number; readonly totalTimeout?: number; readonly retries?: number }
}

/**
 * The sources of model facts for a door: repository paths, lock file, catalogue, Hub. The Hub's client is made when
 * something is first asked of it. Problems: `path-missing` and `lock-invalid` for the lock file, `usage` for the Hub's
 * settings, also when nothing would be asked, so that a wrong address is not found out by chance.
 */
export async function findModelFor(choices: ModelChoices): Promise<Result<ModelPorts>> {
  const { repository } = choices
  const settings = hubSettings(choices.env, path => (existsSync(path) ? readFileSync(path, 'utf8') : null))
  if (!settings.ok) return settings
  const lock = repository === null ? good(null) : await readLock(repository, choices.lockFile)
  if (!lock.ok) return lock
  let hub: Promise<Hub> | null = null
  const askHub = async () => (hub ??= makeHub(settings.value, choices))
  const catalogue = openCatalogue(catalogueBeside(scriptPath()))
  return good({
    findModel: factsFinder({
      models: choices.models,
      repository,
      lock: lock.value,
      vet: choices.vet,
      catalogue,
      hub: choices.offline || settings.value.offline ? null : async reference => (await askHub()).facts(reference),
      refresh: choices.refresh,
    }),
    quantisedVariants: id => quantisedVariants(catalogue, id),
  })
}

/** Endings by which repositories of quantised weights are named after the model, most wanted first. */
const QUANTISED =
  /^-(fp8(-dynamic)?|quantized\.w8a8|int8|gptq-int8|awq|awq-int4|gptq-int4|quantized\.w4a16|w4a16|nvfp4|fp4)$/i

/** The catalogue's models that are this one with quantised weights: its name with such an ending, whoever made it. */
function quantisedVariants(catalogue: Catalogue, id: string): ModelFacts[] {
  const name = id.slice(id.indexOf('/') + 1).toLowerCase()
  const variants = catalogue.ids().filter(other => {
    const otherName = other.slice(other.indexOf('/') + 1).toLowerCase()
    return otherName.startsWith(name) && QUANTISED.test(otherName.slice(name.length))
  })
  return variants.flatMap(other => catalogue.find(other) ?? [])
}

async function readLock(repository: Repository, named: string | null) {
  const { LOCK_FILE, LOCK_LIMIT, parseLock } = await import('./models/sources/lock-file.ts')
  const file = named ?? LOCK_FILE
  const text = await repository.read(file, LOCK_LIMIT)
  if (text !== null) return parseLock(text, file)
  if (named === null) return good(null)
  return {
    ok: false as const,
    problem: {
      code: 'path-missing' as const,
      message: `lock file ${JSON.stringify(file)} cannot be read`,
      hint: 'write it with hf-vram-calc lock',
    },
  }
}

/** A client on Node's fetch, through the proxies of the environment where Node can. */
export async function makeHub(
  settings: { readonly endpoint: string; readonly token: string | null },
  choices: Pick<ModelChoices, 'cache' | 'env' | 'http'>,
): Promise<Hub> {
  // Node 24 has this; on older ones NODE_USE_ENV_PROXY or a direct connection must do. Not imported: a run without
  // network need not load it.
  const http: { setGlobalProxyFromEnv?: () => unknown } = process.getBuiltinModule?.('node:http') ?? {}
  const { setGlobalProxyFromEnv } = http
  if (typeof setGlobalProxyFromEnv === 'function') setGlobalProxyFromEnv()
  const { hubClient } = await import('./models/sources/hub.ts')
  const { cacheFolder, fileCache } = await import('./models/sources/file-cache.ts')
  const folder = cacheFolder(choices.env, settings.endpoint)
  const cache = choices.cache ?? (folder === null ? null : fileCache(folder))
  return hubClient(
    settings,
    {
      fetch: globalThis.fetch,
      sleep: async ms => {
        await sleep(ms)
      },
      now: () => performance.now(),
      random: Math.random,
    },
    { ...(cache ? { cache } : {}), ...(choices.http ? { http: choices.http } : {}) },
  )
}

/** The running script, beside which the catalogue lies. */
export function scriptPath(): string {
  return process.argv[1] ?? ''
}
