import type { WeightStorage } from '../../models/checkpoint/storage.ts'
import type { EngineInput } from '../engine.ts'
import type { PoolSettings } from './pool.ts'
import type { Resolved } from './resolve.ts'

/** All that one accounting is made of. */
export interface Case {
  readonly input: EngineInput
  readonly r: Resolved
  readonly storage: WeightStorage
  readonly pool: PoolSettings
  readonly kvDtype: string
}
