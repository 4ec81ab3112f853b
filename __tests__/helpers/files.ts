import { extract } from '../../src/deployments/index.ts'
import type { Repository } from '../../src/repository/repository.ts'

/** A repository of texts in memory. */
export function filesOf(files: Readonly<Record<string, string>>): Repository {
  const encoder = new TextEncoder()
  return {
    list: async () => ({
      files: Object.keys(files)
        .sort()
        .map(path => ({ path, size: encoder.encode(files[path]).length })),
      truncated: false,
    }),
    read: async path => (Object.hasOwn(files, path) ? files[path]! : null),
    readBytes: async (path, start, end) =>
      Object.hasOwn(files, path) ? encoder.encode(files[path]).slice(start, end) : null,
  }
}

export const extractFrom = (files: Readonly<Record<string, string>>): ReturnType<typeof extract> =>
  extract(filesOf(files))
