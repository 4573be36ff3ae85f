import * as l10n from '@vscode/l10n';
import { fail } from '../../common/problem.js';
import type { Problem } from '../../common/problem.js';
import { moduleNames } from '../../methods/loraConfig.js';
import { learnedPart, takesPair } from '../../methods/lowRankPair.js';
import type { AttachContext, Attached, SavedAdapter, Values } from '../../methods/method.js';
import { padded } from '../../methods/pairComponents.js';
import { plainLora } from '../../methods/plainLora.js';
import type { FinishedPair } from '../../methods/plainLora.js';
import type { Site } from '../../models/site.js';
import { add } from '../../tensor/ops/elementwise.js';
import { matmul } from '../../tensor/ops/matmul.js';
import { reshape } from '../../tensor/ops/shape.js';
import type { Tensor, Variable } from '../../tensor/tensor.js';
import { variable } from '../../tensor/tensor.js';
import { attachAdapter } from '../attachAdapter.js';
import { loraOptionsOf, loraTerm } from '../loraTerms.js';
import type { LoraTerm } from '../loraTerms.js';
import type { AdapterOnDisk } from '../readAdapter.js';

/** LoRA adapters whose mixture is an input of a model's graph. */
export interface LoraHub {
  /** Acts on the model; reads the numbers of {@link valuesAt}. */
  readonly method: Pick<Attached, 'hooks' | 'trainables'>;
  /** @param weights one for each adapter */
  valuesAt(weights: Float64Array): Values;
  /** The mixture as an adapter. */
  saved(weights: Float64Array): SavedAdapter;
  readonly warnings: readonly Problem[];
}

/** What the adapters have for one module, side by side. */
interface Shelf {
  readonly site: Site;
  readonly r: number;
  /** [adapters, r · in] */
  readonly a: Variable;
  /** [adapters, out · r] */
  readonly b: Variable;
  readonly values: readonly [a: Float32Array, b: Float32Array];
}

/**
 * LoRAHub's composition (Huang et al. 2023, section 2.3): m̂ = (Σ wᵢ·Bᵢ)(Σ wᵢ·Aᵢ), so that products of one adapter's A with another's B
 * are in it, and one adapter at weight c counts c² times. An adapter's scale is divided evenly between A and B. Where ranks
 * differ, smaller pairs are filled up with zeros; where targets do, an adapter has nothing for a module.
 *
 * @param adapters two LoRA adapters of the model or more
 * @throws ProblemError `compose.count`, `compose.method`, `compose.whole`, `combine.dora`; those of `attachAdapter`
 */
export async function loraHub(adapters: readonly AdapterOnDisk[], context: AttachContext): Promise<LoraHub> {
  const parts = checked(adapters).map((adapter) => ({ adapter, options: loraOptionsOf(adapter, context) }));
  const warnings: Problem[] = [];
  for (const { adapter } of parts) {
    warnings.push(...(await attachAdapter(adapter, context)).warnings);
    const whole = [...adapter.tensors.keys()].find((key) => !FACTOR.test(key));
    if (whole !== undefined) wholeParameters(adapter, whole);
  }
  const weights = variable('lorahub.weights', [1, parts.length]);
  const shelves = new Map<string, Shelf>();
  for (const site of context.model.sites.filter(takesPair)) {
    const terms: (LoraTerm | undefined)[] = [];
    for (const { adapter, options } of parts) terms.push(await loraTerm(adapter, options, site));
    if (terms.some((term) => term !== undefined)) shelves.set(site.path, shelfOf(site, terms));
  }
  const mixed = (shelf: Shelf): { a: Tensor; b: Tensor } => ({
    a: reshape(matmul(weights, shelf.a), [shelf.r, inSize(shelf)]),
    b: reshape(matmul(weights, shelf.b), [outSize(shelf), shelf.r]),
  });
  const resting = new Map(
    [...shelves.values()].flatMap(({ a, b, values }) => [[a, values[0]] as const, [b, values[1]] as const]),
  );
  return {
    method: {
      hooks: {
        output(site, x, y) {
          const shelf = shelves.get(site.path);
          return shelf === undefined ? y : add(y, learnedPart({ site, scale: 1, ...mixed(shelf) }, x));
        },
      },
      trainables: [weights, ...resting.keys()].map((each) => ({
        variable: each,
        start: () => resting.get(each) ?? new Float32Array(parts.length),
        decays: false,
      })),
    },
    valuesAt: (at) =>
      new Map([
        [weights.name, Float32Array.from(at)],
        ...[...resting].map(([each, values]) => [each.name, values] as const),
      ]),
    saved: (at) => savedHub([...shelves.values()], at, context),
    warnings,
  };
}

/** @throws ProblemError `compose.count`, `compose.method` */
function checked(adapters: readonly AdapterOnDisk[]): readonly AdapterOnDisk[] {
  if (adapters.length < 2) {
    fail({
      code: 'compose.count',
      message: l10n.t`one adapter alone has nothing to be composed with`,
      expected: l10n.t`two LoRA adapters or more`,
    });
  }
  const other = adapters.find(({ format }) => format.differences !== 'factors');
  if (other === undefined) return adapters;
  return fail({
    code: 'compose.method',
    message: l10n.t`an adapter of ${other.peftType} has no A and B to be mixed`,
    where: { file: other.configFile },
    expected: l10n.t`adapters of type LORA`,
  });
}

/** A and B; and the base's own matrix, which PEFT stores beside an adapted embedding or head. */
const FACTOR = /\.(?:lora_(?:embedding_)?[AB](?:\.weight)?|base_layer\.weight)$/;

/** Biases, modules and heads that trained whole have no part in a mixture. */
function wholeParameters({ weightsFile }: AdapterOnDisk, key: string): never {
  return fail({
    code: 'compose.whole',
    message: l10n.t`the adapter holds more than A and B: ${key} trained whole`,
    where: { file: weightsFile },
    expected: l10n.t`LoRA adapters without biases, modules_to_save and heads`,
    mend: l10n.t`Combine it instead: peft-studio combine adds what trained whole, too.`,
  });
}

function shelfOf(site: Site, terms: readonly (LoraTerm | undefined)[]): Shelf {
  const r = Math.max(...terms.map((term) => term?.r ?? 0));
  const [columns, rows] = sizesOf(site);
  const a = new Float32Array(terms.length * r * columns);
  const b = new Float32Array(terms.length * rows * r);
  for (const [at, term] of terms.entries()) {
    if (term === undefined) continue;
    // A negative scale stays on B.
    const root = Math.sqrt(Math.abs(term.scale));
    const full = padded(term, r);
    a.set(
      full.a.map((each) => root * each),
      at * r * columns,
    );
    b.set(
      full.b.map((each) => Math.sign(term.scale) * root * each),
      at * rows * r,
    );
  }
  return {
    site,
    r,
    a: variable(`${site.path}.lorahub_A`, [terms.length, r * columns]),
    b: variable(`${site.path}.lorahub_B`, [terms.length, rows * r]),
    values: [a, b],
  };
}

/** In and out. */
function sizesOf({ kind, shape }: Site): readonly [number, number] {
  return kind === 'embedding' ? [shape[0]!, shape[1]!] : [shape[1]!, shape[0]!];
}

function inSize({ site }: Shelf): number {
  return sizesOf(site)[0];
}

function outSize({ site }: Shelf): number {
  return sizesOf(site)[1];
}

function savedHub(shelves: readonly Shelf[], weights: Float64Array, context: AttachContext): SavedAdapter {
  const pairs = shelves.map(({ site, r, values }): FinishedPair => {
    const [a, b] = values.map((each) => mixture(each, weights)) as [Float32Array, Float32Array];
    return { site, r, scale: 1, a, b };
  });
  const r = Math.max(...pairs.map((pair) => pair.r));
  const target_modules = moduleNames(
    pairs.map(({ site }) => site),
    context.model.sites,
  );
  return plainLora(pairs, { r, lora_alpha: r, lora_dropout: 0, target_modules }, context);
}

/** Σ wᵢ·rowᵢ */
function mixture(rows: Float32Array, weights: Float64Array): Float32Array {
  const length = rows.length / weights.length;
  const sum = new Float64Array(length);
  for (const [row, weight] of weights.entries()) {
    for (let at = 0; at < length; at++) sum[at]! += weight * rows[row * length + at]!;
  }
  return Float32Array.from(sum);
}
