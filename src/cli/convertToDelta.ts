import path from 'node:path';
import { writeDeltaFile } from '../adapters/converting/deltaFile.js';
import { storedDelta, toDelta } from '../adapters/converting/toDelta.js';
import type { ToDelta } from '../adapters/converting/toDelta.js';
import { formatBytes, formatCount } from '../common/format.js';
import { fail } from '../common/problem.js';
import { refuseExistingFile } from '../common/wholeFile.js';
import { breathe } from '../training/job.js';
import type { Arguments } from './arguments.js';
import { adapterNamed, convertSource } from './convertSource.js';
import { DONE } from './exitCode.js';
import type { Io } from './io.js';
import { table } from './table.js';

/** `convert … --to delta` */
export async function convertToDelta(args: Arguments, io: Io): Promise<number> {
  const out = path.resolve(args.required('out'));
  await refuseExistingFile(out);
  if (!out.endsWith('.safetensors')) {
    fail({
      code: 'cli.option-value',
      message: `--out is "${out}"`,
      expected: 'a file whose name ends in .safetensors',
    });
  }
  const { from, adapter, delta, opened, tuned, base, warnings } = await convertSource(
    args,
    io,
    await adapterNamed(args),
  );
  if (delta !== undefined) fail({ code: 'convert.is-delta', message: `${from} is a delta file already` });
  const { context } = opened;
  const stored = adapter && (await storedDelta(adapter, context));
  const found =
    stored ??
    (await toDelta(tuned(), context, async (done, total) => {
      io.interrupt.check();
      io.progress.update({ activity: 'Taking the base off', done, total });
      await breathe();
    }));
  io.progress.end();
  await writeDeltaFile(out, found.tensors, found.about);
  for (const warning of warnings) io.problem(warning);
  const { report } = found;
  const bytes = report.reduce((sum, { kind, numbers }) => sum + numbers * (kind === 'dense' ? 4 : 8), 0);
  const norm = Math.hypot(...report.map((each) => each.norm));
  if (args.flag('json')) {
    const conversion = { kind: 'delta', base_sha256: found.about.baseHash };
    io.json({ out, adapter: from, base, conversion, bytes, norm, tensors: report, warnings });
  } else io.line(textOf(out, from, base, bytes, norm, report));
  return DONE;
}

function textOf(
  out: string,
  from: string,
  base: string,
  bytes: number,
  norm: number,
  report: ToDelta['report'],
): string {
  const sparse = report.filter(({ kind }) => kind === 'sparse').length;
  const numbers = report.reduce((sum, each) => sum + each.numbers, 0);
  return [
    table([
      ['Delta', out],
      ['From', from],
      ['Base', base],
      [
        'Holds',
        `${formatCount(numbers)} differences in ${report.length} tensors (${sparse} sparse), ${formatBytes(bytes)}`,
      ],
      ['Norm', norm.toPrecision(4)],
    ]),
    '',
    table([
      ['Tensor', 'differences', 'of', 'norm'],
      ...report.map((each) => [
        each.name,
        formatCount(each.numbers),
        formatCount(each.of),
        each.norm.toPrecision(4),
      ]),
    ]),
  ].join('\n');
}
