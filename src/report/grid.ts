/** Tables for a terminal as pure text: the caller says how wide, whether with boxes, and how a tone is painted. */

export type Tone = 'good' | 'warn' | 'bad' | 'dim' | 'strong' | 'plain'

export interface TextStyle {
  /** Columns available; tables wrap their flexible columns to stay inside. */
  readonly width: number
  /** Box-drawing borders (a terminal) or plain columns (a pipe). */
  readonly boxes: boolean
  readonly paint: (tone: Tone, text: string) => string
}

export const plainStyle: TextStyle = { width: 120, boxes: false, paint: (_tone, text) => text }

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
  /** May be wrapped when the table is too wide; default false. */
  readonly flexible?: boolean
}

export type Cell = string | { readonly text: string; readonly tone: Tone }

const textOf = (cell: Cell): string => (typeof cell === 'string' ? cell : cell.text)
const toneOf = (cell: Cell): Tone => (typeof cell === 'string' ? 'plain' : cell.tone)

/** Columns a text takes on a terminal: wide East Asian characters and emoji count two, combining marks none. */
export function displayWidth(text: string): number {
  let width = 0
  for (const char of text) {
    const code = char.codePointAt(0)!
    if (code < 0x300) width += 1
    else if (/\p{Mn}|\p{Me}|\p{Cf}/u.test(char)) width += 0
    else if (
      /\p{Emoji_Presentation}/u.test(char) ||
      (code >= 0x1100 && /\p{scx=Han}|\p{scx=Hangul}|\p{scx=Hiragana}|\p{scx=Katakana}/u.test(char))
    )
      width += 2
    else width += 1
  }
  return width
}

/**
 * Breaks text into lines of at most `width` columns: at spaces, so that numbers, ids and flags stay whole; in a word of
 * most of a line after one of `/#:-,_`, else anywhere.
 */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let rest = text
  while (displayWidth(rest) > width && width > 0) {
    let cut = 0
    let space = 0
    let soft = 0
    let used = 0
    for (const char of rest) {
      const w = displayWidth(char)
      if (used + w > width && cut > 0) break
      used += w
      cut += char.length
      if (char === ' ') space = cut
      if (/[/#:,_-]/.test(char)) soft = cut
    }
    if (rest[cut] === ' ') space = cut
    // A short word before one that has room on the next line is better than that one broken.
    const next = /^\S*/.exec(rest.slice(space).trimStart())![0]
    const whole = space > 0 && displayWidth(next) <= width
    const at = whole ? space : ([space, soft].find(place => place > cut / 3) ?? cut)
    lines.push(rest.slice(0, at).trimEnd())
    rest = rest.slice(at).trimStart()
  }
  lines.push(rest)
  return lines
}

/** A table as lines joined by newlines, with a trailing newline. Rows shorter than the columns are filled with "". */
export function grid(columns: readonly Column[], rows: readonly (readonly Cell[])[], asked: TextStyle): string {
  const cellWidths = columns.map((_, i) =>
    Math.max(
      0,
      ...rows.map(row =>
        Math.max(
          ...textOf(row[i] ?? '')
            .split('\n')
            .map(displayWidth),
        ),
      ),
    ),
  )
  const words = columns.map((_, i) =>
    Math.max(
      0,
      ...rows.flatMap(row =>
        textOf(row[i] ?? '')
          .split(/\s/)
          .map(displayWidth),
      ),
    ),
  )
  const framed = fitted(cellWidths, words, columns, asked)
  // A frame for which there is no room is left out.
  const style = asked.boxes && framed.over > 0 ? { ...asked, boxes: false } : asked
  const { widths } = style === asked ? framed : fitted(cellWidths, words, columns, style)
  const sides = style.boxes ? { left: '│ ', between: ' │ ', right: ' │' } : { left: '', between: '  ', right: '' }
  const line = (cells: readonly Cell[], forced?: Tone): string[] => {
    const wrapped = columns.map((_, i) =>
      textOf(cells[i] ?? '')
        .split('\n')
        .flatMap(text => wrap(text, widths[i]!)),
    )
    const height = Math.max(...wrapped.map(lines => lines.length))
    return Array.from({ length: height }, (_, at) => {
      const parts = columns.map((column, i) => {
        const text = wrapped[i]![at] ?? ''
        const gap = ' '.repeat(Math.max(0, widths[i]! - displayWidth(text)))
        const tone = forced ?? toneOf(cells[i] ?? '')
        const painted = tone === 'plain' ? text : style.paint(tone, text)
        return column.align === 'right' ? gap + painted : painted + gap
      })
      return (sides.left + parts.join(sides.between) + sides.right).trimEnd()
    })
  }
  const rule = (left: string, middle: string, right: string) =>
    left + widths.map(width => '─'.repeat(width + 2)).join(middle) + right
  const out: string[] = []
  if (style.boxes) out.push(rule('┌', '┬', '┐'))
  out.push(
    ...line(
      columns.map(column => column.title),
      'strong',
    ),
  )
  out.push(style.boxes ? rule('├', '┼', '┤') : widths.map(width => '-'.repeat(width)).join('  '))
  for (const row of rows) out.push(...line(row))
  if (style.boxes) out.push(rule('└', '┴', '┘'))
  return `${out.join('\n')}\n`
}

/** Narrowest a flexible column becomes. */
const NARROWEST = 12

/**
 * Column widths that fit: flexible columns give way first, the widest before the others; then titles wrap at their
 * words, then cells at theirs. What cannot give way sticks out, by `over`.
 */
function fitted(cells: readonly number[], words: readonly number[], columns: readonly Column[], style: TextStyle) {
  const titles = columns.map(column => Math.max(...column.title.split(' ').map(displayWidth)))
  const widths = columns.map((column, i) => Math.max(displayWidth(column.title), cells[i]!))
  const stages: ((column: Column, i: number) => number)[] = [
    (column, i) => (column.flexible ? Math.min(widths[i]!, NARROWEST) : widths[i]!),
    (column, i) => (column.flexible ? widths[i]! : Math.max(titles[i]!, cells[i]!)),
    (_, i) => Math.min(widths[i]!, Math.max(titles[i]!, words[i]!)),
  ]
  const frame = style.boxes ? 3 * widths.length + 1 : 2 * (widths.length - 1)
  let over = widths.reduce((a, b) => a + b, 0) + frame - style.width
  for (const stage of stages) {
    const least = columns.map(stage)
    while (over > 0) {
      let widest = -1
      for (let i = 0; i < widths.length; i++)
        if (widths[i]! > least[i]! && (widest < 0 || widths[i]! > widths[widest]!)) widest = i
      if (widest < 0) break
      widths[widest]!--
      over--
    }
  }
  return { widths, over }
}
