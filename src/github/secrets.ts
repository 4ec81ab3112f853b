/** Forms in which a secret could leak: as it is, per line, URL-encoded, base64 alone or as a basic-auth pair. */
function forms(secret: string): string[] {
  const base64 = (text: string) => Buffer.from(text, 'utf8').toString('base64')
  const lines = secret.split(/\r?\n/).map(line => line.trim())
  const all = [secret, ...lines].flatMap(text => [
    text,
    encodeURIComponent(text),
    base64(text),
    base64(`x-access-token:${text}`),
    base64(`user:${text}`),
  ])
  return [...new Set(all)].filter(text => text.length >= 8).sort((a, b) => b.length - a.length)
}

export interface Scrubber {
  /** The text with every form of every secret replaced by ***. */
  readonly scrub: (text: string) => string
  /** What the runner should mask in logs. */
  readonly masks: readonly string[]
}

/** Removes secrets from everything that leaves the process; shorter than eight characters is no secret. */
export function scrubber(secrets: readonly string[]): Scrubber {
  const masks = secrets.filter(secret => secret.trim() !== '').flatMap(forms)
  return {
    masks,
    scrub: text => masks.reduce((left, mask) => left.replaceAll(mask, '***'), text),
  }
}
