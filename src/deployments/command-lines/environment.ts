import type { FlagTable, FlagUse } from '../flags/flags.ts'
import type { Text } from '../text.ts'

/**
 * Options that an engine also takes from its environment: `MAX_TOTAL_TOKENS` for `--max-total-tokens`. They stand
 * before the command line, which wins.
 */
export function environmentUses(env: ReadonlyMap<string, Text>, table: FlagTable, prefix = ''): FlagUse[] {
  const uses: FlagUse[] = []
  for (const [variable, value] of env) {
    if (!variable.startsWith(prefix)) continue
    const name = variable.slice(prefix.length).toLowerCase().replaceAll('_', '-')
    const flag = table.spelled.get(name)
    if (!flag || variable !== variable.toUpperCase() || IGNORED.has(name) || value.value === '') continue
    const text = `${variable}=${value.value}`
    if (flag.arity === 0)
      uses.push({
        name: flag.name,
        known: true,
        path: null,
        values: [],
        on: !/^(?:false|0|no|off)$/i.test(value.value) !== flag.negated,
        flag: value,
        text,
      })
    else uses.push({ name: flag.name, known: true, path: null, values: [value], on: true, flag: value, text })
  }
  return uses
}

/** Names too general to be the engine's own. */
const IGNORED = new Set(['port', 'host', 'hostname', 'env', 'api-key', 'hf-token', 'hf-api-token'])
