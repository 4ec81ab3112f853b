import type { Format } from '../format.ts'
import { compose } from './compose.ts'
import { kubernetes } from './kubernetes.ts'
import { dockerfile, makefile, shell, systemd } from './script.ts'

/** Every format, in order: the first document format that claims a document has it. */
export const formats: readonly Format[] = [compose, kubernetes, shell, dockerfile, makefile, systemd]
