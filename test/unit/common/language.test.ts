import * as l10n from '@vscode/l10n';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { LANGUAGE_VARIABLE, useLanguage } from '../../../src/common/language.js';

describe('useLanguage', () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(path.join(tmpdir(), 'peft-language-'))));
  afterEach(() => {
    rmSync(folder, { recursive: true });
    delete process.env[LANGUAGE_VARIABLE];
    l10n.config({ contents: {} });
  });

  it('takes texts from the file that the variable names', () => {
    const file = path.join(folder, 'bundle.l10n.zh-cn.json');
    writeFileSync(file, JSON.stringify({ '{0} of {1} rows': '{1} 行中的 {0} 行' }));
    process.env[LANGUAGE_VARIABLE] = file;
    useLanguage();
    assert.equal(l10n.t`${2} of ${3} rows`, '3 行中的 2 行');
    assert.equal(l10n.t`no translation of ${1}`, 'no translation of 1');
  });

  it('stays English without the variable', () => {
    useLanguage();
    assert.equal(l10n.t`${2} of ${3} rows`, '2 of 3 rows');
  });

  it('stays English where the file cannot be read, and says why', (context) => {
    const said: string[] = [];
    context.mock.method(process.stderr, 'write', (text: string) => said.push(text) > 0);
    process.env[LANGUAGE_VARIABLE] = path.join(folder, 'gone.json');
    useLanguage();
    assert.equal(l10n.t`${2} of ${3} rows`, '2 of 3 rows');
    assert.match(said.join(''), /^Texts are in English: .*gone\.json/);
  });
});
