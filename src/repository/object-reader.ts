import { spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import { GIT_OPTIONS, gitEnvironment } from './git.ts'

interface Waiting {
  readonly hash: string
  readonly done: (bytes: Uint8Array | null) => void
}

/**
 * Reads objects of a git repository by hash through one `git cat-file --batch` process, which is started at the first
 * read and ends with ours. Contents come as stored: no filter or text conversion. While nothing is asked for, the
 * process does not keep ours alive.
 */
export function objectReader(root: string): (hash: string) => Promise<Uint8Array | null> {
  let ask: ((waiting: Waiting) => void) | null = null
  return hash =>
    new Promise(done => {
      ask ??= start(root)
      ask({ hash, done })
    })
}

function start(root: string): (waiting: Waiting) => void {
  const child = spawn('git', [...GIT_OPTIONS, 'cat-file', '--batch'], {
    cwd: root,
    env: gitEnvironment(),
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  const queue: Waiting[] = []
  const pipes = [child.stdin, child.stdout] as unknown as Socket[]
  let ended = false
  let buffered: Buffer[] = []
  let size = 0
  /** Bytes of the answer that is being read, its header included; null while the header has not come. */
  let needed: number | null = null
  let header = 0

  const hold = (on: boolean) => {
    if (on) child.ref()
    else child.unref()
    for (const pipe of pipes)
      if (on) pipe.ref()
      else pipe.unref()
  }
  const answer = (bytes: Uint8Array | null) => {
    queue.shift()?.done(bytes)
    if (queue.length === 0) hold(false)
  }
  const joined = () => {
    const all = buffered.length === 1 ? buffered[0]! : Buffer.concat(buffered)
    buffered = [all]
    return all
  }
  const keep = (rest: Buffer) => {
    buffered = rest.length > 0 ? [rest] : []
    size = rest.length
    needed = null
  }
  /** Takes one whole answer out of the buffer; false when more bytes are needed. */
  const take = (): boolean => {
    if (size === 0) return false
    if (needed === null) {
      const all = joined()
      const end = all.indexOf(10)
      if (end < 0) return false
      const words = all.toString('latin1', 0, end).split(' ')
      const length = Number(words[2])
      if (words.length !== 3 || !Number.isSafeInteger(length)) {
        keep(all.subarray(end + 1)) // "<hash> missing"
        answer(null)
        return true
      }
      header = end + 1
      needed = header + length + 1
    }
    if (size < needed) return false
    const all = joined()
    const bytes = new Uint8Array(all.subarray(header, needed - 1))
    keep(all.subarray(needed))
    answer(bytes)
    return true
  }
  const end = () => {
    ended = true
    while (queue.length > 0) answer(null)
  }
  child.stdout.on('data', (chunk: Buffer) => {
    buffered.push(chunk)
    size += chunk.length
    while (take()) {}
  })
  child.on('error', end)
  child.on('close', end)
  child.stdin.on('error', end)
  return waiting => {
    if (ended) return waiting.done(null)
    queue.push(waiting)
    hold(true)
    child.stdin.write(`${waiting.hash}\n`)
  }
}
