import type { Format } from '../format.ts'
import { compose } from './compose.ts'
import { dockerfile } from './dockerfile.ts'
import { kubernetes } from './kubernetes.ts'
import { makefile } from './makefile.ts'
import { ray } from './ray.ts'
import { shell } from './shell.ts'
import { systemd } from './systemd.ts'

/** Every format, in order: the first document format that claims a document has it. */
export const formats: readonly Format[] = [ray, compose, kubernetes, shell, dockerfile, makefile, systemd]
