import type { Context } from './format.ts'
import type { Text } from './text.ts'

/** Variables of a `.env` file beside the file being read; empty when there is none. Later lines win. */
export async function readDotenv(context: Pick<Context, 'read'>, path: string): Promise<Map<string, Text>> {
  const text = await context.read(path)
  return text ? parseDotenv(text) : new Map()
}

/** `KEY=value`, `export KEY="value"`, comments; quotes are taken off, nothing is expanded. */
export function parseDotenv(text: Text): Map<string, Text> {
  const variables = new Map<string, Text>()
  let from = 0
  for (const line of text.value.split('\n')) {
    const match = /^\s*(?:export\s+)?([A-Za-z_][\w.]*)\s*=[ \t]*/.exec(line)
    if (match) {
      const start = from + match[0].length
      const raw = line.slice(match[0].length).trimEnd()
      const quote = raw[0] === '"' || raw[0] === "'" ? raw.indexOf(raw[0], 1) : -1
      const comment = quote > 0 ? -1 : raw.search(/\s#/)
      const end = quote > 0 ? quote : comment >= 0 ? comment : raw.length
      variables.set(match[1]!, text.slice(start + (quote > 0 ? 1 : 0), start + end).trim())
    }
    from += line.length + 1
  }
  return variables
}
