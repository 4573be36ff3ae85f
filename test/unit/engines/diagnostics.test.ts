import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseJsonRow } from '../../../src/data/jsonText.js';
import { diagnosticsText } from '../../../src/engines/diagnostics.js';
import type { DiagnosticsParts } from '../../../src/engines/diagnostics.js';
import { redact, secretsOf } from '../../../src/engines/redact.js';

const HOME = '/home/anna';
const TOKEN = 'hf_abcdefghijklmnopqrstuvwx';

const parts: DiagnosticsParts = {
  time: new Date(0),
  versions: [['PEFT Studio', '0.1.0']],
  machine: { system: 'linux 6.1 x64', processor: 'A CPU', cores: 2, memory: 2 ** 33, free: 2 ** 32 },
  settings: { 'peftStudio.modelFolders': [`${HOME}/models`] },
  run: {
    kind: 'failed',
    file: `${HOME}/work/a.peft.yaml`,
    began: 0,
    ended: 1,
    problem: { code: 'hub.refused', message: `https://u:pw@hub/x?token=abc answered 401 (Bearer ${TOKEN})` },
    others: [],
  },
  events: [
    { type: 'sample', split: 'train', line: 1, spans: [{ text: 'private words', supervised: true }] },
    { type: 'log', level: 'info', message: `read ${HOME}/work/rows.jsonl` },
  ],
  problems: [{ code: 'config.unknown-key', message: 'no key', where: { file: `${HOME}/a.peft.yaml`, line: 3 } }],
  home: HOME,
  secrets: ['my-own-secret-value'],
};

test('one document with versions, machine, settings, the run and its problems', () => {
  const text = diagnosticsText(parts);
  for (const heading of ['Versions', 'Machine', 'Settings', 'Last run', 'Problems']) {
    assert.match(text, new RegExp(`^## ${heading}$`, 'm'));
  }
  assert.match(text, /- Memory: 8 GiB, 4 GiB free/);
  assert.match(text, /- File: ~\/work\/a\.peft\.yaml/);
  assert.match(text, /- error `config\.unknown-key`: ~\/a\.peft\.yaml:3: no key/);
  assert.match(text, /info {4}read ~\/work\/rows\.jsonl/);
});

test('no secret, no home folder and no row of the data is in it', () => {
  const text = diagnosticsText({ ...parts, versions: [['x', 'my-own-secret-value']] });
  for (const hidden of [HOME, 'anna', TOKEN, 'pw@', 'token=abc', 'my-own-secret-value', 'private words']) {
    assert.ok(!text.includes(hidden), hidden);
  }
});

test('without a run it says so', () => {
  assert.match(
    diagnosticsText({ ...parts, run: { kind: 'idle' }, problems: [] }),
    /None in this window\.[^]*None\./,
  );
});

test('secrets are known by their form and by their names; counts of tokens stay', () => {
  const clean = (text: string): string => redact(text, HOME);
  assert.equal(clean(`HF_TOKEN=${TOKEN}`), 'HF_TOKEN=(hidden)');
  assert.equal(clean('"api_key": "abc123"'), '"api_key": "(hidden)"');
  assert.equal(clean('https://h/f?X-Amz-Signature=00ff&x=1'), 'https://h/f?X-Amz-Signature=(hidden)&x=1');
  assert.equal(clean('https://anna:pass@h/f'), 'https://(hidden)@h/f');
  assert.equal(clean('12 supervised of 40 tokens; token: 5'), '12 supervised of 40 tokens; token: 5');
  assert.equal(clean("password: 'two words', x: 1"), "password: '(hidden)', x: 1");
});

test('the home folder is known however it is written, and no other is taken for it', () => {
  const windows = (text: string): string => redact(text, 'C:\\Users\\anna');
  assert.equal(windows('C:\\Users\\anna\\a'), '~\\a');
  assert.equal(windows('c:\\users\\anna\\a'), '~\\a');
  assert.equal(windows('"c:\\\\Users\\\\anna\\\\a"'), '"~\\\\a"');
  assert.equal(windows('c:/Users/anna/a'), '~/a');
  assert.equal(redact(`${HOME}/a, ${HOME}.`, HOME), '~/a, ~.');
  assert.equal(redact(`${HOME}lena/a`, HOME), `${HOME}lena/a`);
  assert.equal(redact('/HOME/anna/a', HOME), '/HOME/anna/a');
});

test('what Node quotes of a row that is no JSON is not in it', () => {
  const rows = ['{"text": "private words" x}', '{"a": private words}', 'private words'];
  const message = rows.map((row) => parseJsonRow(row)).map((found) => ('reason' in found ? found.reason : 'none'));
  const problem = { code: 'data.broken-rows', message: message.join('; ') };
  assert.match(problem.message, /private wor/);
  const text = diagnosticsText({ ...parts, events: [], problems: [problem] });
  assert.match(text, /not valid JSON/);
  assert.doesNotMatch(text, /private/);
});

test('a long line of the log is cut', () => {
  const text = diagnosticsText({
    ...parts,
    events: [{ type: 'log', level: 'info', message: 'x'.repeat(100_000) }],
  });
  assert.ok(text.length < 5000);
});

test('secrets of the environment are those of variables with such names', () => {
  assert.deepEqual(
    secretsOf({ HF_TOKEN: 'abcdefgh', PATH: '/usr/bin:/bin', WANDB_API_KEY: 'ijklmnop', SHORT_TOKEN: 'x' }),
    ['abcdefgh', 'ijklmnop'],
  );
});
