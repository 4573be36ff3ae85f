import { RuleTester } from 'eslint';
import path from 'node:path';
import { describe, it } from 'node:test';
import tseslint from 'typescript-eslint';
import { translatedTexts } from '../../../tools/translatedTexts.mjs';

RuleTester.describe = describe;
RuleTester.it = it;

const tester = new RuleTester({ languageOptions: { parser: tseslint.parser } });
const models = path.resolve('src/models/x.ts');
const host = path.resolve('src/host/x.ts');
const page = path.resolve('webview/x.ts');

tester.run('translated-texts', translatedTexts, {
  valid: [
    {
      filename: models,
      code: "const f = () => ({ code: 'a.b', message: l10n.t`${name} is missing`, mend: l10n.t`Fetch it.` });",
    },
    { filename: models, code: "const ended = { reason: 'stopped', message: error.message };" },
    { filename: models, code: "throw new Error('no such op here');" },
    { filename: models, code: "const f = () => ({ expected: 'model.safetensors' });" },
    { filename: models, code: 'const shape = () => ({ expected: `[${rows}, ${columns}]` });' },
    {
      filename: models,
      code: "const info = { summary: 'Learns a low-rank update.', title: 'Full fine-tuning' };",
    },
    { filename: models, code: "const r = Type.Integer({ description: 'Rank of the update B·A.' });" },
    {
      filename: models,
      code: 'const tensors = () => l10n.t`tensors ${names.map((name) => `"${name}"`).join(", ")}`;',
    },
    { filename: host, code: "if (text === 'PEFT Studio: no run') output.error(`The page: ${text}`);" },
    { filename: page, code: "make('p', { class: 'muted small note' }, l10n.t`No answers yet.`);" },
    { filename: page, code: 'const early = l10n.t`read with the page`;' },
    { filename: path.resolve('src/cli/train.ts'), code: "fail({ message: 'name one run file' });" },
    { filename: path.resolve('src/adapters/card.ts'), code: "const line = () => 'It was not evaluated.';" },
  ],
  invalid: [
    {
      filename: models,
      code: "fail({ code: 'a.b', message: `${name} is missing`, mend: far ? 'Fetch it.' : undefined });",
      errors: [{ messageId: 'plain' }, { messageId: 'plain' }],
    },
    {
      filename: models,
      code: "const OTHER = { code: 'a.b', message: 'another model', expected: 'one of ' + names.join() };",
      errors: [{ messageId: 'plain' }, { messageId: 'plain' }],
    },
    {
      filename: models,
      code: "const words = () => 'a list of whole numbers';",
      errors: [{ messageId: 'plain' }],
    },
    {
      filename: models,
      code: "const count = () => l10n.t`${rows} ${rows === 1 ? 'row' : 'rows'}`;",
      errors: [{ messageId: 'inside' }, { messageId: 'inside' }],
    },
    {
      filename: models,
      code: 'const found = () => l10n.t`not found${near ? ` (did you mean ${near}?)` : ""}`;',
      errors: [{ messageId: 'inside' }],
    },
    { filename: models, code: 'const NOTE = l10n.t`read too early`;', errors: [{ messageId: 'early' }] },
    { filename: models, code: 'const NOTE = l10n.t(description);', errors: [{ messageId: 'early' }] },
    {
      filename: host,
      code: "vscode.window.showErrorMessage('Nothing found');",
      errors: [{ messageId: 'plain' }],
    },
    { filename: page, code: "make('p', {}, 'No answers yet.');", errors: [{ messageId: 'plain' }] },
  ],
});
