import type { Command } from '../command.ts'
import { deploymentOf } from '../command-lines/index.ts'
import { type DeclaredHardware, type Deployment, noHardware } from '../deployment.ts'
import type { Context, FileFormat } from '../format.ts'
import { imageName } from '../images.ts'
import { scriptStarts } from '../launch.ts'
import type { Text } from '../text.ts'
import { ScalarNode } from '../tree.ts'
import { acceleratorHardware } from './accelerators.ts'

const MAX_SCRIPT = 256 * 1024

export const shell: FileFormat = {
  kind: 'file',
  name: 'shell',
  title: 'Shell scripts: engines, docker run, variables, continuations, functions',
  marks: [],
  paths: path => /\.(?:sh|bash|zsh|ksh|slurm|sbatch|command)$/i.test(path),
  read: async context =>
    readScript(context.text, context, 'shell', {
      ...bareCommand(context.text),
      hardware: slurmHardware(context.text),
    }),
}

/** GPUs of one node's Slurm allocation (`--gres=gpu:A100:4`, `-G 4`); over several nodes the count is left open. */
function slurmHardware(text: Text): DeclaredHardware {
  const match =
    /^(?:#SBATCH|srun)[ \t](?:[^\n]*[ \t])?(?:--gres[= ]gpu:|--gpus(?:-per-node)?[= ]|-G[ \t]?)((?:[a-z][\w.-]*:)?(\d+))\b/im.exec(
      text.value,
    )
  if (!match) return noHardware
  const from = match.index + match[0].length - match[1]!.length
  const written = text.slice(from, from + match[1]!.length)
  return {
    ...acceleratorHardware(new ScalarNode(written.value, written, true), 'gpu'),
    ...(match[1] === match[2] && { names: [] }),
    gpusPerReplica: /^#SBATCH[ \t](?:[^\n]*[ \t])?(?:--nodes[= ]|-N[ \t]?)(?:[2-9]|\d\d|\$)/m.test(text.value)
      ? null
      : Number(match[2]),
  }
}

/** A command at the top of a file: nothing known but where it stands. */
export function bareCommand(at: Text): Command {
  return { argv: [], env: new Map(), image: null, mounts: [], hardware: noHardware, names: [], at, files: new Map() }
}

/** Deployments of a script's text, with the `.env` files that it sources. */
export async function readScript(
  text: Text,
  context: Context,
  format: string,
  command: Command = bareCommand(context.text),
  name = '',
): Promise<Deployment[]> {
  const sources = new Map<string, Text>()
  const script = text.value.length > MAX_SCRIPT ? text.slice(0, MAX_SCRIPT) : text
  for (const match of script.value.matchAll(/(?:^|[\s;&])(?:source|\.)[ \t]+["']?([\w./-]*\.?env[\w.-]*)["']?/g)) {
    const path = match[1]!
    const file = sources.size < 8 ? await context.read(path) : null
    if (file) sources.set(path, file)
  }
  return deploymentsOf(scriptStarts(script, command, null, 0, sources), context, format, name)
}

export async function deploymentsOf(
  starts: readonly Command[],
  context: Context,
  format: string,
  name: string,
): Promise<Deployment[]> {
  const found: Deployment[] = []
  for (const start of starts) {
    const deployment = await deploymentOf(
      start,
      { format, name: name === '' ? programName(start, format) : name },
      context,
    )
    if (deployment) found.push(deployment)
  }
  return found
}

/** The program of a start, or its image where the arguments begin with a flag. */
function programName(start: Command, otherwise: string): string {
  const program = start.argv[0]?.value ?? '-'
  const name = program.startsWith('-') && start.image ? imageName(start.image.value) : program
  return name.split('/').at(-1)!.slice(0, 80) || otherwise
}
