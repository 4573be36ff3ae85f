import * as l10n from '@vscode/l10n';
import { formatBytes, formatCount } from '../common/format.js';
import { cachedNumbers } from '../generation/cache.js';
import { decodeGraph } from '../generation/decodeGraph.js';
import { sourceGraph } from '../generation/source.js';
import type { MemoryPart, Moment } from '../memory/plan.js';
import type { Attached } from '../methods/method.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Hooks } from '../models/site.js';
import { planProgram } from '../runtime/replay.js';
import { fixedSize } from '../tensor/dims.js';
import { topologicalOrder } from '../tensor/order.js';
import { gathered, moment, runtimeParts } from '../training/stepMemoryPlan.js';
import { groups, runSession, session } from '../training/stepMemory.js';
import type { BatchLengths, Session } from '../training/stepMemory.js';

/** Bytes of a float32. */
const FLOAT = 4;

/** The memory of an evaluation of a larger base that the run's model steers (`engines/steeredBase.ts`). */
export interface SteeringMemory {
  /** The base; the run's model with its methods; the same without them. Each maps its weights and has an arena. */
  readonly sessions: readonly Session[];
  /** Their models. */
  readonly models: readonly [LanguageModel, LanguageModel, LanguageModel];
  readonly trainables: number;
}

/** Plans the decoders of an evaluation, which read a row at a time. */
export function steeringMemory(
  base: LanguageModel,
  model: LanguageModel,
  methods: readonly Attached[],
  positionLimit: number,
): SteeringMemory {
  const hooks = methods.map((method) => method.hooks);
  const trained = methods.flatMap(({ trainables }) => trainables);
  return {
    sessions: [
      decoderSession(base, [], Math.min(positionLimit, base.maxPositions)),
      decoderSession(model, hooks, positionLimit),
      decoderSession(model, [], positionLimit),
    ],
    models: [base, model, model],
    trainables: FLOAT * trained.reduce((sum, { variable }) => sum + fixedSize(variable.shape), 0),
  };
}

function decoderSession(model: LanguageModel, hooks: readonly Hooks[], positionLimit: number): Session {
  const graphs = [decodeGraph(model, hooks, positionLimit), sourceGraph(model, hooks, positionLimit)];
  return session(
    graphs
      .filter((outputs) => outputs !== undefined)
      .map((outputs) => {
        const groupOf = groups(model, new Set(topologicalOrder(Object.values(outputs))), new Set());
        // Keys and values go to the cache: those of the arena stand for the copies that the binding makes of them.
        return { kind: 'reading' as const, program: planProgram(outputs, groupOf, () => false) };
      }),
  );
}

/** What the process has while the longest row is read: the base steered by the run's model. */
export function steering({ sessions, models, trainables }: SteeringMemory, rows: BatchLengths): Moment {
  const row = { ...rows, rows: 1, supervised: Math.ceil(rows.supervised / rows.rows) };
  const uses = sessions.map((each) => runSession(each, { reading: row }));
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
  const weights = sessions.map((each) => each.weights);
  const logits = sum(models.map(({ vocabSize }) => FLOAT * vocabSize * row.supervised));
  // Each row has a cache of its own.
  const ofRow = sum(models.map((model) => FLOAT * cachedNumbers(model, row.length))) + logits;
  const older = gathered(ofRow, Infinity);
  const [base, small] = models;
  const parts: MemoryPart[] = [
    {
      name: 'weights',
      bytes: sum(weights),
      formula: l10n.t`weights of the larger base as float32, ${formatBytes(weights[0]!)}, and twice those of the run’s model, with and without what it trained; mapped from the files, so that the system can take them back`,
      fileBacked: true,
    },
    {
      name: 'adapter',
      bytes: trainables,
      formula: l10n.t`${formatCount(trainables / FLOAT)} trained numbers × 4 bytes`,
    },
    {
      name: 'workspace',
      bytes: sum(uses.map((use) => use.touched)) + Math.max(...uses.map((use) => use.beside)),
      formula: l10n.t`intermediate results of a row of ${row.length + (row.source ?? 0)} tokens in the three models, and what the runtime’s arenas keep`,
    },
    {
      name: 'copies',
      bytes: ofRow + older,
      formula: l10n.t`keys, values and logits of a row in the three models: ${formatBytes(ofRow)}, and up to ${formatBytes(older)} of earlier rows’ that Node has not freed yet`,
    },
    ...runtimeParts(sessions, base.vocabSize + small.vocabSize),
  ];
  return moment('steering', parts);
}
