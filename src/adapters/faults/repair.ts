import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as l10n from '@vscode/l10n';
import { ProblemError, fail, isError } from '../../common/problem.js';
import type { Problem } from '../../common/problem.js';
import { writeFolderWhole } from '../../common/wholeFolder.js';
import type { AttachContext } from '../../methods/method.js';
import { elementCount } from '../../models/tensorSpans.js';
import { writeSafetensors } from '../../models/writeSafetensors.js';
import type { FloatType } from '../../models/floatBytes.js';
import { ADAPTER_CONFIG, ADAPTER_LABELS, INDEX_DTYPE, NESTED, weightsName } from '../adapterFiles.js';
import { attachAdapter } from '../attachAdapter.js';
import { filesBeside } from '../filesBeside.js';
import { inspectMended } from '../inspect.js';
import { readMended } from './readMended.js';
import type { Mended } from './readMended.js';
import { configText } from '../writeAdapter.js';

/** What is wrong with an adapter, and what of it a repair mends. */
export interface Findings extends Mended {
  /** What stays wrong after all repairs, or is worth a word; told by who reads and attaches the adapter. */
  readonly rest: readonly Problem[];
}

/**
 * Looks for all that keeps an adapter from being opened and attached, in its files and, where the base model is known,
 * on it. Reads all of its numbers; nothing is written.
 *
 * @throws ProblemError where the folder or its files cannot be read at all
 */
export async function findFaults(folder: string, context?: AttachContext, modelName?: string): Promise<Findings> {
  const mended = await readMended(folder, { model: context?.model, modelName });
  const { problems } = await inspectMended(mended);
  const told = new Set(mended.faults.map(({ problem }) => problem.code));
  const rest = problems.filter(({ code }) => !told.has(code));
  const isWhole = !mended.faults.some(({ problem, repair }) => isError(problem) && repair === undefined);
  if (context === undefined || !isWhole || rest.some(stays)) return { ...mended, rest };
  return { ...mended, rest: [...rest, ...(await attachProblems(mended, context))] };
}

/** Findings as `repair --json` prints them. */
export interface FaultReport {
  readonly folder: string;
  /** The base model that names and shapes were compared with. */
  readonly checkedWith?: string;
  readonly faults: readonly {
    readonly problem: Problem;
    readonly differences: readonly string[];
    /** What would be done. */
    readonly repair?: string;
  }[];
  /** What no repair mends, and what is worth a word. */
  readonly rest: readonly Problem[];
  /** A copy can be written that has no fault. */
  readonly repairable: boolean;
  /** The copy that was written. */
  readonly out?: string;
}

export function faultReport(folder: string, found: Findings): FaultReport {
  return {
    folder,
    faults: found.faults.map(({ problem, differences, repair }) => ({
      problem,
      differences,
      ...(repair === undefined ? {} : { repair: repair.title }),
    })),
    rest: found.rest,
    repairable: unmended(found).length === 0 && found.faults.some(({ repair }) => repair !== undefined),
  };
}

/** An adapter that never trained can be opened and applied all the same. */
function stays(problem: Problem): boolean {
  return isError(problem) && problem.code !== 'adapter.untrained';
}

async function attachProblems({ adapter }: Mended, context: AttachContext): Promise<readonly Problem[]> {
  try {
    return (await attachAdapter(adapter, context)).warnings;
  } catch (error) {
    return [problemIn(error)];
  }
}

function problemIn(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  throw error;
}

/** What of the findings no repair mends, and keeps a repaired copy from being written. */
export function unmended({ faults, rest }: Findings): readonly Problem[] {
  const open = faults.flatMap(({ problem, repair }) =>
    isError(problem) && repair === undefined ? [problem] : [],
  );
  return [...open, ...rest.filter(stays)];
}

/**
 * Writes an adapter after all repairs as a folder of its own, with the tokenizer, labels and card that lay beside it; whole
 * or not at all. Before it becomes final it is opened and, where the base is known, attached: no fault may be left.
 *
 * @param findings without anything that is {@link unmended}
 * @throws ProblemError `adapter.not-repaired`, `folder.*`
 */
export async function writeRepaired(out: string, findings: Findings, context?: AttachContext): Promise<void> {
  const { adapter } = findings;
  const [open] = unmended(findings);
  if (open !== undefined) return notRepaired(adapter.folder, open);
  const bytes = [...adapter.tensors.values()].reduce((sum, { shape }) => sum + 4 * (elementCount(shape) ?? 0), 0);
  await writeFolderWhole(out, bytes, async (content) => {
    const beside = await filesBeside(adapter.folder, [ADAPTER_LABELS, 'README.md']);
    for (const [name, bytesOfFile] of beside) await writeFile(path.join(content, name), bytesOfFile);
    await writeFile(path.join(content, ADAPTER_CONFIG), configText(adapter));
    await writeSafetensors(
      path.join(content, weightsName(undefined)),
      await Promise.all(
        [...adapter.tensors].map(async ([name, { dtype, shape }]) =>
          dtype === INDEX_DTYPE
            ? { name, shape, dtype, data: await adapter.readIndices(name) }
            : { name, shape, dtype: floatType(dtype), data: () => adapter.read(name) },
        ),
      ),
      { format: 'pt', ...(adapter.nested ? NESTED : {}) },
    );
    const again = await findFaults(content, context);
    const [left] = [...again.faults.map(({ problem }) => problem), ...again.rest].filter(stays);
    if (left !== undefined) notRepaired(adapter.folder, left);
  });
}

/** As it is; F64 is used as float32. */
function floatType(dtype: string): FloatType {
  return dtype === 'F16' || dtype === 'BF16' ? dtype : 'F32';
}

function notRepaired(folder: string, open: Problem): never {
  return fail({
    ...open,
    code: 'adapter.not-repaired',
    message: l10n.t`the adapter in ${folder} has a fault that no repair mends, and nothing was written: ${open.message}`,
  });
}
