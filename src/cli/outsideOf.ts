import path from 'node:path';
import type { AdapterOnDisk } from '../adapters/readAdapter.js';
import { fail } from '../common/problem.js';
import type { Arguments } from './arguments.js';

/**
 * The folder that `--out` names.
 * @throws ProblemError `convert.inside` where it lies in that of the adapter
 */
export function outsideOf({ folder }: AdapterOnDisk, args: Arguments): string {
  const out = path.resolve(args.required('out'));
  if (!out.startsWith(`${folder}${path.sep}`)) return out;
  return fail({
    code: 'convert.inside',
    message: `${out} lies in ${folder}, which is to be converted`,
    expected: 'a folder outside of the adapter',
    mend: 'Name another folder with --out.',
  });
}
