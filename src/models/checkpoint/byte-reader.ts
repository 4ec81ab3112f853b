/** Thrown when a read goes past the end of the bytes at hand; caught by the parser, which asks for more. */
export class ShortRead extends Error {
  /** Length from the start that the read would have needed. */
  readonly needed: number
  constructor(needed: number) {
    super(`needs ${needed} bytes`)
    this.needed = needed
  }
}

const decoder = new TextDecoder()

/** Little-endian reads one after the other. Integers beyond 2^53 read as their nearest number. */
export class ByteReader {
  private readonly bytes: Uint8Array
  private readonly view: DataView
  private at = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  private take(count: number): number {
    const from = this.at
    if (from + count > this.bytes.length) throw new ShortRead(from + count)
    this.at = from + count
    return from
  }

  u8(): number {
    return this.view.getUint8(this.take(1))
  }

  i8(): number {
    return this.view.getInt8(this.take(1))
  }

  u16(): number {
    return this.view.getUint16(this.take(2), true)
  }

  i16(): number {
    return this.view.getInt16(this.take(2), true)
  }

  u32(): number {
    return this.view.getUint32(this.take(4), true)
  }

  i32(): number {
    return this.view.getInt32(this.take(4), true)
  }

  u64(): number {
    return Number(this.view.getBigUint64(this.take(8), true))
  }

  i64(): number {
    return Number(this.view.getBigInt64(this.take(8), true))
  }

  f32(): number {
    return this.view.getFloat32(this.take(4), true)
  }

  f64(): number {
    return this.view.getFloat64(this.take(8), true)
  }

  text(length: number): string {
    const from = this.take(length)
    return decoder.decode(this.bytes.subarray(from, from + length))
  }

  skip(count: number): void {
    this.take(count)
  }
}
