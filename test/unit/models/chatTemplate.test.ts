import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseChatTemplate, strftime } from '../../../src/models/chatTemplate.js';
import { problem } from './files.js';

const messages = [
  { role: 'system', content: 'Be terse.' },
  { role: 'user', content: 'Hi "x"' },
];
const options = { addGenerationPrompt: true, specialTokens: { bos_token: '<s>', eos_token: '</s>' } };

const render = (source: string): string => parseChatTemplate(source, 'x.jinja').render(messages, options);

test('messages, special tokens, the generation prompt and trimmed blocks, as in transformers', () => {
  const source = [
    '{{ bos_token }}',
    '{% for message in messages %}',
    "    {% if loop.first %}first {% elif message['role'] == 'user' %}then {% endif %}",
    '{{ message.role }}: {{ message.content | tojson }}{{ eos_token }}',
    '{% endfor %}',
    '{% if add_generation_prompt and tools is none %}assistant:{% endif %}',
  ].join('\n');
  // What transformers 5.24 renders.
  assert.equal(render(source), '<s>\nfirst system: "Be terse."</s>\nthen user: "Hi \\"x\\""</s>\nassistant:');
});

test('generation marks change nothing in the text', () => {
  assert.equal(render("a{%- generation %}b{{ 'c' }}{%- endgeneration -%} d"), 'abcd');
});

test('range counts as in Python', () => {
  assert.equal(
    render('{{ range(3) }}{{ range(1, 6, 2) }}{{ range(3, 0, -1) }}{{ range(2, 1) }}'),
    '[0, 1, 2][1, 3, 5][3, 2, 1][]',
  );
});

test("raise_exception is the template's own refusal", () => {
  const source = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}";
  assert.throws(() => render(source), problem('template.raised', 'x.jinja', 'no system role'));
});

test('dates', () => {
  const date = new Date(2024, 0, 5, 15, 4, 9);
  assert.equal(strftime(date, '%d %b %Y %H:%M:%S %% %q'), '05 Jan 2024 15:04:09 % %q');
  assert.equal(strftime(date, '%A, %B %e, %y %I %p %m %a'), 'Friday, January  5, 24 03 PM 01 Fri');
  assert.match(render("{{ strftime_now('%Y-%m-%d') }}"), /^20\d\d-\d\d-\d\d$/);
});

test('templates that cannot be parsed or rendered', () => {
  for (const source of ['{% foo %}', '{% if x %}', '{{ "a', '{% endfor %}']) {
    assert.throws(() => parseChatTemplate(source, 'x.jinja'), problem('template.syntax', 'x.jinja'));
  }
  assert.throws(() => render('{{ nothing() }}'), problem('template.failed', 'x.jinja'));
  assert.throws(() => parseChatTemplate(' '.repeat(2 ** 20 + 1), 'x.jinja'), problem('template.too-long'));
});

test('templates see nothing of JavaScript', () => {
  assert.equal(render('{{ messages.constructor }}{{ "".constructor }}{{ process }}{{ globalThis }}'), '');
});

const hostile: Readonly<Record<string, string>> = {
  'a long range': '{% for i in range(1000000000) %}x{% endfor %}',
  'loops in loops': '{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}',
  'loops in loops over nothing':
    '{% set r = range(100000) %}{% for i in r %}{% for j in r %}{% for k in r %}{% endfor %}{% endfor %}{% endfor %}',
  'a text that doubles':
    '{% set n = namespace(x="ab") %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}',
  'a list that doubles':
    '{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}',
  'a list that holds itself twice, many times over':
    '{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x | tojson }}',
  'a list that holds itself': '{% set n = namespace() %}{% set n.a = [n, n] %}{{ n.a | tojson }}',
  'a text replaced by itself':
    '{% set n = namespace(x="aaaa") %}{% for i in range(9) %}{% set n.x = n.x|replace("a", n.x) %}{% endfor %}',
  'an indentation without end': '{{ [1, [2]] | tojson(indent=1000000000) }}',
};

for (const [name, source] of Object.entries(hostile)) {
  test(`${name} ends in an error`, () => {
    const template = parseChatTemplate(source, 'x.jinja', { maxMilliseconds: 150 });
    assert.throws(() => template.render(messages, options), problem('template.limit', 'x.jinja', 'stopped'));
    // The clock leaves nothing behind: the next rendering is as good as the first.
    assert.equal(render('{{ messages[1].role }}'), 'user');
  });
}

test('parentheses without end', () => {
  const source = `{{ ${'('.repeat(100_000)}1${')'.repeat(100_000)} }}`;
  assert.throws(() => parseChatTemplate(source, 'x.jinja'), problem('template.limit', 'x.jinja'));
});
