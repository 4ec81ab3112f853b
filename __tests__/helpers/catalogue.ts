import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openCatalogue } from '../../src/catalogue/catalogue.ts'
import type { ModelFacts } from '../../src/models/facts.ts'

const path = join(dirname(fileURLToPath(import.meta.url)), '../../src/catalogue/catalogue.json')
const catalogue = openCatalogue(() => readFileSync(path, 'utf8'))

/** A catalogued model's facts. Throws for one that is not there: a mistake of the test. */
export function factsNamed(id: string): ModelFacts {
  const facts = catalogue.find(id)
  if (facts === null) throw new Error(`the catalogue has no ${id}`)
  return facts
}
