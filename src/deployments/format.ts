import type { Tools } from './command-lines/command-line.ts'
import type { Deployment, NotUnderstood } from './deployment.ts'
import type { Text } from './text.ts'
import type { Node } from './tree.ts'
import type { YamlDocument } from './yaml.ts'

/** The file being read, and what a format may ask about its surroundings. */
export interface Context extends Tools {
  readonly path: string
  readonly text: Text
  /** The file's YAML (or JSON) documents, parsed once for all formats. */
  readonly documents: () => readonly YamlDocument[]
  /** Text of a file by its path in the repository, as `list` gives it; null when it cannot be read. */
  readonly open: (path: string) => Promise<Text | null>
  /** Paths of the files in a folder of the repository (not below it). */
  readonly list: (folder: string) => Promise<readonly string[]>
  /** A file is deployed through this one: what it declares by itself does not count; unless one says it stands alone. */
  readonly part: (path: string, only?: boolean) => void
  readonly notUnderstood: (entry: Omit<NotUnderstood, 'file'>) => void
}

interface Described {
  /** Name in reports: "kubernetes". */
  readonly name: string
  /** One line for `list formats`. */
  readonly title: string
  /**
   * Lower-case text that shows this format may be in a file even when no engine's own mark is: the cheap first look
   * before anything is parsed.
   */
  readonly marks: readonly string[]
}

/** Reads one YAML or JSON document. The first format that claims a document has it, unless it reads null: then the next. */
export interface DocumentFormat extends Described {
  readonly kind: 'document'
  readonly claims: (root: Node, path: string) => boolean
  readonly read: (root: Node, context: Context) => Promise<readonly Deployment[] | null>
}

/** Reads a file as text: scripts, units, Dockerfiles, programs. */
export interface FileFormat extends Described {
  readonly kind: 'file'
  readonly paths: (path: string) => boolean
  readonly read: (context: Context) => Promise<readonly Deployment[]>
}

/** A way people declare a deployment. Add one: a file in formats/, a line in formats/index.ts, an example in docs/formats.md. */
export type Format = DocumentFormat | FileFormat
