// HF PEFT loads an adapter that was trained on a model of the hub, base and all, offline from the cache that we filled.
// PEFT_STUDIO_PYTHON=VENV/bin/python node test/run.mjs test/reference/hubAdapter.test.ts
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { emitted, makeModel, makeRun } from '../integration/engineModel.js';
import { startHub } from '../support/hubServer.js';
import { temporaryFolder } from '../unit/models/files.js';

const python = process.env['PEFT_STUDIO_PYTHON'];
const skip = python === undefined && 'set PEFT_STUDIO_PYTHON to a Python with peft (test/reference/install.sh)';

const folder = temporaryFolder();
const hub = await startHub();
after(() => hub.close());

test('AutoPeftModel finds the base by its id and commit, though the branch moved', { skip }, async () => {
  const base = await makeModel(path.join(folder, 'base'));
  const files = Object.fromEntries(readdirSync(base).map((name) => [name, readFileSync(path.join(base, name))]));
  const commit = hub.put('model', 'org/tiny', files);
  Object.assign(process.env, { HF_ENDPOINT: hub.url, HF_HOME: path.join(folder, 'home') });
  const training = { max_steps: 2, per_device_train_batch_size: 4 };
  const { events, error } = await emitted(await makeRun(path.join(folder, 'run'), 'org/tiny', { training }));
  assert.equal(error, undefined);
  const finished = events.find((event) => event.type === 'finished');
  assert.ok(finished);
  // Nothing of the new commit is in the cache: only the old one can be loaded.
  hub.put('model', 'org/tiny', { ...files, 'config.json': '{}' });
  const program = `from peft import AutoPeftModelForCausalLM as A, PeftConfig as C
c = C.from_pretrained(${JSON.stringify(finished.adapter)}); m = A.from_pretrained(${JSON.stringify(finished.adapter)})
print(c.base_model_name_or_path, c.revision, sum("lora_" in n for n, _ in m.named_parameters()) > 0)`;
  const env = { ...process.env, HF_HUB_OFFLINE: '1' };
  const { stdout } = await promisify(execFile)(python!, ['-c', program], { env });
  assert.equal(stdout.trim(), `org/tiny ${commit} True`);
});
