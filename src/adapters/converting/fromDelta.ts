import { Value } from '@sinclair/typebox/value';
import * as l10n from '@vscode/l10n';
import { fail } from '../../common/problem.js';
import { BitfitOptions } from '../../methods/bitfit.js';
import { FishMaskOptions } from '../../methods/fishMask.js';
import type { AttachContext, Prepared, SavedAdapter } from '../../methods/method.js';
import { adapterFormat, attachMethod } from '../../methods/registry.js';
import type { MethodConfig } from '../../methods/registry.js';
import { indicesKey, valuesKey } from '../../methods/sparsePlaces.js';
import { parameterUses } from '../../models/parameterUses.js';
import type { ParameterUse } from '../../models/parameterUses.js';
import { parameterShape } from '../../models/site.js';
import type { Site } from '../../models/site.js';
import { elementCount } from '../../models/tensorSpans.js';
import { baseHash } from './baseHash.js';
import type { DeltaFile, Difference } from './deltaFile.js';
import { withoutZeros } from '../sparseSum.js';
import type { SparseDifference } from '../sparseSum.js';
import type { Tuned } from './toLora.js';

/**
 * Refuses a base that a delta is not from.
 * @throws ProblemError `delta.unknown-tensor`, `delta.shape`, `delta.other-base`
 */
export async function checkDeltaBase(delta: DeltaFile, context: AttachContext): Promise<void> {
  const places = placesOf(context);
  const hash = baseHash();
  for (const name of delta.names) {
    const place = places.get(name);
    if (place === undefined) {
      return fail({
        code: 'delta.unknown-tensor',
        message: l10n.t`the delta changes ${name}, which the base does not have`,
        where: { file: delta.file },
        expected: l10n.t`the base model that it was made from: ${delta.about.baseModel}`,
        mend: l10n.t`Name the base with --model BASE.`,
      });
    }
    const base = await context.read(name);
    const found = await delta.read(name);
    const fits =
      found.kind === 'dense' ? found.values.length === base.length : (found.places.at(-1) ?? 0) < base.length;
    if (!fits) {
      fail({
        code: 'delta.shape',
        message: l10n.t`the delta does not fit ${name} [${parameterShape(place.site, place.kind).join(', ')}] of the base`,
        where: { file: delta.file },
        expected: l10n.t`the base model that it was made from: ${delta.about.baseModel}`,
        mend: l10n.t`Name the base with --model BASE.`,
      });
    }
    hash.add(name, base);
  }
  if (hash.end() === delta.about.baseHash) return;
  fail({
    code: 'delta.other-base',
    message: l10n.t`the base has other numbers in the tensors that the delta changes than the one that it was made from`,
    where: { file: delta.file },
    expected: l10n.t`the base model that it was made from: ${delta.about.baseModel}`,
    mend: l10n.t`Name the base with --model BASE; a copy in another type that rounds, or quantized, is another base.`,
  });
}

/** What a delta makes of its base, in double precision. */
export function tunedByDelta(delta: DeltaFile): Tuned {
  const known = new Set(delta.names);
  return async (site, kind, base) => {
    const name = site[kind];
    if (name === undefined || !known.has(name)) return undefined;
    const now = Float64Array.from(base);
    const found = await delta.read(name);
    if (found.kind === 'dense') for (let at = 0; at < now.length; at++) now[at]! += found.values[at]!;
    else found.places.forEach((place, at) => (now[place]! += found.values[at]!));
    return now;
  };
}

/**
 * A delta of biases as a BitFit adapter: the same numbers, and zeros for biases that did not change.
 * @throws ProblemError `convert.not-biases`, `bitfit.no-bias`, `delta.config`
 */
export async function deltaToBitfit(delta: DeltaFile, context: AttachContext): Promise<SavedAdapter> {
  const places = placesOf(context);
  const weight = delta.names.find((name) => places.get(name)?.kind !== 'bias');
  if (weight !== undefined) {
    fail({
      code: 'convert.not-biases',
      message: l10n.t`the delta changes ${weight}, which is no bias`,
      where: { file: delta.file },
      expected: l10n.t`a delta of biases`,
      mend: l10n.t`Convert it to sparse differences (--to sparse) or to a LoRA (--to lora).`,
    });
  }
  const own = optionsOf(delta);
  const options = own?.type === 'bitfit' ? own : Value.Parse(BitfitOptions, { type: 'bitfit' });
  const method = attachMethod(options, context);
  const changes = new Map<string, Float32Array>();
  for (const name of delta.names) {
    const { site, kind } = places.get(name)!;
    const size = elementCount(parameterShape(site, kind))!;
    changes.set(`${site.path}.bias.difference`, dense(await delta.read(name), size));
  }
  const taken = new Set(method.trainables.map(({ variable: { name } }) => name));
  const left = [...changes.keys()].find((name) => !taken.has(name));
  if (left !== undefined) {
    fail({
      code: 'delta.config',
      message: l10n.t`the delta changes ${left.replace(/\.difference$/, '')}, which the adapter that its header describes does not train`,
      where: { file: delta.file },
      expected: l10n.t`a header whose adapter_config trains all biases of the file, or none`,
    });
  }
  const values = new Map(
    method.trainables.map(({ variable: { name, shape } }) => [
      name,
      changes.get(name) ?? new Float32Array(elementCount(shape as readonly number[])!),
    ]),
  );
  return adapterOf(method.save(values));
}

/**
 * A delta as differences of single numbers of weights: the adapter of the method that it came from where that was one of these,
 * else of type FISH_MASK, whose form takes any places.
 *
 * @throws ProblemError `convert.not-weights`
 */
export async function deltaToSparse(delta: DeltaFile, context: AttachContext): Promise<SavedAdapter> {
  const places = placesOf(context);
  const bias = delta.names.find((name) => places.get(name)?.kind !== 'weight');
  if (bias !== undefined) {
    fail({
      code: 'convert.not-weights',
      message: l10n.t`the delta changes the bias ${bias}, which sparse differences of weights have no place for`,
      where: { file: delta.file },
      expected: l10n.t`a delta of weights`,
      mend: l10n.t`Convert a delta of biases alone to bitfit (--to bitfit), any other to a LoRA (--to lora).`,
    });
  }
  const prepared = new Map<string, Int32Array>();
  const values = new Map<string, Float32Array>();
  const sites: Site[] = [];
  for (const name of delta.names) {
    const { site } = places.get(name)!;
    const found = sparse(await delta.read(name));
    sites.push(site);
    prepared.set(indicesKey(site), found.places);
    values.set(valuesKey(site), found.values);
  }
  const method = attachMethod(sparseOptions(delta, sites, values), {
    ...context,
    prepared: prepared satisfies Prepared,
  });
  return adapterOf(method.save(values));
}

function sparseOptions(
  delta: DeltaFile,
  sites: readonly Site[],
  values: ReadonlyMap<string, Float32Array>,
): MethodConfig {
  const { config } = delta.about;
  const own = config === undefined ? undefined : adapterFormat(config);
  if (own?.differences === 'places' && config !== undefined) return own.options(config, delta.file).options;
  const kept = [...values.values()].reduce((sum, { length }) => sum + length, 0);
  const total = sites.reduce((sum, site) => sum + elementCount(parameterShape(site, 'weight'))!, 0);
  return Value.Parse(FishMaskOptions, {
    type: 'fish_mask',
    keep_ratio: kept / total,
    target_modules: sites.map(({ path }) => path),
  });
}

/** The options of the adapter that a delta was made of. */
function optionsOf({ about: { config }, file }: DeltaFile): MethodConfig | undefined {
  return config === undefined ? undefined : adapterFormat(config)?.options(config, file).options;
}

/** Where the base's tensors are used; a shared one at the first place. */
function placesOf({ model }: AttachContext): ReadonlyMap<string, ParameterUse> {
  return new Map([...parameterUses(model.sites)].map(([name, [first]]) => [name, first!]));
}

function dense(found: Difference, size: number): Float32Array {
  if (found.kind === 'dense') return found.values;
  const values = new Float32Array(size);
  found.places.forEach((place, at) => (values[place] = found.values[at]!));
  return values;
}

function sparse(found: Difference): SparseDifference {
  return found.kind === 'sparse' ? found : withoutZeros(found.values);
}

function adapterOf(saved: ReturnType<ReturnType<typeof attachMethod>['save']>): SavedAdapter {
  if (saved.kind !== 'adapter') throw new Error('the method saved no adapter');
  return saved;
}
