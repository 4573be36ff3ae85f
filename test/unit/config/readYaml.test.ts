import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readYaml } from '../../../src/config/readYaml.js';
import { nodeAt } from '../../../src/config/tree.js';
import { FILE, onlyProblem, problemsOf, runText, span } from './support.js';

describe('what a run file may not hold', () => {
  const cases: [string, string, string, string][] = [
    ['a duplicate key', 'model: a\nmodel: b\n', 'config.duplicate-key', '2:1-2:6'],
    ['a custom tag', 'model: !path a\n', 'config.custom-tag', '1:14-1:15'],
    ['a core tag of YAML 1.1', 'model: !!binary aGk=\n', 'config.custom-tag', '1:17-1:21'],
    ['a merge key', 'a: &a {x: 1}\nb:\n  <<: *a\n', 'config.merge-key', '3:3-3:5'],
    ['a key that is a list', '? [a]\n: b\n', 'config.bad-key', '1:3-1:6'],
    ['no key', ': b\n', 'config.bad-key', '1:1-1:1'],
    ['an alias of nothing', 'a: *b\n', 'config.unknown-alias', '1:4-1:6'],
    ['an alias inside its anchor', 'a: &a [*a]\n', 'config.unknown-alias', '1:8-1:10'],
    ['a tab as indentation', 'a:\n\tb: 1\n', 'config.yaml-syntax', '2:1-2:2'],
    ['a Windows path in double quotes', 'model: "C:\\models\\m"\n', 'config.yaml-syntax', '1:11-1:12'],
    ['an open quote', 'model: "abc\n', 'config.yaml-syntax', '2:1-2:2'],
    ['YAML 1.1', '%YAML 1.1\n---\nmodel: yes\n', 'config.yaml-version', '1:1-1:1'],
  ];
  for (const [what, text, code, place] of cases) {
    it(what, () => {
      const { root, problems } = readYaml(text, FILE);
      assert.equal(root, undefined);
      assert.deepEqual(
        [problems[0]?.code, problems[0] && span(problems[0])],
        [code, place],
        JSON.stringify(problems),
      );
      assert.equal(problems[0]?.where?.file, FILE);
    });
  }

  it('a second document', () => {
    const problem = onlyProblem(`${runText()}---\nmodel: b\n`);
    assert.deepEqual([problem.code, problem.where?.line], ['config.several-documents', 6]);
    assert.equal(problemsOf(`---\n${runText()}...\n`).length, 0);
  });

  it('says in words of its own what is no YAML', () => {
    const words: [string, string][] = [
      ['a:\n\tb: 1\n', 'a tab stands where spaces indent'],
      ['a:\n  b: 1\n c: 2\n', 'the line is indented otherwise than its neighbours'],
      ['a:\n  use\n  c: 2\n', 'a key goes over several lines, or its colon is missing'],
      ['a: b: c\n', 'a second key stands in the line of the first'],
      ['a: "\\m"\n', 'a backslash in double quotes starts no escape that there is'],
      ['a: @x\n', 'a value begins with a character that is reserved'],
      ["a: 'x\n", 'a quote is not closed'],
      ['a: [1, 2\n', 'a brace or bracket is not closed'],
      ['a: 1\nuse\n', 'a key has no colon'],
    ];
    for (const [text, what] of words) {
      assert.equal(readYaml(text, FILE).problems[0]?.message, `not valid YAML: ${what}`, text);
    }
  });

  it('says how to mend syntax', () => {
    assert.match(onlyProblem('model: "C:\\models"\n').mend ?? '', /single quotes/);
    assert.equal(onlyProblem('a:\n\tb: 1\n').mend, 'Indent with spaces.');
    assert.match(onlyProblem('model: a\nmodel: b\n').message, /`model` stands twice; first in line 1/);
  });
});

describe('aliases', () => {
  it('are written out, with their own place', () => {
    const { root } = readYaml('a: &x [1, 2]\nb: *x\n', FILE);
    assert.ok(root);
    const b = nodeAt(root, ['b']);
    assert.ok(b?.kind === 'list');
    assert.deepEqual(
      b.items.map((item) => item.kind === 'scalar' && item.value),
      [1, 2],
    );
    assert.deepEqual([b.at.line, b.at.column], [2, 4]);
  });

  it('an alias bomb ends in one clear error', () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
    for (let i = 1; i < 30; i++)
      lines.push(
        `a${i}: &a${i} [${Array(10)
          .fill(`*a${i - 1}`)
          .join(', ')}]`,
      );
    const problem = onlyProblem(lines.join('\n'));
    assert.equal(problem.code, 'config.too-many-values');
    assert.deepEqual([problem.where?.line, problem.where?.file], [5, FILE]);
  });

  it('a long chain of single aliases stays shallow', () => {
    const lines = ['a0: &a0 x', ...Array.from({ length: 5000 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}]`)];
    assert.equal(onlyProblem(lines.join('\n')).code, 'config.too-many-values');
  });
});

describe('limits', () => {
  const million = 999_000;
  const cases: [string, string, string][] = [
    ['brackets', '['.repeat(million), 'config.too-deep'],
    ['open mappings', 'a: {'.repeat(million / 4), 'config.too-deep'],
    ['dashes', '- '.repeat(million / 2), 'config.too-deep'],
    ['question marks', '? '.repeat(million / 2), 'config.too-deep'],
    ['closing brackets', ']'.repeat(million), 'config.too-large'],
    ['a megabyte of one word', `model: ${'x'.repeat(1_000_001)}`, 'config.too-large'],
    ['bytes, not characters', `model: ${'é'.repeat(500_001)}`, 'config.too-large'],
    ['many values', `model: [${'1,'.repeat(30_000)}]`, 'config.too-many-values'],
  ];
  for (const [what, text, code] of cases) {
    it(what, () => assert.equal(onlyProblem(text).code, code));
  }

  it('lets a reasonable depth and a long line through', () => {
    assert.ok(readYaml(`a: ${'['.repeat(50)}${']'.repeat(50)}`, FILE).root);
    assert.ok(readYaml(`a: ${'x'.repeat(900_000)}`, FILE).root);
  });

  it('shortens what it quotes', () => {
    for (const problem of problemsOf(
      `${'k'.repeat(5000)}: 1\nmodel: a\ndata: {train: "${'x'.repeat(900)}", format: ${'y'.repeat(9000)}}\nmethod: {type: lora}\n`,
    )) {
      assert.ok(problem.message.length < 200, problem.message);
    }
  });

  it('stops listing syntax errors', () => {
    const problems = problemsOf(`model: "${'\\q'.repeat(5000)}"`);
    assert.equal(problems.length, 20);
  });
});
