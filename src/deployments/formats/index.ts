import type { Format } from '../format.ts'
import { compose } from './compose.ts'

/** Every format, in order: the first document format that claims a document has it. */
export const formats: readonly Format[] = [compose]
