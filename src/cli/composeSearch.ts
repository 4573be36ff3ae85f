import * as l10n from '@vscode/l10n';
import path from 'node:path';
import { loraHub } from '../adapters/combining/loraHub.js';
import type { LoraHub } from '../adapters/combining/loraHub.js';
import type { AdapterOnDisk } from '../adapters/readAdapter.js';
import { formatLoss } from '../common/format.js';
import type { Problem } from '../common/problem.js';
import type { Example } from '../data/example.js';
import { bestAlone, recordAfter } from '../engines/composition/record.js';
import type { HeldOutLoss, HeldOutLosses, HubEvent, HubRecord } from '../engines/composition/record.js';
import { searchHub } from '../engines/searchHub.js';
import type { HubSearch } from '../engines/searchHub.js';
import { checkTokenIds, maskingOf, openModel } from '../engines/session.js';
import type { Values } from '../methods/method.js';
import { dataIdAt } from '../models/hub/ids.js';
import type { Tokenizer } from '../models/tokenizer.js';
import { onnxRuntime } from '../runtime/onnxruntime.js';
import { createEvaluator } from '../training/evaluate.js';
import type { Metrics } from '../training/evaluate.js';
import { longest } from '../training/job.js';
import { planEvaluation, readHeldOut } from './heldOut.js';
import { hubOf } from './hub.js';
import type { Io } from './io.js';
import { mapWeights } from './openAdapted.js';

/** What is searched for, and with what. */
export interface ComposeJob {
  readonly adapters: readonly AdapterOnDisk[];
  /** A model, or a run file that says how rows become text. */
  readonly model: string;
  /** The examples. */
  readonly data: string;
  /** Rows that the search does not see, to measure on. */
  readonly heldOut?: string | undefined;
  readonly search: HubSearch;
  /** Told of all but the end. */
  readonly tell: (event: HubEvent) => void;
}

export interface ComposeFound {
  readonly record: HubRecord;
  readonly hub: LoraHub;
  readonly tokenizer: Tokenizer;
  readonly warnings: readonly Problem[];
}

/** Searches for a mixture: one compiled graph, in which the weights are inputs. */
export async function searchMixture(job: ComposeJob, io: Io): Promise<ComposeFound> {
  const { adapters, search } = job;
  const plan = await planEvaluation(job.model, job.data, io);
  const opened = await openModel(plan.model, 0, { ...hubOf(io), folder: plan.folder }, { type: plan.task });
  const hub = await loraHub(adapters, opened.context);
  for (const warning of hub.warnings) io.problem(warning);
  const rowsOf = (data: typeof plan.data): ReturnType<typeof readHeldOut> =>
    readHeldOut({ ...plan, data }, opened.tokenizer, io, opened.model);
  const { examples, files, broken } = await rowsOf(plan.data);
  const held =
    job.heldOut === undefined ? undefined : await rowsOf({ ...plan.data, train: await placeOf(job.heldOut) });
  const all = [...examples, ...(held?.examples ?? [])];
  checkTokenIds(all, opened);
  let record: HubRecord | undefined;
  const tell = (event: HubEvent): void => {
    record = recordAfter(record, event);
    job.tell(event);
  };
  const evaluator = await createEvaluator({
    ...opened,
    methods: [hub.method],
    runtime: await onnxRuntime(plan.runtime),
    weights: await mapWeights(opened.checkpoint, io),
    positionLimit: longest(all),
    batchSize: plan.batchSize,
    ...maskingOf(opened),
  });
  /** Interrupted between batches: what is held out may be many rows. */
  const measure = (
    rows: readonly Example[],
    values: Values,
    onBatch?: (done: number, total: number) => void,
  ): Promise<Metrics> =>
    evaluator.evaluate(rows, values, (done, total) => {
      io.interrupt.check();
      onBatch?.(done, total);
      return Promise.resolve(true);
    });
  const at = (weights: readonly number[]): Values => hub.valuesAt(Float64Array.from(weights));
  const count = adapters.length;
  const only = (one: number): Values => at(adapters.map((_, other) => (other === one ? 1 : 0)));
  const average = at(adapters.map(() => 1 / count));
  try {
    tell({
      type: 'began',
      search: {
        adapters: adapters.map(({ folder }) => ({ folder, weight: 0 })),
        base: opened.pinned ?? path.resolve(plan.model),
        data: files,
        rows: examples.length,
        ...(broken > 0 ? { broken } : {}),
        tokens: examples.reduce((sum, { supervised }) => sum + supervised.filter((each) => each === 1).length, 0),
        ...search,
        trials: [],
      },
    });
    const alone: number[] = [];
    for (const one of adapters.keys()) {
      io.progress.update({ activity: l10n.t`Measuring each adapter alone`, done: one, total: count });
      alone.push((await measure(examples, only(one))).loss);
    }
    tell({ type: 'compared', average: (await measure(examples, average)).loss, alone });
    const since = performance.now();
    let least = Infinity;
    const found = await searchHub(
      hub,
      count,
      search,
      async (values) => (await measure(examples, values)).loss,
      async (trial, done) => {
        least = Math.min(least, Number.isNaN(trial.objective) ? Infinity : trial.objective);
        const seconds = (performance.now() - since) / 1000;
        tell({ type: 'trial', trial: done, ...trial, best: least, seconds });
        const detail = formatLoss(trial.objective);
        io.progress.update({ activity: l10n.t`Trying mixtures`, done, total: search.budget, detail });
        await Promise.resolve();
      },
    );
    if (held !== undefined) {
      const single = bestAlone(record!) ?? 0;
      const told = async (values: Values): Promise<HeldOutLoss> => {
        const { loss, tokenAccuracy } = await measure(held.examples, values, (done, total) =>
          io.progress.update({ activity: l10n.t`Measuring on held-out rows`, done, total }),
        );
        return { loss, tokenAccuracy };
      };
      const heldOut: HeldOutLosses = {
        data: held.files,
        rows: held.examples.length,
        base: await told(at(adapters.map(() => 0))),
        average: await told(average),
        alone: { adapter: single, ...(await told(only(single))) },
        mixture: await told(at(found.best.weights)),
      };
      record = { ...record!, heldOut };
    }
  } finally {
    await evaluator.dispose();
  }
  io.progress.end();
  return { record: record!, hub, tokenizer: opened.tokenizer, warnings: hub.warnings };
}

/** Data sets of the hub stay as they are named; files are where the command was called. */
async function placeOf(name: string): Promise<string> {
  return (await dataIdAt(name, '.')) ? name : path.resolve(name);
}
