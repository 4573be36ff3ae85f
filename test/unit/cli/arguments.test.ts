import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseArguments } from '../../../src/cli/arguments.js';
import type { Command } from '../../../src/cli/command.js';

const command: Command = {
  name: 'bake',
  summary: 'Bake.',
  positionals: [{ name: 'CAKE', help: 'what to bake' }],
  options: {
    out: { value: 'DIR', required: true, help: 'where to' },
    set: { value: 'K=V', multiple: true, help: 'an ingredient' },
    heat: { value: 'N', help: 'degrees' },
    fast: { help: 'hurry' },
  },
  json: 'a cake',
  jsonForm: 'document',
  examples: [],
  run: async () => 0,
};

function refused(args: readonly string[], code: string, said: RegExp): void {
  assert.throws(
    () => parseArguments(command, args),
    (error: Error & { problem: { code: string } }) => {
      assert.equal(error.problem.code, code);
      assert.match(error.message, said);
      return true;
    },
  );
}

test('positionals, switches, texts, numbers and repeated options, in any order', () => {
  const args = parseArguments(command, [
    '--set',
    'a=1',
    'pie',
    '--out=x',
    '--set=b=-2',
    '--heat',
    '-3.5e1',
    '--fast',
  ]);
  assert.equal(args.positional(0), 'pie');
  assert.equal(args.required('out'), 'x');
  assert.deepEqual(args.all('set'), ['a=1', 'b=-2']);
  assert.equal(args.number('heat'), -35);
  assert.equal(args.flag('fast'), true);
  assert.equal(args.flag('json'), false);
  const bare = parseArguments(command, ['pie', '--out', 'x']);
  assert.deepEqual(
    [bare.text('heat'), bare.number('heat'), bare.all('set'), bare.flag('fast')],
    [undefined, undefined, [], false],
  );
});

test('what follows -- is no option', () => {
  assert.equal(parseArguments(command, ['--out', 'x', '--', '--fast']).positional(0), '--fast');
});

describe('what is refused, and what is said', () => {
  test('an unknown option, with the nearest name', () => {
    refused(['pie', '--outt', 'x'], 'cli.unknown-option', /no option --outt[^]*Did you mean --out\?/);
    refused(['pie', '--constructor', 'x'], 'cli.unknown-option', /--help/);
    refused(['pie', '-x'], 'cli.unknown-option', /-x/);
  });
  test('an option without its value', () => {
    refused(['pie', '--out'], 'cli.option-value', /--out has no value[^]*--out DIR/);
    refused(['pie', '--out', '--fast'], 'cli.option-value', /--out has no value[^]*--out=--fast/);
    assert.equal(parseArguments(command, ['pie', '--out=--fast']).required('out'), '--fast');
  });
  test('a value for a switch', () =>
    refused(['pie', '--out', 'x', '--fast=no'], 'cli.option-value', /takes no value/));
  test('a number that is none', () => {
    for (const text of ['warm', '', 'Infinity', '1e999']) {
      const args = parseArguments(command, ['pie', '--out', 'x', `--heat=${text}`]);
      assert.throws(() => args.number('heat'), {
        problem: { code: 'cli.option-value', message: `--heat is "${text}"`, expected: 'a number' },
      });
    }
  });
  test('an option given twice', () =>
    refused(['pie', '--out', 'x', '--out', 'y'], 'cli.option-twice', /--out is given twice/));
  test('a required option left out', () => refused(['pie'], 'cli.option-missing', /needs --out: where to/));
  test('an argument left out or too many', () => {
    refused(['--out', 'x'], 'cli.argument-missing', /needs CAKE: what to bake/);
    refused(['pie', 'tart', '--out', 'x'], 'cli.argument-extra', /"tart"/);
  });
});
