import type { TextStyle, Tone } from '../report/grid.ts'

/** What switches a tone on and off. The terminal's own yellow is hard to read on white; this ochre is on neither. */
const CODES: Readonly<Record<Tone, readonly [string, string] | null>> = {
  good: ['32', '39'],
  warn: ['38;5;136', '39'],
  bad: ['31;1', '22;39'],
  dim: ['2', '22'],
  strong: ['1', '22'],
  plain: null,
}

interface Stream {
  readonly isTTY?: boolean
  readonly columns?: number
}

/** Colour only on a terminal; NO_COLOR (any value) forbids it, FORCE_COLOR (not 0) forces it. */
function coloured(stream: Stream, env: NodeJS.ProcessEnv): boolean {
  if (env['NO_COLOR'] !== undefined && env['NO_COLOR'] !== '') return false
  const force = env['FORCE_COLOR']
  if (force !== undefined) return force !== '0' && force !== 'false'
  return stream.isTTY === true && env['TERM'] !== 'dumb'
}

/** How to print on a stream: boxes and colour on a terminal, plain columns in a pipe; COLUMNS sets the width. */
export function styleOf(stream: Stream, env: NodeJS.ProcessEnv): TextStyle {
  const colour = coloured(stream, env)
  const asked = Number(env['COLUMNS'])
  const width = Number.isInteger(asked) && asked >= 40 ? asked : (stream.columns ?? 120)
  return {
    width: Math.max(60, width),
    boxes: stream.isTTY === true,
    paint: (tone, text) => {
      const codes = CODES[tone]
      return colour && codes !== null && text !== '' ? `\u001b[${codes[0]}m${text}\u001b[${codes[1]}m` : text
    },
  }
}

/**
 * A one-line status on stderr while work takes long: shown only on a terminal and only after half a second. Returns
 * the function that updates it and the one that removes it.
 */
export function progress(
  stream: NodeJS.WriteStream,
  env: NodeJS.ProcessEnv,
): { say: (text: string) => void; end: () => void } {
  if (!stream.isTTY || env['CI'] || env['TERM'] === 'dumb') return { say: () => {}, end: () => {} }
  let text = ''
  let shown = false
  const draw = () => {
    shown = true
    stream.write(`\r\u001b[2K${text.slice(0, (stream.columns ?? 80) - 1)}`)
  }
  const timer = setTimeout(draw, 500)
  timer.unref()
  return {
    say: next => {
      text = next
      if (shown) draw()
    },
    end: () => {
      clearTimeout(timer)
      if (shown) stream.write('\r\u001b[2K')
    },
  }
}
