import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ModelFacts } from '../facts.ts'
import { isObject } from './config-text.ts'
import type { FactsCache } from './hub.ts'

/** Raised when what is kept changes its form, so that an older program's files are not read. */
const FORM = 'facts-1'

/**
 * Where the command line keeps facts of one Hub: in the user's cache folder. null when the environment names none, and
 * for a Hub on this machine, whose commits may be anything.
 */
export function cacheFolder(env: Readonly<Record<string, string | undefined>>, endpoint: string): string | null {
  const base = env['XDG_CACHE_HOME'] || (env['HOME'] ? join(env['HOME'], '.cache') : env['LOCALAPPDATA'])
  const { protocol, host } = new URL(endpoint)
  return base && protocol === 'https:' ? join(base, 'hf-vram-calc', host.replace(/[^\w.-]/g, '-')) : null
}

/**
 * A cache of Hub facts in a folder: a file for each repository and commit. A cache that cannot be read or written is one
 * that holds nothing: it never fails a run.
 */
export function fileCache(folder: string): FactsCache {
  const path = (id: string, sha: string, variant: string | null) =>
    join(folder, FORM, id.replace('/', '--'), `${sha}${variant === null ? '' : `-${encodeURIComponent(variant)}`}.json`)
  return {
    get: async (id, sha, variant) => {
      try {
        const json: unknown = JSON.parse(readFileSync(path(id, sha, variant), 'utf8'))
        return isFacts(json) && json.id === id && json.revision === sha ? json : null
      } catch {
        return null
      }
    },
    put: async (facts, variant) => {
      if (facts.revision === null) return
      const target = path(facts.id, facts.revision, variant)
      // Written aside and moved, so that a run beside this one never reads half a file.
      const draft = `${target}.${process.pid}`
      try {
        mkdirSync(join(target, '..'), { recursive: true })
        writeFileSync(draft, JSON.stringify(facts))
        renameSync(draft, target)
      } catch {
        discard(draft)
      }
    },
  }
}

function discard(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // It was never there: its folder could not be made.
  }
}

function isFacts(json: unknown): json is ModelFacts {
  return isObject(json) && json['source'] === 'hub' && isObject(json['config']) && isObject(json['checkpoint'])
}
