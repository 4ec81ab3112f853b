import { flagTable, lastValue, optionsOf, walkFlags } from '../flags/flags.ts'
import { Collector, modelFrom, word } from '../values.ts'
import { baseName, type CommandLine } from './command-line.ts'
import { environmentUses } from './environment.ts'

/** Infinity 0.0.77 (`infinity_emb v2`, typer options). */
const flags = flagTable({
  one: `
    api-key batch-size board-dir device device-id dtype embedding-dtype engine host log-level lengths-via-tokenize
    model-id pooling-method port proxy-root-path revision served-model-name url-prefix vector-disk-cache-path`,
  switches: 'bettertransformer compile model-warmup permissive-cors preload-only trust-remote-code vector-disk-cache',
})

export const infinity: CommandLine = {
  engine: 'infinity',
  title: 'Infinity: infinity_emb v2, image entry point, INFINITY_ variables',
  marks: ['infinity_emb', '/infinity', 'infinity_', 'engine: infinity'],
  program: argv =>
    baseName(argv[0] ?? '') === 'infinity_emb'
      ? /^v[12]$/.test(argv[1] ?? '')
        ? 2
        : /^-\w/.test(argv[1] ?? '')
          ? 0
          : 1
      : 0,
  // infiniflow's is a vector store of that name
  image: /(?<!infiniflow\/)\binfinity$/,
  environment: /^INFINITY_/,
  read: async start => {
    const args = start.args.filter((word, index) => index > 0 || !/^v[12]$/.test(word.value))
    const uses = [
      ...environmentUses(start.command.env, flags, 'INFINITY_'),
      ...walkFlags(args, flags, { underscores: false, prefixes: false, dotted: false }).uses,
    ]
    const collector = new Collector()
    const dtype = lastValue(uses, 'dtype')
    if (dtype) collector.set('dtype', dtype, word)
    Object.assign(collector.options, optionsOf(uses))
    const device = lastValue(uses, 'device')?.value.value
    const revision = lastValue(uses, 'revision')
    const id = lastValue(uses, 'model-id')?.value
    const model = modelFrom(
      // several models stand in one value: the first is the default
      id?.slice(0, `${id.value};`.indexOf(';')),
      collector,
      revision ? { revision: revision.value.value } : {},
    )
    return model.id === null && start.form === 'image' && uses.length === 0
      ? null
      : { collector, model, accelerator: device === 'cpu' ? 'cpu' : null }
  },
}
