import { Value } from '@sinclair/typebox/value';
import * as l10n from '@vscode/l10n';
import { fail, isError } from '../common/problem.js';
import { deepFreeze } from './freeze.js';
import { readRunText } from './loadRunFile.js';
import type { ResolvedRunConfig } from './loadRunFile.js';
import { readYaml } from './readYaml.js';
import { RunFile } from './schema.js';
import { plainValue } from './tree.js';

/**
 * The config that a run wrote into its folder: every default and path is filled in, so that only its form is checked.
 * @throws ProblemError `config.*`
 */
export async function readResolvedRun(file: string): Promise<ResolvedRunConfig> {
  const text = await readRunText(file);
  if (typeof text !== 'string') return fail(text);
  const { root, problems } = readYaml(text, file);
  const error = problems.find(isError);
  if (error !== undefined) return fail(error);
  // Options that came later stand at their defaults, which are what runs did before there were any.
  const value: unknown = root === undefined ? undefined : Value.Default(RunFile, plainValue(root));
  if (!isResolved(value)) {
    return fail({
      code: 'config.resolved',
      message: l10n.t`the file does not hold the settings of a run of this version`,
      where: { file },
      expected: l10n.t`what PEFT Studio wrote there when the run began`,
      mend: l10n.t`It was changed, or another version wrote it: train anew from the run file.`,
    });
  }
  return deepFreeze(value);
}

function isResolved(value: unknown): value is ResolvedRunConfig {
  return Value.Check(RunFile, value) && Array.isArray(value.method) && value.output.name !== undefined;
}
