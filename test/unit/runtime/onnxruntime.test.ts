import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { problemOf } from '../../../src/common/problem.js';
import { random } from '../../../src/common/random.js';
import { onnxRuntime } from '../../../src/runtime/onnxruntime.js';
import type { Outputs, Program, Value, WeightFiles } from '../../../src/runtime/runtime.js';
import { dim } from '../../../src/tensor/dims.js';
import { gradients } from '../../../src/tensor/grad.js';
import { add, cast, exp, less, mul } from '../../../src/tensor/ops/elementwise.js';
import { scatterAddRows } from '../../../src/tensor/ops/indexing.js';
import { matmul } from '../../../src/tensor/ops/matmul.js';
import { rmsNorm } from '../../../src/tensor/ops/normalization.js';
import { softmax } from '../../../src/tensor/ops/reduce.js';
import { expand, reshape } from '../../../src/tensor/ops/shape.js';
import { input, variable, weight } from '../../../src/tensor/tensor.js';
import type { Tensor } from '../../../src/tensor/tensor.js';
import { numbers, sumAll } from '../../support/finiteDifferences.js';

const runtime = await onnxRuntime({ threads: 2 });

function floats(shape: readonly number[], ...values: number[]): Value {
  return { dtype: 'float32', shape, data: Float32Array.from(values) };
}

function normals(shape: readonly number[], stream: string): Value {
  const rng = random(7, stream);
  return floats(shape, ...Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal()));
}

describe('weights in files', () => {
  const HEADER = 72;
  const left = [1, 2, 3, 4, 5, 6];
  const right = [-1, 0.5, 7];
  let folder: string;
  let elsewhere: string;

  before(async () => {
    folder = await realpath(await mkdtemp(path.join(tmpdir(), 'peft-weights-')));
    elsewhere = await realpath(await mkdtemp(path.join(tmpdir(), 'peft-elsewhere-')));
    // As in safetensors: a header, then one tensor behind the other.
    const content = Buffer.concat([
      Buffer.alloc(HEADER, 0xff),
      Buffer.from(Float32Array.from([...left, ...right]).buffer),
    ]);
    await mkdir(path.join(folder, 'shards'));
    await writeFile(path.join(folder, 'model.safetensors'), content);
    await writeFile(path.join(folder, 'shards', 'one.safetensors'), content);
    await writeFile(path.join(elsewhere, 'model.safetensors'), content);
    await symlink(path.join(elsewhere, 'model.safetensors'), path.join(folder, 'outside.safetensors'));
  });
  after(async () => {
    await rm(folder, { recursive: true });
    await rm(elsewhere, { recursive: true });
  });

  const files = (file: string): WeightFiles => ({
    folder,
    tensors: new Map([
      ['left', { file, offset: HEADER, length: 24 }],
      ['right', { file, offset: HEADER + 24, length: 12 }],
    ]),
  });
  const outputs = { sum: add(weight('left', [2, 3]), weight('right', [3])) };

  async function sums(weights: WeightFiles): Promise<number[]> {
    const program = await runtime.compile(outputs, weights);
    assert.deepEqual([...program.reads], []);
    const values = await program.run({});
    await program.dispose();
    return numbers(values['sum']!);
  }

  test('are read from their offsets', async () => {
    assert.deepEqual(await sums(files('model.safetensors')), [0, 2.5, 10, 3, 5.5, 13]);
  });

  test('may lie in a folder below, or be named by an absolute path', async () => {
    const expected = [0, 2.5, 10, 3, 5.5, 13];
    assert.deepEqual(await sums(files('shards/one.safetensors')), expected);
    assert.deepEqual(await sums(files(path.join(folder, 'shards', 'one.safetensors'))), expected);
  });

  test('outside of the folder are refused: by a path upwards, and by a link', async () => {
    const upwards = path.join('..', path.basename(elsewhere), 'model.safetensors');
    await assert.rejects(sums(files(upwards)), /model\.safetensors/);
    await assert.rejects(sums(files('outside.safetensors')), /outside\.safetensors/);
  });

  test('beyond the end of the file, and a file that is not there, are errors that name it', async () => {
    const beyond = { file: 'model.safetensors', offset: HEADER + 16, length: 24 };
    const weights = { folder, tensors: new Map([...files('model.safetensors').tensors, ['left', beyond]]) };
    await assert.rejects(sums(weights), /left.*out of bounds/);
    await assert.rejects(sums(files('missing.safetensors')), /missing\.safetensors/);
  });

  test('that the checkpoint lacks are named', async () => {
    await assert.rejects(runtime.compile({ y: weight('lm_head.weight', [2]) }, files('x')), /lm_head\.weight/);
  });

  test('are read by every program that is compiled together', async () => {
    const graphs: Outputs[] = [
      outputs,
      { product: mul(weight('left', [2, 3]), 2) },
      { right: exp(mul(weight('right', [3]), 0)) },
    ];
    const programs = await runtime.compileTogether(graphs, files('model.safetensors'));
    assert.deepEqual(
      programs.map(({ weightBytes }) => weightBytes),
      [36, 24, 12],
    );
    const values = await Promise.all(programs.map((program) => program.run({})));
    assert.deepEqual(numbers(values[0]!['sum']!), [0, 2.5, 10, 3, 5.5, 13]);
    assert.deepEqual(numbers(values[1]!['product']!), [2, 4, 6, 8, 10, 12]);
    assert.deepEqual(numbers(values[2]!['right']!), [1, 1, 1]);
    for (const program of programs) await program.dispose();
  });

  test('may be used in several places by tensors of the same name', async () => {
    const twice = { y: add(weight('right', [3]), exp(mul(weight('right', [3]), 0))) };
    const program = await runtime.compile(twice, files('model.safetensors'));
    assert.deepEqual(numbers((await program.run({}))['y']!), [0, 1.5, 8]);
  });
});

describe('programs that are compiled together', () => {
  const [rows, columns] = [dim('rows'), dim('columns')];
  const x = (): Tensor => input('x', 'float32', [rows]);
  const slot = variable('slot', [2]);
  // Of different ranks, types and numbers of outputs; each reads something of its own.
  const graphs: Outputs[] = [
    { y: add(x(), input('shift', 'float32', [])), next: add(slot, 1) },
    { y: reshape(mul(x(), 2), [1, rows]) },
    { small: less(input('z', 'float32', [rows, columns]), 0), y: mul(variable('slot', [2]), 2) },
  ];
  const nothing: WeightFiles = { folder: tmpdir(), tensors: new Map() };
  const shift = floats([], 10);

  test('give what they give alone, in any order, and read nothing of the others', async () => {
    const programs = await runtime.compileTogether(graphs, nothing);
    assert.deepEqual(
      programs.map(({ reads }) => [...reads].sort()),
      [['shift', 'slot', 'x'], ['x'], ['slot', 'z']],
    );
    const [first, second, third] = programs as [Program, Program, Program];
    const slotNow = floats([2], 3, 4);
    const next = floats([2], 0, 0);
    for (let round = 0; round < 2; round++) {
      const doubled = await second.run({ x: floats([3], 1, 2, 3) });
      assert.deepEqual(
        [doubled['y']!.shape, numbers(doubled['y']!)],
        [
          [1, 3],
          [2, 4, 6],
        ],
      );
      const shifted = await first.run({ x: floats([1], 5), shift, slot: slotNow }, { next });
      assert.deepEqual([numbers(shifted['y']!), [...next.data]], [[15], [4, 5]]);
      assert.equal(shifted['next'], next);
      const compared = await third.run({ z: floats([2, 1], 1, -1), slot: slotNow });
      assert.deepEqual(
        [numbers(compared['small']!), numbers(compared['y']!)],
        [
          [0, 1],
          [6, 8],
        ],
      );
    }
    for (const program of programs) await program.dispose();
  });

  test('have to agree about what they share', async () => {
    const others = [{ y: exp(x()) }, { y: exp(input('x', 'float32', [rows, columns])) }];
    await assert.rejects(runtime.compileTogether(others, nothing), /the input x .*\[rows\] and \[rows, columns\]/);
  });

  test('one may be disposed of while the others go on', async () => {
    const [first, second] = (await runtime.compileTogether(graphs.slice(0, 2), nothing)) as [Program, Program];
    await first.dispose();
    assert.deepEqual(numbers((await second.run({ x: floats([1], 4) }))['y']!), [8]);
    await second.dispose();
  });
});

describe('running', () => {
  const rows = dim('rows');
  const x = input('x', 'float32', [rows, 2]);
  const w = variable('w', [2]);

  test('compiled once, run at several lengths', async () => {
    const program = await runtime.compile({ y: mul(x, w) });
    assert.deepEqual([...program.reads].sort(), ['w', 'x']);
    for (const length of [1, 3, 2]) {
      const values = Array.from({ length: 2 * length }, (_, index) => index);
      const { y } = await program.run({ x: floats([length, 2], ...values), w: floats([2], 1, -1) });
      assert.deepEqual(y!.shape, [length, 2]);
      assert.deepEqual(
        numbers(y!),
        values.map((value, index) => (index % 2 === 0 ? value : value === 0 ? 0 : -value)),
      );
    }
    await program.dispose();
  });

  test('outputs are written into the buffers given for them', async () => {
    const program = await runtime.compile({ y: mul(x, w), z: add(x, w) });
    const y = floats([1, 2], 9, 9);
    const values = await program.run({ x: floats([1, 2], 3, 4), w: floats([2], 10, 20) }, { y });
    assert.equal(values['y'], y);
    assert.deepEqual([...y.data], [30, 80]);
    assert.deepEqual(numbers(values['z']!), [13, 24]);
  });

  test('one run’s output is the next one’s input: two buffers that swap', async () => {
    const program = await runtime.compile({ next: add(mul(w, 2), 1) });
    let [now, then] = [floats([2], 0, 1), floats([2], 0, 0)];
    for (let step = 0; step < 3; step++) {
      await program.run({ w: now }, { next: then });
      [now, then] = [then, now];
    }
    assert.deepEqual([...now.data], [7, 15]);
  });

  test('a buffer that does not fit is an error', async () => {
    const program = await runtime.compile({ y: mul(x, w) });
    const feeds = { x: floats([2, 2], 1, 2, 3, 4), w: floats([2], 1, 1) };
    await assert.rejects(program.run(feeds, { y: floats([1, 2], 0, 0) }));
  });

  test('a missing value is named', async () => {
    const program = await runtime.compile({ y: mul(x, w) });
    await assert.rejects(program.run({ x: floats([1, 2], 3, 4) }), /needs a value for w/);
  });

  test('a value of another shape is an error that names it', async () => {
    const program = await runtime.compile({ y: mul(x, w) });
    await assert.rejects(program.run({ x: floats([1, 2], 3, 4), w: floats([3], 1, 2, 3) }), /w/);
  });

  test('every type of number goes in and comes out', async () => {
    const values: Record<string, Value> = {
      float32: floats([2], 0.5, -3),
      float64: { dtype: 'float64', shape: [2], data: Float64Array.of(0.1, -3) },
      int32: { dtype: 'int32', shape: [2], data: Int32Array.of(-1, 3) },
      int64: { dtype: 'int64', shape: [2], data: BigInt64Array.of(-1n, 3n) },
      uint32: { dtype: 'uint32', shape: [2], data: Uint32Array.of(0xffffffff, 3) },
    };
    const inputs = Object.values(values).map(({ dtype }) => input(dtype, dtype, [2]));
    const outputs = Object.fromEntries(inputs.map((tensor) => [`${tensor.name}Out`, add(tensor, tensor)]));
    const small = less(inputs[0]!, 0);
    const program = await runtime.compile({ ...outputs, small, smallAsNumber: cast(small, 'int32') });
    const results = await program.run(values);
    for (const [name, { dtype, data }] of Object.entries(values)) {
      const result = results[`${name}Out`]!;
      assert.equal(result.dtype, dtype);
      const doubled = (value: number): number => (dtype === 'uint32' ? (value * 2) >>> 0 : value * 2);
      assert.deepEqual(numbers(result), Array.from(data, Number).map(doubled));
    }
    assert.deepEqual([results['small']!.dtype, ...numbers(results['small']!)], ['bool', 0, 1]);
    assert.deepEqual(numbers(results['smallAsNumber']!), [0, 1]);
  });
});

describe('repeatable bit for bit', () => {
  test('a step with its gradients, run after run and with other numbers of threads', async () => {
    const [batch, width] = [24, 64];
    const x = input('x', 'float32', [batch, width]);
    const w = variable('w', [width, width]);
    const g = variable('g', [width]);
    const probabilities = softmax(matmul(rmsNorm(x, g, 1e-5), w, { transposeB: true }));
    const loss = sumAll(mul(probabilities, probabilities));
    const [byW, byG] = gradients(loss, [w, g]);
    const outputs = { loss, byW: byW!, byG: byG! };
    const feeds = {
      x: normals([batch, width], 'x'),
      w: normals([width, width], 'w'),
      g: normals([width], 'g'),
    };
    const results: Record<string, Value>[] = [];
    for (const threads of [1, 2]) {
      const program = await (await onnxRuntime({ threads })).compile(outputs);
      for (let run = 0; run < 2; run++) results.push(await program.run(feeds));
      await program.dispose();
    }
    const bytes = results.map((result) =>
      Object.values(result).map((value) => [...new Uint8Array(bufferOf(value))]),
    );
    for (const other of bytes.slice(1)) assert.deepEqual(other, bytes[0]);
  });

  test('scatterAddRows adds up repeated indices exactly, in the order of the updates', async () => {
    const count = 4000;
    const rows = 3;
    const updates = normals([count, 2], 'updates');
    const index = {
      dtype: 'int32',
      shape: [count],
      data: Int32Array.from({ length: count }, (_, i) => (i * i) % 3),
    };
    const y = scatterAddRows(input('u', 'float32', [count, 2]), input('i', 'int32', [count]), rows);
    const program = await runtime.compile({ y });
    const expected = new Float32Array(2 * rows);
    for (let i = 0; i < 2 * count; i++) expected[index.data[i >> 1]! * 2 + (i % 2)]! += Number(updates.data[i]);
    for (let run = 0; run < 3; run++) {
      const values = await program.run({ u: updates, i: index as Value });
      assert.deepEqual([...values['y']!.data], [...expected]);
    }
    assert.ok(expected[0] !== 0 && expected[4] === 0);
  });
});

test('a native library that does not load is a problem with its mend', async () => {
  const hook = `
    import { register } from 'node:module';
    register('data:text/javascript,' + encodeURIComponent(\`
      export async function resolve(specifier, context, next) {
        if (specifier === 'onnxruntime-node') throw new Error('libonnxruntime.so.1: version GLIBC_2.38 not found');
        return next(specifier, context);
      }\`));
  `;
  const program = `
    import { onnxRuntime } from ${JSON.stringify(new URL('../../../src/runtime/onnxruntime.ts', import.meta.url).href)};
    await onnxRuntime().catch((error) => console.log(JSON.stringify(error.problem)));
  `;
  const asImport = (source: string): string => `data:text/javascript,${encodeURIComponent(source)}`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', 'tsx', '--import', asImport(hook), '--input-type=module', '--eval', program],
    { cwd: fileURLToPath(new URL('../../../', import.meta.url)) },
  );
  const problem: unknown = JSON.parse(stdout);
  assert.ok(typeof problem === 'object' && problem !== null && 'code' in problem && 'mend' in problem);
  assert.ok('message' in problem);
  assert.equal(problem.code, 'runtime.not-loaded');
  assert.match(String(problem.message), /does not load on .*GLIBC_2\.38 not found/);
  assert.match(String(problem.mend), process.platform === 'linux' ? /glibc 2\.28/ : /./);
});

function bufferOf(value: Value): ArrayBuffer {
  return value.data.buffer.slice(
    value.data.byteOffset,
    value.data.byteOffset + value.data.byteLength,
  ) as ArrayBuffer;
}

test('memory that runs out is a problem with a mend', async () => {
  const rows = dim('rows');
  const program = await runtime.compile({
    y: expand(reshape(input('x', 'float32', [rows]), [rows, 1]), [rows, rows]),
  });
  // 2^44 numbers: more than any machine lends.
  const x: Value = { dtype: 'float32', shape: [2 ** 22], data: new Float32Array(2 ** 22) };
  await assert.rejects(program.run({ x }), (error) => {
    const { code, mend } = problemOf(error);
    return code === 'runtime.out-of-memory' && /batch_size/.test(mend!);
  });
  await program.dispose();
});

test('a run that the runtime refuses is a problem that says what was refused', async () => {
  const program = await runtime.compile({
    y: add(input('a', 'float32', [dim('n')]), input('b', 'float32', [dim('n')])),
  });
  await assert.rejects(
    program.run({ a: floats([2], 1, 2), b: floats([3], 1, 2, 3) }),
    (error) => problemOf(error).code === 'runtime.failed' && /2.*3|3.*2/s.test(problemOf(error).message),
  );
  await program.dispose();
});
