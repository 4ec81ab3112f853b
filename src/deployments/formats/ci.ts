import type { Command } from '../command.ts'
import { deploymentOf } from '../command-lines/index.ts'
import type { Deployment } from '../deployment.ts'
import type { Context, DocumentFormat } from '../format.ts'
import { scriptStarts } from '../launch.ts'
import { Text } from '../text.ts'
import { listAt, type MapNode, mapAt, textAt, textsOf } from '../tree.ts'
import { bareCommand } from './shell.ts'

export const ci: DocumentFormat = {
  kind: 'document',
  name: 'ci',
  title: 'CI pipelines: steps of GitHub workflows and GitLab jobs that start an engine',
  marks: [],
  claims: (root, path) =>
    (mapAt(root, 'jobs')?.entries ?? []).some(({ value }) => listAt(value, 'steps').length > 0) ||
    /(?:^|\/)\.gitlab-ci\.ya?ml$/.test(path),
  read: async (root, context) => {
    const found: Deployment[] = []
    const jobs = mapAt(root, 'jobs') ?? (root.kind === 'map' ? root : undefined)
    const env = variables(mapAt(root, 'env') ?? mapAt(root, 'variables'), new Map())
    for (const { key, value } of jobs?.entries ?? [])
      if (value.kind === 'map') found.push(...(await job(value, key.value, env, context)))
    return found
  },
}

async function job(
  map: MapNode,
  name: string,
  outer: ReadonlyMap<string, Text>,
  context: Context,
): Promise<Deployment[]> {
  const env = variables(mapAt(map, 'env') ?? mapAt(map, 'variables'), outer)
  const scripts = [
    ...listAt(map, 'steps').flatMap((step): [Text, ReadonlyMap<string, Text>][] => {
      const run = textAt(step, 'run')
      return run ? [[run, variables(mapAt(step, 'env'), env)]] : []
    }),
    ...['before_script', 'script'].flatMap(key =>
      textsOf(map.get(key)).map((line): [Text, ReadonlyMap<string, Text>] => [line, env]),
    ),
  ]
  const found: Deployment[] = []
  for (const [script, scope] of scripts) {
    const command: Command = { ...bareCommand(script), env: scope, names: [name] }
    for (const start of scriptStarts(expressions(script, scope, map), command, null)) {
      const deployment = await deploymentOf(start, { format: 'ci', name }, context)
      if (deployment) found.push({ ...deployment, id: `${context.path}#${name}` })
    }
  }
  return found
}

function variables(map: MapNode | undefined, outer: ReadonlyMap<string, Text>): Map<string, Text> {
  const env = new Map(outer)
  for (const { key, value } of map?.entries ?? [])
    if (value.kind === 'scalar' && value.value !== null) env.set(key.value, value.text)
  return env
}

/** `${{ env.X }}`, and `${{ matrix.x }}` where the matrix has one value. */
function expressions(script: Text, env: ReadonlyMap<string, Text>, job: MapNode): Text {
  const parts: Text[] = []
  let plain = 0
  for (const match of script.value.matchAll(/\$\{\{\s*(env|matrix)\.(\w+)\s*\}\}/g)) {
    const choices = match[1] === 'matrix' ? textsOf(mapAt(job, 'strategy', 'matrix')?.get(match[2]!)) : []
    const value = match[1] === 'env' ? env.get(match[2]!) : choices.length === 1 ? choices[0] : undefined
    if (!value) continue
    parts.push(script.slice(plain, match.index), value)
    plain = match.index + match[0].length
  }
  parts.push(script.slice(plain))
  return Text.join(parts)
}
