import { bad, good, type Result } from '../../problem.ts'

/** Says whether a module, under any of the names it may have in a checkpoint, is in a list of a quantisation config. */
export interface ModuleList {
  readonly matches: (names: readonly string[]) => boolean
  /** True when an entry names a layer by its number, so that equal layers can be treated differently. */
  readonly byLayer: boolean
}

const MOST_ENTRIES = 200_000
/** Globs and expressions are tried one by one; real lists have some tens. */
const MOST_PATTERNS = 512
const LONGEST_PATTERN = 300
const MOST_REPEATS = 4

const noModules: ModuleList = { matches: () => false, byLayer: false }

/**
 * Reads a list of modules to skip (or to treat): module names, parents of modules, globs with `*`, and `re:` regular
 * expressions matched from the start, as the writers and the engines understand them. A name also matches in the middle
 * of a path ("visual" in "model.visual.blocks.0"), by whole segments. Problems: `config-invalid` for a list that is no
 * list of texts, or a regular expression that is malformed or could take exponential time.
 */
export function moduleList(value: unknown, field: string): Result<ModuleList> {
  if (value === undefined || value === null) return good(noModules)
  if (!Array.isArray(value) || value.length > MOST_ENTRIES || value.some(entry => typeof entry !== 'string'))
    return bad('config-invalid', `config.json: ${field} is no list of module names`)
  const plain = new Set<string>()
  const tests: ((name: string) => boolean)[] = []
  for (const entry of value as string[]) {
    if (entry === '') continue
    if (entry.startsWith('re:')) {
      const expression = safeExpression(entry.slice(3))
      if (expression === null)
        return bad(
          'config-invalid',
          `config.json: ${field} holds an expression that is not accepted: ${entry.slice(0, 80)}`,
        )
      tests.push(name => expression.test(name))
    } else if (entry.includes('*')) tests.push(name => globReaches(entry, name))
    else plain.add(entry.endsWith('.') ? entry.slice(0, -1) : entry)
  }
  if (tests.length > MOST_PATTERNS)
    return bad('config-invalid', `config.json: ${field} holds more than ${MOST_PATTERNS} patterns`)
  const inPlain = runIn(plain)
  return good({
    matches: names => names.some(name => inPlain(name) || tests.some(test => test(name))),
    byLayer: (value as string[]).some(entry => /(?:^|[.\\])\d/.test(entry)),
  })
}

/**
 * Asks whether any run of whole segments of a name is in the set. Runs are tried only where an entry begins so, and
 * are no longer than the longest entry: mixtures have thousands of names.
 */
function runIn(plain: ReadonlySet<string>): (name: string) => boolean {
  const heads = new Set<string>()
  let longest = 0
  for (const entry of plain) {
    const segments = entry.split('.')
    heads.add(segments[0]!)
    longest = Math.max(longest, segments.length)
  }
  return name => {
    const segments = name.split('.')
    for (let start = 0; start < segments.length; start++) {
      let path = segments[start]!
      if (!heads.has(path)) continue
      if (plain.has(path)) return true
      for (let end = start + 1; end < Math.min(segments.length, start + longest); end++) {
        path = `${path}.${segments[end]}`
        if (plain.has(path)) return true
      }
    }
    return false
  }
}

/** Does the glob match the name or one of its parents? `*` stands for any text, dots included. */
function globReaches(glob: string, name: string): boolean {
  if (!name.startsWith(glob.slice(0, glob.indexOf('*')))) return false
  if (globMatches(glob, name)) return true
  for (let dot = name.lastIndexOf('.'); dot > 0; dot = name.lastIndexOf('.', dot - 1))
    if (globMatches(glob, name.slice(0, dot))) return true
  return false
}

/** Greedy match with one point of return: never more than glob x text steps. */
export function globMatches(glob: string, text: string): boolean {
  let g = 0
  let t = 0
  let star = -1
  let mark = 0
  while (t < text.length) {
    if (g < glob.length && glob[g] === '*') {
      star = g++
      mark = t
    } else if (g < glob.length && glob[g] === text[t]) {
      g++
      t++
    } else if (star >= 0) {
      g = star + 1
      t = ++mark
    } else return false
  }
  while (glob[g] === '*') g++
  return g === glob.length
}

/**
 * A regular expression that cannot run away on a module name (some 100 characters): short, few unbounded repeats, no
 * repeated group, no back reference. Null for any other.
 */
function safeExpression(source: string): RegExp | null {
  if (source.length > LONGEST_PATTERN || /\)[*+{]/.test(source) || /\\[1-9k]/.test(source) || /\(\?(?!:)/.test(source))
    return null
  const repeats =
    source
      .replace(/\\./g, 'x')
      .replace(/\[[^\]]*\]/g, 'x')
      .match(/[*+{]/g)?.length ?? 0
  if (repeats > MOST_REPEATS) return null
  try {
    return new RegExp(`^(?:${source})`)
  } catch {
    return null
  }
}
