import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { POLICY_FILES } from '../policy/load.ts'
import type { Report, ReportDeployment } from '../report/report.ts'
import { plural } from '../report/words.ts'
import { writeText } from '../repository/write-text.ts'
import { failures } from '../verdict/run.ts'
import { type Flag, helpFlag, helpText } from './arguments.ts'
import { surveyFlags, surveyRepository } from './check-command.ts'
import { command } from './command.ts'
import { refuse } from './process.ts'

const flags: readonly Flag[] = [
  {
    name: 'accept-current',
    type: 'boolean',
    help: 'record what fails today as exemptions that end in 90 days (or at --until)',
  },
  { name: 'until', type: 'text', shows: 'YYYY-MM-DD', help: 'last day of the exemptions' },
  { name: 'owner', type: 'text', shows: 'TEAM', help: 'owner to name in the exemptions' },
  { name: 'print', type: 'boolean', help: 'print what would be written, write nothing' },
  ...surveyFlags,
  helpFlag,
]

const help = helpText(
  'hf-vram-calc init [PATH] [FLAG ...]',
  'Writes .github/hf-vram-calc.yml and .github/workflows/hf-vram-calc.yml for what it finds in the repository. Existing files are left alone, except that --accept-current adds exemptions to an existing policy.',
  flags,
)

const POLICY = POLICY_FILES[0]
const WORKFLOW = '.github/workflows/hf-vram-calc.yml'
const DAYS = 90

export const initCommand = command(flags, help, async (options, process) => {
  const until = options.text['until'] ?? new Date(Date.now() + DAYS * 86_400_000).toISOString().slice(0, 10)
  if (
    !/^\d{4}-\d{2}-\d{2}$/.test(until) ||
    Number.isNaN(Date.parse(until)) ||
    new Date(until).toISOString().slice(0, 10) !== until
  )
    return refuse(process, [
      { code: 'usage', message: `--until is ${JSON.stringify(until)}, expected a date such as 2027-03-31` },
    ])
  const surveyed = await surveyRepository(options, process)
  if (!surveyed.ok) return refuse(process, surveyed.problems)
  const { root, policy, outcome } = surveyed
  const { report } = outcome
  const failing = report.deployments.filter(row => failures(row, policy.gate).length > 0)
  const exemptions = options.on['accept-current'] ? exemptionLines(failing, until, options.text['owner'] ?? null) : ''

  const files: { path: string; text: string }[] = []
  const existing = POLICY_FILES.find(file => existsSync(join(root, file)))
  if (existing === undefined) files.push({ path: POLICY, text: policyText(report, exemptions) })
  else if (exemptions !== '') {
    const added = withExemptions(readFileSync(join(root, existing), 'utf8'), exemptions)
    if (added === null)
      return refuse(process, [
        {
          code: 'usage',
          message: `${existing} has exemptions that are not a block list`,
          hint: `add these by hand:\n${exemptions}`,
        },
      ])
    files.push({ path: existing, text: added })
  }
  if (!existsSync(join(root, WORKFLOW))) files.push({ path: WORKFLOW, text: WORKFLOW_TEXT })

  for (const { path, text } of files) {
    if (options.on['print']) {
      process.stdout.write(`# ${path}\n${text}\n`)
      continue
    }
    const hindered = writeText(join(root, path), text)
    if (hindered !== null)
      return refuse(process, [{ code: 'usage', message: `${path} cannot be written: ${hindered}` }])
    process.stdout.write(`wrote ${path}\n`)
  }
  if (files.length === 0) process.stdout.write('nothing to write: the policy and the workflow are there\n')
  process.stdout.write(summary(report, failing, options.on['accept-current'] === true, until))
  return 0
})

function summary(report: Report, failing: readonly ReportDeployment[], accepted: boolean, until: string): string {
  const lines = [
    `${plural(report.counts.deployments, 'deployment')} found, ${failing.length} failing today, ${report.counts.unknown} not judged yet`,
  ]
  if (failing.length > 0)
    lines.push(
      accepted
        ? `exempted until ${until}: what fails anew still fails`
        : 'record them with hf-vram-calc init --accept-current, or set only-new: true',
    )
  const blind = report.deployments.filter(row => row.target?.gpu == null && row.verdict.status === 'unknown').length
  if (blind > 0) lines.push(`${blind} without a GPU in the files: give a target in the policy`)
  return `${lines.join('\n')}\n`
}

const quoted = (text: string): string => JSON.stringify(text)

function exemptionLines(failing: readonly ReportDeployment[], until: string, owner: string | null): string {
  return failing
    .map(row => {
      const why = row.verdict.reasons[0]?.message ?? row.verdict.status
      return [
        `  - deployment: ${quoted(escapedGlob(row.id))}`,
        `    reason: ${quoted(`failed when the gate was introduced: ${why}`.slice(0, 300))}`,
        ...(owner === null ? [] : [`    owner: ${quoted(owner)}`]),
        `    until: ${until}`,
      ].join('\n')
    })
    .join('\n')
}

/** An id as a glob that matches only itself. */
function escapedGlob(id: string): string {
  return id.replace(/[\\*?[\]{}()!+@|]/g, '\\$&')
}

/** Adds exemptions to a policy's text without touching its other lines; null when its list is written in flow style. */
function withExemptions(text: string, exemptions: string): string | null {
  const match = /^exemptions:[ \t]*(.*)$/m.exec(text)
  if (!match) return `${text.replace(/\n*$/, '\n')}exemptions:\n${exemptions}\n`
  const rest = match[1]!.replace(/#.*$/, '').trim()
  const end = match.index + match[0].length
  if (rest === '[]') return `${text.slice(0, match.index)}exemptions:\n${exemptions}${text.slice(end)}`
  return rest === '' ? `${text.slice(0, end)}\n${exemptions}${text.slice(end)}` : null
}

function policyText(report: Report, exemptions: string): string {
  const folders = [
    ...new Set(
      report.deployments
        .filter(row => row.target?.gpu == null && row.verdict.status === 'unknown')
        .map(row => dirname(row.location.file)),
    ),
  ].sort()
  const rules = folders
    .slice(0, 20)
    .map(folder => `#   - paths: [${quoted(folder === '.' ? '*' : `${folder}/**`)}]\n#     target: H100-80GB`)
  return [
    '# What the GPU-memory gate takes for granted and what it fails on.',
    '# Every key: https://github.com/org/hf-vram-calc/blob/main/docs/policy.md',
    'version: 1',
    'fail-on: [exceeds]',
    'on-unknown: warn',
    ...(rules.length > 0
      ? [
          '# These folders do not say on which GPU they run; name it and remove the comment signs:',
          '# rules:',
          ...rules,
        ]
      : []),
    ...(exemptions === '' ? [] : ['exemptions:', exemptions]),
    '',
  ].join('\n')
}

const WORKFLOW_TEXT = `name: gpu memory
on:
  pull_request:
  merge_group:

permissions: {}

jobs:
  gate:
    runs-on: ubuntu-latest
    permissions:
      contents: read
      pull-requests: write # for the comment; the verdict does not need it
    steps:
      - uses: actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2
        with:
          persist-credentials: false
      - uses: org/hf-vram-calc@v1
`
