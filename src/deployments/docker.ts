import type { Command, Mount } from './command.ts'
import { type DeclaredHardware, noHardware } from './deployment.ts'
import { Text } from './text.ts'

/** Flags of `docker run` (and podman, nerdctl) without a value; every other long or short flag takes one. */
const SWITCHES = new Set(
  'd detach rm i interactive t tty it dit itd ti id P publish-all privileged init no-healthcheck oom-kill-disable read-only sig-proxy disable-content-trust quiet q replace no-hosts'.split(
    ' ',
  ),
)

/**
 * Reads `docker run [flags] image [arguments]`: image, environment, mounts, GPUs. `argv` starts after `run`. Null when
 * no image is there.
 */
export function dockerRun(argv: readonly Text[], outer: Command): Command | null {
  const env = new Map<string, Text>()
  const mounts: Mount[] = []
  let hardware: DeclaredHardware = noHardware
  let entrypoint: Text | null = null
  let i = 0
  for (; i < argv.length; i++) {
    const word = argv[i]!
    if (!word.value.startsWith('-')) {
      // `$EXTRA_FLAGS` before more flags holds flags, not the image.
      if (
        /^\$\{?\w+\}?$/.test(word.value) &&
        argv[i + 1]?.value.startsWith('-') &&
        argv.slice(i + 1).some(looksLikeImage)
      )
        continue
      break
    }
    const equals = word.value.indexOf('=')
    const name = word.value.slice(0, equals < 0 ? undefined : equals).replace(/^--?/, '')
    if (SWITCHES.has(name)) continue
    const glued = /^-[evp]./.test(word.value) && !word.value.startsWith('--')
    const value = glued ? word.slice(2) : equals >= 0 ? word.slice(equals + 1) : argv[++i]
    if (!value) continue
    switch (glued ? word.value[1] : name) {
      case 'e':
      case 'env':
        addVariable(env, value, outer)
        break
      case 'v':
      case 'volume': {
        const mount = volume(value)
        if (mount) mounts.push(mount)
        break
      }
      case 'mount': {
        const host = /(?:^|,)(?:source|src)=([^,]+)/.exec(value.value)
        const target = /(?:^|,)(?:target|dst|destination)=([^,]+)/.exec(value.value)
        if (host && target) mounts.push({ host: Text.at(value, host[1]!), container: target[1]! })
        break
      }
      case 'gpus':
        hardware = { ...hardware, accelerator: 'nvidia', ...gpus(value, `${name} ${value.value}`) }
        break
      case 'device':
        hardware = { ...hardware, ...device(value, hardware) }
        break
      case 'entrypoint':
        entrypoint = value
        break
    }
  }
  const image = argv[i]
  if (!image) return null
  const rest = argv.slice(i + 1)
  return {
    ...outer,
    argv: entrypoint && entrypoint.value !== '' ? [entrypoint, ...rest] : rest,
    env,
    image,
    mounts,
    hardware,
    scripted: false,
  }
}

const looksLikeImage = (word: Text): boolean => /^[\w.-]+(?:\/[\w.-]+)+:[\w.-]+$/.test(word.value)

function addVariable(env: Map<string, Text>, value: Text, outer: Command): void {
  const equals = value.value.indexOf('=')
  if (equals > 0) env.set(value.value.slice(0, equals), value.slice(equals + 1))
  else {
    const passed = outer.env.get(value.value)
    if (passed) env.set(value.value, passed)
  }
}

/** "host:container[:mode]"; null for a single path. */
export function volume(value: Text): Mount | null {
  const match = /^((?:\$\{[^}]*\}|[^:])+):(\/[^:]*|\$[^:]*)(?::[a-zA-Z,]+)?$/.exec(value.value)
  return match ? { host: value.slice(0, match[1]!.length), container: match[2]! } : null
}

/** `--gpus all | N | "device=0,1"` and compose's `gpus:`. */
export function gpus(value: Text, text: string): Pick<DeclaredHardware, 'gpusPerReplica' | 'gpusAt' | 'gpusText'> {
  const plain = value.value.replace(/["'\\]/g, '').trim()
  const devices = /^device=([\w,:.-]+)$/.exec(plain)
  const count = devices ? devices[1]!.split(',').length : /^\d+$/.test(plain) ? Number(plain) : null
  return { gpusPerReplica: count, gpusAt: value.place, gpusText: text }
}

/** `--device /dev/kfd` is AMD, `nvidia.com/gpu=all` and `=0` are CDI names, `/dev/davinci0` Ascend, `/dev/neuron0` Neuron. */
export function device(value: Text, before: DeclaredHardware): Partial<DeclaredHardware> {
  const text = value.value
  if (text.startsWith('/dev/kfd')) return { accelerator: 'amd' }
  if (text.startsWith('/dev/neuron')) return { accelerator: 'neuron' }
  if (text.startsWith('/dev/davinci')) return { accelerator: 'npu' }
  if (text.startsWith('/dev/accel')) return { accelerator: before.accelerator }
  const cdi = /^nvidia\.com\/gpu=(\d+|all)$/.exec(text)
  if (!cdi) return {}
  if (cdi[1] === 'all') return { accelerator: 'nvidia' }
  return {
    accelerator: 'nvidia',
    gpusPerReplica: (before.gpusPerReplica ?? 0) + 1,
    gpusAt: value.place,
    gpusText: text,
  }
}
