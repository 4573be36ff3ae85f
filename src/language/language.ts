import path from 'node:path';
import type { CompletionItem, DocumentSymbol, FoldingRange, TextEdit } from 'vscode-languageserver-types';
import { useLanguage } from '../common/language.js';
import { boundedProblem } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import { machineMemory } from '../common/machineMemory.js';
import type { MachineMemory } from '../common/machineMemory.js';
import { parseRunFile } from '../config/parseRunFile.js';
import { checkPaths } from '../config/paths.js';
import type { ConfigChange } from '../config/setIn.js';
import { changedText } from './changeText.js';
import { completionsAt } from './completions.js';
import { cursorAt } from './cursor.js';
import { fixesOf } from './fixes.js';
import type { Fix } from './fixes.js';
import { hintsOf } from './hints.js';
import type { MemoryAnswer } from './memoryAnswer.js';
import { askedHere, askedInThread } from './memoryAsker.js';
import { memoryHover, quantityAt } from './memoryHover.js';
import { checkAgainstModelAndData } from './modelChecks.js';
import { hoverAt } from './modelHover.js';
import type { ModelPlaces } from './modelFinder.js';
import { newRunFiles } from './newRun.js';
import type { NewRunFiles } from './newRun.js';
import type { RunDocument } from './runDocument.js';
import { formatted } from './formatting.js';
import { schemaHover } from './schemaHover.js';
import { createSchemaService } from './schemaService.js';
import { trainableOf } from './trainable.js';
import type { TrainableCount } from './trainable.js';

useLanguage();

/** A text of a run file, as it is in the editor, saved or not. */
export interface OpenText {
  /** Absolute. */
  readonly file: string;
  readonly text: string;
}

/** All that the editor asks about run files. Offsets count characters from 0. What is asked with a signal may end with an AbortError. */
export interface Language {
  complete(
    open: OpenText,
    offset: number,
    places: ModelPlaces,
    signal: AbortSignal,
  ): Promise<readonly CompletionItem[]>;
  /** Markdown. */
  hover(open: OpenText, offset: number, signal: AbortSignal): Promise<string | undefined>;
  /** What is wrong in the text alone: fast, for every key that is pressed. */
  checkText(open: OpenText): readonly Problem[];
  /** What is wrong with it in view of the disk: files, model, data. */
  checkPlaces(open: OpenText, signal: AbortSignal): Promise<readonly Problem[]>;
  /** What the run needs of the memory that is free; undefined where that cannot be told: other checks tell why. */
  memory(open: OpenText, signal: AbortSignal): Promise<MemoryAnswer | undefined>;
  /** The text with changes in it; undefined where they cannot be written with certainty. */
  changed(open: OpenText, changes: readonly ConfigChange[]): string | undefined;
  /** Markdown: how much memory the key or value decides, and its largest value. Takes seconds. */
  memoryHover(open: OpenText, offset: number, signal: AbortSignal): Promise<string | undefined>;
  /** What is possible, but far from what the field advises. */
  hints(open: OpenText): readonly Problem[];
  fixes(open: OpenText, problem: Problem): readonly Fix[];
  trainable(open: OpenText, signal: AbortSignal): Promise<TrainableCount | Problem | undefined>;
  /** Line (from 0) of the key `method`; undefined where there is none. */
  methodLine(open: OpenText): number | undefined;
  symbols(open: OpenText): readonly DocumentSymbol[];
  folds(open: OpenText): readonly FoldingRange[];
  format(open: OpenText): Promise<readonly TextEdit[]>;
  /** What new run files are made of. */
  readonly newRunFiles: NewRunFiles;
}

export interface LanguageOptions {
  /** The program of the thread that plans memory (`memoryThread.ts`), absolute; without it, the caller's thread does. */
  readonly memoryThread?: string;
  /** Bytes that a run may take at most; undefined: what is free. */
  readonly memoryLimit?: () => number | undefined;
}

/** Free memory changes all the time: in steps of so much of all there is, so that an answer holds for a while. */
const MEMORY_STEPS = 64;

/** Makes the part of the editor that knows run files; nothing of it needs the editor. */
export function createLanguage({ memoryThread, memoryLimit }: LanguageOptions = {}): Language {
  const memory = memoryThread === undefined ? askedHere : askedInThread(memoryThread);
  const machineNow = async (): Promise<MachineMemory> => {
    const found = await machineMemory(memoryLimit?.());
    const step = found.bound === 'limit' ? 1 : found.total / MEMORY_STEPS;
    return { ...found, free: Math.floor(found.free / step) * step };
  };
  const service = createSchemaService();
  let last: RunDocument | undefined;
  // One version of a text is asked about many times in a row.
  const read = ({ file, text }: OpenText): RunDocument => {
    if (last?.file === file && last.text === text) return last;
    last = { file, folder: path.dirname(file), text, parsed: parseRunFile(text, file) };
    return last;
  };
  return {
    complete: (open, offset, places, signal) => completionsAt(read(open), offset, places, service, signal),
    async hover(open, offset, signal) {
      const cursor = cursorAt(open.text, open.file, offset);
      if (cursor === undefined) return undefined;
      const parts = [schemaHover(cursor), await hoverAt(read(open), cursor, signal)];
      const texts = parts.filter((part) => part !== undefined && part.trim() !== '');
      return texts.length === 0 ? undefined : texts.join('\n\n---\n\n');
    },
    checkText: (open) => read(open).parsed.problems,
    async checkPlaces(open, signal) {
      const document = read(open);
      const { tree } = document.parsed;
      const [paths, others] = await Promise.all([
        tree === undefined ? [] : checkPaths(tree, document.folder),
        checkAgainstModelAndData(document, signal),
      ]);
      return [...paths, ...others].map(boundedProblem);
    },
    memory: async ({ file, text }, signal) => memory.answer({ file, text, machine: await machineNow() }, signal),
    changed: ({ file, text }, changes) => changedText(text, file, changes),
    async memoryHover({ file, text }, offset, signal) {
      const cursor = cursorAt(text, file, offset);
      const quantity = cursor && quantityAt(cursor);
      if (cursor === undefined || quantity === undefined) return undefined;
      const machine = await machineNow();
      const answer = await memory.largest({ file, text, machine }, cursor.path, quantity, signal);
      return answer && memoryHover(quantity, answer, machine);
    },
    hints: (open) => hintsOf(read(open)),
    fixes: (open, problem) => fixesOf(read(open), problem),
    trainable: (open, signal) => trainableOf(read(open), signal),
    methodLine(open) {
      const entry = read(open).parsed.tree?.entries.find(({ key }) => key === 'method');
      return entry?.keyAt.line === undefined ? undefined : entry.keyAt.line - 1;
    },
    symbols: ({ text }) => service.symbols(text).map(namedByMethod),
    folds: ({ text }) => service.folds(text),
    format: (open) => formatted(read(open), service),
    newRunFiles,
  };
}

/** Listed methods are named by their type in the outline, not by their number. */
function namedByMethod(symbol: DocumentSymbol): DocumentSymbol {
  if (symbol.name !== 'method' || symbol.children === undefined) return symbol;
  const children = symbol.children.map((child) => {
    const type = /^\d+$/.test(child.name) && child.children?.find(({ name }) => name === 'type')?.detail;
    return type ? { ...child, name: type } : child;
  });
  return { ...symbol, children };
}
