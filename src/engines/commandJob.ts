import * as l10n from '@vscode/l10n';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Json } from '../common/json.js';
import { isJsonObject } from '../common/json.js';
import type { Problem } from '../common/problem.js';
import { loaderOf } from './loaderOf.js';
import { LAST_WORDS } from './workerRun.js';

/** The variable that makes the command line tell its progress as lines of JSON. */
const PROGRESS_VARIABLE = 'PEFT_STUDIO_PROGRESS';

/** An inspection of a model with thousands of modules has a few MB; more is no document of ours. */
const MAX_DOCUMENT_BYTES = 256 * 1024 * 1024;

/** How long a command that was asked to end may take before it is ended by force. */
const LINGER_MS = 5000;

/** One command of `peft-studio`, run in a process of its own. */
export interface CommandJob {
  /** The command line's program, absolute. */
  readonly cli: string;
  /** The command's name and its arguments, without `--json`. */
  readonly args: readonly string[];
  /** Where relative paths start. */
  readonly cwd?: string;
  /** What the command reads from its standard input; absent: nothing. */
  readonly input?: string;
  /** Aborted: the command is interrupted, and ended by force when it does not end. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: CommandProgress) => void;
  /** Called for each line that the command prints beside its result. */
  readonly print?: (line: string) => void;
  /** Of a command that tells events: called for each line of JSON, the last of which is its document, too. */
  readonly onEvent?: (event: Json) => void;
}

/** How far a command is. */
export interface CommandProgress {
  readonly activity: string;
  readonly done: number;
  /** 0 = unknown. */
  readonly total: number;
}

/** How a command ended. */
export type CommandOutcome =
  /** With the document that `--json` prints; of a command that tells events the last of them. */
  | { readonly kind: 'done'; readonly document: Json }
  | { readonly kind: 'failed'; readonly problem: Problem; readonly others: readonly Problem[] }
  /** On request. */
  | { readonly kind: 'cancelled' };

/**
 * Runs a command with `--json` in a process of its own, so that heavy work blocks nobody and a fault in a native
 * library ends that process alone. Works where `process.execPath` is Electron too. Never rejects.
 */
export async function runCommandJob(job: CommandJob): Promise<CommandOutcome> {
  const { cli, args, signal, onProgress, print } = job;
  const isCancelled = (): boolean => signal?.aborted === true;
  if (isCancelled()) return { kind: 'cancelled' };
  const child = spawn(process.execPath, [...loaderOf(cli), cli, ...args, '--json'], {
    cwd: job.cwd,
    env: { ...process.env, ELECTRON_RUN_AS_NODE: '1', [PROGRESS_VARIABLE]: 'json' },
    stdio: ['pipe', 'pipe', 'pipe'],
    windowsHide: true,
  });
  const chunks: Buffer[] = [];
  const lastWords: string[] = [];
  let bytes = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_DOCUMENT_BYTES) child.kill('SIGKILL');
    else if (job.onEvent === undefined) chunks.push(chunk);
  });
  let lastEvent = '';
  if (job.onEvent !== undefined) {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const event = parse(line);
      lastEvent = line;
      if (event !== undefined) job.onEvent?.(event);
    });
  }
  createInterface({ input: child.stderr }).on('line', (line) => {
    const progress = parseProgress(line);
    if (progress) {
      onProgress?.(progress);
      return;
    }
    if (line.trim() !== '') lastWords.push(line);
    if (lastWords.length > LAST_WORDS) lastWords.shift();
    print?.(line);
  });
  // A command that ended before it read everything says itself why.
  child.stdin.on('error', () => undefined);
  child.stdin.end(job.input ?? '');

  let linger: NodeJS.Timeout | undefined;
  const cancel = (): void => {
    child.kill('SIGINT');
    linger = setTimeout(() => child.kill('SIGKILL'), LINGER_MS);
  };
  signal?.addEventListener('abort', cancel, { once: true });
  const end = await new Promise<ProcessEnd>((resolve) => {
    child.on(
      'error',
      (error) =>
        child.pid === undefined && resolve({ how: l10n.t`could not start: ${error.message}`, failed: true }),
    );
    child.on('close', (code, by) =>
      resolve({
        how: by === null ? l10n.t`exited with code ${String(code)}` : l10n.t`was ended by ${by}`,
        failed: code !== 0,
      }),
    );
  });
  clearTimeout(linger);
  signal?.removeEventListener('abort', cancel);
  if (isCancelled()) return { kind: 'cancelled' };
  if (bytes > MAX_DOCUMENT_BYTES) return noDocument(args[0], l10n.t`printed more than a document`, lastWords);
  if (job.onEvent === undefined) return outcomeOf(Buffer.concat(chunks).toString('utf8'), args[0], end, lastWords);
  const outcome = outcomeOf(lastEvent, args[0], end, lastWords);
  // An event that is no end is no result.
  return outcome.kind === 'done' && end.failed ? noDocument(args[0], end.how, lastWords) : outcome;
}

interface ProcessEnd {
  /** `exited with code 1` */
  readonly how: string;
  readonly failed: boolean;
}

/** A line of progress; undefined: an ordinary line. */
export function parseProgress(line: string): CommandProgress | undefined {
  if (!line.startsWith('{"activity":')) return undefined;
  const value = parse(line);
  if (!isJsonObject(value)) return undefined;
  const { activity, done, total } = value;
  return typeof activity === 'string' && typeof done === 'number' && typeof total === 'number'
    ? { activity, done, total }
    : undefined;
}

function outcomeOf(
  text: string,
  command: string | undefined,
  end: ProcessEnd,
  lastWords: readonly string[],
): CommandOutcome {
  const document = parse(text);
  if (document === undefined) return noDocument(command, end.how, lastWords);
  // A command that tells events says by the last of them that it failed.
  const error = isJsonObject(document)
    ? document['type'] === 'failed'
      ? document['problem']
      : document['error']
    : undefined;
  if (!isProblem(error)) return { kind: 'done', document };
  const others = isJsonObject(document) && Array.isArray(document['others']) ? document['others'] : [];
  return { kind: 'failed', problem: error, others: others.filter(isProblem) };
}

function noDocument(command: string | undefined, how: string, lastWords: readonly string[]): CommandOutcome {
  const said = lastWords.length > 0 ? l10n.t`; its last words: ${lastWords.join(' | ')}` : '';
  return {
    kind: 'failed',
    problem: {
      code: 'job.process-ended',
      message: l10n.t`the process of '${String(command)}' ${how} without a result${said}`,
      mend: l10n.t`Look at the log. A process that is killed without a word often met the end of memory: close other programs.`,
    },
    others: [],
  };
}

/** The command line is our own program: a code and a message are enough to know its shape. */
function isProblem(value: unknown): value is Problem {
  return isJsonObject(value) && typeof value['code'] === 'string' && typeof value['message'] === 'string';
}

function parse(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}
