// biome-ignore-all lint/suspicious/noTemplateCurlyInString: shell and compose text
import { describe, expect, test } from '@jest/globals'
import { interpolate, kubernetesVariables } from '../../src/deployments/shell/parameters.ts'
import { runScript } from '../../src/deployments/shell/run.ts'
import { arithmetic, splitText } from '../../src/deployments/shell/words.ts'
import { Text } from '../../src/deployments/text.ts'

const env = (variables: Record<string, string>): Map<string, Text> =>
  new Map(Object.entries(variables).map(([name, value]) => [name, Text.file('env', value)]))
const run = (script: string, variables: Record<string, string> = {}, positional: string[] | null = null): string[][] =>
  runScript(Text.file('a.sh', script), {
    env: env(variables),
    arguments: positional?.map(one => Text.file('args', one)) ?? null,
  }).map(one => one.argv.map(word => word.value))

describe('a script is followed to the commands it starts', () => {
  const cases: [string, string, string[][]][] = [
    ['quotes and escapes', `vllm serve 'a b' "c d" e\\ f`, [['vllm', 'serve', 'a b', 'c d', 'e f']]],
    ['continuations and comments', 'vllm serve m \\\n  -tp 2 # two cards\n', [['vllm', 'serve', 'm', '-tp', '2']]],
    [
      'a forgotten backslash before a flag',
      'vllm serve m\n  --max-model-len 8k\n',
      [['vllm', 'serve', 'm', '--max-model-len', '8k']],
    ],
    ['several commands', 'a && b; c | d & e || f', [['a'], ['b'], ['c'], ['d'], ['e'], ['f']]],
    ['redirects are no words', 'vllm serve m > log 2>&1 < in', [['vllm', 'serve', 'm']]],
    [
      'variables with defaults',
      'M="${M:-org/m}"\nvllm serve "$M" -tp ${TP-2}',
      [['vllm', 'serve', 'org/m', '-tp', '2']],
    ],
    ['unset variables stay to be reported', 'vllm serve "$MODEL" ${EXTRA}', [['vllm', 'serve', '$MODEL', '${EXTRA}']]],
    ['an alternative for a set variable', 'A=1; x ${A:+--on} ${B:+--off}', [['x', '--on']]],
    [
      'the ends of a path',
      'R=org/name.gguf; x ${R##*/} ${R%%/*} ${R%.gguf} ${R#org/}',
      [['x', 'name.gguf', 'org', 'org/name', 'name.gguf']],
    ],
    ['case', 'M=fp16; x ${M^^} ${M/16/8}', [['x', 'FP16', 'fp8']]],
    ['arrays', 'A=(--a 1)\nA+=(--b "c d")\nx "${A[@]}" ${A[1]}', [['x', '--a', '1', '--b', 'c d', '1']]],
    ['arithmetic', 'N=4; x $((N * 2 + 1))', [['x', '9']]],
    [
      'unquoted values are split, quoted ones not',
      'A="--x 1"; p $A; q "$A"',
      [
        ['p', '--x', '1'],
        ['q', '--x 1'],
      ],
    ],
    ['functions with arguments', 'go() { vllm serve "$1" "$@"; }\ngo m --x', [['vllm', 'serve', 'm', 'm', '--x']]],
    ['a condition that holds', 'A=1; if [ "$A" = 1 ]; then x; else y; fi', [['x']]],
    ['a condition that does not', 'A=2; if [[ $A == 1 ]]; then x; elif [ $A -gt 1 ]; then y; else z; fi', [['y']]],
    ['an undecided condition gives both', 'if [ -f f ]; then x; else y; fi', [['x'], ['y']]],
    ['a default set when empty', 'if [ -z "${A:-}" ]; then A=7; fi; x $A', [['x', '7']]],
    ['case arms', 'M=b; case "$M" in a) x ;; b|c) y ;; *) z ;; esac', [['y']]],
    [
      'loops over words',
      'for m in a b; do serve $m; done',
      [
        ['serve', 'a'],
        ['serve', 'b'],
      ],
    ],
    [
      'quotes inside a command in a variable',
      `C="serve --m \\"org/m\\" --j '{\\"a\\": 1}'"; eval $C`,
      [['eval', 'serve', '--m', 'org/m', '--j', '{"a": 1}']],
    ],
    ['exec ends a script', 'exec x\ny', [['exec', 'x']]],
    ['here-documents are no commands', 'cat <<EOF > f.yaml\nrm -rf /\nEOF\nx', [['cat'], ['x']]],
    ['substitutions stay as written', 'x $(nproc --all) `date`', [['x', '$(nproc --all)', '`date`']]],
    ['subshells and groups', '(cd a; x) ; { y; }', [['x'], ['y']]],
    ['Windows line ends', 'x \\\r\n  a\r\ny\r\n', [['x', 'a'], ['y']]],
    [
      'an argument that nobody gave takes the default',
      'M=$1\nif [ "X$M" = "X" ]; then M=org/m; fi; x $M',
      [['x', 'org/m']],
    ],
    [
      'arguments that the script sets itself',
      'if [ $# -eq 0 ]; then set -- --a "b c"; fi\nx "$@"',
      [['x', '--a', 'b c']],
    ],
  ]
  test.each(cases)('%s', (_, script, expected) => {
    expect(run(script)).toEqual(expected)
  })
  test('the suite looked at its cases', () => {
    expect(cases).toHaveLength(28)
  })

  test('exports and prefixes reach the command, plain variables do not', () => {
    const [command] = runScript(Text.file('a.sh', 'A=1; export B=2; C=3 x'), { env: env({ D: '4' }), arguments: null })
    expect(Object.fromEntries([...command!.env].map(([name, value]) => [name, value.value]))).toEqual({
      B: '2',
      C: '3',
      D: '4',
    })
  })

  test('files that here-documents write are kept', () => {
    const [, command] = runScript(Text.file('a.sh', "cat <<'EOF' > /tmp/c.yaml\na: 1\nEOF\nx --config /tmp/c.yaml"), {
      env: env({}),
      arguments: null,
    })
    expect(command!.files.get('/tmp/c.yaml')!.value).toBe('a: 1\n')
  })

  test('"$@" takes the arguments, and nothing is a word when there are none', () => {
    expect(run('vllm serve "$@"', {}, ['--a', 'b c'])).toEqual([['vllm', 'serve', '--a', 'b c']])
    expect(run('vllm serve "$@"', {}, [])).toEqual([['vllm', 'serve']])
    expect(run('vllm serve "$@"')).toEqual([['vllm', 'serve', '$@']])
  })

  test('a word knows where its value stands', () => {
    const script = '\nMODEL=org/name\nvllm serve \\\n  --model="$MODEL"\n'
    const [command] = runScript(Text.file('a.sh', script), { env: env({}), arguments: null })
    const word = command!.argv[2]!
    expect(word.value).toBe('--model=org/name')
    expect(word.place).toEqual({ file: 'a.sh', line: 4, column: 3 })
    expect(word.slice(8).place).toEqual({ file: 'a.sh', line: 2, column: 7 })
  })
})

test('arithmetic is whole numbers with brackets, or nothing', () => {
  const of = (text: string): number | null => arithmetic(text, name => (name === 'N' ? '3' : undefined))
  expect([
    of('1+2*3'),
    of('(1+2)*N'),
    of('7/2'),
    of('N%2'),
    of('-N'),
    of('M+1'),
    of('1 +'),
    of('1 << 2'),
    of('1/0'),
  ]).toEqual([7, 9, 3, 1, -3, null, null, null, null])
})

test('a command string without a shell is split at blanks; quotes go, variables stay', () => {
  expect(splitText(Text.file('a', '--model $M --x "a b"  \'{"a": 1}\'\n --y')).map(one => one.value)).toEqual([
    '--model',
    '$M',
    '--x',
    'a b',
    '{"a": 1}',
    '--y',
  ])
})

describe('compose interpolation', () => {
  const lookup = (name: string): Text | undefined => ({ A: Text.file('.env', 'one'), E: Text.file('.env', '') })[name]
  const cases: [string, string][] = [
    ['$A ${A}', 'one one'],
    ['${B:-two} ${B-two} ${E:-three} ${E-three}', 'two two three '],
    ['${B:-${C:-${A}}}', 'one'],
    ['${A:+yes}${B:+no}', 'yes'],
    ['$$A $${A}', '$A ${A}'],
    ['${B} $B ${B:?needed}', '${B} $B ${B:?needed}'],
    ['100% $ {A} ${', '100% $ {A} ${'],
  ]
  test.each(cases)('%s', (text, expected) => {
    expect(interpolate(Text.file('c', text), lookup).value).toBe(expected)
  })
})

test('Kubernetes expands $(VAR) of known names only; $$(VAR) is the escape', () => {
  const lookup = (name: string): Text | undefined => (name === 'A' ? Text.file('e', 'x') : undefined)
  expect(kubernetesVariables(Text.file('k', '--m=$(A) $(B) $$(A) ${A} $A'), lookup).value).toBe(
    '--m=x $(B) $(A) ${A} $A',
  )
})
