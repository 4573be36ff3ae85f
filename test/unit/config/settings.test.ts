import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { settingValue, settingsContribution, settingsTexts } from '../../../src/config/settings.js';

const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  capabilities: { untrustedWorkspaces: { restrictedConfigurations: string[] } };
  contributes: { configuration: unknown };
};

test('the settings in package.json are those of the definition (else run `npm run generate`)', () => {
  assert.deepEqual(manifest.contributes.configuration, settingsContribution());
  const texts = JSON.parse(readFileSync(new URL('../../../package.nls.json', import.meta.url), 'utf8')) as object;
  assert.deepEqual({ ...texts, ...settingsTexts() }, texts);
});

test('a workspace that is not trusted cannot name folders to look in', () => {
  assert.deepEqual(manifest.capabilities.untrustedWorkspaces.restrictedConfigurations, [
    'peftStudio.modelFolders',
  ]);
});

test('a value of another type than the setting’s is not taken', () => {
  assert.equal(settingValue('peftStudio.run.endsWithWindow', true), true);
  assert.equal(settingValue('peftStudio.run.endsWithWindow', 'true'), false);
  assert.deepEqual(settingValue('peftStudio.modelFolders', ['/models', 3, null]), ['/models']);
  assert.equal(settingValue('peftStudio.memoryLimit', 1.5), 1.5);
  for (const wrong of [undefined, '8', 0, -1]) assert.equal(settingValue('peftStudio.memoryLimit', wrong), null);
  for (const wrong of [undefined, '/models', { 0: '/models' }]) {
    assert.deepEqual(settingValue('peftStudio.modelFolders', wrong), []);
  }
});
