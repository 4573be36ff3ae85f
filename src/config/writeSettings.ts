// Writes the settings into package.json: `node --import tsx src/config/writeSettings.ts`. A test fails when they have
// drifted apart.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { writeFileWhole } from '../common/files.js';
import { settingsContribution } from './settings.js';

const target = fileURLToPath(new URL('../../package.json', import.meta.url));
const manifest = JSON.parse(await readFile(target, 'utf8')) as { contributes: Record<string, unknown> };
manifest.contributes['configuration'] = settingsContribution();
await writeFileWhole(target, `${JSON.stringify(manifest, null, 2)}\n`);
