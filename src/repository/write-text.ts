import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** Writes a file and the folders it lacks; gives what hindered it, or null. */
export function writeText(path: string, text: string): string | null {
  try {
    makeFolder(dirname(path))
    writeFileSync(path, text)
    return null
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** Folder by folder: Node's own recursive mkdir never comes back where a folder's making is answered "no such file". */
function makeFolder(path: string): void {
  if (existsSync(path)) return
  makeFolder(dirname(path))
  mkdirSync(path)
}
