import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'

/**
 * Reads the catalogue that lies beside the running script: in the action's folder (dist/index.js), one above the command
 * line's (dist/cli/index.js), or among the sources (src/cli.ts).
 */
export function catalogueBeside(script: string): () => string {
  return () => {
    const folder = dirname(realpathSync(script))
    const places = ['catalogue.json', '../catalogue.json', 'catalogue/catalogue.json', '../catalogue/catalogue.json']
    const found = places.map(place => join(folder, place)).find(path => existsSync(path))
    if (found === undefined)
      throw new Error(`catalogue.json is missing beside ${folder}: the installation is not complete`)
    return readFileSync(found, 'utf8')
  }
}
