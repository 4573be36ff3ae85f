import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { settingsContribution } from '../../../src/config/settings.js';

test('the settings in package.json are those of the definition (else run `npm run generate`)', () => {
  const file = new URL('../../../package.json', import.meta.url);
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as { contributes: { configuration: unknown } };
  assert.deepEqual(manifest.contributes.configuration, settingsContribution());
});
