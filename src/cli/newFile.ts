import path from 'node:path';
import { pathKind } from '../common/files.js';
import { fail } from '../common/problem.js';
import type { Arguments } from './arguments.js';

/**
 * The file that `--out` names; nothing is there yet.
 * @throws ProblemError `cli.file-exists`
 */
export async function newFile(args: Arguments): Promise<string> {
  const out = path.resolve(args.required('out'));
  if ((await pathKind(out)) === 'nothing') return out;
  return fail({
    code: 'cli.file-exists',
    message: 'there is something by the name of the file to write; it is left as it is',
    where: { file: out },
    mend: 'Name another file, or remove this one first.',
  });
}
