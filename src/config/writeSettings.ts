// Writes the settings into package.json and their English into package.nls.json:
// `node --import tsx src/config/writeSettings.ts`. A test fails when they have drifted apart.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { writeFileWhole } from '../common/files.js';
import { settingsContribution, settingsTexts } from './settings.js';

await rewrite('package.json', (manifest) => ({
  ...manifest,
  contributes: { ...(manifest['contributes'] as object), configuration: settingsContribution() },
}));
await rewrite('package.nls.json', (texts) => ({
  ...Object.fromEntries(Object.entries(texts).filter(([key]) => !key.startsWith('setting.'))),
  ...settingsTexts(),
}));

async function rewrite(name: string, change: (found: Record<string, unknown>) => object): Promise<void> {
  const target = fileURLToPath(new URL(`../../${name}`, import.meta.url));
  const found = JSON.parse(await readFile(target, 'utf8')) as Record<string, unknown>;
  await writeFileWhole(target, `${JSON.stringify(change(found), null, 2)}\n`);
}
