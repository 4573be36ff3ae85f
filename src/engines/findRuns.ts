import * as l10n from '@vscode/l10n';
import { open, readdir, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { isGoneError } from '../common/files.js';
import { isJsonObject } from '../common/json.js';
import { problemOf } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { runName } from '../config/runName.js';
import { plainValue } from '../config/tree.js';
import { readBoundedText } from '../models/boundedJson.js';
import { checkpointSteps } from '../training/checkpoint.js';
import type { Evaluation, RunEvent, Started } from '../training/events.js';
import { eventOfLine } from '../training/soundEvent.js';
import { adapterNow } from './adapterNow.js';
import { RUN_EVENTS, RESOLVED_CONFIG } from './runFiles.js';
import { isEarlyStop } from './runState.js';

/** Holds `started` and the coverage of a model with thousands of modules. */
const HEAD_BYTES = 512 * 1024;
/** A step has some 300 bytes. */
const TAIL_BYTES = 64 * 1024;
/** An event on ranks or masks has a line per module; where one fills the tail, this much is looked at. */
const LONG_TAIL_BYTES = 2 * 1024 * 1024;
/** A run has some dozens of files; a folder with more is not measured to its end. */
const MAX_MEASURED = 5000;
/** Checkpoints and adapters lie one folder down, their files two. */
const MEASURED_DEPTH = 3;

/** A run's folder as a list shows it: read from the ends of `events.jsonl` and the resolved config. */
export interface FoundRun {
  readonly kind: 'run';
  /** Absolute. */
  readonly folder: string;
  /** `sql` */
  readonly name: string;
  /** The run file, absolute; undefined where neither config nor events say it. */
  readonly file: string | undefined;
  /** The base model, as the run names it. */
  readonly base: string | undefined;
  /** `lora`, `child_tuning + lora` */
  readonly method: string | undefined;
  readonly rank: number | undefined;
  readonly trainable: number | undefined;
  /** Of all files, checkpoints among them. */
  readonly bytes: number;
  /** When it last said something, in milliseconds since the epoch. */
  readonly modified: number;
  readonly state: RunOnDisk;
  /** The last step's. */
  readonly loss: number | undefined;
  /** The last evaluation that is near the end of the events. */
  readonly evaluation: Evaluation | undefined;
  readonly metrics: Readonly<Record<string, number>>;
  /** The step of the last checkpoint. */
  readonly checkpoint: number | undefined;
  /** Why the resolved config could not be read, where the events could. */
  readonly configProblem: Problem | undefined;
}

/** Where a run stands, seen from its folder alone. */
export type RunOnDisk =
  | { readonly kind: 'running'; readonly step: number; readonly totalSteps: number; readonly paused?: true }
  | { readonly kind: 'finished'; readonly adapter: string; readonly steps: number; readonly seconds: number }
  /** On request; with the adapter so far, unless it was before the first step. */
  | { readonly kind: 'stopped'; readonly adapter: string | undefined; readonly step: number }
  | { readonly kind: 'failed'; readonly problem: Problem; readonly others: readonly Problem[] }
  /** It ended without a word: killed, or the machine went down. */
  | { readonly kind: 'interrupted'; readonly step: number; readonly totalSteps: number }
  | { readonly kind: 'unreadable'; readonly problem: Problem };

/** Whether a process works on the run of a folder. */
export type Liveness = (folder: string, lastEvent: number) => Promise<boolean>;

/** Whether the run can go on from a checkpoint: it has one, and did not come to its end. */
export function isResumable({ state, checkpoint }: FoundRun): boolean {
  return checkpoint !== undefined && ['stopped', 'failed', 'interrupted'].includes(state.kind);
}

/**
 * What the folder of a run holds. Nothing is thrown: what cannot be read says why in `state`. Undefined: there is no
 * run (any more).
 */
export async function findRun(folder: string, isAlive: Liveness): Promise<FoundRun | undefined> {
  const nothing = {
    kind: 'run' as const,
    folder,
    name: path.basename(path.dirname(folder)),
    file: undefined,
    base: undefined,
    method: undefined,
    rank: undefined,
    trainable: undefined,
    bytes: 0,
    modified: 0,
    loss: undefined,
    evaluation: undefined,
    metrics: {},
    checkpoint: undefined,
    configProblem: undefined,
  };
  try {
    const ends = await readEnds(path.join(folder, RUN_EVENTS));
    const config = await readConfig(path.join(folder, RESOLVED_CONFIG));
    const { head = [], tail = [], modified = 0 } = ends ?? {};
    const started = ofType(head, 'started')[0];
    // Others write files of this name, too.
    if (started === undefined && config === undefined) return undefined;
    const coverage = ofType(head, 'coverage')[0];
    const steps = ofType(tail, 'step');
    const finished = ofType(tail, 'finished').at(-1);
    const found = {
      ...nothing,
      name: config?.name ?? (started === undefined ? nothing.name : runName(started.config)),
      file: started?.config,
      base: config?.base ?? started?.model,
      method: config?.method ?? started?.method,
      rank: config?.rank,
      trainable: coverage?.trainable,
      bytes: await sizeOf(folder),
      modified,
      loss: steps.at(-1)?.loss,
      evaluation: ofType(tail, 'evaluation').at(-1),
      metrics: finished?.metrics ?? {},
      checkpoint: (await checkpointSteps(folder)).at(-1),
      configProblem: config?.problem,
    };
    return { ...found, state: await stateOf(folder, { tail, started, modified, isAlive }) };
  } catch (error) {
    if (isGoneError(error)) return undefined;
    return { ...nothing, state: { kind: 'unreadable', problem: problemOf(error) } };
  }
}

async function stateOf(
  folder: string,
  about: {
    readonly tail: readonly RunEvent[];
    readonly started: Started | undefined;
    readonly modified: number;
    readonly isAlive: Liveness;
  },
): Promise<RunOnDisk> {
  const { tail, started } = about;
  const last = tail.findLast(({ type }) => type !== 'log');
  if (last?.type === 'finished') {
    const { steps, seconds } = last;
    const adapter = adapterNow(folder, ofType(tail, 'started').at(-1) ?? started, last.adapter);
    return last.reason === 'stopped'
      ? { kind: 'stopped', adapter, step: steps }
      : { kind: 'finished', adapter, steps, seconds };
  }
  if (last?.type === 'failed') {
    if (isEarlyStop(last.problem)) return { kind: 'stopped', adapter: undefined, step: 0 };
    return { kind: 'failed', problem: last.problem, others: last.others ?? [] };
  }
  const step = ofType(tail, 'step').at(-1)?.step ?? started?.resumedFrom ?? 0;
  const totalSteps = (ofType(tail, 'started').at(-1) ?? started)?.totalSteps ?? 0;
  const alive = await about.isAlive(folder, about.modified);
  if (!alive) return { kind: 'interrupted', step, totalSteps };
  return { kind: 'running', step, totalSteps, ...(isPaused(tail) ? { paused: true } : {}) };
}

/** What a paused run says last is that it waits; a checkpoint and what is logged in the pause may follow. */
function isPaused(tail: readonly RunEvent[]): boolean {
  const last = tail.findLast(({ type }) => type !== 'log' && type !== 'checkpoint');
  return last?.type === 'paused';
}

interface Ends {
  readonly head: readonly RunEvent[];
  readonly tail: readonly RunEvent[];
  readonly modified: number;
}

/** Events of the beginning and the end of a file; undefined where there is none. */
async function readEnds(file: string): Promise<Ends | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    if (isGoneError(error)) return undefined;
    throw error;
  }
  try {
    const { size, mtimeMs: modified } = await handle.stat();
    const head = eventsIn(await read(handle, 0, Math.min(size, HEAD_BYTES)), 0);
    if (size <= HEAD_BYTES) return { head, tail: head, modified };
    for (const bytes of [TAIL_BYTES, LONG_TAIL_BYTES]) {
      const length = Math.min(size, bytes);
      const tail = eventsIn(await read(handle, size - length, length), size - length);
      if (tail.some(({ type }) => type === 'step' || type === 'finished' || type === 'failed'))
        return { head, tail, modified };
    }
    return { head, tail: [], modified };
  } finally {
    await handle.close();
  }
}

async function read(handle: FileHandle, position: number, length: number): Promise<string> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, position);
  return buffer.toString('utf8', 0, bytesRead);
}

/** The events of whole lines; what begins or ends within a line is left out, as is half a line after a kill. */
function eventsIn(text: string, from: number): RunEvent[] {
  const lines = text.split('\n');
  return (from > 0 ? lines.slice(1) : lines).flatMap((line) => eventOfLine(line) ?? []);
}

type OfType<Type extends RunEvent['type']> = Extract<RunEvent, { type: Type }>;

function ofType<Type extends RunEvent['type']>(events: readonly RunEvent[], type: Type): OfType<Type>[] {
  return events.filter((event): event is OfType<Type> => event.type === type);
}

interface ConfigFacts {
  readonly name?: string;
  readonly base?: string;
  readonly method?: string;
  readonly rank?: number;
  readonly problem?: Problem;
}

/** What the resolved config says, read loosely: another version may have written it. Undefined: there is none. */
async function readConfig(file: string): Promise<ConfigFacts | undefined> {
  // Loaded here: an editor that shows no runs needs no reader of YAML.
  const { MAX_RUN_FILE_BYTES, readYaml } = await import('../config/readYaml.js');
  let text: string;
  try {
    text = await readBoundedText(file, { code: 'config', maxBytes: MAX_RUN_FILE_BYTES });
  } catch (error) {
    return isGoneError(error) ? undefined : { problem: problemOf(error) };
  }
  const { root, problems } = readYaml(text, file);
  const value = root === undefined ? undefined : plainValue(root);
  if (!isJsonObject(value)) {
    const [problem = { code: 'config.resolved', message: l10n.t`the file holds no settings`, where: { file } }] =
      problems;
    return { problem };
  }
  const output = value['output'];
  const methods = (Array.isArray(value['method']) ? value['method'] : [value['method']]).filter(isJsonObject);
  const types = methods.flatMap(({ type }) => (typeof type === 'string' ? [type] : []));
  const rank = methods.map(({ r }) => r).find((r) => typeof r === 'number');
  return {
    ...(isJsonObject(output) && typeof output['name'] === 'string' ? { name: output['name'] } : {}),
    ...(typeof value['model'] === 'string' ? { base: value['model'] } : {}),
    ...(types.length > 0 ? { method: types.join(' + ') } : {}),
    ...(rank === undefined ? {} : { rank }),
  };
}

/** Bytes of the files in a folder, as far as they are looked at. */
async function sizeOf(folder: string): Promise<number> {
  let left = MAX_MEASURED;
  const measure = async (at: string, depth: number): Promise<number> => {
    let sum = 0;
    for (const entry of await readdir(at, { withFileTypes: true })) {
      if (left-- <= 0) break;
      const inside = path.join(at, entry.name);
      try {
        if (entry.isFile()) sum += (await stat(inside)).size;
        else if (entry.isDirectory() && depth > 1) sum += await measure(inside, depth - 1);
      } catch (error) {
        // Checkpoints come and go while a run is measured.
        if (!isGoneError(error)) throw error;
      }
    }
    return sum;
  };
  return measure(folder, MEASURED_DEPTH);
}
