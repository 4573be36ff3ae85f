import { fixedShape } from '../tensor/dims.js';
import type { Dim } from '../tensor/dims.js';
import type { Emitter, OnnxAttribute } from '../tensor/emitter.js';
import type { Constant, DType, Shape, Tensor, TypedData } from '../tensor/tensor.js';
import { typedData } from '../tensor/tensor.js';

/** The axis of an input that a named length is known from. */
export interface Binding {
  readonly input: string;
  readonly axis: number;
}

export function bindLengths(order: readonly Tensor[]): ReadonlyMap<string, Binding> {
  const bindings = new Map<string, Binding>();
  const bind = (length: Dim, binding: Binding): void => {
    const symbol = bareSymbol(length);
    if (symbol !== undefined && !bindings.has(symbol)) bindings.set(symbol, binding);
  };
  for (const tensor of order) {
    if (tensor.kind !== 'input' && tensor.kind !== 'variable') continue;
    tensor.shape.forEach((length, axis) => bind(length, { input: tensor.name, axis }));
  }
  return bindings;
}

function bareSymbol(length: Dim): string | undefined {
  if (typeof length === 'number' || length.terms.length !== 1) return undefined;
  const [term] = length.terms;
  return term!.coefficient === 1 && term!.symbols.length === 1 ? term!.symbols[0] : undefined;
}

/** Takes the nodes and constants of a graph in their order. */
export interface NodeSink {
  node(node: {
    readonly opType: string;
    readonly inputs: readonly string[];
    readonly outputs: readonly string[];
    readonly attributes: Readonly<Record<string, OnnxAttribute>>;
    readonly domain?: string;
  }): void;
  constant(name: string, values: TypedData, shape: readonly number[], dtype: DType): void;
}

/** Hands the nodes and constants of one graph to a sink. */
export class GraphEmitter implements Emitter {
  private counter = 0;
  private readonly lengths = new Map<string, string>();
  private readonly constants = new Map<string, string>();
  private readonly nodes = new Map<string, readonly string[]>();

  constructor(
    private readonly sink: NodeSink,
    private readonly bindings: ReadonlyMap<string, Binding>,
    private readonly prefix: string,
  ) {}

  node(
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
    options: { domain?: 'com.microsoft' } = {},
  ): string {
    return this.nodeOnce(1, opType, inputs, attributes, options.domain)[0]!;
  }

  outputs(
    count: number,
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>>,
  ): readonly string[] {
    return this.nodeOnce(count, opType, inputs, attributes);
  }

  constant(values: ArrayLike<number>, shape: readonly number[], dtype: DType): string {
    // Shapes and axes recur at every layer: equal small constants are written once.
    const key = `${dtype}:${shape.join(',')}:${Array.from(values).join(',')}`;
    const known = this.constants.get(key);
    if (known !== undefined) return known;
    const name = this.data(typedData(values, dtype), shape, dtype);
    this.constants.set(key, name);
    return name;
  }

  scalar(value: number, dtype: DType): string {
    return this.constant([value], [], dtype);
  }

  shape(shape: Shape): string {
    if (shape.every((length) => typeof length === 'number')) return this.constant(shape, [shape.length], 'int64');
    return this.node(
      'Concat',
      shape.map((length) => this.dim(length)),
      { axis: 0 },
    );
  }

  dim(length: Dim): string {
    if (typeof length === 'number') return this.constant([length], [1], 'int64');
    const known = this.lengths.get(length.key);
    if (known !== undefined) return known;
    const terms = length.terms.map(({ coefficient, symbols }) => {
      const factors = symbols.map((symbol) => this.symbol(symbol));
      if (coefficient !== 1 || factors.length === 0) factors.push(this.constant([coefficient], [1], 'int64'));
      return factors.reduce((a, b) => this.node('Mul', [a, b]));
    });
    const name = terms.reduce((a, b) => this.node('Add', [a, b]));
    this.lengths.set(length.key, name);
    return name;
  }

  /** A constant of the graph. */
  known({ data, shape, dtype }: Constant): string {
    const lengths = fixedShape(shape);
    // Equal scalars have one name, so that equal nodes which read them are found to be equal.
    return data.length === 1
      ? this.constant([...data].map(Number), lengths, dtype)
      : this.data(data, lengths, dtype);
  }

  private data(values: TypedData, shape: readonly number[], dtype: DType): string {
    const name = this.fresh('constant');
    this.sink.constant(name, values, shape, dtype);
    return name;
  }

  /** Gives a value the name under which it leaves the graph. */
  alias(from: string, to: string): void {
    this.write('Identity', [from], [to], {});
  }

  private symbol(symbol: string): string {
    const key = `symbol ${symbol}`;
    const known = this.lengths.get(key);
    if (known !== undefined) return known;
    const binding = this.bindings.get(symbol);
    if (binding === undefined) throw new Error(`no input of the graph has an axis of length ${symbol}`);
    const name = this.node('Shape', [binding.input], { start: binding.axis, end: binding.axis + 1 });
    this.lengths.set(key, name);
    return name;
  }

  private nodeOnce(
    count: number,
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>>,
    domain?: string,
  ): readonly string[] {
    // Every op is a function of its inputs, so an equal node is the same value (a cast of the positions, say).
    const key = `${opType} ${count} ${inputs.join(' ')} ${JSON.stringify(attributes)}`;
    const known = this.nodes.get(key);
    if (known !== undefined) return known;
    const outputs = Array.from({ length: count }, () => this.fresh(opType));
    this.write(opType, inputs, outputs, attributes, domain);
    this.nodes.set(key, outputs);
    return outputs;
  }

  private fresh(base: string): string {
    return `${this.prefix}${base}_${this.counter++}`;
  }

  private write(
    opType: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>>,
    domain?: string,
  ): void {
    this.sink.node({ opType, inputs, outputs, attributes, ...(domain === undefined ? {} : { domain }) });
  }
}
