import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { commitOf, mergeBase } from '../../src/repository/git.ts'
import { gitCommit } from '../../src/repository/git-commit.ts'
import type { Repository } from '../../src/repository/repository.ts'
import { plainPath, type Selection } from '../../src/repository/selection.ts'
import { gitRootOf, missingPaths, workingTree } from '../../src/repository/working-tree.ts'

const scratch = mkdtempSync(join(tmpdir(), 'repository-'))
const root = join(scratch, 'repo')
const git = (...args: string[]) =>
  execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.org', '-c', 'commit.gpgsign=false', ...args], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim()
const write = (path: string, text: string | Uint8Array) => {
  mkdirSync(join(root, path, '..'), { recursive: true })
  writeFileSync(join(root, path), text)
}

beforeAll(() => {
  mkdirSync(root, { recursive: true })
  git('init', '-q', '-b', 'main')
  writeFileSync(join(scratch, 'secret.yaml'), 'outside')
  write('deploy/a.yaml', 'kind: A\n')
  write('deploy/sub/b.yml', '\uFEFFkind: B\n')
  write('deploy/über weg.yaml', 'kind: Ü\n')
  write('deploy/vendor/c.yaml', 'kind: C\n')
  write('models/x/model.bin', Uint8Array.from([1, 2, 0, 4, 5]))
  write('.github/hf.yml', 'version: 1\n')
  write('node_modules/p/d.yaml', 'kind: D\n')
  write('large.yaml', 'x'.repeat(1024 * 1024 + 1))
  symlinkSync('a.yaml', join(root, 'deploy/link.yaml'))
  symlinkSync('../deploy', join(root, 'models/linked'))
  symlinkSync('../../secret.yaml', join(root, 'deploy/escape.yaml'))
  symlinkSync('/etc/hostname', join(root, 'deploy/absolute.yaml'))
  symlinkSync('loop.yaml', join(root, 'deploy/loop.yaml'))
  git('add', '-A', '-f')
  git('commit', '-q', '-m', 'first')
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const kinds: [string, (selection?: Selection) => Promise<Repository>][] = [
  ['working tree', async selection => workingTree(root, selection)],
  [
    'git commit',
    async selection => {
      const result = await gitCommit(root, 'HEAD', selection)
      if (!result.ok) throw new Error(result.problem.message)
      return result.value
    },
  ],
]
const names = async (repository: Repository) => (await repository.list()).files.map(file => file.path)

describe.each(kinds)('a repository: %s', (_name, open) => {
  test('lists regular files, sorted, without links and dependency folders', async () => {
    expect(await names(await open())).toEqual([
      '.github/hf.yml',
      'deploy/a.yaml',
      'deploy/sub/b.yml',
      'deploy/über weg.yaml',
      'large.yaml',
      'models/x/model.bin',
    ])
  })

  test.each<[string, Selection, string[]]>([
    ['a folder', { paths: ['deploy/sub'] }, ['deploy/sub/b.yml']],
    ['a file, and the same again', { paths: ['deploy/a.yaml', './deploy//a.yaml'] }, ['deploy/a.yaml']],
    ['a skipped folder that is asked for', { paths: ['deploy/vendor'] }, ['deploy/vendor/c.yaml']],
    ['a path outside', { paths: ['../secret.yaml'] }, []],
    ['a path that is not there', { paths: ['nothing'] }, []],
    ['include', { include: ['**/*.yml'] }, ['.github/hf.yml', 'deploy/sub/b.yml']],
    ['exclude', { paths: ['deploy'], exclude: ['**/sub/**', '**/ü*'] }, ['deploy/a.yaml']],
  ])('selects %s', async (_what, selection, expected) => {
    expect(await names(await open(selection))).toEqual(expected)
  })

  test('cuts a list that is longer than allowed, and says so', async () => {
    const list = await (await open({ mostFiles: 2 })).list()
    expect(list.truncated).toBe(true)
    expect(list.files.map(file => file.path)).toEqual(['.github/hf.yml', 'deploy/a.yaml'])
    expect((await (await open({ mostFiles: 6 })).list()).truncated).toBe(false)
  })

  test.each<[string, string, string | null]>([
    ['a file', 'deploy/a.yaml', 'kind: A\n'],
    ['without byte order mark', 'deploy/sub/b.yml', 'kind: B\n'],
    ['letters beyond ASCII', 'deploy/über weg.yaml', 'kind: Ü\n'],
    ['a link inside', 'deploy/link.yaml', 'kind: A\n'],
    ['a file behind a linked folder', 'models/linked/a.yaml', 'kind: A\n'],
    ['a link that leaves the root', 'deploy/escape.yaml', null],
    ['an absolute link', 'deploy/absolute.yaml', null],
    ['a link to itself', 'deploy/loop.yaml', null],
    ['a path that leaves the root', '../secret.yaml', null],
    ['an absolute path', '/etc/hostname', null],
    ['a binary file', 'models/x/model.bin', null],
    ['a file above the limit', 'large.yaml', null],
    ['a folder', 'deploy', null],
    ['nothing', 'nope.yaml', null],
  ])('reads %s', async (_what, path, expected) => {
    expect(await (await open()).read(path)).toBe(expected)
  })

  test('reads a larger file when asked, and parts of files', async () => {
    const repository = await open()
    expect((await repository.read('large.yaml', 2 ** 21))?.length).toBe(1024 * 1024 + 1)
    expect([...((await repository.readBytes('models/x/model.bin', 1, 4)) ?? [])]).toEqual([2, 0, 4])
    expect([...((await repository.readBytes('models/x/model.bin', 3, 99)) ?? [])]).toEqual([4, 5])
    expect(await repository.readBytes('nope', 0, 1)).toBeNull()
  })

  test('answers many reads at once, each with its own', async () => {
    const repository = await open()
    const paths = Array.from(
      { length: 60 },
      (_, i) => ['deploy/a.yaml', 'large.yaml', 'nope', 'deploy/sub/b.yml'][i % 4]!,
    )
    const texts = await Promise.all(paths.map(path => repository.read(path, 2 ** 21)))
    expect(texts.filter(text => text === 'kind: A\n')).toHaveLength(15)
    expect(texts.filter(text => text === null)).toHaveLength(15)
    expect(texts[1]).toHaveLength(1024 * 1024 + 1)
  })
})

test('a commit is read as data: older content, nothing changed, also from a folder inside', async () => {
  const before = statSync(join(root, '.git/index')).mtimeMs
  write('deploy/a.yaml', 'kind: changed\n')
  const head = await gitCommit(join(root, 'deploy'), 'HEAD')
  if (!head.ok) throw new Error(head.problem.message)
  expect(await head.value.read('a.yaml')).toBe('kind: A\n')
  expect(await names(head.value)).toEqual(['a.yaml', 'sub/b.yml', 'über weg.yaml'])
  expect(readFileSync(join(root, 'deploy/a.yaml'), 'utf8')).toBe('kind: changed\n')
  expect(statSync(join(root, '.git/index')).mtimeMs).toBe(before)
  expect(existsSync(join(root, '.git/index.lock'))).toBe(false)
})

test('pipes, folders named like files and odd names do no harm', async () => {
  const odd = join(scratch, 'odd')
  mkdirSync(join(odd, 'dir.yaml'), { recursive: true })
  writeFileSync(join(odd, 'dir.yaml/a\nb.yaml'), 'x: 1\n')
  writeFileSync(join(odd, 'empty.yaml'), '')
  execFileSync('sh', ['-c', 'mkfifo "$0"', join(odd, 'pipe.yaml')])
  const tree = workingTree(odd)
  expect((await tree.list()).files).toEqual([
    { path: 'dir.yaml/a\nb.yaml', size: 5 },
    { path: 'empty.yaml', size: 0 },
  ])
  expect(
    await Promise.all(['pipe.yaml', 'dir.yaml', 'empty.yaml', 'dir.yaml/a\nb.yaml'].map(path => tree.read(path))),
  ).toEqual([null, null, '', 'x: 1\n'])
})

test('without git on the machine the hint says so', async () => {
  const path = process.env['PATH']
  process.env['PATH'] = scratch
  try {
    const result = await commitOf(root, 'HEAD')
    expect(result.ok ? null : result.problem.hint).toBe('git is needed for this and could not be started')
  } finally {
    process.env['PATH'] = path
  }
})

test('a shallow clone says how to get the missing history', async () => {
  const shallow = join(scratch, 'shallow')
  write('later.yaml', 'a: 1\n')
  git('add', 'later.yaml')
  git('commit', '-q', '-m', 'later')
  execFileSync('git', ['clone', '-q', '--depth', '1', `file://${root}`, shallow], { stdio: 'ignore' })
  const result = await commitOf(shallow, 'HEAD~1')
  expect(result.ok ? null : result.problem.hint).toContain('fetch-depth: 0')
})

test('submodules are left out, and a git hook variable redirects nothing', async () => {
  const other = join(scratch, 'other')
  mkdirSync(other)
  execFileSync('git', ['init', '-q', other])
  git('update-index', '--add', '--cacheinfo', `160000,${git('rev-parse', 'HEAD')},sub`)
  git('commit', '-q', '-m', 'submodule')
  process.env['GIT_DIR'] = join(other, '.git')
  try {
    const commit = await gitCommit(root, 'HEAD')
    if (!commit.ok) throw new Error(commit.problem.message)
    const found = await names(commit.value)
    expect(found).toContain('deploy/a.yaml')
    expect(found.some(path => path.startsWith('sub'))).toBe(false)
    expect(await commit.value.read('sub')).toBeNull()
  } finally {
    delete process.env['GIT_DIR']
  }
})

test('merge base of two branches, and what is missing', async () => {
  git('checkout', '-q', '-f', '-b', 'side')
  write('side.yaml', 'a: 1\n')
  git('add', 'side.yaml')
  git('commit', '-q', '-m', 'side')
  const base = git('rev-parse', 'main')
  expect(await mergeBase(root, 'main', 'side')).toEqual({ ok: true, value: base })
  const missing = await mergeBase(root, 'main', 'nowhere')
  expect(missing.ok ? null : missing.problem.message).toBe('revision "nowhere" is not in this repository')
  expect(missing.ok ? null : missing.problem.hint).toContain('git fetch')
})

test.each(['--output=/tmp/x', '-h', '', 'a\nb', 'a\0b', 'HEAD~99', 'x'.repeat(2000), 'HEAD:deploy'])(
  'refuses revision %j',
  async revision => {
    const result = await commitOf(root, revision)
    expect(result.ok ? result.value : result.problem.code).toBe('revision-missing')
  },
)

test('outside a git repository the hint says so', async () => {
  const result = await commitOf(scratch, 'HEAD')
  expect(result.ok ? null : result.problem.hint).toBe('the folder is not in a git repository')
})

test('paths: one spelling, and which are missing', () => {
  expect(['a/./b//', '.', 'a/../b', '../a', 'a/../../b', '/a', 'C:\\x'].map(plainPath)).toEqual([
    'a/b',
    '',
    'b',
    null,
    null,
    null,
    null,
  ])
  expect(missingPaths(root, ['deploy', 'nope', '../x']).map(problem => problem.message)).toEqual([
    'path "nope" does not exist',
    `path "../x" lies outside ${root}`,
  ])
  expect(gitRootOf(join(root, 'deploy/sub'))).toBe(root)
})
