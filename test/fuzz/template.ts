import path from 'node:path';
import type { Random } from '../../src/common/random.js';
import { parseChatTemplate } from '../../src/models/chatTemplate.js';
import type { ChatMessage } from '../../src/models/tokenizer.js';
import { decodeUtf8 } from '../../src/data/lines.js';
import { broken, oneIn, pick, textInput } from './target.js';
import type { FuzzInput, FuzzTarget } from './target.js';
import { mutateText } from './text.js';

const FILE = 'chat_template.jinja';

/** Less than in the product, so that what never ends costs little; still far more than a sane template takes. */
const MAX_MILLISECONDS = 200;

const MESSAGES: readonly ChatMessage[] = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'One <b>?\n"{{ x }}"' },
  { role: 'assistant', content: 'Two \ud83d\ude00.' },
  { role: 'user', content: '' },
];

const SEEDS = [
  `{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`,
  `{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] | trim %}{% set loop_messages = messages[1:] %}{% else %}{% set system = '' %}{% set loop_messages = messages %}{% endif %}
{%- for message in loop_messages %}
  {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
    {{- raise_exception('roles must alternate') }}
  {%- endif %}
  {%- if message.role == 'user' %}{{ '[INST] ' ~ (system if loop.first else '') ~ message.content ~ ' [/INST]' }}
  {%- else %}{{ ' ' + message.content | trim + eos_token }}{% generation %}{% endgeneration %}{% endif %}
{%- endfor %}`,
  `{%- macro show(value, depth=0) -%}{%- if value is mapping -%}{%- for key, inner in value.items() -%}{{ key }}={{ show(inner, depth + 1) }};{%- endfor -%}{%- elif value is string -%}{{ value | upper | replace('A', 'b') }}{%- else -%}{{ value | tojson(indent=2) }}{%- endif -%}{%- endmacro -%}
{%- set ns = namespace(count=0, last='') -%}
{%- for m in messages | selectattr('role', 'equalto', 'user') -%}{%- set ns.count = ns.count + 1 -%}{{ show(m) }}{%- endfor -%}
{{ ns.count }} {{ strftime_now('%d %b %Y') }} {{ range(3) | join(',') }} {{ messages | map(attribute='role') | list | tojson }}
{# a comment #}{% call show(1) %}{% endcall %}{% filter upper %}text{% endfilter %}`,
];

/** Chat templates: real ones changed, and ones made by the grammar. */
export const template: FuzzTarget = {
  name: 'template',
  seeds: () => Promise.resolve(SEEDS.map((text) => textInput(FILE, text))),
  mutate(input, rng) {
    if (oneIn(rng, 3)) return textInput(FILE, block(rng, 1 + rng.integer(4)));
    return new Map([[FILE, mutateText(input.get(FILE)!, rng, [...PIECES, block(rng, 2), output(rng, 2)])]]);
  },
  run(input, { folder }) {
    render(input, path.join(folder, FILE));
    return Promise.resolve();
  },
};

function render(input: FuzzInput, file: string): void {
  // Files that are not UTF-8 are refused before there is a template.
  const text = decodeUtf8(input.get(FILE)!);
  if (text === undefined) return;
  const before = JSON.stringify(MESSAGES);
  const parsed = parseChatTemplate(text, file, { maxMilliseconds: MAX_MILLISECONDS });
  const specialTokens = { bos_token: '<s>', eos_token: '</s>' };
  const first = parsed.render(MESSAGES, { addGenerationPrompt: true, specialTokens });
  const again = parsed.render(MESSAGES, { addGenerationPrompt: true, specialTokens });
  if (typeof first !== 'string') broken('a rendering that is no text');
  if (first !== again && !text.includes('strftime_now')) broken('two renderings differ');
  if (JSON.stringify(MESSAGES) !== before) broken('the messages were changed');
}

/** Statements and text, nested at most `depth` deep. */
function block(rng: Random, depth: number): string {
  return Array.from({ length: 1 + rng.integer(4) }, () => statement(rng, depth)).join(pick(rng, ['', '\n', ' ']));
}

function statement(rng: Random, depth: number): string {
  if (depth <= 0) return oneIn(rng, 3) ? 'text' : output(rng, 1);
  const inner = (): string => block(rng, depth - 1);
  const value = (): string => expression(rng, depth);
  const [open, close] = pick(rng, [
    ['{%', '%}'],
    ['{%-', '-%}'],
  ] as const);
  const tag = (text: string): string => `${open} ${text} ${close}`;
  switch (rng.integer(11)) {
    case 0:
      return `${tag(`for ${pick(rng, TARGETS)} in ${value()}${oneIn(rng, 3) ? ` if ${value()}` : ''}`)}${inner()}${tag('endfor')}`;
    case 1:
      return `${tag(`if ${value()}`)}${inner()}${tag(`elif ${value()}`)}${inner()}${tag('else')}${inner()}${tag('endif')}`;
    case 2:
      return tag(
        `set ${pick(rng, [...NAMES, 'ns.a', 'a, b', 'messages', 'loop', 'x.y', '__proto__'])} = ${value()}`,
      );
    case 3:
      return `${tag(`set ${pick(rng, NAMES)}`)}${inner()}${tag('endset')}`;
    case 4:
      return `${tag(`macro ${pick(rng, NAMES)}(a, b=${value()})`)}${inner()}${tag('endmacro')}`;
    case 5:
      return `${tag(`call ${pick(rng, NAMES)}(${value()})`)}${inner()}${tag('endcall')}`;
    case 6:
      return `${tag(`filter ${pick(rng, FILTERS)}`)}${inner()}${tag('endfilter')}`;
    case 7:
      return doubling(rng);
    case 8:
      return tag(
        pick(rng, [
          'break',
          'continue',
          'generation',
          'endgeneration',
          'set ns = namespace(a=1)',
          'raw',
          'endraw',
        ]),
      );
    default:
      return output(rng, depth);
  }
}

/** What doubles in each turn of a loop, and is then handed to what would copy it. */
function doubling(rng: Random): string {
  const times = pick(rng, ['5', '20', '23', '40', '1000']);
  const [start, grown] = pick(rng, [
    ["'ab'", 'ns.a + ns.a'],
    ["'é\ud83d\ude00'", 'ns.a ~ ns.a'],
    ['[1]', 'ns.a + ns.a'],
    ['[1]', '[ns.a, ns.a]'],
    ["'a,'", "ns.a | replace('a', 'aa')"],
    ["'a\\n'", 'ns.a | indent(ns.a | length)'],
    ["{'k': 1}", "{'k': ns.a, 'l': ns.a}"],
    ["'x'", '[ns.a, ns.a, ns.a] | join(ns.a)'],
    ["'x'", 'ns.a | tojson'],
  ] as const);
  const use = pick(rng, [
    'ns.a | length',
    'ns.a | tojson',
    'ns.a | string',
    'ns.a',
    `[ns.a, ns.a, ns.a, ns.a] | ${pick(rng, FILTERS)}`,
  ]);
  return `{% set ns = namespace(a=${start}) %}{% for i in range(${times}) %}{% set ns.a = ${grown} %}{% endfor %}{{ ${use} }}`;
}

function output(rng: Random, depth: number): string {
  return `{{ ${expression(rng, depth)} }}`;
}

function expression(rng: Random, depth: number): string {
  if (depth <= 0) return pick(rng, ATOMS);
  const inner = (): string => expression(rng, depth - 1);
  switch (rng.integer(10)) {
    case 0:
      return `(${inner()} ${pick(rng, OPERATORS)} ${inner()})`;
    case 1:
    case 2:
      return `(${inner()} | ${pick(rng, FILTERS)})`;
    case 3:
      return `(${inner()} is ${pick(rng, TESTS)})`;
    case 4:
      return `[${inner()}, ${inner()}]`;
    case 5:
      return `{${pick(rng, ["'a'", "'__proto__'", '1', inner()])}: ${inner()}}`;
    case 6:
      return `(${inner()})${pick(rng, MEMBERS)}`;
    case 7:
      return `${pick(rng, CALLS)}(${inner()}${oneIn(rng, 2) ? `, ${inner()}` : ''})`;
    case 8:
      return `(${inner()} if ${inner()} else ${inner()})`;
    default:
      return pick(rng, ATOMS);
  }
}

const NAMES = ['a', 'b', 'f', 'x', 'caller', 'self', 'range'];
const TARGETS = ['m', 'a', 'a, b', 'i', 'loop', 'messages', '__proto__', '(a, b)', 'm.x'];
const OPERATORS = [
  ...[
    '+',
    '-',
    '*',
    '/',
    '//',
    '%',
    '**',
    '~',
    '==',
    '!=',
    '<',
    '>',
    '<=',
    '>=',
    'and',
    'or',
    'in',
    'not in',
    'is',
    '|',
    ',',
  ],
];
const ATOMS = [
  ...[
    'messages',
    'message',
    'm',
    'a',
    'b',
    'f',
    'x',
    'loop',
    'loop.index',
    'messages[0]',
    'messages[-1].content',
    'ns',
    'ns.a',
  ],
  ...[
    "'text'",
    '"é\ud83d\ude00"',
    "'a\\nb\\n'",
    "''",
    '0',
    '1',
    '-1',
    '2.5',
    '1e9',
    '999999999999',
    '9007199254740993',
    '10',
    '[]',
    '{}',
  ],
  ...[
    'true',
    'none',
    'None',
    'undefined_name',
    'bos_token',
    'range(3)',
    'range(1000)',
    'range(1000000)',
    'range(100000000)',
    'range',
  ],
  ...[
    'range(0, 10, 0)',
    'range(-5)',
    "'ab' * 3",
    "'ab' * 1000000000",
    '2 ** 1000',
    '2 ** 0.5',
    '0 ** -1',
    '1 / 0',
    '1 % 0',
    '()',
    '(1,)',
  ],
  ...[
    'constructor',
    '__proto__',
    'this',
    'globalThis',
    'process',
    'self',
    "''.constructor",
    'f.__globals__',
    'namespace',
    'raise_exception',
  ],
  ...[
    "''['constructor']['constructor']('return 1')()",
    'messages.constructor.prototype',
    'range.constructor',
    "[]['push']",
    'messages.length',
  ],
];
const FILTERS = [
  ...[
    'length',
    'upper',
    'lower',
    'trim',
    'tojson',
    'join',
    "join(', ')",
    'list',
    'first',
    'last',
    'reverse',
    'sort',
    'unique',
    'string',
    'int',
  ],
  ...[
    'float',
    'abs',
    'items',
    'dictsort',
    'title',
    'capitalize',
    'indent',
    'indent(3)',
    'indent(1000000000)',
    'indent(500000000, true)',
    'safe',
  ],
  ...[
    "default('x')",
    "default('x', true)",
    'map',
    "map(attribute='role')",
    "map('upper')",
    "selectattr('role')",
    "rejectattr('role', 'equalto', 'user')",
  ],
  ...[
    "selectattr('role', 'constructor')",
    "replace('', 'xx')",
    "replace('a', 'aaaaaaaaaa')",
    "replace('a', messages | tojson)",
    'tojson(indent=4)',
  ],
  ...[
    'tojson(indent=1000000)',
    "tojson(separators=(',', ':'))",
    "sort(attribute='role')",
    'sort(reverse=true)',
    'batch(2)',
    'nothing',
    'e',
    'constructor',
  ],
];
const TESTS = [
  ...[
    'defined',
    'none',
    'string',
    'mapping',
    'iterable',
    'number',
    'integer',
    'boolean',
    'odd',
    'even',
    'sequence',
    'callable',
    'true',
    'lower',
  ],
  ...['not defined', "equalto('a')", "eq('a')", 'constructor', 'nothing', 'divisibleby(2)', 'upper'],
];
const MEMBERS = [
  ...[
    '.role',
    "['content']",
    '[0]',
    '[-1]',
    '[1:]',
    '[::-1]',
    '[::0]',
    '[:1000000000]',
    '[0:2:-1]',
    '.items()',
    '.keys()',
    '.get("role")',
    '.get()',
  ],
  ...[
    ".split(' ')",
    ".split('')",
    '.split()',
    '.strip()',
    ".startswith('a')",
    ".replace('a', 'b')",
    ".replace('', 'xyz')",
    '.upper()',
    '.length',
  ],
  ...[
    '.constructor',
    "['__proto__']",
    '.prototype',
    '.__class__.__mro__',
    '.append(1)',
    '.pop()',
    '.toString()',
    '.value',
    '.builtins',
    '["a" * 9]',
  ],
];
const CALLS = [
  'f',
  'a',
  'b',
  'range',
  'namespace',
  'raise_exception',
  'strftime_now',
  'caller',
  'dict',
  'cycler',
  'messages',
  "''.constructor",
  'f(1)',
];

const PIECES = [
  ...[
    '{{',
    '}}',
    '{%',
    '%}',
    '{#',
    '#}',
    '{%-',
    '-%}',
    '{{-',
    '-}}',
    '{% raw %}',
    '{% endraw %}',
    '{% for',
    '{% endfor %}',
    '{% else %}',
  ],
  ...[
    '{% if true %}',
    '{% endif %}',
    '{% macro f(a) %}{{ f(a) }}{% endmacro %}{{ f(1) }}',
    '{% include "x" %}',
    '{% import "x" as y %}',
  ],
  ...[
    '{% extends "x" %}',
    '{% block x %}{% endblock %}',
    '|',
    '.',
    "'",
    '"',
    '\\',
    '\\x',
    '\\u',
    '(',
    ')',
    '[',
    ']',
    '{',
    '}',
    ',',
    ':',
    '~',
  ],
  ...[
    '{{ '.repeat(50),
    '('.repeat(3000),
    '{% if a %}'.repeat(3000),
    '[['.repeat(2000),
    '-'.repeat(3000),
    'not '.repeat(3000),
    'a.'.repeat(3000),
  ],
  ...[
    '{{ 1' + ' + 1'.repeat(5000) + ' }}',
    '{{ a' + '|upper'.repeat(5000) + ' }}',
    '{%'.repeat(2000),
    '{#'.repeat(2000),
    ' '.repeat(20_000),
  ],
  ...[
    '{% set messages = [] %}',
    '{% set range = 1 %}',
    '{% set true = false %}',
    '\u0000',
    '\ufeff',
    '\u2028',
    '\ud83d',
    '{{ "\u0000" }}',
  ],
];
