/**
 * The length of one axis: a number, or a polynomial in named lengths that are known only when the graph runs
 * (`batch`, `batch·sequence`, `past + sequence`). Polynomials are kept in one canonical form, so equal lengths
 * have equal keys.
 */
export type Dim = number | SymbolicDim;

export interface SymbolicDim {
  readonly terms: readonly DimTerm[];
  /** Canonical text; two dims are equal when their keys are. */
  readonly key: string;
}

interface DimTerm {
  readonly coefficient: number;
  readonly symbols: readonly string[];
}

/** A named length, bound at run time by an axis of one of the graph's inputs. */
export function dim(symbol: string): Dim {
  return fromTerms([{ coefficient: 1, symbols: [symbol] }]);
}

export function addDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  if (a === 0) return b;
  if (b === 0) return a;
  return once(a, '+', b, () => fromTerms([...termsOf(a), ...termsOf(b)]));
}

export function multiplyDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a * b;
  if (a === 1) return b;
  if (b === 1) return a;
  return once(a, '·', b, () =>
    fromTerms(
      termsOf(a).flatMap((x) =>
        termsOf(b).map((y) => ({
          coefficient: x.coefficient * y.coefficient,
          symbols: [...x.symbols, ...y.symbols].sort(),
        })),
      ),
    ),
  );
}

/** Every layer asks for the same few sums and products, thousands of times: each is worked out once. */
const results = new Map<string, Dim>();

function once(a: Dim, operator: string, b: Dim, work: () => Dim): Dim {
  const key = `${dimText(a)} ${operator} ${dimText(b)}`;
  const known = results.get(key) ?? work();
  results.set(key, known);
  return known;
}

/** Number of elements of a shape. */
export function sizeOf(shape: readonly Dim[]): Dim {
  return shape.reduce<Dim>(multiplyDims, 1);
}

export function sameDim(a: Dim, b: Dim): boolean {
  return a === b || (typeof a !== 'number' && typeof b !== 'number' && a.key === b.key);
}

export function sameShape(a: readonly Dim[], b: readonly Dim[]): boolean {
  return a.length === b.length && a.every((length, axis) => sameDim(length, b[axis]!));
}

/** `3`, `batch`, `2·batch·sequence`, `past + sequence`. */
export function dimText(length: Dim): string {
  return typeof length === 'number' ? String(length) : length.key;
}

/** `[batch, 4, 16]` */
export function shapeText(shape: readonly Dim[]): string {
  return `[${shape.map(dimText).join(', ')}]`;
}

/** An axis of a shape counted from the front; a negative one counts from the end. Throws when there is none. */
export function axisOf(shape: readonly Dim[], axis: number, op: string): number {
  const at = axis < 0 ? axis + shape.length : axis;
  if (shape[at] === undefined) throw new Error(`${op}: there is no axis ${axis} in ${shapeText(shape)}`);
  return at;
}

/** The number of elements of a shape without symbols. Throws for symbolic shapes. */
export function fixedSize(shape: readonly Dim[]): number {
  return fixedShape(shape).reduce((product, length) => product * length, 1);
}

/** A shape without symbols, as numbers. Throws for symbolic shapes. */
export function fixedShape(shape: readonly Dim[]): number[] {
  return shape.map((length) => {
    if (typeof length !== 'number') throw new Error(`the shape ${shapeText(shape)} is not fixed`);
    return length;
  });
}

function termsOf(length: Dim): readonly DimTerm[] {
  return typeof length === 'number' ? [{ coefficient: length, symbols: [] }] : length.terms;
}

function fromTerms(terms: readonly DimTerm[]): Dim {
  const sums = new Map<string, DimTerm>();
  for (const term of terms) {
    const key = term.symbols.join('·');
    const coefficient = term.coefficient + (sums.get(key)?.coefficient ?? 0);
    sums.set(key, { coefficient, symbols: term.symbols });
  }
  const kept = [...sums].filter(([, term]) => term.coefficient !== 0).sort(([a], [b]) => (a < b ? -1 : 1));
  if (kept.length === 0) return 0;
  const [only] = kept;
  if (kept.length === 1 && only![1].symbols.length === 0) return only![1].coefficient;
  const texts = kept.map(([key, { coefficient }]) =>
    key === '' ? String(coefficient) : coefficient === 1 ? key : `${coefficient}·${key}`,
  );
  return { terms: kept.map(([, term]) => term), key: texts.join(' + ') };
}
