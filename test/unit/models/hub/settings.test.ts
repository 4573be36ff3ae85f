import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { hubSettings } from '../../../../src/models/hub/settings.js';
import { problem, temporaryFolder } from '../files.js';

const folder = temporaryFolder();
const none = { HF_HOME: path.join(folder, 'nothing') };

test('the cache is where huggingface_hub has it', () => {
  const cache = (env: Record<string, string>): string => hubSettings(env).cache;
  assert.equal(cache({}), path.join(homedir(), '.cache/huggingface/hub'));
  assert.equal(cache({ XDG_CACHE_HOME: '/x' }), path.resolve('/x/huggingface/hub'));
  assert.equal(cache({ XDG_CACHE_HOME: '/x', HF_HOME: '/h' }), path.resolve('/h/hub'));
  assert.equal(cache({ HF_HOME: '~/h' }), path.join(homedir(), 'h/hub'));
  assert.equal(cache({ HF_HOME: '$BASE/${SUB}/$NONE', BASE: '/b', SUB: 's' }), path.resolve('/b/s/$NONE/hub'));
  assert.equal(cache({ HF_HOME: '/h', HUGGINGFACE_HUB_CACHE: '/old' }), path.resolve('/old'));
  assert.equal(cache({ HF_HUB_CACHE: '/new', HUGGINGFACE_HUB_CACHE: '/old' }), path.resolve('/new'));
});

test('endpoint and offline', () => {
  assert.equal(hubSettings(none).endpoint, 'https://huggingface.co');
  assert.equal(
    hubSettings({ ...none, HF_ENDPOINT: 'http://localhost:8080/hf/' }).endpoint,
    'http://localhost:8080/hf',
  );
  assert.throws(() => hubSettings({ ...none, HF_ENDPOINT: 'file:///etc' }), problem('hub.endpoint'));
  assert.throws(() => hubSettings({ ...none, HF_ENDPOINT: 'hub' }), problem('hub.endpoint'));
  for (const value of ['1', 'true', 'YES', 'On'])
    assert.equal(hubSettings({ ...none, HF_HUB_OFFLINE: value }).offline, true);
  for (const value of ['', '0', 'no', 'x'])
    assert.equal(hubSettings({ ...none, HF_HUB_OFFLINE: value }).offline, false);
  assert.equal(hubSettings({ ...none, TRANSFORMERS_OFFLINE: '1' }).offline, true);
  assert.equal(hubSettings({ ...none, HF_HUB_OFFLINE: '0', TRANSFORMERS_OFFLINE: '1' }).offline, false);
});

test('the token: environment before file, trimmed, never printed', () => {
  const home = path.join(folder, 'home');
  mkdirSync(home);
  writeFileSync(path.join(home, 'token'), 'hf_file\n');
  const token = (env: Record<string, string>): string | undefined => hubSettings(env).token();
  assert.equal(token(none), undefined);
  assert.equal(token({ HF_HOME: home }), 'hf_file');
  assert.equal(token({ HF_HOME: home, HF_TOKEN: ' hf_env\n' }), 'hf_env');
  assert.equal(token({ HF_HOME: home, HUGGING_FACE_HUB_TOKEN: 'hf_old' }), 'hf_old');
  assert.equal(token({ ...none, HF_TOKEN_PATH: path.join(home, 'token') }), 'hf_file');
  assert.equal(token({ HF_HOME: home, HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' }), undefined);
  const settings = hubSettings({ ...none, HF_TOKEN: 'hf_secret' });
  assert.ok(!(JSON.stringify(settings) + inspect(settings, { depth: 9 })).includes('hf_secret'));
  assert.throws(
    () => hubSettings({ ...none, HF_TOKEN: 'hf_sec\nret' }),
    (error) => problem('hub.token-form')(error) && !String(error).includes('hf_sec'),
  );
});
