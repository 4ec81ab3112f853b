import type { Place } from '../problem.ts'

/** Where the lines of one file begin, so that an offset becomes a place. */
export class Lines {
  readonly file: string
  readonly #starts: readonly number[]

  constructor(file: string, text: string) {
    this.file = file
    const starts = [0]
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
    this.#starts = starts
  }

  place(offset: number): Place {
    let low = 0
    let high = this.#starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#starts[middle]! <= offset) low = middle
      else high = middle - 1
    }
    return { file: this.file, line: low + 1, column: Math.max(0, offset - this.#starts[low]!) + 1 }
  }
}

/** From character `from` of a text on, its characters stand in `lines` from `offset` on. */
interface Piece {
  readonly from: number
  readonly lines: Lines
  readonly offset: number
}

/**
 * A string that knows where each of its characters stands in which file: through block scalars, strings in strings,
 * variable expansion, substitution. Immutable; slicing and joining keep the places.
 */
export class Text {
  readonly value: string
  readonly #pieces: readonly Piece[]

  private constructor(value: string, pieces: readonly Piece[]) {
    this.value = value
    this.#pieces = pieces
  }

  /** A whole file. */
  static file(path: string, value: string): Text {
    return new Text(value, [{ from: 0, lines: new Lines(path, value), offset: 0 }])
  }

  /** Text that stands in no file (an injected variable), reported at the place of `like`. */
  static at(like: Text, value: string): Text {
    const { lines, offset } = like.#pieceAt(0)
    return new Text(value, [{ from: 0, lines, offset }])
  }

  /** Decoded text whose words occur in `source` in the same order from `start` on (a YAML scalar in its raw form). */
  static decoded(value: string, source: Text, start: number, end: number): Text {
    if (source.value.startsWith(value, start)) return source.slice(start, start + value.length)
    const pieces: Piece[] = []
    let cursor = start
    for (const word of value.matchAll(/\S+/g)) {
      const found = source.value.indexOf(word[0], cursor)
      const at = found >= 0 && found + word[0].length <= end ? found : -1
      const piece = source.#pieceAt(at >= 0 ? at : cursor)
      pieces.push({ from: pieces.length === 0 ? 0 : word.index, lines: piece.lines, offset: piece.offset })
      if (at >= 0) cursor = at + word[0].length
    }
    if (pieces.length === 0) {
      const piece = source.#pieceAt(start)
      pieces.push({ from: 0, lines: piece.lines, offset: piece.offset })
    }
    return new Text(value, pieces)
  }

  static join(parts: readonly Text[]): Text {
    if (parts.length === 1) return parts[0]!
    const pieces: Piece[] = []
    let length = 0
    for (const part of parts) {
      if (part.value === '' && pieces.length > 0) continue
      for (const piece of part.#pieces) pieces.push({ ...piece, from: length + piece.from })
      length += part.value.length
    }
    return new Text(parts.map(part => part.value).join(''), pieces)
  }

  slice(from: number, to = this.value.length): Text {
    const first = this.#indexAt(from)
    const pieces: Piece[] = []
    for (let i = first; i < this.#pieces.length; i++) {
      const piece = this.#pieces[i]!
      if (i > first && piece.from >= to) break
      const shift = Math.max(0, from - piece.from)
      pieces.push({ from: Math.max(0, piece.from - from), lines: piece.lines, offset: piece.offset + shift })
    }
    return new Text(this.value.slice(from, to), pieces)
  }

  trim(): Text {
    const from = this.value.length - this.value.trimStart().length
    const to = Math.max(from, this.value.trimEnd().length)
    return from === 0 && to === this.value.length ? this : this.slice(from, to)
  }

  /** Place of the first character. */
  get place(): Place {
    return this.placeAt(0)
  }

  placeAt(index: number): Place {
    const { lines, offset } = this.#pieceAt(index)
    return lines.place(offset)
  }

  get file(): string {
    return this.#pieces[0]!.lines.file
  }

  #indexAt(index: number): number {
    let low = 0
    let high = this.#pieces.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#pieces[middle]!.from <= index) low = middle
      else high = middle - 1
    }
    return low
  }

  #pieceAt(index: number): { readonly lines: Lines; readonly offset: number } {
    const piece = this.#pieces[this.#indexAt(index)]!
    return { lines: piece.lines, offset: piece.offset + Math.max(0, index - piece.from) }
  }
}
