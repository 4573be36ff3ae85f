import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import * as l10n from '@vscode/l10n';
import { ADVICE } from '../../../src/config/advice.js';
import { sentences } from '../../../src/common/sentences.js';
import { createLanguage } from '../../../src/language/language.js';
import { METHODS } from '../../../src/methods/registry.js';
import { CHINESE } from '../../../tools/translations.mjs';

// The whole way of a text, from the schema or a check to what the editor shows, in a window whose language is Chinese.
let folder: string;
before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'peft-chinese-'));
  l10n.config({ fsPath: CHINESE });
});
after(async () => {
  l10n.config({ contents: {} });
  await rm(folder, { recursive: true });
});

const HAN = /\p{Script=Han}/u;
const signal = new AbortController().signal;
const places = { folders: [], modelFolders: [] };

/** A run file with `|` where the cursor is, as the editor gives it. */
function open(text: string) {
  const offset = text.indexOf('|');
  return { open: { file: path.join(folder, 'a.peft.yaml'), text: text.replace('|', '') }, offset };
}

test('a hover explains an option, what is possible, its default and what is advised', async () => {
  const at = open('model: m\ndata: { train: d.jsonl }\nmethod:\n  type: lora\n  lora_al|pha: 16\n');
  const text = await createLanguage().hover(at.open, at.offset, signal);
  const [what = '', possible, usual, advice = ''] = (text ?? '').split('\n\n');
  assert.match(what, /^更新的缩放：ΔW = /);
  assert.equal(possible, '可取：大于 0 的数。');
  assert.equal(usual, '默认值：`8`');
  assert.match(advice, /^💡 常用 `r` .*。\*（Hu et al\. 2021，.*）\*$/);
});

test('every method is explained', async () => {
  for (const { type } of METHODS) {
    const at = open(`method:\n  type: ${type}|\n`);
    const text = (await createLanguage().hover(at.open, at.offset, signal)) ?? '';
    const [head = '', summary = ''] = text.split('\n\n');
    assert.match(head, HAN, type);
    assert.match(summary, /^[^A-Za-z]*\p{Script=Han}.*。$/u, type);
  }
});

test('completions: methods with family and title, keys and choices with what they mean', async () => {
  const language = createLanguage();
  const described = async (text: string) => {
    const at = open(text);
    const items = await language.complete(at.open, at.offset, places, signal);
    assert.ok(items.length > 2);
    return items.map(({ label, detail, documentation }) => {
      const words = typeof documentation === 'object' ? documentation.value : documentation;
      return { label, text: `${detail ?? ''} ${words ?? ''}` };
    });
  };
  for (const text of ['method:\n  type: |\n', 'training:\n  |\n', 'training:\n  lr_scheduler_type: |\n']) {
    for (const each of await described(text)) assert.match(each.text, HAN, `${text} ${each.label}`);
  }
});

test('a problem and its fix', () => {
  const language = createLanguage();
  const { open: file } = open('model: m\ndata: { train: d.jsonl }\nmethod: { type: lora, lora_alpa: 16 }\n|');
  const [problem] = language.checkText(file);
  assert.ok(problem !== undefined);
  assert.match(sentences(problem), /^未知的键 `method\.lora_alpa`。预期：.* 之一。是否想写 `lora_alpha`？$/);
  const titles = language.fixes(file, problem).map(({ title }) => title);
  assert.deepEqual(titles, ['改写为 lora_alpha', '移除 lora_alpa']);
});

test('a hint names what is usual and who says so', () => {
  const { open: file } = open(
    'model: m\ndata: { train: d.jsonl }\nmethod: { type: lora, lora_dropout: 0.9, r: 8 }\n|',
  );
  const [hint] = createLanguage().hints(file);
  assert.ok(hint !== undefined);
  assert.equal(hint.message, '`lora_dropout` 为 0.9，与常用值（至多 0.3）相差很大');
  assert.match(hint.mend ?? '', HAN);
});

test('the picker of a new run file: methods, and what is wrong with a name', async () => {
  const { newRunFiles } = createLanguage();
  for (const { group, summary } of newRunFiles.methods()) {
    assert.match(group, HAN);
    assert.match(summary, HAN);
  }
  assert.equal(await newRunFiles.checkName('a', folder), '运行文件的名称以 .peft.yaml 结尾。');
});

test('all advice is translated', () => {
  for (const { text } of Object.values(ADVICE)) assert.match(l10n.t(text), HAN);
});
