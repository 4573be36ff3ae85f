import * as l10n from '@vscode/l10n';
import { fail } from '../../common/problem.js';
import type { AttachContext, WeightWork } from '../../methods/method.js';
import { indicesKey, valuesKey } from '../../methods/sparsePlaces.js';
import { parameterUses } from '../../models/parameterUses.js';
import type { ParameterUse } from '../../models/parameterUses.js';
import { parameterShape } from '../../models/site.js';
import { baseHash } from './baseHash.js';
import type { DeltaFacts, DeltaTensor } from './deltaFile.js';
import type { AdapterOnDisk } from '../readAdapter.js';
import { withoutZeros } from '../sparseSum.js';
import type { SparseDifference } from '../sparseSum.js';
import type { Tuned } from './toLora.js';

/** One tensor of a delta, as it is told. */
export interface DeltaReport {
  readonly name: string;
  readonly kind: 'dense' | 'sparse';
  /** Numbers that are written, without their places. */
  readonly numbers: number;
  /** How many the base has there. */
  readonly of: number;
  /** ‖θ − θ₀‖ (Frobenius) */
  readonly norm: number;
}

export interface ToDelta {
  readonly tensors: readonly DeltaTensor[];
  readonly report: readonly DeltaReport[];
  readonly about: DeltaFacts;
}

/** A tensor of the base, and the places where the model uses it. */
interface BaseTensor {
  readonly name: string;
  readonly uses: readonly ParameterUse[];
}

/**
 * What training changed of a base: θ − θ₀ in float32, tensor by tensor, dense where that is smaller than the differences that are
 * not 0 with their places. Dense ones are made once more when they are written, so that one is in memory at a time.
 *
 * @throws ProblemError `convert.delta-nothing`, `convert.head`, `convert.delta-tied`, and what `tuned` throws
 */
export async function toDelta(
  tuned: Tuned,
  context: AttachContext,
  progress?: WeightWork['progress'],
): Promise<ToDelta> {
  const all = baseTensors(context);
  const found = collector(context);
  for (const [done, tensor] of all.entries()) {
    await progress?.(done, all.length);
    const base = await context.read(tensor.name);
    const values = await difference(tensor, base, tuned);
    if (values === undefined) continue;
    if (2 * changedCount(values) < values.length)
      found.add({ kind: 'sparse', ...withoutZeros(values) }, tensor, base);
    else {
      const again = async (): Promise<Float32Array> =>
        (await difference(tensor, await context.read(tensor.name), tuned))!;
      found.add({ kind: 'dense', values, again }, tensor, base);
    }
  }
  await progress?.(all.length, all.length);
  return found.end(undefined);
}

/**
 * The differences that an adapter is made of, as they stand: biases, or numbers of weights with their places. Undefined for an
 * adapter of another kind.
 *
 * @param adapter one that attaches to the model
 * @throws ProblemError `convert.head`
 */
export async function storedDelta(adapter: AdapterOnDisk, context: AttachContext): Promise<ToDelta | undefined> {
  const { differences } = adapter.format;
  if (differences !== 'places' && differences !== 'tensors') return undefined;
  const found = collector(context);
  for (const tensor of baseTensors(context)) {
    for (const { site, kind } of tensor.uses) {
      const key = `${site.path}.${kind}.difference`;
      if (differences === 'tensors' && adapter.tensors.has(key)) {
        const again = (): Promise<Float32Array> => adapter.read(key);
        found.add({ kind: 'dense', values: await again(), again }, tensor, await context.read(tensor.name));
      } else if (differences === 'places' && kind === 'weight' && adapter.tensors.has(valuesKey(site))) {
        const places = await adapter.readIndices(indicesKey(site));
        const values = await adapter.read(valuesKey(site));
        found.add({ kind: 'sparse', places, values }, tensor, await context.read(tensor.name));
      }
    }
  }
  return found.end(adapter);
}

/** The base's tensors that are parameters of the model. */
function baseTensors({ model }: AttachContext): BaseTensor[] {
  if (model.classes !== undefined) {
    fail({
      code: 'convert.head',
      message: l10n.t`the model has a head for classes, which the base has no numbers of`,
      expected: l10n.t`a model that writes text, or an encoder without a head`,
    });
  }
  return [...parameterUses(model.sites)].map(([name, own]) => ({ name, uses: own }));
}

/** θ − θ₀ of a tensor; undefined where nothing changes it. */
async function difference(
  { name, uses }: BaseTensor,
  base: Float32Array,
  tuned: Tuned,
): Promise<Float32Array | undefined> {
  const results: (Float32Array | undefined)[] = [];
  for (const { site, kind } of uses) {
    const now = await tuned(site, kind, base);
    results.push(now && changeOf(base, now));
  }
  const [first, ...others] = results;
  for (const [at, other] of others.entries()) {
    if (
      first === other ||
      (first !== undefined && other?.every((value, place) => value === first[place]) === true)
    )
      continue;
    fail({
      code: 'convert.delta-tied',
      message: l10n.t`${uses[0]!.site.path} and ${uses[at + 1]!.site.path} are one tensor of the base, ${name}, and no longer one here`,
      expected: l10n.t`a change that leaves them one: a delta has the base's tensors`,
      mend: l10n.t`Make a LoRA of it (--to lora), which can change one of them, or merge it into a model.`,
    });
  }
  return first;
}

/** θ − θ₀; undefined where all of it is 0. Loops: of millions of numbers `from` and its like take many times as long. */
function changeOf(base: Float32Array, now: Float32Array | Float64Array): Float32Array | undefined {
  const change = new Float32Array(base.length);
  let isChanged = false;
  for (let at = 0; at < base.length; at++) {
    change[at] = now[at]! - base[at]!;
    isChanged ||= change[at] !== 0;
  }
  return isChanged ? change : undefined;
}

function changedCount(change: Float32Array): number {
  let count = 0;
  for (let at = 0; at < change.length; at++) if (change[at] !== 0) count++;
  return count;
}

type Found =
  | { readonly kind: 'dense'; readonly values: Float32Array; readonly again: () => Promise<Float32Array> }
  | ({ readonly kind: 'sparse' } & SparseDifference);

interface Collector {
  add(found: Found, tensor: BaseTensor, base: Float32Array): void;
  /** @throws ProblemError `convert.delta-nothing` */
  end(adapter: AdapterOnDisk | undefined): ToDelta;
}

function collector({ modelName, modelRevision }: AttachContext): Collector {
  const tensors: DeltaTensor[] = [];
  const report: DeltaReport[] = [];
  const hash = baseHash();
  return {
    add(found, { name, uses }, base) {
      const { values } = found;
      hash.add(name, base);
      const [{ site, kind }] = uses as [BaseTensor['uses'][number]];
      tensors.push(
        found.kind === 'sparse'
          ? { name, ...found }
          : { name, kind: 'dense', shape: parameterShape(site, kind), values: found.again },
      );
      let squares = 0;
      for (let at = 0; at < values.length; at++) squares += values[at]! * values[at]!;
      const norm = Math.sqrt(squares);
      report.push({ name, kind: found.kind, numbers: values.length, of: base.length, norm });
    },
    end(adapter) {
      if (tensors.length === 0) {
        fail({
          code: 'convert.delta-nothing',
          message: l10n.t`no number of the base has changed`,
          expected: l10n.t`an adapter or a model that was trained from this base`,
        });
      }
      return {
        tensors,
        report,
        about: {
          baseModel: modelName,
          ...(modelRevision === undefined ? {} : { revision: modelRevision }),
          baseHash: hash.end(),
          ...(adapter === undefined ? {} : { config: adapter.config }),
        },
      };
    },
  };
}
