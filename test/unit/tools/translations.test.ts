import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { allTexts } from '../../../tools/writeTexts.js';
import { CHINESE, faultOf, readTexts, TEXTS, textsFile, textsIn } from '../../../tools/translations.mjs';

describe('texts of a source', () => {
  const found = (code: string): string[] => textsIn(`import * as l10n from '@vscode/l10n';\n${code}`);

  it('are found as the library looks them up', () => {
    assert.deepEqual(found('const a = l10n.t`found ${x}, expected ${f(`y ${z}`)}`;'), ['found {0}, expected {1}']);
    assert.deepEqual(found('const a = l10n.t`\\`r\\` is ${x}`;'), ['`r` is {0}']);
    assert.deepEqual(found("const a = l10n.t('in {0} steps', 3);"), ['in {0} steps']);
    assert.deepEqual(found('const a = l10n.t`a ${l10n.t`b`}`;'), ['a {0}', 'b']);
    assert.deepEqual(found('const a = l10n.t(description); const b = other.t`x`;'), []);
  });
});

describe('a translation', () => {
  const cases: readonly [english: string, chinese: string | undefined, fault: RegExp | undefined][] = [
    ['{0} of {1} rows', '{1} 行中的 {0} 行', undefined],
    ['`r` is {0}', '`r` 为 {0}', undefined],
    ['LoRA', 'LoRA', undefined],
    ['{0} ms', '{0} ms', undefined],
    ['rows', '', /empty/],
    ['rows', undefined, /empty/],
    ['{0} of {1} rows', '{0} 行', /placeholders: \{0\} \{1\} in English, \{0\} in Chinese/],
    ['`r` is {0}', 'r 为 {0}', /code/],
    ['read it', 'read it', /no Chinese letter/],
    ['yes, no', '是,否', /punctuation/],
    ['Read it.', '请阅读.', /punctuation/],
  ];
  for (const [english, chinese, fault] of cases) {
    it(`${english} → ${chinese}: ${fault?.source ?? 'right'}`, () => {
      const found = faultOf(english, chinese);
      if (fault === undefined) assert.equal(found, undefined);
      else assert.match(found ?? '', fault);
    });
  }
});

describe('l10n/bundle.l10n.json', () => {
  it('lists the texts of the sources', () => {
    const texts = allTexts();
    assert.deepEqual(Object.keys(readTexts(TEXTS)).sort(), Object.keys(texts).sort(), 'npm run generate');
    assert.equal(readFileSync(TEXTS, 'utf8'), textsFile(texts), 'npm run generate');
  });

  it('has no brace that the library would take for the beginning of a placeholder', () => {
    const swallowed = Object.keys(allTexts()).filter((text) => /\{(?!\d+\})[^}]*\{\d/.test(text));
    assert.deepEqual(swallowed, [], 'put the code with the brace in as a value');
  });
});

describe('l10n/bundle.l10n.zh-cn.json', () => {
  const chinese = readTexts(CHINESE);
  const texts = Object.keys(readTexts(TEXTS));

  it('translates every text', () => {
    const missing = texts.filter((text) => !(text in chinese));
    assert.deepEqual(missing, [], 'node tools/translations.mjs missing, then add');
  });

  it('has Chinese letters, the placeholders and the code of the English', () => {
    const faults = texts.flatMap((text) => {
      const fault = text in chinese ? faultOf(text, chinese[text]) : undefined;
      return fault === undefined ? [] : [`${text}: ${fault}`];
    });
    assert.deepEqual(faults, []);
  });

  it('has no translation of a text that is gone', () => {
    const known = new Set(texts);
    const stale = Object.keys(chinese).filter((text) => !known.has(text));
    assert.deepEqual(stale, [], 'node tools/translations.mjs prune');
  });

  it('is sorted, so that additions of many meet seldom', () => {
    assert.equal(readFileSync(CHINESE, 'utf8'), textsFile(chinese));
  });
});
