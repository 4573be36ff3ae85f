import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseChatTemplate } from '../../../src/models/chatTemplate.js';
import { problem } from './files.js';

const render = (source: string): string =>
  parseChatTemplate(source, 'x.jinja').render([{ role: 'user', content: 'a, b, c' }], {
    addGenerationPrompt: false,
    specialTokens: {},
  });

/** `ns.a` is a text of two million characters. */
const LONG = `{% set ns = namespace(a='é\u4e00') %}{% for i in range(20) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}`;
const many = (count: number): string => Array.from({ length: count }, () => 'ns.a').join();

const hostile: Readonly<Record<string, string>> = {
  'a list of long texts joined': `${LONG}{{ [${many(60)}] | join }}`,
  'a long text between items': `${LONG}{{ range(60) | join(ns.a) }}`,
  'the same by keyword': `${LONG}{{ range(60) | join(separator=ns.a) }}`,
  'the same unpacked': `${LONG}{{ range(60) | join(*[ns.a]) }}{{ range(60) | join(**{'separator': ns.a}) }}`,
  'long texts as JSON': `${LONG}{{ [${many(60)}] | tojson }}`,
  'an indented text': "{{ 'a\\nb' | indent(500000000) }}",
  'an indented block': '{% filter indent(500000000) %}a\nb{% endfilter %}',
  'a filter on a block': `${LONG}{% filter replace('é', ns.a) %}{{ ns.a }}{% endfilter %}`,
  'replaced by filter': `${LONG}{{ ns.a | replace('é', '${'x'.repeat(100)}') }}`,
  'replaced by method': `${LONG}{{ ns.a.replace('é', '${'x'.repeat(100)}') }}`,
  'replaced by a method with a name in brackets': `${LONG}{{ ns.a['replace']('', '${'x'.repeat(100)}') }}`,
  'split into letters': `${LONG}{{ ns.a.split('é') | length }}`,
  'JSON with long separators': `${LONG}{{ range(60) | list | tojson(separators=(ns.a, ns.a)) }}`,
  'JSON with a wide indentation': '{{ range(1000) | list | tojson(indent=100000) }}',
  'many texts kept': LONG + Array.from({ length: 60 }, (_, i) => `{% set v${i} = ns.a | upper %}`).join(''),
  'many lists kept': `{% set r = range(200000) %}${Array.from({ length: 60 }, (_, i) => `{% set v${i} = r[:] %}`).join('')}`,
  'a list that is written out twice as long each time':
    '{% set n = namespace(a=[1]) %}{% for i in range(60) %}{% set n.a = [n.a, n.a] %}{% endfor %}{{ n.a }}',
};

for (const [name, source] of Object.entries(hostile)) {
  test(`${name}: stopped before it is made`, () => {
    const before = process.resourceUsage().maxRSS;
    assert.throws(() => render(source), problem('template.limit', 'x.jinja', 'stopped'));
    const extra = (process.resourceUsage().maxRSS - before) / 1024;
    assert.ok(extra < 256, `${extra} MB`);
  });
}

test('filters, methods and blocks in their bounds give what they gave', () => {
  for (const [source, text] of [
    ["{{ [1, 'b'] | join(', ') }}", '1, b'],
    ["{{ [1, 'b'] | join(*['-']) }}{{ [1, 2] | join(**{'separator': '+'}) }}", '1-b1+2'],
    ["{{ 'a\\nb' | indent(2) }}", 'a\n  b'],
    ["{{ 'a\\nb' | indent(width=1, first=true) }}", ' a\n b'],
    ["{{ 'abab' | replace('a', 'xy') }}{{ 'abab'.replace('a', '', 1) }}", 'xybxybbab'],
    ["{{ messages[0].content.split(', ')[-1] }}{{ messages[0]['content']['upper']() }}", 'cA, B, C'],
    ["{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | first }}", 'a, b, c'],
    ['{% filter upper %}a{% if true %}b{% endif %}{% endfilter %}', 'AB'],
    [
      "{{ {'a': [1, {'b': none}]} | tojson(indent=2) }}",
      '{\n  "a": [\n    1,\n    {\n      "b": null\n    }\n  ]\n}',
    ],
    ['{% macro f(x, y=2) %}{{ x + y }}{% endmacro %}{{ f(1) }}{{ f(1, y=5) }}', '36'],
    ['{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}', '1'],
    ["{% for key, value in {'k': 'v'}.items() %}{{ key ~ value }}{% endfor %}", 'kv'],
  ] as const) {
    assert.equal(render(source), text, source);
  }
});

test('an item that is not there is an error of the template', () => {
  assert.throws(() => render('{{ [] | first | upper }}'), problem('template.failed', 'x.jinja', 'no such item'));
});
