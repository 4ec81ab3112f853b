import type { Command } from '../command.ts'
import { noHardware } from '../deployment.ts'
import type { DocumentFormat } from '../format.ts'
import { engineStarts } from '../launch.ts'
import { kubernetesVariables } from '../shell/parameters.ts'
import type { Text } from '../text.ts'
import { mapAt, stringAt, textAt } from '../tree.ts'
import { dockerfileCommand } from './dockerfile.ts'
import { bareCommand, deploymentsOf } from './shell.ts'

export const azureMl: DocumentFormat = {
  kind: 'document',
  name: 'azure-ml',
  title: 'Azure ML online deployments: environment variables, image or Dockerfile, instance type',
  marks: ['endpoint_name', 'azuremlschemas'],
  claims: root =>
    textAt(root, 'instance_type') !== undefined &&
    (textAt(root, 'endpoint_name') !== undefined || /azureml/.test(stringAt(root, '$schema') ?? '')),
  read: async (root, context) => {
    const instance = textAt(root, 'instance_type')!
    const own = (mapAt(root, 'environment_variables')?.entries ?? []).flatMap(({ key, value }) =>
      value.kind === 'scalar' && value.value !== null ? [[key.value, value.text] as const] : [],
    )
    const built = textAt(root, 'environment', 'build', 'path')
    const file = built
      ? await context.read(
          `${built.value.replace(/\/$/, '')}/${stringAt(root, 'environment', 'build', 'dockerfile_path') ?? 'Dockerfile'}`,
        )
      : null
    const base = file ? dockerfileCommand(file) : bareCommand(instance)
    const env = new Map<string, Text>([...base.env, ...own])
    const command: Command = {
      ...base,
      argv: base.argv.map(word => kubernetesVariables(word, name => env.get(name))),
      env,
      image: base.image ?? textAt(root, 'environment', 'image') ?? null,
      hardware: {
        ...noHardware,
        names: [
          {
            name: instance.value,
            kind: 'instance-type',
            at: instance.place,
            text: `instance_type: ${instance.value}`,
          },
        ],
      },
      at: textAt(root, 'name') ?? instance,
    }
    const found = await deploymentsOf(
      engineStarts(command),
      context,
      'azure-ml',
      stringAt(root, 'name') ?? 'deployment',
    )
    if (file && found.length > 0) context.part(file.file)
    return found
  },
}
