import { Text } from '../text.ts'

/** Looks a variable up; undefined when nothing sets it. */
export type Lookup = (name: string) => Text | undefined

/** How far a substitution may reach. */
const MAX_REACH = 4_000

/** Characters that searches may still look at: with none left they find nothing, so that hostile text stays linear. */
export interface Budget {
  left: number
}

/** Index after the bracket that closes the one before `from`, or -1. Quotes inside are respected. */
export function closing(text: string, from: number, open: string, close: string, budget: Budget): number {
  if (budget.left <= 0) return -1
  const end = closingWithin(text, from, open, close)
  budget.left -= (end < 0 ? Math.min(text.length, from + MAX_REACH) : end) - from
  return end
}

function closingWithin(text: string, from: number, open: string, close: string): number {
  let depth = 1
  const limit = Math.min(text.length, from + MAX_REACH)
  for (let i = from; i < limit; i++) {
    const c = text[i]
    if (c === '\\') i++
    else if (c === "'" && open === '(') {
      const end = text.indexOf("'", i + 1)
      if (end < 0) return -1
      i = end
    } else if (c === open && (open !== '{' || text[i - 1] === '$')) depth++
    else if (c === close && --depth === 0) return i + 1
  }
  return -1
}

/**
 * Expands the inside of `${…}`: plain names and the operators :- - := = :+ + :? ? # ## % %% ^^ ,, and one literal
 * replacement. Undefined when nothing sets the variable and no default stands there: the placeholder then stays.
 */
export function parameter(inside: Text, lookup: Lookup, expand: (text: Text) => Text): Text | undefined {
  const match = /^([A-Za-z_]\w*|[@*#0-9])(\[[@*0-9]+\])?/.exec(inside.value)
  if (!match) return undefined
  const value = lookup(match[1]! + (match[2] ?? ''))
  const operator = inside.value.slice(match[0].length)
  if (operator === '') return value
  const colon = operator[0] === ':'
  const kind = operator[colon ? 1 : 0]
  const rest = inside.slice(match[0].length + (colon ? 2 : 1))
  const missing = value === undefined || (colon && value.value === '')
  switch (kind) {
    case '-':
    case '=':
      return missing ? expand(rest) : value
    case '?':
      return missing ? undefined : value
    case '+':
      return missing ? Text.at(inside, '') : expand(rest)
  }
  if (value === undefined || colon) return undefined
  return edited(value, operator)
}

function edited(value: Text, operator: string): Text | undefined {
  const text = value.value
  if (operator === '^^') return Text.at(value, text.toUpperCase())
  if (operator === ',,') return Text.at(value, text.toLowerCase())
  const trim = /^(##?|%%?)(.*)$/s.exec(operator)
  if (trim) return trimmed(value, trim[1]!, trim[2]!)
  const replace = /^\/(\/?)([^/*?[]+)\/([^/]*)$/.exec(operator)
  if (replace)
    return Text.at(
      value,
      replace[1] ? text.replaceAll(replace[2]!, replace[3]!) : text.replace(replace[2]!, () => replace[3]!),
    )
  return undefined
}

/** `#`, `##`, `%`, `%%` with a pattern of literals and one `*` at the open end. */
function trimmed(value: Text, operator: string, pattern: string): Text {
  const text = value.value
  const front = operator[0] === '#'
  const greedy = operator.length === 2
  const literal = front ? pattern.replace(/^\*/, '') : pattern.replace(/\*$/, '')
  const starred = literal.length < pattern.length
  if (!starred) {
    if (front && text.startsWith(literal)) return value.slice(literal.length)
    if (!front && text.endsWith(literal)) return value.slice(0, text.length - literal.length)
    return value
  }
  const at = front === greedy ? text.lastIndexOf(literal) : text.indexOf(literal)
  if (at < 0) return value
  return front ? value.slice(at + literal.length) : value.slice(0, at)
}

/**
 * Compose's interpolation: `$VAR`, `${VAR}`, `${VAR:-default}` and the other operators, nested; `$$` is a literal
 * dollar. What nothing sets stays as it is written.
 */
export function interpolate(text: Text, lookup: Lookup, depth = 0, budget: Budget = { left: 400_000 }): Text {
  const source = text.value
  if (depth > 20 || !source.includes('$')) return text
  const parts: Text[] = []
  let plain = 0
  const push = (from: number, to: number): void => {
    if (to > from) parts.push(text.slice(from, to))
  }
  for (let i = source.indexOf('$'); i >= 0; i = source.indexOf('$', i)) {
    const next = source[i + 1]
    if (next === '$') {
      push(plain, i + 1)
      i += 2
      plain = i
    } else if (next === '{') {
      const end = closing(source, i + 2, '{', '}', budget)
      if (end < 0) break
      const value = parameter(text.slice(i + 2, end - 1), lookup, inner =>
        interpolate(inner, lookup, depth + 1, budget),
      )
      if (value) {
        push(plain, i)
        parts.push(value)
        plain = end
      }
      i = end
    } else {
      const name = /^[A-Za-z_]\w*/.exec(source.slice(i + 1, i + 129))?.[0]
      const value = name ? lookup(name) : undefined
      if (name && value) {
        push(plain, i)
        parts.push(value)
        plain = i + 1 + name.length
      }
      i += 1 + (name?.length ?? 0)
    }
  }
  push(plain, source.length)
  return parts.length === 0 ? text.slice(0, 0) : Text.join(parts)
}

/** Kubernetes' `$(VAR)` in commands, arguments and values; `$$(VAR)` is the escape. Unknown names stay as written. */
export function kubernetesVariables(text: Text, lookup: Lookup): Text {
  if (!text.value.includes('$(')) return text
  const parts: Text[] = []
  let plain = 0
  for (const match of text.value.matchAll(/\$?\$\(([A-Za-z_][\w.-]*)\)/g)) {
    if (match[0].startsWith('$$')) {
      parts.push(text.slice(plain, match.index))
      plain = match.index + 1
      continue
    }
    const value = lookup(match[1]!)
    if (!value) continue
    parts.push(text.slice(plain, match.index), value)
    plain = match.index + match[0].length
  }
  parts.push(text.slice(plain))
  return Text.join(parts)
}
