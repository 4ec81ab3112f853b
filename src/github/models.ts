import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findModelFor } from '../find-model.ts'
import type { ModelFacts } from '../models/facts.ts'
import type { FactsCache } from '../models/sources/hub.ts'
import type { ActionWorld } from './around.ts'
import type { ActionInputs } from './inputs.ts'

/** The sources of model facts for the action: inputs before environment, facts kept in the runner's tool cache. */
export function modelFinder(inputs: ActionInputs, env: NodeJS.ProcessEnv): ActionWorld['findModel'] {
  return (root, policy, mayWrite, vet) =>
    findModelFor({
      models: policy.models,
      repository: root,
      lockFile: inputs.lockFile,
      vet,
      offline: inputs.offline,
      refresh: false,
      // Only the action's own inputs name the token and the address: an environment of other steps does not.
      env: { ...(inputs.hfToken === '' ? {} : { HF_TOKEN: inputs.hfToken }), HF_ENDPOINT: inputs.hfEndpoint },
      ...(env['RUNNER_TOOL_CACHE'] && env['RUNNER_TEMP'] ? { cache: runnerCache(env['RUNNER_TEMP'], mayWrite) } : {}),
      http: { idleTimeout: inputs.requestTimeoutMs, totalTimeout: inputs.timeoutMs, retries: inputs.maxRetries },
    })
}

const FILE = 'facts.json'

/** Facts of a model at a commit never change, so self-hosted runners keep them from one job to the next. */
function runnerCache(temporary: string, mayWrite: boolean): FactsCache {
  const tool = (id: string, variant: string | null) =>
    `hf-vram-calc-${`${id}-${variant ?? ''}`.replace(/[^\w.-]/g, '-')}`
  const asVersion = (sha: string) => `1.0.0-${sha}`
  return {
    get: async (id, sha, variant) => {
      try {
        const toolCache = await import('@actions/tool-cache')
        const folder = toolCache.find(tool(id, variant), asVersion(sha))
        return folder === '' ? null : (JSON.parse(await readFile(join(folder, FILE), 'utf8')) as ModelFacts)
      } catch {
        // A cache that cannot be read is one that has nothing: the facts are asked for.
        return null
      }
    },
    put: async (facts, variant) => {
      if (!mayWrite || facts.revision === null) return
      await mkdir(temporary, { recursive: true })
      const folder = await mkdtemp(join(temporary, 'hf-vram-calc-facts-'))
      try {
        await writeFile(join(folder, FILE), JSON.stringify(facts))
        const toolCache = await import('@actions/tool-cache')
        await toolCache.cacheDir(folder, tool(facts.id, variant), asVersion(facts.revision))
      } catch {
        // The job does not depend on the cache.
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    },
  }
}
