import { grouped } from '../../../units/bytes.ts'
import type { Bucket, Plan } from './groups.ts'
import { blocksOf, type RequestSettings } from './request.ts'

type Wanted = 'attention' | 'state'

/**
 * How one request's bytes on a stage come about: "5 x 577 + 8,192 blocks x 2,621,440 B" over groups, or by layers where
 * the release charges those; "512 blocks x 16 tokens x 131,072 B" where all layers are of one kind.
 */
export function requestFormula(plan: Plan, length: number, stage: number, s: RequestSettings, wanted: Wanted): string {
  const buckets = plan.buckets.filter(bucket => (bucket.reach.kind === 'state') === (wanted === 'state'))
  const block = plan.blockBytes[stage]!
  const [only] = buckets
  if (only === undefined) return 'no layer keeps anything'
  if (plan.buckets.length === 1 && block % only.block === 0 && wanted === 'attention')
    return `${grouped(blocksOf(only, length, s))} blocks x ${grouped(only.block)} tokens x ${grouped(block / only.block)} B`
  if (s.chargesGroups) {
    const blocks = buckets.map(bucket => times(bucket.groups, blocksOf(bucket, length, s))).join(' + ')
    return `${buckets.length > 1 ? `(${blocks})` : blocks} blocks x ${grouped(block)} B`
  }
  return buckets.flatMap(bucket => layerTerms(bucket, blocksOf(bucket, length, s), stage)).join(' + ')
}

const times = (groups: number, blocks: number): string =>
  groups === 1 ? grouped(blocks) : `${grouped(groups)} x ${grouped(blocks)}`

function layerTerms(bucket: Bucket, blocks: number, stage: number): string[] {
  return bucket.members
    .filter(member => member.counts[stage]! > 0)
    .map(member => `${member.counts[stage]} layers x ${grouped(blocks)} blocks x ${grouped(member.page)} B`)
}
