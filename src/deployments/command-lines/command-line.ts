import type { Command } from '../command.ts'
import type { DeclaredHardware, EngineName, ModelReference } from '../deployment.ts'
import type { Text } from '../text.ts'
import type { MapNode } from '../tree.ts'
import type { Collector } from '../values.ts'

/** What a reader may ask of the repository beyond the command itself. */
export interface Tools {
  /** Text of a file by a path relative to the file being read, or of the repository; null when it is not there. */
  readonly read: (path: string) => Promise<Text | null>
}

/** How the engine was recognised: by its program's words, by its image alone, or by nothing but its flags. */
type StartForm = 'program' | 'image' | 'flags'

export interface Start {
  readonly command: Command
  /** Arguments after the words that name the program. */
  readonly args: readonly Text[]
  readonly form: StartForm
  /** Options that keys of the wrapper give instead of flags; the arguments win. */
  readonly keys?: MapNode
}

/** What one engine's reader makes of a start. */
export interface EngineReading {
  readonly collector: Collector
  readonly model: ModelReference
  readonly draftModel?: ModelReference | null
  /** A training run instead of a server. */
  readonly workload?: 'serve' | 'train'
  /** Where the engine itself was told otherwise than the container: a device flag. */
  readonly accelerator?: DeclaredHardware['accelerator']
}

/** One engine's command line. Add one: a file here, a line in index.ts; the contract suite runs it. */
export interface CommandLine {
  readonly engine: EngineName
  readonly title: string
  /** Lower-case text that a file must hold (any of them) for this engine to be in it: the cheap first look. */
  readonly marks: readonly string[]
  /** How many words of `argv` name the program (["vllm", "serve"] → 2); 0 when it is another program. */
  readonly program: (argv: readonly string[]) => number
  /** Images whose entry point is the engine, by repository name without registry and tag. */
  readonly image: RegExp
  /** Flags that only this engine has: with them an image of any name is its server. */
  readonly telling?: RegExp
  /** Environment variables of this engine that change memory. */
  readonly environment: RegExp
  /** Environment variables that alone show this engine in a container without command and known image. */
  readonly signature?: (env: ReadonlyMap<string, Text>) => boolean
  readonly read: (start: Start, tools: Tools) => Promise<EngineReading | null>
}

/** The python module that `python -m module` runs, with the number of words it takes; null for other programs. */
export function pythonModule(argv: readonly string[]): { readonly module: string; readonly words: number } | null {
  if (!/^(?:python[\d.]*|pypy[\d.]*)$|[$\uE000]/.test(baseName(argv[0] ?? '')) && argv[0] !== '-m') return null
  for (let i = 1; i < Math.min(argv.length - 1, 6); i++) {
    if (argv[i] === '-m') return { module: argv[i + 1]!, words: i + 2 }
    if (!/^-[a-zA-Z]/.test(argv[i]!)) return null
  }
  return argv[0] === '-m' && argv[1] !== undefined ? { module: argv[1], words: 2 } : null
}

/** Last part of a path: "/usr/bin/vllm" is vllm. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
