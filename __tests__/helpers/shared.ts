import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, test } from '@jest/globals'

const folder = resolve(dirname(fileURLToPath(import.meta.url)), '../../../shared')

/** Path of a file of the founders' shared data, which lies beside a checkout of the makers only; null elsewhere. */
export function sharedPath(name: string): string | null {
  const path = join(folder, name)
  return existsSync(path) ? path : null
}

/** Rows of a .jsonl file (or the parsed .json file) of the shared data. */
export function sharedRows<T>(path: string): T[] {
  const text = readFileSync(path, 'utf8')
  return path.endsWith('.jsonl')
    ? text
        .split('\n')
        .filter(Boolean)
        .map(line => JSON.parse(line) as T)
    : JSON.parse(text)
}

/** A suite over shared data; where the data is absent one skipped test says so by name. */
export function describeShared(title: string, file: string, body: (path: string) => void): void {
  const path = sharedPath(file)
  if (path === null)
    describe(title, () => test.skip(`SKIPPED: ${file} of the shared data is not beside this checkout`, () => {}))
  else describe(title, () => body(path))
}
