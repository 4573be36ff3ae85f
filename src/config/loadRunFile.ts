import * as l10n from '@vscode/l10n';
import { isUtf8 } from 'node:buffer';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { boundedProblem, isError, messageOf } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { dataIdAt, modelIdAt } from '../models/hub/ids.js';
import { deepFreeze } from './freeze.js';
import { parseRunFile } from './parseRunFile.js';
import type { ParsedRunFile } from './parseRunFile.js';
import { checkPaths } from './paths.js';
import { MAX_RUN_FILE_BYTES } from './readYaml.js';
import { runName } from './runName.js';
import type { RunConfig } from './schema.js';

/**
 * A run file read, checked and resolved: every path in `config` is absolute and was found on disk. Ids of the
 * Hugging Face hub stay as they are.
 */
export interface LoadedRun {
  readonly config: ResolvedRunConfig;
  /** The run file, absolute. */
  readonly file: string;
  /** Its folder, absolute: relative paths start here. */
  readonly folder: string;
  /** Where a key or value stands in it; absent where the options come from a run's record. */
  readonly placeOf?: ParsedRunFile['placeOf'];
}

export type ResolvedRunConfig = RunConfig & { readonly output: { readonly name: string } };

/**
 * Reads a run file from disk, applies overrides (`a.b=c`; their relative paths too start at the run file's folder),
 * checks it, and checks that the model and the data are there. `run` is absent when a problem is an error; warnings
 * come with it. Never throws on what the file holds.
 */
export async function loadRunFile(
  file: string,
  overrides: readonly string[] = [],
): Promise<{ run?: LoadedRun; problems: readonly Problem[] }> {
  const absolute = path.resolve(file);
  const folder = path.dirname(absolute);
  const text = await readRunText(absolute);
  if (typeof text !== 'string') return { problems: [text] };
  const { config, tree, problems: found, placeOf } = parseRunFile(text, absolute, overrides);
  const problems = [...found, ...(tree ? await checkPaths(tree, folder) : []).map(boundedProblem)];
  if (!config || problems.some(isError)) return { problems };
  return { run: { config: await resolve(config, absolute), file: absolute, folder, placeOf }, problems };
}

async function resolve(config: RunConfig, file: string): Promise<ResolvedRunConfig> {
  const folder = path.dirname(file);
  const { data, output } = config;
  const model = (await modelIdAt(config.model, folder)) ? config.model : path.resolve(folder, config.model);
  const dataAt = async (entry: string): Promise<string> =>
    (await dataIdAt(entry, folder)) ? entry : path.resolve(folder, entry);
  return deepFreeze({
    ...config,
    model,
    data: {
      ...data,
      train: typeof data.train === 'string' ? await dataAt(data.train) : await Promise.all(data.train.map(dataAt)),
      ...(data.validation === undefined ? {} : { validation: await dataAt(data.validation) }),
    },
    output: { ...output, dir: path.resolve(folder, output.dir), name: output.name ?? runName(file) },
  });
}

/** The text of a run file, or why there is none. */
export async function readRunText(file: string): Promise<string | Problem> {
  const where = { file };
  let bytes: Buffer;
  try {
    const { size } = await stat(file);
    if (size > MAX_RUN_FILE_BYTES) {
      return {
        code: 'config.too-large',
        message: l10n.t`the file has ${size} bytes; a run file has at most ${MAX_RUN_FILE_BYTES}`,
        where,
        mend: l10n.t`Is this the file you meant? Data is named in a run file, not pasted in.`,
      };
    }
    bytes = await readFile(file);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      return {
        code: 'config.file-not-found',
        message: l10n.t`the run file was not found`,
        where,
        mend: l10n.t`Check its path.`,
      };
    }
    const reason = messageOf(error);
    return { code: 'config.unreadable', message: l10n.t`the run file cannot be read: ${reason}`, where };
  }
  // UTF-16 without a mark is valid UTF-8 full of zeros.
  if (isUtf8(bytes) && !bytes.includes(0)) return bytes.toString('utf8');
  return {
    code: 'config.not-utf8',
    message: l10n.t`the run file is not UTF-8 text`,
    where,
    mend: l10n.t`Save it with the encoding UTF-8 (in VS Code: the encoding in the status bar).`,
  };
}
