import { describe, expect, test } from '@jest/globals'
import { check } from '../../src/check.ts'
import { defaultPolicy } from '../../src/policy/policy.ts'
import { bad } from '../../src/problem.ts'
import { filesOf } from '../helpers/files.ts'

const HINT = ': a rule with ignore: true in the policy leaves it out'

describe('what is recognised and not modelled', () => {
  test.each([
    [
      'compose.yaml',
      'services:\n  a:\n    image: nvcr.io/nim/acme/chat:1\n',
      `nim is recognised; its memory is not modelled${HINT}`,
    ],
    [
      'train.yaml',
      'base_model: acme/base\nadapter: lora\nsequence_len: 4096\nmicro_batch_size: 2\ndatasets: [{path: x, type: alpaca}]\n',
      `training by axolotl is recognised; its memory is not modelled${HINT}`,
    ],
  ])('%s: says so at once, instead of asking for a model or a GPU that would not help', async (file, text, message) => {
    const { report } = await check({
      head: filesOf({ [file]: text }),
      policy: defaultPolicy,
      base: null,
      ports: { findModel: async ({ id }) => bad('model-unknown', `${id} is not known`), now: new Date(0) },
    })
    expect(report.deployments.map(row => row.verdict)).toEqual([
      { status: 'unknown', certain: false, reasons: [{ code: 'engine-unsupported', message }] },
    ])
  })
})
