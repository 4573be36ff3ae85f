// Adapter folders that are damaged, hostile or of something else, as every command that takes one meets them: a clear
// error with its code, and nothing written.
import assert from 'node:assert/strict';
import {
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { openModel } from '../../src/engines/session.js';
import { names, temporaryFolder } from '../support/adapters.js';
import { drawnLora } from '../support/drawnLora.js';
import { fixture, readJson } from '../support/fixtures.js';
import { document, run as cli } from '../unit/cli/support.js';
import { makeModel } from './engineModel.js';

const folder = temporaryFolder();
const base = await makeModel(path.join(folder, 'base'));
const other = fixture('gpt2/tiny-gpt2');
const { model } = await openModel(base, 0);
const rows = path.join(folder, 'rows.jsonl');
writeFileSync(rows, `${JSON.stringify({ prompt: 'a', completion: 'b' })}\n`);
const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';
let count = 0;

async function adapter(name: string, seed: number, baseName = base): Promise<string> {
  const own = path.join(folder, name);
  await drawnLora(own, seed, model);
  const config = { ...(await readJson(path.join(own, CONFIG))), base_model_name_or_path: baseName };
  writeFileSync(path.join(own, CONFIG), JSON.stringify(config));
  return own;
}

const sound = await adapter('sound', 3);
const beside = await adapter('beside', 5);
const ofOther = await adapter('of-other', 7, other);

/** What each command does with an adapter, writing to a folder that does not exist. */
const COMMANDS: Readonly<Record<string, (from: string, out: string) => readonly string[]>> = {
  inspect: (from) => ['inspect', from],
  repair: (from, out) => ['repair', from, '--out', out],
  merge: (from, out) => ['merge', from, '--out', out],
  combine: (from, out) => ['combine', from, beside, '--out', out],
  'convert --rank': (from, out) => ['convert', from, '--rank', '1', '--out', out],
  'convert --to lora': (from, out) => ['convert', from, '--to', 'lora', '--rank', '1', '--out', out],
  'convert --to gguf': (from, out) => ['convert', from, '--to', 'gguf', '--out', `${out}.gguf`],
  compose: (from, out) => ['compose', from, beside, '--data', rows, '--out', out],
  'compare-adapters': (from) => ['compare-adapters', from, beside],
};

/** A copy of the sound adapter, to be damaged. */
function copy(damage: (own: string) => void): string {
  const own = path.join(folder, `damaged-${++count}`);
  cpSync(sound, own, { recursive: true });
  damage(own);
  return own;
}

const config = (text: string) => (own: string) => writeFileSync(path.join(own, CONFIG), text);

/** Weights with this header. */
function header(text: string, bytes: number, claimed = BigInt(Buffer.byteLength(text))): (own: string) => void {
  return (own) => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(claimed);
    writeFileSync(path.join(own, WEIGHTS), Buffer.concat([length, Buffer.from(text), Buffer.alloc(bytes)]));
  };
}

function pickle(name: string): (own: string) => void {
  return (own) => {
    rmSync(path.join(own, WEIGHTS));
    // Loaded as a pickle it would write a file.
    writeFileSync(path.join(own, name), `cos\nsystem\n(S'touch ${path.join(folder, 'executed')}'\ntR.`);
  };
}

/** A file of the adapter becomes a link. */
function link(name: string, target: string): (own: string) => void {
  return (own) => {
    rmSync(path.join(own, name));
    symlinkSync(target, path.join(own, name));
  };
}

const tensor = (begin: number, end: number): string =>
  `{"dtype":"F32","shape":[${(end - begin) / 4}],"data_offsets":[${begin},${end}]}`;

const DAMAGES: Readonly<Record<string, { damage: (own: string) => void; told: RegExp; code?: number }>> = {
  'weights that are cut short': {
    damage: (own) => truncateSync(path.join(own, WEIGHTS), readFileSync(path.join(own, WEIGHTS)).length - 10),
    told: /safetensors\./,
  },
  'weights that are cut within the header': {
    damage: (own) => truncateSync(path.join(own, WEIGHTS), 40),
    told: /safetensors\.header-too-long/,
  },
  'a git-lfs pointer': {
    damage: (own) => writeFileSync(path.join(own, WEIGHTS), 'version https://git-lfs.github.com/spec/v1\n'),
    told: /git-lfs pointer/,
  },
  'no weights': { damage: (own) => rmSync(path.join(own, WEIGHTS)), told: /adapter\.no-weights/ },
  'a pickle (.bin)': { damage: pickle('adapter_model.bin'), told: /adapter\.pickle[^]*weights_only=True/ },
  'a pickle (.pt)': { damage: pickle('adapter_model.pt'), told: /adapter_model\.pt[^]*adapter\.pickle/ },
  'a pickle (.pth)': { damage: pickle('lora.pth'), told: /lora\.pth[^]*adapter\.pickle/ },
  'a header that claims more than there is': {
    damage: header('{}', 0, 1n << 40n),
    told: /safetensors\.header-too-long/,
  },
  'a header that names a tensor twice': {
    damage: header(`{"a":${tensor(0, 4)},"a":${tensor(4, 8)}}`, 8),
    told: /occurs twice/,
  },
  'tensors that overlap': {
    damage: header(`{"a":${tensor(0, 8)},"b":${tensor(4, 12)}}`, 12),
    told: /safetensors\./,
  },
  'tensors that leave a hole': {
    damage: header(`{"a":${tensor(0, 4)},"b":${tensor(8, 12)}}`, 12),
    told: /safetensors\./,
  },
  'a config that is no JSON': { damage: config('{"peft_type": "LORA",'), told: /adapter\.config\.json/ },
  'a config that is a list': { damage: config('[]'), told: /no JSON object/ },
  'a config that nests without end': {
    damage: config(`{"peft_type":"LORA","r":${'['.repeat(100_000)}`),
    told: /nested deeper/,
  },
  'a config of 5 MB': { damage: config(`{"x":"${'x'.repeat(5_000_000)}"}`), told: /adapter\.config\.too-long/ },
  'a config that has a key twice': { damage: config('{"peft_type":"LORA","r":8,"r":16}'), told: /occurs twice/ },
  'a config that links to a device': {
    damage: link(CONFIG, '/dev/zero'),
    told: /no file, but a device or a pipe/,
  },
  'weights that link to a device': {
    damage: link(WEIGHTS, '/dev/zero'),
    told: /no file, but a device or a pipe/,
  },
  'weights that link to nothing': { damage: link(WEIGHTS, '/nowhere/at/all'), told: /adapter\.no-weights/ },
  'a link that points to itself': { damage: link(CONFIG, CONFIG), told: /file\.eloop/, code: 1 },
  'another method of PEFT': { damage: config('{"peft_type":"VERA"}'), told: /adapter\.peft-type/ },
  'a fusion whose adapters lie elsewhere': {
    damage: (own) =>
      writeFileSync(
        path.join(own, 'adapter_setup.json'),
        JSON.stringify({
          adapter_setup: { type: 'Fuse', children: [{ type: 'single', children: ['../../sound'] }] },
        }),
      ),
    told: /adapter\.setup/,
  },
};

/** All that lies in the test's folder, but the caches of the models. */
const listed = async (): Promise<readonly string[]> => (await names(folder)).filter((name) => name !== 'cache');

describe('a damaged adapter ends every command with a clear error, and nothing is written', () => {
  for (const [name, { damage, told, code = 2 }] of Object.entries(DAMAGES)) {
    test(name, async () => {
      const own = copy(damage);
      const before = await listed();
      for (const [command, argumentsFor] of Object.entries(COMMANDS)) {
        const ran = await cli(argumentsFor(own, path.join(folder, 'out')));
        assert.equal(ran.code, code, `${command}: ${ran.out}${ran.err}`);
        assert.match(ran.err, told, command);
        assert.doesNotMatch(ran.err, /^\s+at /m, `${command}: a stack`);
        assert.equal(ran.out, '', command);
      }
      assert.deepEqual(await listed(), before);
    });
  }
});

describe('adapters of another base model', () => {
  test('are refused by name where they meet the base', async () => {
    const before = await listed();
    for (const [args, told] of [
      [['merge', sound, '--model', other], /targets\.no-match|adapter\.(keys|shape)/],
      [['convert', sound, '--to', 'lora', '--rank', '1', '--model', other], /targets\.no-match|adapter\./],
      [['convert', sound, '--to', 'gguf', '--model', other], /targets\.no-match|adapter\./],
      [['repair', sound, '--model', other], /adapter\.not-repaired|adapter\.no-fault/],
      [['merge', sound, '--model', path.join(folder, 'nowhere')], /checkpoint\.folder-not-found|hub\.|not found/],
    ] as const) {
      const ran = await cli([...args, '--out', path.join(folder, 'out')]);
      assert.equal(ran.code, 2, `${args.join(' ')}: ${ran.err}`);
      assert.match(ran.err, told);
      assert.equal(ran.out, '');
    }
    const found = await cli(['inspect', sound, '--model', other]);
    assert.equal(found.code, 2);
    assert.match(found.err, /adapter\.unmatched/);
    assert.deepEqual(await listed(), before);
  });

  test('do not mix', async () => {
    const before = await listed();
    for (const args of [
      ['combine', sound, ofOther, '--out', path.join(folder, 'out')],
      ['compose', sound, ofOther, '--data', rows, '--out', path.join(folder, 'out')],
    ]) {
      const ran = await cli(args);
      assert.equal(ran.code, 2, ran.err);
      assert.match(ran.err, /is of the base model .*tiny-gpt2|of .*tiny-gpt2/);
    }
    assert.deepEqual(await listed(), before);
  });

  test('a base whose index points out of its folder', async () => {
    const evil = path.join(folder, 'evil');
    cpSync(base, evil, { recursive: true });
    renameSync(path.join(evil, 'model.safetensors'), path.join(folder, 'elsewhere.safetensors'));
    for (const shard of [
      '../elsewhere.safetensors',
      path.join(folder, 'elsewhere.safetensors'),
      '..\\x.safetensors',
    ]) {
      writeFileSync(
        path.join(evil, 'model.safetensors.index.json'),
        JSON.stringify({ weight_map: { 'model.norm.weight': shard } }),
      );
      const ran = await cli(['merge', sound, '--model', evil, '--out', path.join(folder, 'out')]);
      assert.equal(ran.code, 2, ran.err);
      assert.match(ran.err, /checkpoint\.shard-path/);
    }
    assert.equal((await listed()).includes('out'), false);
  });
});

describe('links', () => {
  test("of the hub's cache are followed, by reading and by copying", async () => {
    const blobs = path.join(folder, 'models--org--lora', 'blobs');
    const snapshot = path.join(folder, 'models--org--lora', 'snapshots', 'abc');
    mkdirSync(blobs, { recursive: true });
    mkdirSync(snapshot, { recursive: true });
    writeFileSync(path.join(blobs, 'tokenizer'), '{"version":"1.0"}');
    for (const name of [CONFIG, WEIGHTS, 'tokenizer.json']) {
      if (name !== 'tokenizer.json') cpSync(path.join(sound, name), path.join(blobs, name));
      symlinkSync(
        path.join('..', '..', 'blobs', name === 'tokenizer.json' ? 'tokenizer' : name),
        path.join(snapshot, name),
      );
    }
    const out = path.join(folder, 'from-cache');
    const ran = await cli(['convert', snapshot, '--rank', '1', '--out', out]);
    assert.equal(ran.code, 0, ran.err);
    assert.equal(readFileSync(path.join(out, 'tokenizer.json'), 'utf8'), '{"version":"1.0"}');
    assert.deepEqual(document(await cli(['inspect', snapshot, '--json']))['problems'], []);
    for (const name of ['merge', 'combine']) {
      const done = await cli(COMMANDS[name]!(snapshot, path.join(folder, `cache-${name}`)));
      assert.equal(done.code, 0, done.err);
    }
  });

  test('that leave the folder are not copied into what is written', async () => {
    const secret = path.join(folder, 'secret');
    writeFileSync(secret, 'a key of the user');
    const own = copy((place) => {
      symlinkSync(secret, path.join(place, 'tokenizer_config.json'));
      writeFileSync(
        path.join(place, CONFIG),
        JSON.stringify({ ...JSON.parse(readFileSync(path.join(place, CONFIG), 'utf8')), use_magic: false }),
      );
    });
    const before = await listed();
    for (const args of [
      ['convert', own, '--rank', '1'],
      ['repair', own],
    ]) {
      const ran = await cli([...args, '--out', path.join(folder, 'out')]);
      assert.equal(ran.code, 2, ran.err);
      assert.match(ran.err, /tokenizer_config\.json is a link that leaves the folder/);
    }
    assert.deepEqual(await listed(), before);
  });

  test('what is to be written is not written through one', async () => {
    const target = path.join(folder, 'link-to-nothing');
    symlinkSync(path.join(folder, 'behind-the-link'), target);
    for (const name of ['merge', 'combine', 'convert --rank', 'convert --to lora'] as const) {
      const ran = await cli(COMMANDS[name]!(sound, target));
      assert.equal(ran.code, 2, `${name}: ${ran.err}`);
      assert.match(ran.err, /folder\.exists/);
    }
    assert.equal((await listed()).includes('behind-the-link'), false);
  });
});

test('a pickle was never executed', async () => {
  assert.equal((await listed()).includes('executed'), false);
});
