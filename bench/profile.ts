// Where a step's time goes, by op, and what share of the machine's matrix-product peak a step reaches. The peak is
// measured beside it, by the same runtime.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadRunFile } from '../src/config/loadRunFile.js';
import { embeddedEngine } from '../src/engines/embedded.js';
import { onnxRuntime } from '../src/runtime/onnxruntime.js';
import type { Value } from '../src/runtime/runtime.js';
import { matmul } from '../src/tensor/ops/matmul.js';
import { input } from '../src/tensor/tensor.js';
import { writeRunFile } from './job.js';
import type { Job } from './job.js';

export interface Profile {
  /** Mean of the steps looked at, in seconds, with the trace's own cost. */
  readonly stepSeconds: number;
  /** Mean of the same steps without a trace. */
  readonly stepSecondsUntraced: number;
  readonly nodes: number;
  /** Floating-point operations of a step's matrix products. */
  readonly productFlops: number;
  readonly peakFlopsPerSecond: number;
  /** Of the peak: products' operations over their own time, and over the whole untraced step. */
  readonly productsShareOfPeak: number;
  readonly stepShareOfPeak: number;
  readonly ops: readonly OpTime[];
}

export interface OpTime {
  readonly op: string;
  readonly count: number;
  readonly seconds: number;
  /** Of the time of all ops. */
  readonly share: number;
}

/** Steps that are looked at; those before them are warm-up. */
const WARM_UP = 2;
const STEPS = 6;

export async function profile(job: Job, folder: string): Promise<Profile> {
  const peakBefore = await productPeak(job.threads);
  const untraced = await stepsOf(job, folder, undefined);
  const traces = mkdtempSync(path.join(tmpdir(), 'peft-trace-'));
  await stepsOf(job, folder, path.join(traces, 'trace'));
  const events = readdirSync(traces).flatMap(
    (name) => JSON.parse(readFileSync(path.join(traces, name), 'utf8')) as TraceEvent[],
  );
  rmSync(traces, { recursive: true });
  const peak = Math.max(peakBefore, await productPeak(job.threads));
  const steps = stepTraces(events).slice(WARM_UP);
  const nodes = steps.flatMap((step) => step.nodes);
  const ops = opTimes(nodes, steps.length);
  const flops = nodes.reduce((sum, node) => sum + productFlops(node), 0) / steps.length;
  const productSeconds = ops
    .filter(({ op }) => op.includes('MatMul'))
    .reduce((sum, { seconds }) => sum + seconds, 0);
  const stepSeconds = steps.reduce((sum, { seconds }) => sum + seconds, 0) / steps.length;
  return {
    stepSeconds,
    stepSecondsUntraced: untraced,
    nodes: nodes.length / steps.length,
    productFlops: flops,
    peakFlopsPerSecond: peak,
    productsShareOfPeak: flops / productSeconds / peak,
    stepShareOfPeak: flops / untraced / peak,
    ops,
  };
}

/** Runs the job's first steps in this process; the mean seconds of those after the warm-up. */
async function stepsOf(job: Job, folder: string, traces: string | undefined): Promise<number> {
  const file = path.join(folder, `${job.task}.profile.peft.yaml`);
  writeRunFile({ ...job, steps: WARM_UP + STEPS }, file, { evaluates: false });
  const { run } = await loadRunFile(file);
  const runtime = { ...run!.config.runtime, ...(traces === undefined ? {} : { traces }) };
  const seconds: number[] = [];
  await embeddedEngine(
    { ...run!, config: { ...run!.config, runtime } },
    {
      emit: (event) => {
        if (event.type === 'step') seconds.push(event.seconds);
      },
      stopRequested: () => false,
    },
  );
  const looked = seconds.slice(WARM_UP);
  return looked.reduce((a, b) => a + b, 0) / looked.length;
}

/** An event of ONNX Runtime's trace; times in microseconds. */
interface TraceEvent {
  readonly cat: string;
  readonly name: string;
  readonly ts: number;
  readonly dur: number;
  readonly args?: {
    readonly op_name?: string;
    readonly input_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
    readonly output_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
  };
}

/** The nodes of each run of the training step: the graph with products that have an update, so with most nodes. */
function stepTraces(events: readonly TraceEvent[]): { seconds: number; nodes: TraceEvent[] }[] {
  // An `If` holds the nodes of its branch, which have events of their own.
  const nodes = events.filter(
    ({ cat, name, args }) => cat === 'Node' && name.endsWith('_kernel_time') && args?.op_name !== 'If',
  );
  const runs = events
    .filter(({ name }) => name === 'model_run')
    .sort((a, b) => a.ts - b.ts)
    .map(({ ts, dur }) => ({
      seconds: dur / 1e6,
      nodes: nodes.filter((node) => node.ts >= ts && node.ts <= ts + dur),
    }));
  const most = Math.max(...runs.map((run) => run.nodes.length));
  return runs.filter((run) => run.nodes.length > most / 2);
}

function opTimes(nodes: readonly TraceEvent[], steps: number): OpTime[] {
  const times = new Map<string, { count: number; seconds: number }>();
  for (const { dur, args } of nodes) {
    const known = times.get(args!.op_name!) ?? { count: 0, seconds: 0 };
    times.set(args!.op_name!, known);
    known.count += 1 / steps;
    known.seconds += dur / 1e6 / steps;
  }
  const all = [...times.values()].reduce((sum, { seconds }) => sum + seconds, 0);
  return [...times]
    .map(([op, time]) => ({ op, ...time, share: time.seconds / all }))
    .sort((a, b) => b.seconds - a.seconds);
}

function productFlops({ args }: TraceEvent): number {
  if (!args!.op_name!.includes('MatMul')) return 0;
  const shapeOf = (value: Readonly<Record<string, readonly number[]>>): readonly number[] =>
    Object.values(value)[0]!;
  const [left, result] = [shapeOf(args!.input_type_shape![0]!), shapeOf(args!.output_type_shape![0]!)];
  const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
  // [.., m, k] · [.., k, n]: the left side's elements, each for n columns, whichever way it lies.
  return 2 * size(left) * result.at(-1)!;
}

/** Operations per second of the best of some large products, as the forward pass has them (x · Wᵀ). */
async function productPeak(threads: number): Promise<number> {
  const runtime = await onnxRuntime({ threads });
  let best = 0;
  for (const [rows, inner, columns] of [
    [1024, 1024, 1024],
    [2048, 2048, 2048],
    [512, 576, 1536],
  ] as const) {
    const program = await runtime.compile({
      y: matmul(input('x', 'float32', [rows, inner]), input('w', 'float32', [columns, inner]), {
        transposeB: true,
      }),
    });
    const filled = (...shape: number[]): Value => ({
      dtype: 'float32',
      shape,
      data: Float32Array.from({ length: shape[0]! * shape[1]! }, (_, at) => Math.sin(at)),
    });
    const feeds = { x: filled(rows, inner), w: filled(columns, inner) };
    const y = filled(rows, columns);
    for (let round = 0; round < 8; round++) {
      const since = performance.now();
      await program.run(feeds, { y });
      best = Math.max(best, (2 * rows * inner * columns) / ((performance.now() - since) / 1000));
    }
    await program.dispose();
  }
  return best;
}
