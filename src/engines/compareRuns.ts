import * as l10n from '@vscode/l10n';
import { createReadStream } from 'node:fs';
import path from 'node:path';
import { ADAPTER_CONFIG } from '../adapters/adapterFiles.js';
import { inspectAdapter } from '../adapters/inspect.js';
import { isGoneError, pathKind } from '../common/files.js';
import type { Json } from '../common/json.js';
import { isJsonObject } from '../common/json.js';
import { fail, problemOf } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { MAX_RUN_FILE_BYTES, readYaml } from '../config/readYaml.js';
import { plainValue } from '../config/tree.js';
import { readLines } from '../data/lines.js';
import { readBoundedText } from '../models/boundedJson.js';
import type { RunEvent, Started } from '../training/events.js';
import { eventOfLine } from '../training/soundEvent.js';
import { adapterNow } from './adapterNow.js';
import type { ComparedRun, DifferingSetting, LayerNorm, RunComparison } from './runComparison.js';
import { MOST_COMPARED, RESOLVED_CONFIG, RUN_EVENTS } from './runFiles.js';

/**
 * Reads runs from their folders to lay them side by side. What cannot be read of one run is in its `problems`.
 * @param folders of runs, 2 to {@link MOST_COMPARED}
 * @throws ProblemError `compare.count`; `compare.no-run` for a folder without `events.jsonl`
 */
export async function compareRuns(folders: readonly string[]): Promise<RunComparison> {
  const different = [...new Set(folders.map((folder) => path.resolve(folder)))];
  if (different.length < 2 || different.length > MOST_COMPARED) {
    fail({
      code: 'compare.count',
      message: l10n.t`${different.length} different runs were named`,
      expected: l10n.t`2 to ${MOST_COMPARED} folders of runs`,
      mend: l10n.t`Name the folders that hold events.jsonl, as in runs/sql/2025-01-31T12-00-00.`,
    });
  }
  const read = await Promise.all(different.map(readRun));
  const labels = distinctLabels(different);
  return {
    runs: read.map(({ run }, at) => ({ ...run, label: labels[at]! })),
    settings: differingSettings(read.map(({ settings }) => settings)),
  };
}

interface ReadRun {
  readonly run: Omit<ComparedRun, 'label'>;
  /** Leaves of the resolved config by their path. */
  readonly settings: ReadonlyMap<string, string>;
}

async function readRun(folder: string): Promise<ReadRun> {
  const problems: Problem[] = [];
  /** What is missing is no reason not to show the rest. */
  const attempt = async <T>(action: Promise<T>): Promise<T | undefined> =>
    action.catch((error: unknown) => {
      problems.push(problemOf(error));
      return undefined;
    });
  const told = await readEvents(folder);
  const settings = (await attempt(readSettings(path.join(folder, RESOLVED_CONFIG)))) ?? new Map<string, string>();
  const { finished } = told;
  const norms = finished && (await attempt(layerNorms(adapterNow(folder, told.started, finished.adapter))));
  const { steps, values, seconds } = told.loss;
  return {
    settings,
    run: {
      folder,
      method: told.method,
      end: finished?.reason ?? (told.failed ? 'failed' : 'unfinished'),
      trainable: told.trainable,
      steps: finished?.steps ?? steps.at(-1) ?? 0,
      seconds: seconds.reduce((sum, each) => sum + each, 0),
      peakMemory: finished?.peakMemory,
      metrics: finished?.metrics ?? {},
      loss: { steps, values },
      evaluationLoss: told.evaluationLoss,
      norms,
      problems,
    },
  };
}

interface ToldByEvents {
  started: Started | undefined;
  method: string | undefined;
  trainable: number | undefined;
  finished: Extract<RunEvent, { type: 'finished' }> | undefined;
  failed: boolean;
  readonly loss: { readonly steps: number[]; readonly values: number[]; readonly seconds: number[] };
  readonly evaluationLoss: { readonly steps: number[]; readonly values: number[] };
}

async function readEvents(folder: string): Promise<ToldByEvents> {
  const file = path.join(folder, RUN_EVENTS);
  const told: ToldByEvents = {
    started: undefined,
    method: undefined,
    trainable: undefined,
    finished: undefined,
    failed: false,
    loss: { steps: [], values: [], seconds: [] },
    evaluationLoss: { steps: [], values: [] },
  };
  try {
    const bytes: AsyncIterable<Uint8Array> = createReadStream(file);
    for await (const line of readLines(bytes, file)) {
      const event = 'text' in line ? eventOfLine(line.text) : undefined;
      if (event !== undefined) take(told, event);
    }
  } catch (error) {
    if (!isGoneError(error)) throw error;
    fail({
      code: 'compare.no-run',
      message: l10n.t`there is no run in the folder`,
      where: { file: folder },
      expected: l10n.t`${RUN_EVENTS}, which every run writes`,
      mend: l10n.t`Name the folder of one run, as in runs/sql/2025-01-31T12-00-00.`,
    });
  }
  return told;
}

function take(told: ToldByEvents, event: RunEvent): void {
  switch (event.type) {
    case 'started':
      told.started = event;
      told.method = event.method;
      // What it said before a kill about later steps no longer counts.
      told.finished = undefined;
      told.failed = false;
      forgetAfter(told.loss, event.resumedFrom ?? 0);
      forgetAfter(told.evaluationLoss, event.resumedFrom ?? 0);
      break;
    case 'coverage':
      told.trainable = event.trainable;
      break;
    case 'step':
      told.loss.steps.push(event.step);
      told.loss.values.push(event.loss);
      told.loss.seconds.push(event.seconds);
      break;
    case 'evaluation':
      if (event.split !== 'validation') break;
      // Told again after a resume.
      forgetAfter(told.evaluationLoss, event.step - 1);
      told.evaluationLoss.steps.push(event.step);
      told.evaluationLoss.values.push(event.loss);
      break;
    case 'finished':
      told.finished = event;
      break;
    case 'failed':
      told.failed = true;
      break;
    default:
      break;
  }
}

function forgetAfter(
  curve: Readonly<Record<string, number[]>> & { readonly steps: number[] },
  step: number,
): void {
  const kept = curve.steps.findLastIndex((each) => each <= step) + 1;
  for (const column of Object.values(curve)) column.length = kept;
}

/** The leaves of a resolved config, as text. @throws ProblemError where it cannot be read */
async function readSettings(file: string): Promise<ReadonlyMap<string, string>> {
  const text = await readBoundedText(file, { code: 'config', maxBytes: MAX_RUN_FILE_BYTES });
  const { root } = readYaml(text, file);
  const value = root === undefined ? undefined : plainValue(root);
  if (!isJsonObject(value)) {
    return fail({ code: 'config.resolved', message: l10n.t`the file holds no settings`, where: { file } });
  }
  // A single method's options are told as they are written in a run file.
  const methods = value['method'];
  const method = Array.isArray(methods) && methods.length === 1 ? methods[0] : methods;
  return new Map(leavesOf(method === undefined ? value : { ...value, method }, ''));
}

/** Lists of plain values are one setting; what is empty says itself. */
function leavesOf(value: Json, at: string): [string, string][] {
  if (Array.isArray(value) && value.some(isJsonObject)) {
    return value.flatMap((each, index) => leavesOf(each, `${at}[${index}]`));
  }
  if (isJsonObject(value) && Object.keys(value).length > 0) {
    return Object.entries(value).flatMap(([key, inner]) =>
      inner === undefined ? [] : leavesOf(inner, at === '' ? key : `${at}.${key}`),
    );
  }
  return [[at, typeof value === 'string' ? value : JSON.stringify(value)]];
}

function differingSettings(runs: readonly ReadonlyMap<string, string>[]): DifferingSetting[] {
  const keys = new Set(runs.flatMap((settings) => [...settings.keys()]));
  return [...keys]
    .map((key) => ({ key, values: runs.map((settings) => settings.get(key)) }))
    .filter(({ values }) => new Set(values).size > 1);
}

/** `layers.3.`, `h.3.`: the number of the layer in a module's path. */
const LAYER = /(?:^|\.)(?:layers?|h|blocks?)\.(\d+)(?:\.|$)/;

/** Undefined for an adapter without norms, and for a whole model. */
async function layerNorms(folder: string): Promise<readonly LayerNorm[] | undefined> {
  if ((await pathKind(path.join(folder, ADAPTER_CONFIG))) === 'nothing') return undefined;
  const { modules } = await inspectAdapter(folder);
  const squares = new Map<number | undefined, number>();
  for (const { path: modulePath, norm } of modules) {
    if (norm === undefined) continue;
    const digits = LAYER.exec(modulePath)?.[1];
    const layer = digits === undefined ? undefined : Number(digits);
    squares.set(layer, (squares.get(layer) ?? 0) + norm ** 2);
  }
  if (squares.size === 0) return undefined;
  return [...squares]
    .map(([layer, sum]) => ({ layer, norm: Math.sqrt(sum) }))
    .sort((one, other) => (one.layer ?? Infinity) - (other.layer ?? Infinity));
}

/** The run's name; with the name of its folder, which is its time, where several runs share it. */
function distinctLabels(folders: readonly string[]): readonly string[] {
  const names = folders.map((folder) => path.basename(path.dirname(folder)));
  return folders.map((folder, at) =>
    names.filter((name) => name === names[at]).length === 1
      ? names[at]!
      : `${names[at]!} ${path.basename(folder)}`,
  );
}
