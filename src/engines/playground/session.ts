import * as l10n from '@vscode/l10n';
import { fail, problemOf } from '../../common/problem.js';
import type { Problem } from '../../common/problem.js';
import { promptIds } from '../../data/endOfText.js';
import { createDecoder } from '../../generation/decoder.js';
import type { Decoder } from '../../generation/decoder.js';
import { generateSettings } from '../../generation/options.js';
import { proxyDecoder } from '../../generation/proxyTuning.js';
import { remembering } from '../../generation/remembering.js';
import type { Tokenizer } from '../../models/tokenizer.js';
import { onnxRuntime } from '../../runtime/onnxruntime.js';
import type { RuntimeOptions } from '../../runtime/runtime.js';
import { attachAdapters, openAdapters } from '../openAdapters.js';
import { openModel, vocabularyWarnings } from '../session.js';
import { answerPrompt } from './answer.js';
import { BASE_COLUMN, MAX_COLUMNS } from './protocol.js';
import type { OpenedBase, PlaygroundEvent, PlaygroundPrompt, PlaygroundRequest, Steering } from './protocol.js';
import { openSmall } from './small.js';
import { createTurns } from './turns.js';

/**
 * The most positions a session has room for: models that could go further would have each column hold tables of
 * sines for them, and a cache of keys and values that no machine without an accelerator fills in a sitting.
 */
const MAX_POSITIONS = 16_384;

/** What answers in a column; each remembers what it read, so that a turn of a conversation reads only what is new. */
interface Column {
  readonly decoder: Decoder;
  /** The base model as it reads this column's answers; undefined for its own column. */
  readonly base: Decoder | undefined;
  /** The column with another factor, where a small model steers it. */
  readonly steered?: (alpha: number) => Column;
}

/**
 * A base model that is open, with the adapters attached to it, and small models that steer it: a column each, all over
 * one mapping of the base's weights.
 */
export interface PlaygroundSession {
  readonly base: OpenedBase;
  /**
   * Compiles an adapter over the mapped weights, as a column of this name; or, with `steering`, an adapter of a small
   * model, of which the column's answers are the base model's steered by it (see {@link proxyDecoder}).
   * @returns what is worth a word about it
   * @throws ProblemError `playground.columns` (too many, or the name is taken), and those of reading and attaching;
   *   `proxy.vocabulary` and those of the small model
   */
  attach(column: string, folder: string, steering?: Steering): Promise<readonly Problem[]>;
  /** Steers a column by another factor from its next answer on; one that is not there, or not steered, is left alone. */
  steer(column: string, alpha: number): void;
  /** Drops a column other than the base model's, with its memory. */
  detach(column: string): Promise<void>;
  /**
   * Lets columns answer, in turns; tells tokens, scores, answers and refusals. Never rejects.
   * @param stopped asked after each token
   */
  generate(request: Extract<PlaygroundRequest, { type: 'generate' }>, stopped: () => boolean): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens a base model: a model of the hub that is not on this machine is downloaded, weights that are not float32 are
 * converted once; both tell their progress.
 *
 * @param options.folder where a relative path of the base starts
 * @throws ProblemError of the hub, the checkpoint, the tokenizer or the runtime
 */
export async function openPlayground(
  base: string,
  tell: (event: PlaygroundEvent) => void,
  options: { readonly folder?: string; readonly runtime?: RuntimeOptions } = {},
): Promise<PlaygroundSession> {
  const progress = (activity: string, done: number, total: number): void =>
    tell({ type: 'progress', activity, done, total });
  const warnings: Problem[] = [];
  progress(l10n.t`Opening the model`, 0, 0);
  // An adapter brings its own numbers: the seed of its start does not matter.
  const opened = await openModel(base, 0, {
    folder: options.folder,
    progress: ({ activity, done, total }) => progress(activity, done, total),
    warn: (problem) => warnings.push(problem),
  });
  const { model, tokenizer, checkpoint } = opened;
  warnings.push(...vocabularyWarnings(model, tokenizer));
  const weights = await checkpoint.mapped((done, total) =>
    progress(l10n.t`Converting the weights to float32`, done, total),
  );
  progress(l10n.t`Compiling the model`, 0, 0);
  const runtime = await onnxRuntime(options.runtime);
  const positionLimit = Math.min(model.maxPositions, MAX_POSITIONS);
  const open = new Map<string, Column>();
  const plain = { model, methods: [], values: new Map(), weights, runtime, positionLimit };
  const baseDecoder = await createDecoder(plain);
  open.set(BASE_COLUMN, { decoder: remembering(baseDecoder), base: undefined });
  const turns = createTurns();

  return {
    base: {
      place: checkpoint.source,
      chat: tokenizer.chatTemplate !== undefined,
      positionLimit,
      warnings,
    },
    async attach(column, folder, steering) {
      checkRoom(open, column);
      if (steering !== undefined) {
        const found = await openSmall(folder, steering.model, { tokenizer, runtime, positionLimit, progress });
        // The base stays open when this column is removed.
        const lent = { ...remembering(baseDecoder), dispose: () => Promise.resolve() };
        const parts = {
          base: lent,
          expert: remembering(found.expert),
          antiExpert: remembering(found.antiExpert),
        };
        const along = remembering(baseDecoder);
        const steered = (alpha: number): Column => ({
          decoder: proxyDecoder({ ...parts, alpha }),
          base: along,
          steered,
        });
        open.set(column, steered(steering.alpha));
        return found.warnings;
      }
      const onDisk = await openAdapters(folder);
      const { methods, values, warnings: said } = await attachAdapters(onDisk, opened.context);
      const decoder = await createDecoder({ ...plain, methods, values });
      open.set(column, { decoder: remembering(decoder), base: remembering(baseDecoder) });
      return [...onDisk.warnings, ...said];
    },
    steer(column, alpha) {
      const changed = open.get(column)?.steered?.(alpha);
      if (changed !== undefined) open.set(column, changed);
    },
    async detach(column) {
      const found = open.get(column);
      if (found === undefined || column === BASE_COLUMN) return;
      open.delete(column);
      await found.decoder.dispose();
    },
    async generate({ request, columns, options: given }, stopped) {
      await Promise.all(
        columns.map(async ({ column, prompt }) => {
          try {
            const { decoder, base: along } = open.get(column) ?? unknownColumn(column);
            generateSettings(given);
            const answer = await answerPrompt({
              decoder,
              base: along,
              tokenizer,
              prompt: encodePrompt(prompt, tokenizer),
              options: given,
              turns,
              stopped,
              onToken: (token) => tell({ type: 'token', request, column, token }),
              onScored: (from, scores) => tell({ type: 'scored', request, column, from, base: scores }),
            });
            tell({ type: 'answered', request, column, answer });
          } catch (error) {
            tell({ type: 'refused', request, column, problem: problemOf(error) });
          }
        }),
      );
      tell({ type: 'done', request });
    },
    async close() {
      const all = [...open.values()];
      open.clear();
      await Promise.all(all.map(({ decoder }) => decoder.dispose()));
    },
  };
}

function checkRoom(open: ReadonlyMap<string, Column>, column: string): void {
  if (open.has(column)) {
    fail({
      code: 'playground.columns',
      message: l10n.t`there is a column "${column}" already`,
      expected: l10n.t`a new name`,
    });
  }
  if (open.size < MAX_COLUMNS) return;
  fail({
    code: 'playground.columns',
    message: l10n.t`${open.size} columns are open, the base model's among them`,
    expected: l10n.t`at most ${MAX_COLUMNS}, so that they can be read side by side`,
    mend: l10n.t`Remove an adapter first.`,
  });
}

function unknownColumn(column: string): never {
  return fail({
    code: 'playground.column',
    message: l10n.t`there is no column "${column}"`,
    mend: l10n.t`Add its adapter again.`,
  });
}

/** A prompt as training would encode it: the chat template writes its special tokens itself. */
function encodePrompt(prompt: PlaygroundPrompt, tokenizer: Tokenizer): number[] {
  if (typeof prompt === 'string') return promptIds(prompt, tokenizer);
  const text = tokenizer.applyChatTemplate(prompt, { addGenerationPrompt: true });
  return tokenizer.encode(text, { addSpecialTokens: false });
}
