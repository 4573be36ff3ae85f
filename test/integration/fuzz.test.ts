import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fail } from '../../src/common/problem.js';
import { fuzz, makeSandbox, runOne } from '../fuzz/fuzz.js';
import type { FuzzTarget } from '../fuzz/target.js';
import { broken, textInput } from '../fuzz/target.js';
import { TARGETS } from '../fuzz/targets.js';

const root = mkdtempSync(path.join(tmpdir(), 'peft-studio-fuzz-'));
process.env['PEFT_STUDIO_CACHE'] = path.join(root, 'cache');
after(() => rmSync(root, { recursive: true, force: true }));

/** A few of what `npm run fuzz` runs; as many as take a second. */
const INPUTS = 150;

for (const target of TARGETS) {
  test(`${target.name}: seeds are accepted, changed ones are accepted or refused by a problem`, async () => {
    const sandbox = makeSandbox(path.join(root, target.name));
    const seeds = await target.seeds();
    const whole = await fuzz(target, { seed: 1, from: 0, to: seeds.length }, sandbox);
    assert.deepEqual([whole.refused, whole.findings], [{}, []]);
    const { findings, inputs, accepted } = await fuzz(
      target,
      { seed: 1, from: seeds.length, to: INPUTS },
      sandbox,
    );
    assert.deepEqual(findings, []);
    assert.ok(accepted > 0 && accepted < inputs, `${accepted} of ${inputs} accepted`);
  });
}

test('the harness finds what it is there to find', async () => {
  const sandbox = makeSandbox(path.join(root, 'self'));
  const found = async (run: FuzzTarget['run']): Promise<string | undefined> => {
    const target: FuzzTarget = { name: 'self', seeds: () => Promise.resolve([]), mutate: (input) => input, run };
    return (await runOne(target, textInput('a', ''), sandbox)).finding;
  };
  const where = { file: path.join(sandbox.folder, 'a') };
  assert.equal(await found(() => Promise.resolve()), undefined);
  const cases: [RegExp, FuzzTarget['run']][] = [
    [/^TypeError/, () => Promise.reject(new TypeError('x'))],
    [/invariant broken: y/, () => broken('y')],
    [/does not name the file/, () => fail({ code: 'a.b', message: 'no place' })],
    [/code of another form/, () => fail({ code: 'Wrong', message: 'x', where })],
    [/shared object/, () => Promise.resolve(void Reflect.set(Object.prototype, 'polluted', 1))],
  ];
  try {
    for (const [expected, run] of cases) assert.match(String(await found(run)), expected);
  } finally {
    Reflect.deleteProperty(Object.prototype, 'polluted');
  }
  assert.equal(await found(() => fail({ code: 'a.b', message: 'x', where })), undefined);
});
