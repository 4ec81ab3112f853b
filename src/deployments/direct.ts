import { settingNumber } from '../policy/parse.ts'
import { settingNames, settingValue } from '../policy/settings.ts'
import { bad, good, type Result } from '../problem.ts'
import { closest } from '../units/suggest.ts'
import { type Deployment, noHardware, type Setting, type Settings } from './deployment.ts'

/**
 * Deployments that no file declares: lines `org/name[@revision] [setting=value ...]`, served by vLLM. Their place is
 * the line of what named them ("input model-ids"). Problem: `usage` for a setting that is unknown or malformed.
 */
export function directDeployments(lines: readonly string[], from: string): Result<Deployment[]> {
  const deployments: Deployment[] = []
  for (const [index, line] of lines.entries()) {
    const [model = '', ...pairs] = line.split(/\s+/)
    const at = model.indexOf('@')
    const id = at < 0 ? model : model.slice(0, at)
    const settings: Record<string, Setting> = {}
    for (const pair of pairs) {
      const cut = pair.indexOf('=')
      const key = cut < 0 ? pair : pair.slice(0, cut)
      const name = settingNames.find(candidate => candidate === key)
      if (cut < 0 || name === undefined) {
        const near = closest(key.slice(0, 80), settingNames)
        return bad('usage', `${from}: ${JSON.stringify(pair.slice(0, 80))} is no setting=value`, {
          hint: near === null ? 'write maxModelLen=8192' : `did you mean ${near}=…?`,
        })
      }
      const read = settingValue(name, pair.slice(cut + 1))
      if ('expected' in read)
        return bad(
          'usage',
          `${from}: ${name} is ${JSON.stringify(pair.slice(cut + 1, cut + 81))}, expected ${read.expected}`,
        )
      settings[name] = { value: settingNumber(name, read.value), from: 'flag', text: pair }
    }
    const place = { file: from, line: index + 1, column: 1 }
    deployments.push({
      id: `${from}#${id}`,
      location: place,
      format: 'direct',
      workload: 'serve',
      engine: { name: 'vllm', version: null },
      model: { id, revision: at < 0 ? null : model.slice(at + 1), at: place, text: model },
      draftModel: null,
      adapters: [],
      unresolved: [],
      settings: settings as Settings,
      options: {},
      environment: {},
      hardware: noHardware,
      findings: [],
    })
  }
  return good(deployments)
}
