/**
 * Everything that comes from a repository (ids, file names, values, messages that quote them) is attacker text. Two
 * forms let it into markdown: a code span, where nothing is interpreted, and escaped prose.
 */

/** Control, bidirectional and zero-width characters, made visible or dropped. */
function visible(text: string): string {
  return text
    .replace(/[\r\n\u2028\u2029]+/g, ' ')
    .replace(/\p{Cc}\[[0-9;]*[A-Za-z]/gu, '')
    .replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu, char => `\\u${char.codePointAt(0)!.toString(16).padStart(4, '0')}`)
}

const LONGEST = 300

/** Cuts a text to so many characters, never inside a surrogate pair, and shows that it did. */
export function shortened(text: string, most = LONGEST): string {
  if (text.length <= most) return text
  const end = /[\ud800-\udbff]/.test(text[most - 2]!) ? most - 2 : most - 1
  return `${text.slice(0, end)}…`
}

/** A markdown code span that shows exactly this text; safe inside a table cell too. */
export function code(text: string): string {
  const shown = shortened(visible(text)) || ' '
  const content = shown.includes('|') ? shown.replaceAll('\\', '＼').replaceAll('|', '\\|') : shown
  const longest = Math.max(0, ...[...content.matchAll(/`+/g)].map(run => run[0].length))
  const fence = '`'.repeat(longest + 1)
  const pad = longest > 0 || content.startsWith(' ') || content.endsWith(' ') ? ' ' : ''
  return `${fence}${pad}${content}${pad}${fence}`
}

/** Prose as literal text: no markup, no HTML, no link, no mention or issue reference. */
export function prose(text: string, most = 1000): string {
  return shortened(visible(text), most)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replace(/[\\`*_{}[\]()|~!]/g, '\\$&')
    .replace(/([@#])(?=[\w-])/g, '$1\u200b')
    .replace(/(?<![a-z])(https?|ftp|mailto|javascript|data):/gi, '$1\u200b:')
    .replace(/(?<![a-z])www\./gi, 'www\u200b.')
    .replace(/\bGH-(?=\d)/gi, 'GH\u200b-')
    .replace(/\b[0-9a-f]{7,40}\b/g, sha =>
      /[0-9]/.test(sha) && /[a-f]/.test(sha) ? `${sha.slice(0, 3)}\u200b${sha.slice(3)}` : sha,
    )
}

/** What a message quotes for the reader to copy: flags, environment variables, a policy's line, a deployment's id, our commands. */
const QUOTED =
  /(?<![\w-])--[a-z][\w-]*(?:=[^\s,;()]+)?|\b[A-Z][A-Z\d]*_[A-Z\d_]+(?:=\w+)?|(?<![\w./-])[\w./-]+#[\w./*-]+|\bmodels: \{.*\}|\bhf-vram-calc [a-z]+\b/g

/** Prose whose quotes of that kind are code spans. */
export function told(text: string, most = 1000): string {
  const cut = shortened(visible(text), most)
  let out = ''
  let from = 0
  for (const { 0: quoted, index } of cut.matchAll(QUOTED)) {
    // Two spans side by side would read each other's fence.
    out += (index === from && index > 0 ? ' ' : prose(cut.slice(from, index))) + code(quoted)
    from = index + quoted.length
  }
  return out + prose(cut.slice(from))
}

/** A path of the repository as URL path: every segment encoded. */
export function encodedPath(path: string): string {
  return path
    .split('/')
    .map(encodeURIComponent)
    .join('/')
    .replace(/[()!'*]/g, char => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}
