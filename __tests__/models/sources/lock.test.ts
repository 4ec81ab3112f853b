import { describe, expect, test } from '@jest/globals'
import type { ModelFacts } from '../../../src/models/facts.ts'
import type { Hub } from '../../../src/models/sources/hub.ts'
import { renewLock, staleEntries } from '../../../src/models/sources/lock.ts'
import { lockEntry, lockText, parseLock } from '../../../src/models/sources/lock-file.ts'
import { type Lock, lockedFacts } from '../../../src/models/sources/locked.ts'
import type { FactsReference } from '../../../src/models/sources/reference.ts'
import { bad, good, problemText } from '../../../src/problem.ts'

const sha = (letter: string) => letter.repeat(40)
const facts = (id: string, commit: string): ModelFacts => ({
  id,
  revision: commit,
  source: 'hub',
  asOf: null,
  config: {
    vocab_size: 9,
    model_type: 'llama',
    _name_or_path: 'x',
    eos_token_id: 2,
    text_config: { transformers_version: '5', b: 1, a: [{ d: 1, c: 2 }] },
  },
  checkpoint: { totalBytes: 2000, elementsByDtype: { F32: 0, BF16: 1000 }, tensors: null },
})
const ref = (id: string, revision: string | null = null): FactsReference => ({ id, revision, variant: null })
/** A Hub where each model is at a commit; the rest is gone. */
const hubWith = (commits: Record<string, string>): Hub & { asked: string[] } => {
  const asked: string[] = []
  const at = (reference: FactsReference) => {
    asked.push(reference.id)
    return commits[reference.id]
  }
  return {
    asked,
    facts: async reference => {
      const commit = at(reference)
      return commit === undefined ? bad('model-gated', `${reference.id} is gated`) : good(facts(reference.id, commit))
    },
    commit: async reference => {
      const commit = at(reference)
      return commit === undefined ? bad('model-not-found', `${reference.id} is gone`) : good(commit)
    },
  }
}
const read = (text: string): Lock => {
  const result = parseLock(text, 'l.json')
  if (!result.ok) throw new Error(problemText(result.problem))
  return result.value
}

const LOCKED = `{
  "lockVersion": 1,
  "models": {
    "a/x": {
      "bytes": 2000,
      "config": {
        "model_type": "llama",
        "text_config": {
          "a": [
            {
              "c": 2,
              "d": 1
            }
          ],
          "b": 1
        },
        "vocab_size": 9
      },
      "locked": "2026-11-24",
      "revision": "${sha('1')}",
      "tensors": {
        "BF16": 1000,
        "F32": 0
      }
    }
  }
}
`

describe('a lock file', () => {
  test('is written sorted, with the fields that matter, and reads back', () => {
    const lock = new Map([['a/x', lockEntry(facts('a/x', sha('1')), '2026-11-24')]])
    expect(lockText(lock)).toBe(LOCKED)
    expect(lockText(read(LOCKED))).toBe(LOCKED)
    expect(lockedFacts(read(LOCKED), ref('A/X'))).toMatchObject({
      id: 'A/X',
      revision: sha('1'),
      source: 'lock',
      asOf: '2026-11-24',
      checkpoint: { totalBytes: 2000, elementsByDtype: { BF16: 1000 } },
    })
    expect(lockedFacts(read(LOCKED), ref('a/x', 'v2'))).toBeNull()
  })

  test('keeps the header of a GGUF file', () => {
    const gguf = {
      architecture: 'llama',
      keys: { block_count: 2, 'general.name': 'm' },
      tensors: [{ name: 'x', type: 'Q4_K', dims: [256, 2], bytes: 288 }],
      bytes: 288,
      parameters: 512,
      fileType: 'Q4_K_M',
      vocabulary: 9,
      files: 1,
    }
    const lock = new Map([['a/x:Q4_K_M', lockEntry({ ...facts('a/x', sha('1')), config: {}, gguf }, '2026-11-24')]])
    expect(lockedFacts(read(lockText(lock)), { id: 'a/x', revision: null, variant: 'Q4_K_M' })?.gguf).toEqual(gguf)
  })

  test('keeps the number of labels instead of their names', () => {
    const config = { model_type: 'bert', id2label: { 0: 'a', 1: 'b', 2: 'c' } }
    expect(lockEntry({ ...facts('a/x', sha('1')), config }, '2026-11-24').config).toEqual({
      model_type: 'bert',
      num_labels: 3,
    })
  })

  test.each<[string, string, string]>([
    ['no JSON', '{', 'l.json: is not JSON'],
    ['a merge conflict', '{\n<<<<<<< HEAD\n}', 'l.json: holds the marks of a merge conflict'],
    ['a later version', '{"lockVersion":2,"models":{}}', 'l.json: is of version 2, this program reads version 1'],
    ['a list', '[]', 'l.json: '],
    ['an unknown key', '{"lockVersion":1,"models":{},"x":1}', 'l.json: "x" is wrong'],
    ['a short revision', LOCKED.replace(sha('1'), 'abc'), 'l.json: "models.a/x.revision" is wrong'],
    ['negative bytes', LOCKED.replace('2000', '-1'), 'l.json: "models.a/x.bytes" is wrong'],
    ['no config', LOCKED.replace('"config"', '"confg"'), 'l.json: "models.a/x.'],
  ])('is refused with %s', (_what, text, expected) => {
    const result = parseLock(text, 'l.json')
    expect(result.ok ? '' : result.problem.message).toContain(expected)
    expect(result.ok ? null : [result.problem.code, result.problem.hint]).toEqual([
      'lock-invalid',
      'write it anew with hf-vram-calc lock',
    ])
  })
})

describe('renewing', () => {
  const today = '2026-12-01'

  test('adds, changes, removes, and keeps what is the same with its day', async () => {
    const hub = hubWith({ 'a/x': sha('1'), 'a/y': sha('2') })
    const before = read(
      lockText(
        new Map([
          ...read(LOCKED),
          ['a/y', lockEntry(facts('a/y', sha('9')), '2026-11-24')],
          ['old/z', lockEntry(facts('old/z', sha('3')), '2026-11-24')],
        ]),
      ),
    )
    const outcome = await renewLock({
      references: [ref('a/y'), ref('a/x'), ref('a/x'), ref('/models/local'), ref('new/n')],
      lock: before,
      hub,
      today,
    })
    expect(outcome.changes).toEqual([`changed a/y from ${'9'.repeat(12)} to ${'2'.repeat(12)}`, 'removed old/z'])
    expect(outcome.problems.map(problemText)).toEqual(['new/n is gated'])
    const after = read(outcome.text)
    expect([...after].map(([key, entry]) => [key, entry.revision[0], entry.locked])).toEqual([
      ['a/x', '1', '2026-11-24'],
      ['a/y', '2', today],
    ])
    expect(
      (await renewLock({ references: [ref('a/x'), ref('a/y')], lock: after, hub, today: '2027-01-01' })).text,
    ).toBe(outcome.text)
  })

  test('keeps the entry of a model that cannot be read, and offline all', async () => {
    const gone = await renewLock({ references: [ref('a/x')], lock: read(LOCKED), hub: hubWith({}), today })
    expect([gone.text, gone.changes, gone.problems.length]).toEqual([LOCKED, [], 1])
    const offline = await renewLock({ references: [ref('a/x')], lock: read(LOCKED), hub: null, today })
    expect([offline.text, offline.problems.map(problemText)]).toEqual([
      LOCKED,
      ['a/x cannot be locked offline (run without --offline)'],
    ])
  })

  test('keys name revision and variant', async () => {
    const outcome = await renewLock({
      references: [ref('a/x', 'v1'), { id: 'a/x:Q4_K_M', revision: null, variant: null }],
      lock: null,
      hub: hubWith({ 'a/x': sha('1') }),
      today,
    })
    expect([...read(outcome.text).keys()]).toEqual(['a/x:Q4_K_M', 'a/x@v1'])
  })
})

describe('stale entries', () => {
  test('are named: missing, unused, moved upstream', async () => {
    const hub = hubWith({ 'a/x': sha('7') })
    const references = [ref('a/x'), ref('b/missing')]
    const lock = new Map([...read(LOCKED), ['old/z', lockEntry(facts('old/z', sha('3')), '2026-11-24')]])
    const { stale, problems } = await staleEntries({ references, lock, hub, today: '' }, 'pins/models.json')
    expect(stale.map(problemText)).toEqual([
      'pins/models.json: b/missing is missing (run hf-vram-calc lock)',
      'pins/models.json: old/z is named by no file any more (run hf-vram-calc lock)',
      `pins/models.json: a/x is at ${'7'.repeat(12)} now, locked is ${'1'.repeat(12)} (run hf-vram-calc lock)`,
    ])
    expect([problems, hub.asked]).toEqual([[], ['a/x']])
  })

  test('are none when all is as locked; what cannot be asked is a problem of its own', async () => {
    const fresh = { references: [ref('a/x')], lock: read(LOCKED), today: '' }
    expect(await staleEntries({ ...fresh, hub: hubWith({ 'a/x': sha('1') }) }, 'l')).toEqual({
      stale: [],
      problems: [],
    })
    expect(await staleEntries({ ...fresh, hub: null }, 'l')).toEqual({ stale: [], problems: [] })
    expect((await staleEntries({ ...fresh, hub: hubWith({}) }, 'l')).problems.map(problemText)).toEqual(['a/x is gone'])
  })
})
