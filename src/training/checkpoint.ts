import * as l10n from '@vscode/l10n';
import { readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { pathKind, writeFileWhole } from '../common/files.js';
import type { Json, JsonObject } from '../common/json.js';
import { isJsonObject } from '../common/json.js';
import { fail, messageOf, withMend } from '../common/problem.js';
import { writeFolderWhole } from '../common/wholeFolder.js';
import { readJsonObject } from '../models/boundedJson.js';
import { readSafetensor, readSafetensorsHeader } from '../models/safetensors.js';
import { writeSafetensors } from '../models/writeSafetensors.js';
import type { Prepared } from '../methods/method.js';
import { preparedBytes, readPrepared, writePrepared } from './preparedFiles.js';
import type { Snapshot } from './snapshot.js';

/**
 * A run between two steps: enough to go on as if it had never stopped. Batches, dropout and draws are functions of
 * seed and step, so that the step's number stands for every generator's state and for the place in the data.
 */
export interface Checkpoint {
  readonly snapshot: Snapshot;
  readonly progress: Progress;
  /** What methods that were attached anew in the course of the run were attached with last, by their places. */
  readonly prepared: readonly (Prepared | undefined)[];
}

/** What a checkpoint says beside numbers. */
export interface Progress {
  /** Optimizer steps taken. */
  readonly step: number;
  readonly totalSteps: number;
  /** Of the job that wrote it: a job that differs cannot go on from here. */
  readonly fingerprint: string;
  /** What the loop remembers of the steps before. */
  readonly memory: JsonObject;
  /** The step after which methods were attached anew last. */
  readonly turnedAfter?: number;
}

const TENSORS = 'training_state.safetensors';
const PROGRESS = 'trainer_state.json';
/** Changes when older checkpoints can no longer be read. */
const VERSION = 1;
const NAME = /^checkpoint-(\d+)$/;
/** Metrics of a few evaluations have some hundred bytes. */
const MAX_PROGRESS_BYTES = 1024 * 1024;

/** `checkpoint-120` within a run's folder. */
export function checkpointFolder(runFolder: string, step: number): string {
  return path.join(runFolder, `checkpoint-${step}`);
}

/** The file of a checkpoint that holds its numbers; those of trainables are named `values/NAME`. */
export function checkpointTensors(folder: string): string {
  return path.join(folder, TENSORS);
}

/**
 * Writes a checkpoint's folder, whole or not at all. One of the same step, which a run left that is gone through
 * again, holds the same and stays.
 *
 * @throws ProblemError `training.checkpoint-write` with the reason: a full disk, missing rights
 */
export async function writeCheckpoint(
  runFolder: string,
  { snapshot, progress, prepared }: Checkpoint,
): Promise<string> {
  const folder = checkpointFolder(runFolder, progress.step);
  if ((await pathKind(folder)) === 'folder') return folder;
  const tensors = PARTS.flatMap((part) =>
    [...snapshot[part]].map(([name, data]) => ({
      name: `${part}/${name}`,
      dtype: 'F32' as const,
      shape: [data.length],
      data,
    })),
  );
  const bytes = tensors.reduce((sum, { data }) => sum + data.byteLength, preparedBytes(prepared));
  try {
    await writeFolderWhole(folder, bytes, async (content) => {
      await writeSafetensors(path.join(content, TENSORS), tensors);
      await writePrepared(content, prepared);
      const json = { version: VERSION, ...progress } satisfies JsonObject;
      await writeFileWhole(path.join(content, PROGRESS), `${JSON.stringify(json, undefined, 2)}\n`);
    });
  } catch (error) {
    fail(
      {
        code: 'training.checkpoint-write',
        message: l10n.t`the checkpoint of step ${progress.step} could not be written: ${messageOf(error)}`,
        where: { file: folder },
        mend: l10n.t`Free space on that disk, then resume the run: it goes on from its last checkpoint.`,
      },
      error,
    );
  }
  return folder;
}

/**
 * Reads a checkpoint's folder.
 * @throws ProblemError `resume.state.*`, `resume.version`, `safetensors.*`
 */
export async function readCheckpoint(folder: string): Promise<Checkpoint> {
  const file = path.join(folder, PROGRESS);
  const json = await readJsonObject(file, { code: 'resume.state', maxBytes: MAX_PROGRESS_BYTES });
  const { version, step, totalSteps, fingerprint, memory, turnedAfter } = json;
  const mend = l10n.t`The file was changed or damaged: remove this checkpoint; the run can be resumed from an older one.`;
  if (version !== VERSION) {
    fail({
      code: 'resume.version',
      message: l10n.t`the checkpoint is of version ${JSON.stringify(version)}`,
      where: { file },
      expected: l10n.t`version ${VERSION}`,
      mend: l10n.t`Another version of PEFT Studio wrote it: resume with that one, or start a new run.`,
    });
  }
  if (
    !isCount(step) ||
    !isCount(totalSteps) ||
    typeof fingerprint !== 'string' ||
    !isJsonObject(memory) ||
    !(turnedAfter === undefined || isCount(turnedAfter))
  ) {
    return fail({
      code: 'resume.state',
      message: l10n.t`the checkpoint does not say where the run stood`,
      where: { file },
      expected: l10n.t`step and totalSteps as whole numbers, fingerprint as text, memory as an object`,
      mend,
    });
  }
  const header = await withMend(mend, () => readSafetensorsHeader(checkpointTensors(folder)));
  const parts = { values: new Map(), slots: new Map(), state: new Map() } satisfies Snapshot;
  for (const key of header.tensors.keys()) {
    const part = PARTS.find((each) => key.startsWith(`${each}/`));
    if (part !== undefined) parts[part].set(key.slice(part.length + 1), await readSafetensor(header, key));
  }
  return {
    snapshot: parts,
    progress: { step, totalSteps, fingerprint, memory, ...(turnedAfter === undefined ? {} : { turnedAfter }) },
    prepared: await readPrepared(folder, mend),
  };
}

/** Steps of the checkpoints in a run's folder, from the oldest to the newest. */
export async function checkpointSteps(runFolder: string): Promise<number[]> {
  const names = await readdir(runFolder);
  return names
    .flatMap((name) => NAME.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/**
 * Removes checkpoints beyond the newest ones, and what a killed run left half written. A folder is renamed first, so
 * that one whose removal is broken off is no checkpoint any more.
 *
 * @param limit how many to keep
 * @param spared the step of one that is kept whatever its age
 */
export async function pruneCheckpoints(runFolder: string, limit: number, spared?: number): Promise<void> {
  const steps = await checkpointSteps(runFolder);
  const old = steps.slice(0, Math.max(0, steps.length - limit)).filter((step) => step !== spared);
  for (const step of old) await removeWhole(checkpointFolder(runFolder, step));
  for (const name of await readdir(runFolder)) {
    if (LEFTOVER.test(name)) await rm(path.join(runFolder, name), { recursive: true, force: true });
  }
}

const PARTS = ['values', 'slots', 'state'] as const;

/** What {@link writeFolderWhole} and {@link removeWhole} leave when they are killed. */
const LEFTOVER = /^checkpoint-\d+\.(?:[0-9a-f-]+\.tmp|removed)$/;

async function removeWhole(folder: string): Promise<void> {
  const gone = `${folder}.removed`;
  await rm(gone, { recursive: true, force: true });
  await rename(folder, gone);
  await rm(gone, { recursive: true, force: true });
}

function isCount(value: Json | undefined): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
