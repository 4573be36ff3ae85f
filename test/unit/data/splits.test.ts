import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cardConfigs } from '../../../src/data/dataCard.js';
import { matchesGlob } from '../../../src/data/glob.js';
import { chooseSplit, isDataFile } from '../../../src/data/splits.js';
import { problem } from '../models/files.js';

function choose(
  paths: string[],
  card = '',
  wanted: { config?: string; split?: string; usual?: 'validation' } = {},
): unknown {
  const choice = chooseSplit(paths, cardConfigs(card, 'README.md'), {
    repo: 'org/set',
    usual: 'train',
    ...wanted,
  });
  return 'files' in choice ? [choice.split, ...choice.files] : `${choice.wrong} | ${choice.mend}`;
}

const card = (yaml: string): string => `---\nlicense: mit\n${yaml}\n---\n# A data set\n`;

test('globs', () => {
  const fits = (path: string, ...patterns: string[]) => patterns.every((pattern) => matchesGlob(path, pattern));
  assert.ok(
    fits(
      'data/train-00000-of-00001.parquet',
      'data/train-*',
      'data/*',
      '**',
      '**/*.parquet',
      '**/train-*',
      './data/*',
    ),
  );
  assert.ok(fits('a.csv', '*', '**', '*.csv', '?.csv', '[a-c].csv', '[!b].csv', '**/a.csv', 'a.csv'));
  assert.ok(fits('x/y/z.csv', 'x/**', 'x/**/z.csv', '**/y/*', 'x/*/z.*', '**/z.csv'));
  for (const pattern of [
    '*',
    '*.csv',
    'x/*',
    'x/y',
    'y/**',
    '**/y',
    'x/y/z',
    'x/y/Z.csv',
    'x/y/[!z].csv',
    'x/y/z?csv.',
    '',
  ]) {
    assert.ok(!matchesGlob('x/y/z.csv', pattern), pattern);
  }
  assert.ok(!matchesGlob('a'.repeat(5000), `${'*a'.repeat(1000)}b`), 'in bounded time');
  assert.ok(matchesGlob('[x', '[x'));
});

test('splits by the names of files, of folders, or all of it', () => {
  assert.deepEqual(
    choose([
      'data/train-00000-of-00002.parquet',
      'data/train-00001-of-00002.parquet',
      'data/test_sft-00000-of-00001.parquet',
      'README.md',
    ]),
    ['train', 'data/train-00000-of-00002.parquet', 'data/train-00001-of-00002.parquet'],
  );
  const named = ['alpaca.train.jsonl', 'alpaca_dev.jsonl', 'sub/testing.jsonl', 'strain.jsonl', '.x/train.jsonl'];
  assert.deepEqual(choose(named), ['train', 'alpaca.train.jsonl']);
  assert.deepEqual(choose(named, '', { split: 'validation' }), ['validation', 'alpaca_dev.jsonl']);
  assert.deepEqual(choose(named, '', { split: 'test' }), ['test', 'sub/testing.jsonl']);
  const folders = ['en/train/a.csv', 'en/train/b.csv', 'en/valid/a.csv'];
  assert.deepEqual(choose(folders), ['train', 'en/train/a.csv', 'en/train/b.csv']);
  assert.deepEqual(choose(folders, '', { usual: 'validation' }), ['validation', 'en/valid/a.csv']);
  assert.deepEqual(choose(['a.json', 'b.json', 'notes.txt', 'dataset_infos.json']), ['train', 'a.json', 'b.json']);
  assert.deepEqual(choose(['rows.jsonl', 'rows.csv']), ['train', 'rows.jsonl'], 'one kind only');
});

test('a split that is not there, or not named, is told with those that are', () => {
  const paths = ['test.jsonl', 'dev.jsonl'];
  assert.equal(choose(paths), 'no split is named, and it has "test", "validation" | Name one: org/set:SPLIT.');
  assert.equal(
    choose(paths, '', { split: 'tets' }),
    'there is no split "tets"; it has "test", "validation" | Did you mean "test"?',
  );
  assert.equal(
    choose(['LICENSE.txt', 'x.py']),
    'no split is named, and it has no file that can be read | Name one: org/set:SPLIT.',
  );
  assert.deepEqual(choose(['only_test.jsonl']), ['test', 'only_test.jsonl'], 'one split needs no name');
  assert.match(
    String(choose(['only_test.jsonl'], '', { usual: 'validation' })),
    /no split is named, and it has "test"/,
    'but held-out rows do',
  );
});

test('the configurations of a card', () => {
  const paths = [
    'main/a.parquet',
    'main/b.parquet',
    'socratic/a.parquet',
    'x/train.jsonl',
    'x/test.jsonl',
    'train.jsonl',
  ];
  const gsm = card(`configs:
- config_name: main
  data_files:
  - split: train
    path: main/a*
  - split: test
    path: [main/b.parquet, main/c.parquet]
- config_name: socratic
  data_files: socratic/*
- config_name: folder
  data_dir: x
- config_name: both
  data_dir: ./x/
  data_files: {train: "train.*"}`);
  assert.deepEqual(choose(paths, gsm, { config: 'main' }), ['train', 'main/a.parquet']);
  assert.deepEqual(choose(paths, gsm, { config: 'main', split: 'test' }), ['test', 'main/b.parquet']);
  assert.deepEqual(choose(paths, gsm, { config: 'socratic' }), ['train', 'socratic/a.parquet']);
  assert.deepEqual(choose(paths, gsm, { config: 'folder', split: 'test' }), ['test', 'x/test.jsonl']);
  assert.deepEqual(choose(paths, gsm, { config: 'both' }), ['train', 'x/train.jsonl']);
  assert.equal(
    choose(paths, gsm, { split: 'train' }),
    'it has several configurations: "main", "socratic", "folder", "both" | Name one: org/set/CONFIG:train.',
  );
  assert.match(String(choose(paths, gsm, { config: 'mian' })), /Did you mean "main"\?/);
  assert.deepEqual(
    choose(
      paths,
      card(
        'configs:\n- config_name: a\n  data_files: x/*\n- config_name: b\n  default: true\n  data_files: main/*',
      ),
    ),
    ['train', 'main/a.parquet', 'main/b.parquet'],
  );
  assert.match(
    String(choose(paths, card('configs:\n- config_name: a\n  data_files: gone/*'))),
    /none of the files that its card names for split "train" is there/,
  );
  assert.deepEqual(choose(['train.jsonl'], '# no head'), ['train', 'train.jsonl']);
  assert.deepEqual(choose(['train.jsonl'], card('size: 1'), { config: 'default' }), ['train', 'train.jsonl']);
});

test('cards that cannot be read', () => {
  for (const yaml of [
    'configs: 3',
    'configs: [1]',
    'configs:\n- data_files: 3',
    'configs:\n- data_files: [{path: 1}]',
    'a: [',
    'configs:\n- data_files: {}',
  ]) {
    assert.throws(() => cardConfigs(card(yaml), 'README.md'), problem('data.card', 'README.md'), yaml);
  }
  const bomb = card(
    `a: &a [${'x,'.repeat(9)}x]\n${'bcdefgh'
      .split('')
      .map((name, at) => `${name}: &${name} [${`*${'abcdefgh'[at]},`.repeat(9)}1]`)
      .join('\n')}`,
  );
  assert.throws(() => cardConfigs(bomb, 'README.md'), problem('data.card'));
});

test('what is data, by its name', () => {
  for (const name of ['a.jsonl', 'a/b.PARQUET', 'license_texts/a.csv', 'a.txt']) assert.ok(isDataFile(name), name);
  for (const name of [
    'LICENSE.txt',
    'readme.txt',
    'x/requirements.txt',
    'dataset_info.json',
    '.a.json',
    '__x/a.csv',
    'a.jsonl.gz',
    'a.py',
    'a.arrow',
  ]) {
    assert.ok(!isDataFile(name), name);
  }
});
