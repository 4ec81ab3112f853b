import type { DeclaredHardware } from './deployment.ts'
import type { Text } from './text.ts'

/** A directory or volume of the host and where the container sees it. */
export interface Mount {
  readonly host: Text
  readonly container: string
}

/**
 * What every container finder yields: one program start with all that belongs to it. The engines' command-line readers
 * turn it into a deployment; they know nothing of the wrapper.
 */
export interface Command {
  /** Program and arguments after all substitution; what could not be resolved stays as the literal placeholder. */
  readonly argv: readonly Text[]
  readonly env: ReadonlyMap<string, Text>
  readonly image: Text | null
  readonly mounts: readonly Mount[]
  readonly hardware: DeclaredHardware
  /** Names of the object and container: the weakest evidence for the engine, used only beside engine flags. */
  readonly names: readonly string[]
  /** Where the start stands when no word of it does: the image or the container. */
  readonly at: Text
  /** It stands in a shell script: only its own words say what it is, not the image around it. */
  readonly scripted?: boolean
  /** Files the same script writes (heredocs), by path, and other files the finder knows. */
  readonly files: ReadonlyMap<string, Text>
}

/** Substituted placeholders of templates are kept between these two characters, which no file holds. */
export const HOLE_OPEN = '\uE000'
export const HOLE_CLOSE = '\uE001'

const HOLE = /\uE000([^\uE001]*)\uE001/g
const PLACEHOLDER =
  /\uE000([^\uE001]{0,200})\uE001|\$\{\{\s{0,20}([^}]{0,200}?)\s{0,20}\}\}|\$\{([\w@*][\w.]{0,200})(?:[^}]{0,500})\}|\$\(([A-Za-z_]\w{0,200})\)|\$\(([^()]{1,80})\)|\$([A-Za-z_]\w{0,200}|@|\*|[0-9])|\{\{\s{0,20}([^}]{0,200}?)\s{0,20}\}\}|<([A-Z][A-Z0-9_-]{2,100}|[a-z]{1,40}(?:[-_][a-z]{1,40}){1,6})>/g

/** Names of the placeholders that a text still holds; empty for plain text. */
export function placeholders(text: string): string[] {
  const names: string[] = []
  for (const match of text.matchAll(PLACEHOLDER))
    names.push(match.slice(1).find(group => group !== undefined) ?? match[0])
  return names
}

/** The text without its placeholders. */
export function withoutPlaceholders(text: string): string {
  return text.replace(PLACEHOLDER, '')
}

/** The text as people wrote it: holes of templates in braces again. */
export function shown(text: string): string {
  return text.includes(HOLE_OPEN) ? text.replace(HOLE, (_, name: string) => `{{ ${name} }}`) : text
}
