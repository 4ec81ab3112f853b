import { readFileSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { OUTPUT_NAMES } from '../../src/github/outputs.ts'
import { gitRepository, runAction, runCli, temporaryFolder, writeFiles } from '../helpers/run-action.ts'
import { CONTEXT_LINE, manifest, pullRequestPayload, raisedContext } from '../helpers/scenario.ts'
import { SARIF_SCHEMA, violationsOf } from '../helpers/schemas.ts'
import { githubs } from '../helpers/servers.ts'

const github = githubs()
const POLICY = '.github/hf-vram-calc.yml'

async function single(
  files: Record<string, string | Uint8Array>,
  inputs: Record<string, string> = {},
  env: Record<string, string | undefined> = {},
) {
  const folder = temporaryFolder()
  writeFiles(folder, files)
  return runAction({ workspace: folder, event: 'push', payload: {}, inputs, env })
}

describe('summary, annotations, outputs', () => {
  const many = (count: number) =>
    Object.fromEntries(
      Array.from({ length: count }, (_, i) => [
        `d/m${String(i).padStart(4, '0')}.yaml`,
        manifest(131_072, { name: `m${i}` }),
      ]),
    )

  test('case 26: 5,000 deployments: the summary is below 1 MiB and says what it left out', async () => {
    const services = Array.from({ length: 5000 }, (_, i) => `---\n${manifest(131_072 - i, { name: `m${i}` })}`)
    const files = Object.fromEntries(
      Array.from({ length: 50 }, (_, i) => [`d/m${i}.yaml`, services.slice(i * 100, i * 100 + 100).join('')]),
    )
    const run = await single(files)
    expect(run.outputs['checked-count']).toBe('5000')
    expect(Buffer.byteLength(run.summary)).toBeLessThan(1024 * 1024)
    // Each context differs, so that no two share a row: what is shown and what is counted are all of them.
    const rows = run.summary.match(/^\| ❌/gm)!.length
    const missing = Number(/\*\*(\d+) more deployments are not shown here/.exec(run.summary)?.[1])
    expect(rows + missing).toBe(5000)
    expect(run.outputs['report']).toBe('')
    expect(run.outputs['summary-markdown']!.length).toBeLessThan(60_000)
  }, 60_000)

  test.each([
    ['unset', undefined],
    ['missing', '/nonexistent/summary.md'],
    ['read-only', '/proc/version'],
    ['on a full disk', '/dev/full'],
  ])('case 27: a summary file that is %s: a warning only', async (_name, path) => {
    const run = await single({ 'chat.yaml': manifest(8192) }, {}, { GITHUB_STEP_SUMMARY: path })
    expect(run.code).toBe(0)
    expect(run.annotations.some(a => a.level === 'warning' && a.message.includes('summary'))).toBe(true)
  })

  test.each([0, 1, 9, 10, 11, 500])(
    'case 28: %s violations: at most ten annotations of a kind, the last says how many more',
    async count => {
      const unknown = Array.from({ length: count }, (_, i) => [
        `a/u${i}.yaml`,
        manifest(8192, { name: `u${i}`, model: 'nobody/knows-this' }),
      ])
      const run = await single({ 'fine.yaml': manifest(8192), ...Object.fromEntries(unknown), ...many(count) })
      const levels = run.annotations.map(a => a.level).filter(level => level === 'error' || level === 'warning')
      // Errors before warnings, although the files of the warnings come first.
      expect(levels).toEqual([
        ...Array(Math.min(count, 10)).fill('error'),
        ...Array(Math.min(count, 10)).fill('warning'),
      ])
      for (const level of ['error', 'warning']) {
        const last = run.annotations.filter(a => a.level === level).at(-1)
        if (count > 10) expect(last!.properties['title']).toBe(`and ${count - 9} more`)
      }
    },
  )

  test('case 29: paths are relative to the repository, whatever the working directory; names with : , % and spaces', async () => {
    const name = 'a b/c,d:e%20f.yaml'
    const run = await single({ [`sub/${name}`]: manifest(131_072) }, { 'working-directory': 'sub' })
    expect(run.annotations.find(a => a.level === 'error')!.properties['file']).toBe(`sub/${name}`)
  })

  test('case 30: no text of the repository becomes a workflow command', async () => {
    const model = '"x/y\\n::error::pwned\\n::set-output name=a::b\\n::add-mask::c\\n::stop-commands::d"'
    const run = await single({ 'chat.yaml': manifest(8192, { model }) })
    expect(
      run.annotations.some(
        a => a.message.includes('pwned') && a.level === 'error' && a.properties['file'] === undefined,
      ),
    ).toBe(false)
    expect(
      run.annotations
        .map(a => a.level)
        .filter(level => !['warning', 'notice', 'error'].includes(level))
        .filter(level => level !== 'add-mask'),
    ).toEqual([])
    expect(run.annotations.filter(a => a.level === 'add-mask' && a.message === 'c')).toEqual([])
    // One annotation, and the commands after the hostile text are still read.
    const warnings = run.annotations.filter(a => a.level === 'warning')
    expect(warnings).toHaveLength(1)
    expect(warnings[0]!.message).toContain('pwned')
    expect(warnings[0]!.properties['file']).toBe('chat.yaml')
    expect(run.stdout).not.toMatch(/^::(error|set-output|stop-commands)[^\n]*(pwned|name=a|::d$)/m)
  })

  test('case 31: values of many lines that look like the end of one are read back whole, a large report is a path', async () => {
    const name = 'x\\nEOF\\nghadelimiter_1\\nverdict=pass\\nverdict<<EOF\\npass\\nEOF'
    const run = await single({ 'chat.yaml': manifest(131_072, { name: `"${name}"` }) })
    expect([run.code, run.outputs['verdict'], run.outputs['passed']]).toEqual([1, 'fail', 'false'])
    expect(Object.keys(run.outputs).sort()).toEqual([...OUTPUT_NAMES].sort())
    const report = JSON.parse(run.outputs['report']!)
    expect(report.deployments[0].id).toContain('ghadelimiter_1')
    expect(JSON.parse(readFileSync(run.outputs['report-path']!, 'utf8'))).toEqual(report)
    const large = await single(many(400))
    expect(large.outputs['report']).toBe('')
    expect(statSync(large.outputs['report-path']!).size).toBeGreaterThan(1_000_000)
    expect(JSON.parse(readFileSync(large.outputs['report-path']!, 'utf8')).deployments).toHaveLength(400)
  })

  test('case 32: SARIF is written before the job fails, with the place of the flag in the repository', async () => {
    const folder = temporaryFolder()
    writeFiles(folder, { 'sub/chat.yaml': manifest(131_072) })
    const inputs = { 'sarif-file': 'out/gate.sarif', 'working-directory': 'sub' }
    const run = await runAction({ workspace: folder, event: 'push', payload: {}, inputs })
    expect(run.code).toBe(1)
    const sarif = JSON.parse(readFileSync(join(folder, 'out/gate.sarif'), 'utf8'))
    expect(violationsOf(SARIF_SCHEMA, sarif)).toEqual([])
    const { physicalLocation } = sarif.runs[0].results[0].locations[0]
    expect(physicalLocation.artifactLocation.uri).toBe('sub/chat.yaml')
    expect(physicalLocation.region.startLine).toBe(CONTEXT_LINE)
    expect(run.outputs['sarif-path']).toBe(join(folder, 'out/gate.sarif'))
  })

  test('case 31: without GITHUB_OUTPUT there is one warning, and the exit code stands', async () => {
    const run = await single({ 'chat.yaml': manifest(131_072) }, {}, { GITHUB_OUTPUT: undefined })
    expect(run.code).toBe(1)
    expect(run.annotations.some(a => a.level === 'warning' && a.message.includes('GITHUB_OUTPUT'))).toBe(true)
  })

  test.each([
    ['a pass', { 'chat.yaml': manifest(8192) }, {}, 0],
    ['a failure', { 'chat.yaml': manifest(131_072) }, {}, 1],
    ['a wrong input', { 'chat.yaml': manifest(8192) }, { 'on-unknown': 'fial' }, 2],
    ['a wrong policy', { 'chat.yaml': manifest(8192), [POLICY]: 'version: 1\nfail-onn: []\n' }, {}, 2],
    ['nothing to check', { 'readme.md': 'x' }, {}, 0],
  ])('case 33: every output is there after %s', async (_name, files, inputs, code) => {
    const run = await single(files, inputs)
    expect(run.code).toBe(code)
    expect(Object.keys(run.outputs).sort()).toEqual([...OUTPUT_NAMES].sort())
    if (code === 2) expect(run.outputs['verdict']).toBe('error')
  })

  test('case 56: nothing found is said, and is no green check over nothing', async () => {
    const run = await single({ 'readme.md': 'x' })
    expect(run.outputs['verdict']).toBe('warn')
    expect(run.summary).toContain('no deployment of a model was found')
    const strict = await single({ 'readme.md': 'x' }, { 'on-empty': 'fail' })
    expect(strict.code).toBe(1)
  })
})

describe('text of the repository in markdown', () => {
  const hostile = [
    'a|b',
    '`tick`',
    '<img src=x onerror=alert(1)>',
    '</table>',
    '<!-- x -->',
    '[x](javascript:alert(1))',
    '@octo/team',
    '#123',
    '![i](http://evil/i.png)',
    'http://evil.example',
    '\\u202etxt',
    '\\u200bzero',
    '\\e[31mred',
    'line\\nbreak',
    '<details>',
  ]
  test.each(hostile)('case 34: %j is shown as text', async text => {
    const run = await single({
      // As the model, as the name of the deployment and as that of the file.
      'chat.yaml': manifest(8192, {
        model: JSON.stringify(`${text}/model`).replaceAll('\\\\', '\\'),
        name: JSON.stringify(`${text}-name`).replaceAll('\\\\', '\\'),
      }),
      [`d/${text.replaceAll('/', '_')}.yaml`]: manifest(131_072, { name: 'other' }),
    })
    const body = run.outputs['summary-markdown']!
    for (const unseen of ['\u202e', '\u001b', 'line\nbreak']) expect(body).not.toContain(unseen)
    const rows = body.split('\n').filter(line => line.startsWith('| '))
    expect(rows.length).toBeGreaterThanOrEqual(4)
    for (const row of rows) expect(row.replace(/\\\|/g, '').split('|')).toHaveLength(6)
    // Outside code spans nothing of it may be left in a form that GitHub interprets.
    const outside = body.replace(/(`+)(?:(?!\1)[\s\S])*?\1/g, '')
    expect(outside).not.toMatch(/<img|<\/table>|<!--|javascript:|@octo|#123|!\[i\]|http:\/\/evil|\u202e/)
    expect(outside.match(/<details>/g)?.length ?? 0).toBe(outside.match(/<\/details>/g)?.length ?? 0)
  })

  test('case 35: links lead to our server only, pinned to the head commit, encoded', async () => {
    const server = await github()
    const name = 'deploy/we ird).yaml'
    const { folder, commits } = gitRepository([{ [name]: manifest(8192) }, { [name]: manifest(131_072) }])
    const run = await runAction({
      workspace: folder,
      payload: pullRequestPayload({ base: commits[0]!, head: commits[1]! }),
      apiUrl: server.url,
    })
    const links = [...run.outputs['summary-markdown']!.matchAll(/\]\(([^)]*)\)/g)].map(match => match[1]!)
    expect(links.length).toBeGreaterThan(0)
    for (const link of links) expect(link).toMatch(/^https:\/\/github\.com\/octo\/repo\//)
    expect(links.some(link => link.includes(`/blob/${commits[1]}/deploy/we%20ird%29.yaml#L`))).toBe(true)
  })
})

describe('secrets', () => {
  const secret = 'hf_VerySecretLoopbackToken42'
  test('case 36: the token is in no log, output, summary or report, plain or encoded', async () => {
    const server = await github()
    // A repository that knows the token's text, as a leaked one would.
    const { folder, commits } = gitRepository([
      { 'chat.yaml': manifest(8192) },
      {
        'chat.yaml': manifest(131_072, { name: secret.toLowerCase(), model: `${secret}/model` }),
        'encoded.yaml': manifest(8192, { name: 'encoded', model: `x/${Buffer.from(secret).toString('base64')}` }),
      },
    ])
    const run = await runAction({
      workspace: folder,
      payload: pullRequestPayload({ base: commits[0]!, head: commits[1]! }),
      apiUrl: server.url,
      inputs: { 'hf-token': ` ${secret}\n`, 'sarif-file': 'out.sarif' },
      env: { RUNNER_DEBUG: '1' },
    })
    const masks = run.stdout.split('\n').filter(line => line.startsWith('::add-mask::'))
    expect(masks.some(line => line.includes(secret))).toBe(true)
    const rest = [
      run.stdout
        .split('\n')
        .filter(line => !line.startsWith('::add-mask::'))
        .join('\n'),
      run.stderr,
      run.summary,
      JSON.stringify(run.outputs),
      JSON.stringify(server.asked),
      readFileSync(join(folder, 'out.sarif'), 'utf8'),
      readFileSync(run.outputs['report-path']!, 'utf8'),
    ]
    expect(run.outputs['report']).toContain('***')
    for (const text of rest)
      for (const form of [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64')])
        expect(text).not.toContain(form)
    expect(server.state.comments).toHaveLength(1)
  })

  test.each([
    'http://evil.example',
    'https://user:pw@hub.example',
    'http://10.0.0.1',
    'http://169.254.169.254',
    'file:///etc/passwd',
    'ftp://x',
    'https://hub.example/?token=x',
    'not an address',
  ])('case 37: the endpoint %s is refused', async endpoint => {
    const run = await single({ 'chat.yaml': manifest(8192) }, { 'hf-endpoint': endpoint, offline: 'false' })
    expect(run.code).toBe(2)
    expect(run.outputs['verdict']).toBe('error')
  })

  test('case 40: a secret that is a part of the repository name leaves the summary links relative', async () => {
    const server = await github()
    const { folder, base, head } = raisedContext()
    const run = await runAction({
      workspace: folder,
      payload: pullRequestPayload({ base, head }),
      apiUrl: server.url,
      env: { GITHUB_REPOSITORY: 'octo/repo-with-a-name' },
      inputs: { 'hf-token': 'repo-with-a-name' },
    })
    // The runner would mask it too, and an address with stars in it leads nowhere.
    expect(run.stdout).toContain('::add-mask::repo-with-a-name')
    const links = [...run.summary.matchAll(/\]\(([^)]*#L\d+)\)/g)].map(match => match[1]!)
    expect(links.length).toBeGreaterThanOrEqual(1)
    for (const link of links) expect(link).toMatch(new RegExp(`^\\.\\./\\.\\./blob/${head}/deploy/chat\\.yaml#L\\d+$`))
    expect([run.code, run.outputs['verdict']]).toEqual([1, 'fail'])
  })
})

describe('configuration', () => {
  test.each([
    ['an unknown key', 'version: 1\nfail-onn: [exceeds]\n', /fail-on/],
    ['a wrong type', 'version: 1\nwarn-only: sometimes\n', /true or false/],
    ['a duplicate key', 'version: 1\nversion: 1\n', /twice/],
    [
      'an alias bomb',
      `version: 1\na: &a [x,x,x,x,x,x,x,x,x]\n${Array.from({ length: 9 }, (_, i) => `b${i}: &b${i} [${'*a,'.repeat(9)}]`).join('\n')}\n`,
      /./,
    ],
    ['nesting 10,000 deep', `version: 1\nrules: ${'['.repeat(10_000)}\n`, /./],
    ['a prototype key', 'version: 1\n__proto__: { polluted: true }\n', /__proto__/],
    ['a custom tag', 'version: !!js/function "x"\n', /./],
    ['an empty file', '', /is empty/],
    ['only comments', '# later\n', /is empty/],
    ['a tab', 'version: 1\ndefaults:\n\ttarget: L4\n', /:3:\d+: not valid YAML/],
    ['CRLF and a byte order mark before a misspelt key', '\ufeffversion: 1\r\nwarnat: 80%\r\n', /:2:1: .*warn-at/],
    ['a merge key', 'version: 1\ndefaults:\n  <<: { target: L4 }\n', /:3:3: unknown key "<<"/],
    ['a cycle', 'version: &a\n  b: *a\n', /./],
    ['a key of Object', 'version: 1\nconstructor: 1\n', /:2:1: unknown key "constructor"/],
    ['five megabytes', `version: 1\n#${'x'.repeat(5_000_000)}\n`, /1 MiB/],
    ['bytes that are no UTF-8', Buffer.from([0x76, 0xff, 0xfe, 0x0a]), /:1:1: the policy is/],
  ])('case 41 and 42: %s is an error with its place', async (_name, policy, message) => {
    const run = await single({ 'chat.yaml': manifest(8192), [POLICY]: policy })
    expect(run.code).toBe(2)
    const errors = run.annotations.filter(a => a.level === 'error').map(a => a.message)
    expect(errors.length).toBeGreaterThan(0)
    expect(errors.join('\n')).toMatch(message)
    expect(errors.join('\n')).toContain(POLICY)
  })

  test('case 43: an input wins over the file, also with false and 0; an empty input is one not given', async () => {
    const files = { 'chat.yaml': manifest(131_072), [POLICY]: 'version: 1\nwarn-only: true\n' }
    expect((await single(files)).code).toBe(0)
    expect((await single(files, { 'warn-only': '' })).code).toBe(0)
    expect((await single(files, { 'warn-only': 'false' })).code).toBe(1)
  })

  test.each(['abc', '-1', '1e3', '0x10', 'NaN', '1.5'])('case 47: the number %j is refused', async text => {
    const run = await single({ 'chat.yaml': manifest(8192) }, { 'min-concurrency': text })
    expect(run.code).toBe(2)
    expect(run.annotations.some(a => a.level === 'error' && a.message.includes('min-concurrency'))).toBe(true)
  })

  test.each(['80', '80 XB', 'ten GiB'])('case 47: the size %j is refused', async text => {
    const run = await single({ 'chat.yaml': manifest(8192) }, { headroom: text })
    expect(run.code).toBe(2)
  })

  test('case 48: all errors of the inputs come together', async () => {
    const run = await single(
      { 'chat.yaml': manifest(8192) },
      {
        'on-unknown': 'x',
        comment: 'y',
        'warn-only': 'z',
        'max-files': '-1',
        headroom: '3',
        'context-length': '8k',
        target: 'H1000',
      },
    )
    const text = run.annotations.map(a => a.message).join('\n')
    for (const name of ['on-unknown', 'comment', 'warn-only', 'max-files', 'headroom', 'context-length', 'target'])
      expect(text).toContain(`input ${name}`)
    expect(run.annotations.filter(a => a.level === 'error')).toHaveLength(7)
    expect(run.code).toBe(2)
    const policy = await single({
      'chat.yaml': manifest(8192),
      [POLICY]: 'version: 1\nwarnat: 5\ndefaults: { headroom: lots, min-concurrency: 0 }\non-empty: perhaps\n',
    })
    expect(policy.annotations.filter(a => a.level === 'error').map(a => a.message.split(': ')[0])).toEqual(
      ['2:1', '3:23', '3:46', '4:11'].map(place => `${POLICY}:${place}`),
    )
  })
})

describe('files', () => {
  test('case 50, 51, 52, 53: endings, documents, templates and broken files', async () => {
    const folder = temporaryFolder()
    writeFiles(folder, {
      'a.YAML': manifest(8192, { name: 'upper' }),
      'b.yml': `# only a comment\n---\n${manifest(8192, { name: 'second' }).replaceAll('\n', '\r\n')}...\n`,
      'broken.yaml': 'kind: Deployment\n  vllm: [unclosed\n',
      'chart/templates/d.yaml': manifest(8192)
        .replace('meta-llama/Llama-3.1-8B-Instruct', '{{ .Values.model }}')
        .replace('kind: Deployment', '{{- if .Values.on }}\nkind: Deployment'),
      'empty.yaml': '',
      'redis.yaml': 'apiVersion: v1\nkind: Service\nmetadata: {name: redis}\n',
    })
    const run = await runCli(folder, ['check', '.', '--offline', '--format', 'json'])
    const report = JSON.parse(run.stdout)
    const found = Object.fromEntries(
      report.deployments.map((d: { id: string; verdict: { status: string } }) => [d.id, d.verdict.status]),
    )
    expect(found).toEqual({
      'a.YAML#Deployment/upper/vllm': 'fits',
      'b.yml#Deployment/second/vllm': 'fits',
      'chart/templates/d.yaml#Deployment/chat/vllm': 'unknown',
    })
    const template = report.deployments.find((d: { id: string }) => d.id.startsWith('chart/'))
    expect(template.unresolved.map((u: { name: string }) => u.name)).toEqual(['.Values.model'])
    expect(report.notUnderstood.map((n: { file: string }) => n.file)).toEqual(['broken.yaml'])
    expect(run.code).toBe(0)
  })

  test('case 71: a path with spaces and other letters, a locale with decimal commas', async () => {
    const folder = join(temporaryFolder(), 'ein Pfad mit Ümläuten 模型')
    writeFiles(folder, { 'chat.yaml': manifest(8192) })
    const plain = await runCli(folder, ['check', '.', '--offline'])
    const other = await runCli(folder, ['check', '.', '--offline'], {
      LANG: 'de_DE.UTF-8',
      LC_ALL: 'de_DE.UTF-8',
      TZ: 'Asia/Kolkata',
    })
    expect(plain.code).toBe(0)
    expect(other.stdout).toBe(plain.stdout)
  })

  test('case 49: a link out of the root is not read', async () => {
    const folder = temporaryFolder()
    const outside = temporaryFolder()
    writeFiles(outside, { 'chat.yaml': manifest(8192) })
    writeFiles(folder, { 'fine.yaml': manifest(8192) })
    symlinkSync(join(outside, 'chat.yaml'), join(folder, 'leak.yaml'))
    symlinkSync('..', join(folder, 'cycle'))
    const run = await runCli(folder, ['check', '.', '--offline', '--format', 'json'])
    expect(JSON.parse(run.stdout).deployments.map((d: { location: { file: string } }) => d.location.file)).toEqual([
      'fine.yaml',
    ])
  })
})
