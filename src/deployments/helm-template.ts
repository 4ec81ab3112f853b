import { HOLE_CLOSE, HOLE_OPEN } from './command.ts'
import { Text } from './text.ts'
import { at, type Node, plainValue } from './tree.ts'

/** Whether a file is an unrendered chart template: no YAML, and not to be parsed as such. */
export function isHelmTemplate(path: string, source: string): boolean {
  return (
    /\{\{-?\s*(?:\.|include|template|if|range|with|define|toYaml|tpl|\/\*|\$)/.test(source) &&
    (/(?:^|\/)templates\//.test(path) || /^\s*\{\{-?\s*(?:if|range|with|define|include|end)/m.test(source))
  )
}

/** Folder of the chart that a template belongs to: what stands before `templates/`. */
export function chartFolder(path: string): string {
  const at = path.lastIndexOf('templates/')
  return at < 0 ? path.slice(0, path.lastIndexOf('/') + 1) : path.slice(0, at)
}

/** One `{{ … }}` with what it stands for. */
interface Action {
  readonly from: number
  readonly to: number
  readonly body: string
  /** Nothing else stands on its line. */
  readonly alone: boolean
}

/**
 * Substitutes the plain values of a template, `{{ .Values.a.b }}` with `quote` and `default`, and `toYaml` blocks.
 * Whatever else an action computes becomes a hole that names it; lines of control are dropped. A condition that the
 * values decide drops the branch that does not hold. This is no rendering: it serves to read arguments and variables.
 */
export function substituteValues(source: Text, values: Node | null): Text {
  const parts: Text[] = []
  const skipping: boolean[] = []
  // what "." stands for in each open block, as a path under .Values; null: the root, or not known
  const scopes: (string | null)[] = []
  let plain = 0
  const copy = (to: number): void => {
    if (to > plain && !skipping.includes(true)) parts.push(source.slice(plain, to))
  }
  for (const found of actions(source.value)) {
    const scope = scopes.at(-1) ?? null
    const action = { ...found, body: fromRoot(found.body, scope) }
    const [from, to] = action.alone ? lineOf(source.value, action) : [action.from, action.to]
    copy(from)
    plain = to
    const keyword = /^(?:else if|\w+)/.exec(action.body)?.[0]
    if (OPENS.has(keyword ?? '')) scopes.push(scopeOf(keyword!, action.body, scope))
    else if (keyword === 'end') scopes.pop()
    if (keyword === 'if' || keyword === 'with') skipping.push(condition(action.body, values) === false)
    else if (keyword === 'range' || keyword === 'define' || keyword === 'block') skipping.push(false)
    else if (keyword === 'else' || keyword === 'else if')
      skipping.push(
        skipping.pop() === false || (keyword === 'else if' && condition(action.body.slice(5), values) === false),
      )
    else if (keyword === 'end') skipping.pop()
    else if (action.body !== '' && !skipping.includes(true)) parts.push(...replacement(action, source, values))
  }
  copy(source.value.length)
  return parts.length === 0 ? source.slice(0, 0) : Text.join(parts)
}

const OPENS: ReadonlySet<string> = new Set(['if', 'with', 'range', 'define', 'block'])

/** What "." stands for inside a block. */
function scopeOf(keyword: string, body: string, outer: string | null): string | null {
  if (keyword === 'if') return outer
  return keyword === 'with' ? (/^with\s+\.Values\.([\w.]+)$/.exec(body)?.[1] ?? null) : null
}

/** An action's text with `$.Values` and, inside `with .Values.a`, `.` and `.b` written from the root. */
function fromRoot(body: string, scope: string | null): string {
  const text = body.replace(/\$\.Values\b/g, '.Values')
  if (scope === null || /^(?:include|template|tpl)\b/.test(text)) return text
  return text.replace(/(^|[\s(])\.(?!Values\.)(\w[\w.]*)?(?=[\s)|]|$)/g, (_, before: string, name?: string) =>
    name === undefined ? `${before}.Values.${scope}` : `${before}.Values.${scope}.${name}`,
  )
}

function actions(text: string): Action[] {
  const found: Action[] = []
  for (let from = text.indexOf('{{'); from >= 0 && found.length < 5_000; ) {
    const comment = /^\{\{-?\s*\/\*/.test(text.slice(from, from + 10))
    const end = text.indexOf(comment ? '*/' : '}}', from + 2)
    const close = end < 0 ? -1 : comment ? text.indexOf('}}', end) : end
    if (close < 0) break
    const to = close + 2
    const before = text.slice(text.lastIndexOf('\n', from - 1) + 1, from)
    const lineEnd = text.indexOf('\n', to)
    const after = text.slice(to, lineEnd < 0 ? undefined : lineEnd)
    const body = text
      .slice(from + 2, close)
      .replace(/^-|-$/g, '')
      .trim()
    found.push({
      from,
      to,
      body: comment ? '' : body,
      alone: before.trim() === '' && after.trim() === '',
    })
    from = text.indexOf('{{', to)
  }
  return found
}

/** The whole line around an action that stands alone, its line break included. */
function lineOf(text: string, action: Action): [number, number] {
  const from = text.lastIndexOf('\n', action.from - 1) + 1
  const end = text.indexOf('\n', action.to)
  return [from, end < 0 ? text.length : end + 1]
}

function replacement(action: Action, source: Text, values: Node | null): Text[] {
  const here = source.slice(action.from, action.to)
  const dump = /^toYaml\s+\(?\s*\.Values\.([\w.]+)/.exec(action.body)
  if (dump) {
    const node = valueAt(values, dump[1]!)
    const indent = /(?:n?indent)\s+(\d+)/.exec(action.body)?.[1]
    if (!node) return []
    const start = node.kind === 'scalar' ? node.text : node.start
    const line = `${action.alone ? ' '.repeat(Number(indent ?? 0)) : ' '}${JSON.stringify(plainValue(node))}${action.alone ? '\n' : ''}`
    return [Text.at(start, line)]
  }
  const value = /\.Values\.([\w.]+)/.exec(action.body)
  const node = value ? valueAt(values, value[1]!) : undefined
  const quoted = /\|\s*s?quote/.test(action.body)
  const mark = (text: Text): Text[] => (quoted ? [Text.at(here, '"'), text, Text.at(here, '"')] : [text])
  if (node?.kind === 'scalar' && node.value !== null && node.text.value !== '') return mark(node.text)
  const otherwise = /\bdefault\s+"?([^"|)\s]+)"?/.exec(action.body)
  if (value && otherwise && !otherwise[1]!.startsWith('.')) return mark(Text.at(here, otherwise[1]!))
  if (action.alone) return []
  const name = value
    ? `.Values.${value[1]}`
    : action.body
        .replace(/[\uE000\uE001"'#:\n]/g, ' ')
        .slice(0, 80)
        .trim()
  return mark(Text.at(here, `${HOLE_OPEN}${name}${HOLE_CLOSE}`))
}

function valueAt(values: Node | null, path: string): Node | undefined {
  return values ? at(values, ...path.split('.').filter(Boolean)) : undefined
}

/** Truth of `if .Values.a.b`, possibly negated; null when the values do not say. */
function condition(body: string, values: Node | null): boolean | null {
  const match = /^(?:if|with)\s+(not\s+)?\.Values\.([\w.]+)$/.exec(body)
  const node = match ? valueAt(values, match[2]!) : undefined
  if (!match || !node) return null
  const empty =
    node.kind === 'scalar'
      ? node.value === null || node.value === false || node.value === '' || node.value === 0
      : node.kind === 'list'
        ? node.items.length === 0
        : node.entries.length === 0
  return match[1] ? empty : !empty
}
