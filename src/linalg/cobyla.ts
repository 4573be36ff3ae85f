/** What is to be made small. Numbers that are not finite count as very bad. */
export type Objective = (point: Float64Array) => Promise<number>;

export interface CobylaOptions {
  /** Where to begin, of one number or more. */
  readonly start: Float64Array;
  /** Size of the first simplex: the first steps go so far along one axis each. */
  readonly rhobeg: number;
  /** Below this trust radius the search has converged. */
  readonly rhoend: number;
  /** How often the objective may be asked, at least once. */
  readonly budget: number;
}

export interface Optimum {
  /** The best point that was asked for. */
  readonly point: Float64Array;
  readonly value: number;
  readonly evaluations: number;
}

/** Worse than any, and finite, so that the linear function still has a slope. */
const VERY_BAD = 1e30;

/**
 * Minimizes without derivatives: COBYLA (Powell 1994, "A direct search optimization method that models the objective and
 * constraint functions by linear interpolation") for the case without constraints, with the changes of PRIMA (Zhang 2023), which is
 * what SciPy has since 1.16. A linear function goes through the values at the n + 1 vertices of a simplex; a step follows its
 * steepest descent as far as it is trusted, and replaces a vertex. Where steps no longer help, first a vertex that lies far off
 * is brought back, then steps become smaller.
 */
export async function cobyla(
  objective: Objective,
  { start, rhobeg, rhoend, budget }: CobylaOptions,
): Promise<Optimum> {
  const simplex = new Simplex(start, rhobeg);
  let left = budget;
  const ask = async (edge: Float64Array): Promise<number> => {
    left--;
    const value = await objective(simplex.at(edge));
    return Number.isFinite(value) ? value : VERY_BAD;
  };

  simplex.value = await ask(new Float64Array(start.length));
  for (let axis = 0; axis < start.length && left > 0; axis++) {
    const edge = new Float64Array(start.length);
    edge[axis] = rhobeg;
    simplex.put(axis, edge, await ask(edge));
    simplex.rebase();
  }

  // A step is as long as the linear function is trusted, and that is at least ρ.
  let rho = rhobeg;
  let trusted = rho;
  while (left > 0) {
    const wasCompact = simplex.isCompact(trusted);
    const slope = simplex.slope();
    const steepness = norm(slope);
    const length = steepness > 0 ? trusted : 0;
    let isBad = true;
    if (length > 0) {
      const edge = slope.map((each) => (-each / steepness) * length);
      const value = await ask(edge);
      const gain = simplex.value - value;
      trusted = trustedAfter(gain / (steepness * length), trusted, rho);
      const vertex = simplex.replaceable(edge, gain > 0, Math.max(rho, trusted / 10));
      if (vertex === 'base') simplex.moveBase(edge, value);
      else if (vertex !== undefined) simplex.put(vertex, edge, value);
      simplex.rebase();
      isBad = gain <= 0 || vertex === undefined;
    } else {
      trusted = atLeast(rho, trusted / 10);
    }
    if (!isBad || left === 0) continue;
    if (!wasCompact) {
      if (simplex.isCompact(trusted)) continue;
      const { vertex, edge } = simplex.broughtBack(trusted / 2);
      simplex.put(vertex, edge, await ask(edge));
      simplex.rebase();
    } else if (Math.max(trusted, length) <= rho) {
      if (rho <= rhoend) break;
      const next = smaller(rho, rhoend);
      trusted = Math.max(rho / 2, next);
      rho = next;
    }
  }
  return { point: simplex.base.slice(), value: simplex.value, evaluations: budget - left };
}

/** How far to trust the linear function after a step of full length that gained this share of what it promised. */
function trustedAfter(share: number, trusted: number, rho: number): number {
  if (share <= 0.1) return atLeast(rho, trusted / 2);
  return atLeast(rho, share <= 0.7 ? trusted : 2 * trusted);
}

function atLeast(rho: number, radius: number): number {
  return radius <= 1.5 * rho ? rho : radius;
}

/** The next ρ on the way to the last. */
function smaller(rho: number, rhoend: number): number {
  const ratio = rho / rhoend;
  if (ratio > 250) return rho / 10;
  return ratio <= 16 ? rhoend : Math.sqrt(ratio) * rhoend;
}

/** A base point and n edges from it, with the values at their ends. */
class Simplex {
  readonly base: Float64Array;
  value = Infinity;
  readonly #edges: Float64Array[];
  readonly #values: number[];
  /** Row j is the normal of the face opposite to vertex j: its product with edge k is 1 where j = k, else 0. */
  readonly #normals: Float64Array[];

  constructor(start: Float64Array, size: number) {
    const { length } = start;
    const along = (axis: number, by: number): Float64Array => {
      const edge = new Float64Array(length);
      edge[axis] = by;
      return edge;
    };
    this.base = start.slice();
    this.#edges = Array.from({ length }, (_, axis) => along(axis, size));
    this.#normals = Array.from({ length }, (_, axis) => along(axis, 1 / size));
    this.#values = Array.from({ length }, () => Infinity);
  }

  at(edge: Float64Array): Float64Array {
    return this.base.map((each, axis) => each + edge[axis]!);
  }

  /** Puts a vertex elsewhere. */
  put(vertex: number, edge: Float64Array, value: number): void {
    const [own, stretch] = [this.#normals[vertex]!, dot(this.#normals[vertex]!, edge)];
    for (const [axis, each] of own.entries()) own[axis] = each / stretch;
    for (const [other, normal] of this.#normals.entries()) {
      if (other === vertex) continue;
      const share = dot(normal, edge);
      for (const [axis, each] of own.entries()) normal[axis]! -= share * each;
    }
    this.#edges[vertex] = edge;
    this.#values[vertex] = value;
  }

  /** Makes the best vertex the base. */
  rebase(): void {
    const least = Math.min(...this.#values);
    if (!(least < this.value)) return;
    const best = this.#values.indexOf(least);
    const move = this.#edges[best]!.slice();
    // Seen from the new base the old one lies backwards, and so does the face opposite to it.
    const across = this.#across().map((each) => -each);
    for (const [axis, each] of move.entries()) this.base[axis]! += each;
    for (const [vertex, edge] of this.#edges.entries()) {
      for (const [axis, each] of move.entries()) edge[axis] = vertex === best ? -each : edge[axis]! - each;
    }
    this.#normals[best] = across;
    this.#values[best] = this.value;
    this.value = least;
  }

  /** The gradient of the linear function through all vertices. */
  slope(): Float64Array {
    const slope = new Float64Array(this.base.length);
    for (const [vertex, normal] of this.#normals.entries()) {
      const rise = this.#values[vertex]! - this.value;
      for (const [axis, each] of normal.entries()) slope[axis]! += rise * each;
    }
    return slope;
  }

  /** Whether no vertex lies farther off than two steps of this length. */
  isCompact(radius: number): boolean {
    return this.#edges.every((edge) => norm(edge) <= 2 * radius);
  }

  /** The vertex that lies farthest off, and a place for it over the face of the others, on the side that promises more. */
  broughtBack(height: number): { vertex: number; edge: Float64Array } {
    const lengths = this.#edges.map(norm);
    const vertex = lengths.indexOf(Math.max(...lengths));
    const normal = this.#normals[vertex]!;
    const side = (dot(this.slope(), normal) > 0 ? -height : height) / norm(normal);
    return { vertex, edge: normal.map((each) => each * side) };
  }

  /** Which vertex a step is to replace: one that keeps the simplex full, rather one that lies far off; or none. */
  replaceable(edge: Float64Array, isBetter: boolean, radius: number): number | 'base' | undefined {
    const nextBase = isBetter ? edge : new Float64Array(edge.length);
    const weight = (from: Float64Array): number => Math.max(1, (distance(from, nextBase) / radius) ** 2);
    const shares = this.#normals.map((normal) => dot(normal, edge));
    const scores = shares.map((share, vertex) => weight(this.#edges[vertex]!) * Math.abs(share));
    const ofBase = isBetter ? weight(new Float64Array(edge.length)) * Math.abs(1 - sum(shares)) : -1;
    const highest = Math.max(...scores, ofBase);
    if (highest <= 0) return undefined;
    return highest === ofBase ? 'base' : scores.indexOf(highest);
  }

  /** Puts the base itself elsewhere; the other vertices stay. */
  moveBase(move: Float64Array, value: number): void {
    const products = this.#normals.map((normal) => dot(normal, move));
    const stretch = 1 - sum(products);
    const across = this.#across();
    // Sherman & Morrison 1950, as all edges change by the same vector.
    for (const [vertex, normal] of this.#normals.entries()) {
      for (const [axis, each] of across.entries()) normal[axis]! += (products[vertex]! / stretch) * each;
    }
    for (const edge of this.#edges) for (const [axis, each] of move.entries()) edge[axis]! -= each;
    for (const [axis, each] of move.entries()) this.base[axis]! += each;
    this.value = value;
  }

  /** The normal of the face opposite to the base, which points to the others. */
  #across(): Float64Array {
    const across = new Float64Array(this.base.length);
    for (const normal of this.#normals) for (const [axis, each] of normal.entries()) across[axis]! += each;
    return across;
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

function dot(a: Float64Array, b: Float64Array): number {
  let total = 0;
  for (const [at, each] of a.entries()) total += each * b[at]!;
  return total;
}

function norm(vector: Float64Array): number {
  return Math.sqrt(dot(vector, vector));
}

function distance(a: Float64Array, b: Float64Array): number {
  return norm(a.map((each, at) => each - b[at]!));
}
