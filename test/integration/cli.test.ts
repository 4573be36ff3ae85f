import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { COMMANDS } from '../../src/cli/main.js';
import { createInterrupt } from '../../src/cli/interrupt.js';
import type { RunEvent } from '../../src/training/events.js';
import { dataFile, document, run, temporary, tinyModel } from '../unit/cli/support.js';
import { fixture } from '../support/fixtures.js';

const folder = temporary();
process.env['PEFT_STUDIO_CACHE'] = path.join(folder, 'cache');
const runFile = path.join(folder, 'job.peft.yaml');
const held = dataFile(folder, 'held.jsonl', 5);
const rows = dataFile(folder, 'rows.jsonl', 16);
let model = '';
before(async () => (model = await tinyModel(folder)));

/** Relative to the current folder, as a user types it. */
function typed(file: string): string {
  return path.relative(process.cwd(), file);
}

function errorOf(text: string): { code: string; message: string; where?: object } {
  return (JSON.parse(text) as { error: { code: string; message: string } }).error;
}

/** A run file of three steps; `extra` are lines of its data section. */
function writeRunFile(name: string, extra: readonly string[] = []): string {
  const file = path.join(folder, name);
  const lines = [
    'model: model',
    'data:',
    '  train: rows.jsonl',
    ...extra.map((line) => `  ${line}`),
    'method:',
    '  type: lora',
    '  r: 2',
    'training:',
    '  max_steps: 3',
    '  learning_rate: 1e-2',
    'runtime:',
    '  threads: 1',
  ];
  writeFileSync(file, lines.join('\n'));
  return file;
}

describe('help and misuse', () => {
  test('--version, --help of the program and of every command', async () => {
    assert.match((await run(['--version'])).out, /^\d+\.\d+\.\d+\n$/);
    const help = await run(['--help']);
    assert.equal(help.code, 0);
    for (const { name, summary, options, examples } of COMMANDS) {
      const listed = help.out
        .split('\n')
        .some((line) => line.startsWith(`  ${name} `) && line.endsWith(`  ${summary}`));
      assert.ok(listed, name);
      const own = await run([name, '--help']);
      assert.equal(own.code, 0);
      for (const option of [...Object.keys(options), 'json'])
        assert.ok(own.out.includes(`--${option} `), `${name} ${option}`);
      for (const example of examples) assert.ok(own.out.includes(`peft-studio ${name} ${example}`.trimEnd()));
    }
  });

  test('nothing, an unknown command and an unknown option exit 2, with the nearest name', async () => {
    const nothing = await run([]);
    assert.deepEqual([nothing.code, nothing.out], [2, '']);
    assert.match(nothing.err, /Usage: peft-studio COMMAND/);
    const command = await run(['evalute', 'x']);
    assert.equal(command.code, 2);
    assert.match(command.err, /no command "evalute"[^]*Did you mean "evaluate"\?/);
    const option = await run(['inspect', 'x', '--jsn']);
    assert.equal(option.code, 2);
    assert.match(option.err, /no option --jsn[^]*Did you mean --json\?/);
    const json = await run(['merge', 'x', '--json', '--too', 'y']);
    assert.deepEqual([json.code, errorOf(json.out).code], [2, 'cli.unknown-option']);
  });

  test('methods lists them, as a table and as the contract has it', async () => {
    const list = JSON.parse((await run(['methods', '--json'])).out) as Record<string, unknown>[];
    assert.deepEqual(Object.keys(list[0]!), ['type', 'family', 'title', 'paper', 'engines', 'mergeable']);
    assert.deepEqual(list.map(({ type, mergeable }) => [type, mergeable]).slice(0, 1), [['lora', true]]);
    const plain = await run(['methods']);
    for (const { type } of list) assert.match(plain.out, new RegExp(`^${String(type)} `, 'm'));
  });
});

describe('new', () => {
  const made = path.join(folder, 'deeper', 'made.peft.yaml');

  test('writes a file that names model and data from where it lies, and trains', async () => {
    mkdirSync(path.dirname(made));
    const first = await run(['new', typed(made), '--model', typed(model), '--data', typed(rows), '--json']);
    assert.equal(first.code, 0, first.err);
    assert.deepEqual(document(first), { file: made, model, data: [rows], method: 'lora' });
    const text = readFileSync(made, 'utf8');
    assert.match(text, /^model: \.\.\/model$/m);
    assert.match(text, /^ {2}train: \.\.\/rows\.jsonl$/m);
  });

  test('leaves a file that exists as it is, but for --force', async () => {
    writeFileSync(made, 'mine');
    const args = ['new', made, '--model', model, '--data', rows, '--data', held, '--method', 'full'];
    const refused = await run(args);
    assert.equal(refused.code, 2);
    assert.match(refused.err, /exists already/);
    assert.equal(readFileSync(made, 'utf8'), 'mine');
    assert.equal((await run([...args, '--force'])).code, 0);
    assert.match(readFileSync(made, 'utf8'), /^ {2}type: full$/m);
    assert.equal((await run([...args.slice(0, -1), 'child_tuning', '--force'])).code, 0);
    assert.match(readFileSync(made, 'utf8'), /^ {2}- type: lora$[^]*^ {2}- type: child_tuning$/m);
  });

  test('refuses a model or data that is not there, an unknown method, another file name', async () => {
    const file = path.join(folder, 'other.peft.yaml');
    const refused = async (args: readonly string[], said: RegExp): Promise<void> => {
      const ran = await run(['new', ...args]);
      assert.equal(ran.code, 2);
      assert.match(ran.err, said);
    };
    await refused([file, '--model', path.join(folder, 'modle'), '--data', rows], /Did you mean `.*model`/);
    await refused(
      [file, '--model', model, '--data', path.join(folder, 'row.jsonl')],
      /Did you mean `.*rows\.jsonl`/,
    );
    await refused([file, '--model', model, '--data', rows, '--method', 'lara'], /Did you mean "lora"\?/);
    await refused([path.join(folder, 'job.yaml'), '--model', model, '--data', rows], /NAME\.peft\.yaml/);
    assert.ok(!existsSync(file));
  });
});

describe('a run and what comes after it', () => {
  let adapter = '';
  let finished: Extract<RunEvent, { type: 'finished' }>;

  test('train --json prints events only, from started to finished; --set overrides', async () => {
    writeRunFile('job.peft.yaml', ['validation: held.jsonl']);
    const ran = await run(['train', runFile, '--json', '--set', 'method.r=3', '--set', 'training.max_steps=2']);
    assert.equal(ran.code, 0, ran.err);
    const events = ran.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as RunEvent);
    assert.equal(events[0]!.type, 'started');
    assert.deepEqual(
      events.flatMap((event) => (event.type === 'step' ? [event.step] : [])),
      [1, 2],
    );
    finished = events.at(-1) as typeof finished;
    assert.deepEqual([finished.type, finished.reason, finished.steps], ['finished', 'completed', 2]);
    adapter = finished.adapter;
    assert.ok(adapter.startsWith(path.join(folder, 'runs', 'job')));
    const config = JSON.parse(readFileSync(path.join(adapter, 'adapter_config.json'), 'utf8')) as { r: number };
    assert.equal(config.r, 3);
  });

  test('train tells a person the coverage, samples with their mask, steps and the adapter', async () => {
    const ran = await run(['train', runFile]);
    assert.equal(ran.code, 0, ran.err);
    for (const said of [
      /^Target all-linear: 14 modules$/m,
      /^Modules: 14, in 2 of 2 layers$/m,
      /^ {2}What follows 0\?⟦ It is 1\.<\|endoftext\|>⟧$/m,
      /^step 3\/3 {2}loss \d/m,
      /^Held-out rows: loss [\d.]+ → [\d.]+, /m,
      /^Written: .*runs.job.*adapter$/m,
    ]) {
      assert.match(ran.out, said);
    }
    assert.doesNotMatch(ran.out + ran.err, /\u001b/);
  });

  test('warnings of the run file and of the data are told once, with their places', async () => {
    const odd = path.join(folder, 'odd.jsonl');
    writeFileSync(odd, `${readFileSync(rows, 'utf8')}{"prompt":"a","completion":""}\n`);
    const warned = writeRunFile('warned.peft.yaml');
    const args = ['train', warned, '--set', 'data.train=odd.jsonl', '--set', 'training.eval_steps=2'];
    const ran = await run(args);
    assert.equal(ran.code, 0, ran.err);
    const codes = [...ran.err.matchAll(/^warning (.*?): .* \[([a-z.-]+)\]$/gm)].map(([, place, code]) => [
      code,
      place,
    ]);
    assert.deepEqual(codes, [
      ['config.nothing-to-evaluate', '--set training.eval_steps=2'],
      ['data.empty-answers', odd],
    ]);
    const printed = (await run([...args, '--json'])).out.trimEnd().split('\n');
    const events = printed.map((line) => JSON.parse(line) as RunEvent);
    const told = events.flatMap((event) => (event.type === 'coverage' ? event.warnings : []));
    assert.deepEqual(
      told.map(({ code }) => code),
      codes.map(([code]) => code),
    );
    assert.ok(events.every((event) => event.type !== 'log' || event.level !== 'warning'));
  });

  test('a token without an embedding stops the run and the evaluation, naming the row', async () => {
    const { vocab_size: size } = JSON.parse(readFileSync(path.join(model, 'config.json'), 'utf8')) as {
      vocab_size: number;
    };
    const added = path.join(folder, 'added');
    cpSync(model, added, { recursive: true });
    const tokenizerFile = path.join(added, 'tokenizer.json');
    const tokenizer = JSON.parse(readFileSync(tokenizerFile, 'utf8')) as { added_tokens: object[] };
    const token = { content: '<extra>', single_word: false, lstrip: false, rstrip: false, normalized: false };
    tokenizer.added_tokens.push({ id: size, ...token, special: true });
    writeFileSync(tokenizerFile, JSON.stringify(tokenizer));
    const data = path.join(folder, 'extra.jsonl');
    writeFileSync(data, `${readFileSync(rows, 'utf8')}{"prompt":"a<extra>","completion":"b"}\n`);
    const file = writeRunFile('extra.peft.yaml');
    const args = ['--set', 'model=added', '--set', 'data.train=extra.jsonl', '--json'];
    const trained = await run(['train', file, ...args]);
    const failed = JSON.parse(trained.out.trimEnd().split('\n').at(-1)!) as Extract<RunEvent, { type: 'failed' }>;
    assert.deepEqual(
      [trained.code, failed.problem.code, failed.problem.where],
      [2, 'data.token-id', { file: data, line: 17 }],
    );
    const evaluated = await run(['evaluate', added, '--data', data, '--json']);
    assert.deepEqual([evaluated.code, errorOf(evaluated.out).code], [2, 'data.token-id']);
  });

  test('evaluate repeats the run, with and without its adapter', async () => {
    const tuned = document(await run(['evaluate', runFile, '--adapter', adapter, '--json']));
    assert.deepEqual(Object.keys(tuned), [
      'model',
      'adapter',
      'data',
      'loss',
      'tokenAccuracy',
      'rowAccuracy',
      'rows',
      'supervisedTokens',
      'seconds',
    ]);
    assert.ok(Math.abs(Number(tuned['loss']) - finished.metrics['eval_loss']!) < 1e-6);
    assert.deepEqual([tuned['rows'], tuned['data']], [5, [held]]);
    const base = document(await run(['evaluate', model, '--data', held, '--json']));
    assert.ok(Math.abs(Number(base['loss']) - finished.metrics['initial_eval_loss']!) < 1e-6);
    assert.ok(Math.abs(Number(base['loss']) - Number(tuned['loss'])) > 1e-4);
    const plain = await run(['evaluate', runFile, '--data', rows]);
    assert.match(plain.out, /^Loss +[\d.]+ nats[^]*^Rows +16 \(/m);
  });

  test('evaluate needs held-out rows, and takes a split', async () => {
    const none = await run(['evaluate', writeRunFile('none.peft.yaml'), '--json']);
    assert.deepEqual([none.code, errorOf(none.out).code], [2, 'config.no-held-out-data']);
    const bare = await run(['evaluate', model, '--json']);
    assert.deepEqual([bare.code, errorOf(bare.out).code], [2, 'cli.option-missing']);
    const split = await run(['evaluate', writeRunFile('split.peft.yaml', ['validation_split: 4']), '--json']);
    assert.equal(document(split)['rows'], 4, split.err);
  });

  test('options that would do nothing are refused', async () => {
    const refused = async (code: string, ...args: string[]): Promise<void> => {
      const found = await run([...args, '--json']);
      assert.deepEqual([found.code, errorOf(found.out).code], [2, code], args.join(' '));
    };
    const prompt = ['generate', model, '--prompt', 'What'];
    await refused('cli.option-conflict', ...prompt, '--remote-model', 'x');
    await refused('cli.option-conflict', ...prompt, '--top-logprobs', '3');
    await refused('cli.option-conflict', ...prompt, '--proxy', adapter, '--task', 'a');
    const evaluation = ['evaluate', model, '--data', rows, '--task', 'a'];
    await refused('cli.option-conflict', ...evaluation, '--proxy', adapter);
    await refused('data.no-task', ...evaluation);
  });

  test('generate streams the answer that --json holds whole', async () => {
    const args = ['generate', runFile, '--adapter', adapter, '--prompt', 'What follows', '--max-new-tokens', '6'];
    const whole = document(await run([...args, '--json']));
    assert.deepEqual(Object.keys(whole), ['prompt', 'text', 'tokens', 'reason', 'seconds']);
    assert.deepEqual([whole['prompt'], whole['tokens'], whole['reason']], ['What follows', 6, 'length']);
    const streamed = await run(args);
    assert.deepEqual([streamed.code, streamed.out, streamed.err], [0, `${String(whole['text'])}\n`, '']);
    const read = await run([...args.with(5, '-'), '--json'], { input: 'What follows' });
    assert.equal(document(read)['text'], whole['text']);
  });

  test('generate: sampling follows its options; the chat template is applied', async () => {
    const text = async (...more: string[]): Promise<unknown> => {
      const args = ['generate', model, '--prompt', 'So', '--max-new-tokens', '8', '--json', ...more];
      return document(await run(args))['text'];
    };
    const drawn = await text('--temperature', '2', '--seed', '1');
    assert.equal(await text('--temperature', '2', '--seed', '1'), drawn);
    assert.notEqual(await text('--temperature', '2', '--seed', '2'), drawn);
    const greedy = await text();
    assert.equal(await text('--temperature', '2', '--top-k', '1'), greedy);
    assert.equal(await text('--temperature', '2', '--top-p', '0'), greedy);
    assert.notEqual(await text('--chat'), greedy);
    const wrong = await run(['generate', model, '--prompt', 'So', '--temperature', '-1', '--json']);
    assert.deepEqual([wrong.code, errorOf(wrong.out).code], [2, 'generation.option']);
  });

  test('generate stops at Ctrl-C with what is there', async () => {
    const interrupt = createInterrupt(() => undefined);
    interrupt.signal();
    const ran = await run(['generate', model, '--prompt', 'So', '--json'], { interrupt });
    assert.equal(ran.code, 130);
    assert.deepEqual([document(ran)['reason'], document(ran)['tokens']], ['stopped', 1]);
  });

  test('inspect: method, base, shapes, counts', async () => {
    const found = document(await run(['inspect', adapter, '--json']));
    assert.deepEqual([found['method'], found['base'], found['r'], found['tensors']], ['lora', model, 3, 28]);
    const modules = found['modules'] as { path: string; a: number[]; b: number[] }[];
    const down = modules.find((each) => each.path === 'model.layers.1.mlp.down_proj')!;
    assert.deepEqual(
      [down.a, down.b],
      [
        [3, 32],
        [16, 3],
      ],
    );
    const plain = await run(['inspect', adapter]);
    assert.equal(plain.code, 0);
    assert.match(
      plain.out,
      /^model\.layers\.1\.mlp\.down_proj +3 +[\d.]+ +\[3, 32\] +\[16, 3\] +144 +[\d.e-]+ +[\d.]+ +[123] +[\d.e -]+ \([\d.]+ %\)$/m,
    );
    assert.match(plain.out, /^Health +no fault found$/m);
    assert.equal(found['checkedWith'], model, 'the base that it names is here');
    const wrong = await run(['inspect', adapter, '--model', fixture('gpt2/tiny-gpt2'), '--json']);
    assert.equal(wrong.code, 2);
    assert.deepEqual(
      (document(wrong)['problems'] as { code: string }[]).map(({ code }) => code),
      ['adapter.unmatched'],
    );
    const missing = await run(['inspect', adapter, '--model', 'no-such-model', '--json']);
    assert.deepEqual([missing.code, errorOf(missing.out).code], [2, 'adapter.base-not-found']);
  });

  test('compare-adapters: a table and a document; what cannot be compared is refused', async () => {
    const ran = await run(['compare-adapters', adapter, adapter, '--json']);
    assert.equal(ran.code, 0);
    const total = document(ran)['total'] as {
      modules: number;
      cosine: number;
      outputs: { shared: number };
    };
    assert.equal(total.modules, 14);
    assert.ok(Math.abs(total.cosine - 1) < 1e-9 && Math.abs(total.outputs.shared - 1) < 1e-9);
    const plain = await run(['compare-adapters', adapter, adapter]);
    assert.equal(plain.code, 0);
    assert.match(plain.out, /^model\.layers\.1\.mlp\.down_proj +3 +3 .* 1\.000 +0\.0 % +0\.0°–0\.0° +100\.0 % /m);
    assert.match(plain.out, /^all +14 /m);
    const refused = await run(['compare-adapters', adapter, fixture('ia3/llama'), '--json']);
    assert.deepEqual([refused.code, errorOf(refused.out).code], [2, 'compare-adapters.method']);
    const alone = await run(['compare-adapters', adapter, '--json']);
    assert.deepEqual([alone.code, errorOf(alone.out).code], [2, 'cli.argument-missing']);
  });

  test('merge: verified, and the merged model is the adapter applied', async () => {
    const out = path.join(folder, 'merged');
    const report = document(await run(['merge', adapter, '--out', out, '--json']));
    assert.deepEqual(
      [report['out'], report['base'], report['dtype'], report['tensorsChanged']],
      [out, model, 'F32', 14],
    );
    assert.ok(Number(report['verifiedDifference']) < 1e-4);
    const merged = document(await run(['evaluate', out, '--data', held, '--json']));
    assert.ok(Math.abs(Number(merged['loss']) - finished.metrics['eval_loss']!) < 1e-5);
    const again = await run(['merge', adapter, '--out', out, '--json']);
    assert.deepEqual([again.code, errorOf(again.out).code], [2, 'folder.exists']);
    const rounded = await run([
      'merge',
      adapter,
      '--model',
      model,
      '--dtype',
      'bf16',
      '--out',
      path.join(folder, 'bf16'),
    ]);
    assert.match(
      rounded.out,
      /^Verified +logits differ by at most[^]*^Rounding +to BF16 moves logits by at most/m,
    );
  });

  test('merge refuses another dtype and a base that is not here; Ctrl-C leaves nothing', async () => {
    const out = path.join(folder, 'nothing');
    const dtype = await run(['merge', adapter, '--out', out, '--dtype', 'F8', '--json']);
    assert.deepEqual([dtype.code, errorOf(dtype.out).code], [2, 'cli.option-value']);
    const base = await run(['merge', fixture('lora-reference', 'peft-adapter'), '--out', out, '--json']);
    assert.deepEqual([base.code, errorOf(base.out).code], [2, 'adapter.base-not-found']);
    const interrupt = createInterrupt(() => undefined);
    interrupt.signal();
    const ended = await run(['merge', adapter, '--out', out, '--json'], { interrupt });
    assert.deepEqual([ended.code, errorOf(ended.out).code], [130, 'cli.interrupted']);
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.startsWith('nothing')),
      [],
    );
  });
});

describe('unusable input', () => {
  test('a broken run file: every problem with file, line and column, exit 2, before any run', async () => {
    const file = path.join(folder, 'broken.peft.yaml');
    writeFileSync(file, 'model: nowhere\ndata:\n  trian: rows.jsonl\nmethod:\n  type: lora\n  r: many\n');
    const plain = await run(['train', file]);
    assert.deepEqual([plain.code, plain.out], [2, '']);
    assert.match(plain.err, /broken\.peft\.yaml:3:3: .*trian[^]*Did you mean `train`/);
    assert.match(plain.err, /broken\.peft\.yaml:6:6: /);
    assert.match(plain.err, /broken\.peft\.yaml:1:8: /);
    const json = await run(['train', file, '--json']);
    const event = JSON.parse(json.out) as Extract<RunEvent, { type: 'failed' }>;
    assert.deepEqual([json.code, event.type], [2, 'failed']);
    const problems = [event.problem, ...(event.others ?? [])];
    assert.ok(problems.some(({ where }) => where?.line === 3 && where.column === 3));
    const evaluated = await run(['evaluate', file, '--json']);
    const { error, others } = JSON.parse(evaluated.out) as { error: object; others: object[] };
    assert.deepEqual([evaluated.code, [error, ...others]], [2, problems]);
    assert.ok(!existsSync(path.join(folder, 'runs', 'broken')));
  });

  test('what is no adapter and no model', async () => {
    const inspected = await run(['inspect', folder, '--json']);
    assert.deepEqual([inspected.code, errorOf(inspected.out).code], [2, 'adapter.no-config']);
    const generated = await run(['generate', folder, '--prompt', 'x', '--json']);
    assert.equal(generated.code, 2);
    assert.match(errorOf(generated.out).code, /^checkpoint\./);
  });

  test('a fault found while training starts: exit 2 too', async () => {
    const ran = await run(['train', runFile, '--json', '--set', 'method.target_modules=[nothing_proj]']);
    const last = JSON.parse(ran.out.trimEnd().split('\n').at(-1)!) as Extract<RunEvent, { type: 'failed' }>;
    assert.deepEqual([ran.code, last.type], [2, 'failed'], ran.err);
    assert.match(last.problem.code, /^targets\./);
  });
});
