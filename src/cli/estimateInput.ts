import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { isError } from '../common/problem.js';
import { fail } from '../common/problem.js';
import { parseRunFile } from '../config/parseRunFile.js';
import type { ParsedRunFile } from '../config/parseRunFile.js';
import type { RunConfig } from '../config/schema.js';
import { CONFIG_FILE } from '../language/configFacts.js';
import { cachedModelPlace } from '../language/modelHub.js';
import { modelIdAt } from '../models/hub/ids.js';
import type { Io } from './io.js';
import { ProblemsError, checkRunFile, isRunFile } from './runFile.js';

/** A run to be estimated: a run file, or a model with the options at their defaults. */
export interface EstimateInput {
  readonly config: RunConfig;
  /** The model: a folder or a GGUF file, absolute. */
  readonly place: string;
  /** Where relative paths of the config start, absolute. */
  readonly folder: string;
  /** The run file; undefined where only a model is named. */
  readonly file: string | undefined;
  /** Where a key or value stands in the run file. */
  readonly placeOf?: ParsedRunFile['placeOf'];
}

/**
 * Reads what is named: a run file, a model's folder, GGUF file or `config.json`, or a model of the hub in its cache.
 * @throws ProblemError `config.*`, `hub.not-cached`
 */
export async function estimateInput(name: string, overrides: readonly string[], io: Io): Promise<EstimateInput> {
  if (isRunFile(name) && path.basename(name) !== CONFIG_FILE) {
    const { run, warnings } = await checkRunFile(name, overrides);
    for (const warning of warnings) io.problem(warning);
    const { config, folder, file, placeOf: placeIn } = run;
    const known = placeIn === undefined ? {} : { placeOf: placeIn };
    return { config, place: await placeOf(config.model, folder), folder, file, ...known };
  }
  const { config, problems } = parseRunFile(modelAlone(name), name, overrides);
  if (config === undefined) {
    const first = problems.find(isError)!;
    throw new ProblemsError(
      first,
      problems.filter((problem) => problem !== first),
    );
  }
  for (const problem of problems) io.problem(problem);
  const folder = process.cwd();
  return { config, place: await placeOf(name, folder), folder, file: undefined };
}

/** A run file for a model that nobody has data for yet. */
function modelAlone(model: string): string {
  return JSON.stringify({ model, data: { train: 'rows.jsonl' }, method: { type: 'lora' } });
}

async function placeOf(model: string, folder: string): Promise<string> {
  const id = await modelIdAt(model, folder);
  if (id === undefined) {
    const place = path.resolve(folder, model);
    return path.basename(place) === CONFIG_FILE ? path.dirname(place) : place;
  }
  return (
    (await cachedModelPlace(id)) ??
    fail({
      code: 'hub.not-cached',
      message: l10n.t`the model ${model} is not on this machine yet, and an estimate downloads nothing`,
      mend: l10n.t`Save the config.json of its page on the hub, and estimate that file; or preview or train once, which downloads the model.`,
    })
  );
}
