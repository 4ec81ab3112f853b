import { globs, type PathTest } from '../repository/selection.ts'

/** Globs whose texts also stand for themselves: file names and ids may hold brackets that mean something in a glob. */
export async function globsOrNames(patterns: readonly string[]): Promise<PathTest> {
  const names = new Set(patterns)
  const matches = await globs(patterns)
  return text => names.has(text) || matches(text)
}

/**
 * Globs of deployment ids: "file#object" is matched by its two parts, so that `**` crosses slashes in both; a pattern
 * without `#` covers every deployment of the files it matches.
 */
export async function deploymentGlobs(patterns: readonly string[]): Promise<PathTest> {
  const tests = await Promise.all(
    patterns.map(async (pattern): Promise<PathTest> => {
      const [file, object] = parts(pattern)
      const ofFile = await globsOrNames([file])
      const ofObject = object === null ? () => true : await globsOrNames([object])
      return id => {
        const [inFile, named] = parts(id)
        return id === pattern || (ofFile(inFile) && ofObject(named ?? ''))
      }
    }),
  )
  return id => tests.some(test => test(id))
}

function parts(id: string): readonly [string, string | null] {
  const cut = id.indexOf('#')
  return cut < 0 ? [id, null] : [id.slice(0, cut), id.slice(cut + 1)]
}
