import * as l10n from '@vscode/l10n';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { pathKind } from '../common/files.js';
import { fail } from '../common/problem.js';
import type { LoadedRun, ResolvedRunConfig } from '../config/loadRunFile.js';
import { readResolvedRun } from '../config/readResolvedRun.js';
import { checkpointFolder, checkpointSteps } from '../training/checkpoint.js';
import { RESOLVED_CONFIG } from './runFiles.js';
import { hasEnded } from './runFolder.js';
import { checkNotRunning } from './runProcess.js';

/** Where a run is taken up again. */
export interface ResumePoint {
  /** The run's folder. */
  readonly folder: string;
  /** Optimizer steps that its last checkpoint holds. */
  readonly step: number;
  /** The checkpoint's folder. */
  readonly checkpoint: string;
}

/**
 * The newest run of a run file that has a checkpoint and did not come to its end.
 * @throws ProblemError `resume.nothing`; `resume.running`; `resume.changed` with the keys of the file that are no longer what the run
 *   was started with
 */
export async function resumeNewest(run: LoadedRun): Promise<ResumePoint> {
  const parent = path.join(run.config.output.dir, run.config.output.name);
  const names = (await pathKind(parent)) === 'folder' ? await readdir(parent) : [];
  // Named by their time: the last in order is the newest.
  for (const name of names.sort().reverse()) {
    const folder = path.join(parent, name);
    await checkNotRunning(folder);
    const step = await lastStep(folder);
    if (step === undefined || (await hasEnded(folder))) continue;
    const changed = changedKeys(await readResolvedRun(path.join(folder, RESOLVED_CONFIG)), run.config);
    if (changed.length > 0) {
      fail({
        code: 'resume.changed',
        message:
          changed.length === 1
            ? l10n.t`since the run was started, the run file's ${changed.join(', ')} has changed`
            : l10n.t`since the run was started, the run file's ${changed.join(', ')} have changed`,
        where: { file: run.file },
        expected: l10n.t`what the run was started with: ${path.join(folder, RESOLVED_CONFIG)}`,
        mend: l10n.t`Put the old values back to go on with that run, name its folder to go on with what it was started with, or train anew.`,
      });
    }
    return { folder, step, checkpoint: checkpointFolder(folder, step) };
  }
  return fail({
    code: 'resume.nothing',
    message: l10n.t`none of the ${names.length} runs of this file can go on: each has ended or has no checkpoint`,
    where: { file: run.file },
    expected: l10n.t`a run in ${parent} with a checkpoint, that was stopped, killed or failed`,
    mend: l10n.t`Train without resuming. A run that ended well has nothing left to do; one that ended before its first checkpoint has nothing to go on from (training.save_steps says how often one is written).`,
  });
}

/**
 * The run in a folder, with what it was started with.
 * @throws ProblemError `resume.nothing`, `resume.running`, `config.*`
 */
export async function resumeFolder(folder: string): Promise<{ run: LoadedRun; point: ResumePoint }> {
  const absolute = path.resolve(folder);
  const file = path.join(absolute, RESOLVED_CONFIG);
  const config = await readResolvedRun(file);
  await checkNotRunning(absolute);
  const step = await lastStep(absolute);
  const ended = await hasEnded(absolute);
  if (step === undefined || ended) {
    return fail({
      code: 'resume.nothing',
      message: ended ? l10n.t`the run has come to its end` : l10n.t`the run has no checkpoint to go on from`,
      where: { file: absolute },
      mend: l10n.t`Train anew from the run file.`,
    });
  }
  return {
    run: { config, file, folder: absolute },
    point: { folder: absolute, step, checkpoint: checkpointFolder(absolute, step) },
  };
}

async function lastStep(folder: string): Promise<number | undefined> {
  if ((await pathKind(path.join(folder, RESOLVED_CONFIG))) !== 'file') return undefined;
  return (await checkpointSteps(folder)).at(-1);
}

/** Keys that differ between two configs, as `training.learning_rate`. */
export function changedKeys(before: ResolvedRunConfig, now: ResolvedRunConfig): string[] {
  const flat = (config: ResolvedRunConfig): Map<string, unknown> =>
    new Map(
      Object.entries(config).flatMap(([key, value]): [string, unknown][] =>
        typeof value === 'object' && !Array.isArray(value)
          ? Object.entries(value).map(([inner, each]) => [`${key}.${inner}`, each])
          : [[key, value]],
      ),
    );
  const [old, fresh] = [flat(before), flat(now)];
  // JSON has no keys that are undefined, and the file may say in which words a path is meant.
  return [...new Set([...old.keys(), ...fresh.keys()])].filter(
    (key) => !isDeepStrictEqual(plain(old.get(key)), plain(fresh.get(key))),
  );
}

function plain(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}
