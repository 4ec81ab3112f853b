import { scriptPath } from '../find-model.ts'
import { type Cell, type Column, grid, type TextStyle, wrap } from '../report/grid.ts'
import { GiB, MiB } from '../units/bytes.ts'
import { closest } from '../units/suggest.ts'
import { type Flag, helpFlag, helpText } from './arguments.ts'
import { command } from './command.ts'
import { refuse } from './process.ts'
import { styleOf } from './terminal.ts'

/** One list: its rows as data for --json, and how they look. */
interface Listing {
  readonly columns: readonly Column[]
  readonly rows: readonly (readonly Cell[])[]
  readonly data: readonly unknown[]
  /** The last column repeats long texts: it is printed as numbers of notes below the table. */
  readonly noted?: boolean
}

const right = (title: string): Column => ({ title, align: 'right' })
const flexible = (title: string): Column => ({ title, flexible: true })

const LISTS: Readonly<Record<string, () => Promise<Listing>>> = {
  types: async () => {
    const { dataTypes } = await import('../calculator/data.ts')
    return {
      columns: [{ title: 'Data type' }, right('Bytes a parameter'), flexible('What')],
      rows: dataTypes.map(type => [type.name, String(type.bytesPerParameter), type.description]),
      data: dataTypes,
    }
  },
  gpus: async () => {
    const { gpus } = await import('../hardware/gpus.ts')
    const gib = (bytes: number) => (bytes > 0 ? (bytes / GiB).toFixed(2) : '-')
    return {
      columns: [
        { title: 'GPU' },
        right('Driver MiB'),
        right('Seen by engines, GiB'),
        right('Compute'),
        { title: 'Judged' },
        flexible('Source'),
      ],
      rows: gpus.map(gpu => [
        gpu.name,
        gpu.driverBytes > 0 ? String(Math.round(gpu.driverBytes / MiB)) : '-',
        gib(gpu.memoryBytes),
        gpu.computeCapability ?? '-',
        gpu.supported ? 'yes' : 'no',
        gpu.source,
      ]),
      data: gpus.map(({ keys: _keys, ...gpu }) => gpu),
      noted: true,
    }
  },
  instances: async () => {
    const { instances } = await import('../hardware/instances.ts')
    return {
      columns: [{ title: 'Cloud' }, { title: 'Machine type' }, { title: 'GPU' }, right('Count')],
      rows: instances.map(machine => [
        machine.cloud,
        machine.type,
        machine.gpu.name,
        machine.share < 1 ? `${machine.share.toFixed(3)} of one` : String(machine.count),
      ]),
      data: instances.map(machine => ({
        cloud: machine.cloud,
        type: machine.type,
        gpu: machine.gpu.name,
        count: machine.count,
        share: machine.share,
      })),
    }
  },
  engines: async () => {
    const { engines } = await import('../engines/index.ts')
    return {
      columns: [
        { title: 'Engine' },
        { title: 'Setting' },
        flexible('Default'),
        { title: 'Versions' },
        flexible('Source'),
      ],
      rows: engines.flatMap(engine =>
        engine.defaults.map(row => [engine.title, row.setting, row.value, row.versions, row.source]),
      ),
      data: engines.map(engine => ({ name: engine.name, title: engine.title, defaults: engine.defaults })),
    }
  },
  formats: async () => {
    const { formats } = await import('../deployments/formats/index.ts')
    return {
      columns: [{ title: 'Format' }, flexible('What it reads')],
      rows: formats.map(format => [format.name, format.title]),
      data: formats.map(format => ({ name: format.name, title: format.title })),
    }
  },
  families: async () => {
    const { families } = await import('../models/families/index.ts')
    return {
      columns: [{ title: 'Family' }, flexible('Model types'), flexible('Verified by')],
      rows: families.map(family => [family.name, family.modelTypes.join(', '), family.verified]),
      data: families.map(family => ({ name: family.name, modelTypes: family.modelTypes, verified: family.verified })),
      noted: true,
    }
  },
  models: async () => {
    const [{ catalogueBeside }, { openCatalogue }] = await Promise.all([
      import('../catalogue/catalogue-file.ts'),
      import('../catalogue/catalogue.ts'),
    ])
    const ids = openCatalogue(catalogueBeside(scriptPath())).ids()
    return { columns: [{ title: `${ids.length} models of the catalogue` }], rows: ids.map(id => [id]), data: ids }
  },
}

const flags: readonly Flag[] = [{ name: 'json', type: 'boolean', help: 'print JSON' }, helpFlag]
const help = helpText(
  `hf-vram-calc list ${Object.keys(LISTS).join('|')} [--json]`,
  'What the program knows, with its sources.',
  flags,
)

export const listCommand = command(flags, help, async (options, process) => {
  const what = options.positionals[0]
  const make = what !== undefined && Object.hasOwn(LISTS, what) ? LISTS[what] : undefined
  if (what === undefined || options.positionals.length > 1 || make === undefined) {
    const near = what === undefined ? null : closest(what, Object.keys(LISTS))
    return refuse(process, [
      {
        code: 'usage',
        message: what === undefined ? 'list what?' : `cannot list ${JSON.stringify(options.positionals.join(' '))}`,
        hint: near === null ? `one of ${Object.keys(LISTS).join(', ')}` : `did you mean ${near}?`,
      },
    ])
  }
  const listing = await make()
  process.stdout.write(
    options.on['json']
      ? `${JSON.stringify(listing.data, null, 2)}\n`
      : listingText(listing, styleOf(process.stdout, process.env)),
  )
  return 0
})

function listingText({ columns, rows, noted }: Listing, style: TextStyle): string {
  if (!noted) return grid(columns, rows, style)
  const notes = [...new Set(rows.map(row => String(row.at(-1))))]
  const numbered = rows.map(row => [...row.slice(0, -1), String(notes.indexOf(String(row.at(-1))) + 1)])
  const below = notes.flatMap((note, i) => wrap(`${i + 1}: ${note}`, style.width))
  return `${grid(columns, numbered, style)}${below.join('\n')}\n`
}
