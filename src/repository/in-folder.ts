import type { Repository } from './repository.ts'
import type { PathTest } from './selection.ts'

/** A repository seen from one of its folders ("" for its root): paths relative to it, and only those that pass. */
export function inFolder(whole: Repository, folder: string, wanted: PathTest): Repository {
  const prefix = folder === '' ? '' : `${folder}/`
  const full = (path: string): string => prefix + path
  return {
    list: async () => {
      const { files, truncated } = await whole.list()
      const below = files
        .filter(file => file.path.startsWith(prefix))
        .map(file => ({ ...file, path: file.path.slice(prefix.length) }))
      return { files: below.filter(file => wanted(file.path)), truncated }
    },
    read: (path, limit) => (path.split('/').includes('..') ? Promise.resolve(null) : whole.read(full(path), limit)),
    readBytes: (path, start, end) =>
      path.split('/').includes('..') ? Promise.resolve(null) : whole.readBytes(full(path), start, end),
  }
}
