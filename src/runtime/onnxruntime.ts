import * as l10n from '@vscode/l10n';
import path from 'node:path';
import type * as Ort from 'onnxruntime-node';
import { fail, messageOf } from '../common/problem.js';
import { fixedShape } from '../tensor/dims.js';
import type { DType, TensorType, TypedData } from '../tensor/tensor.js';
import { typedData } from '../tensor/tensor.js';
import { buildOnnxModel } from './onnxModel.js';
import type { Outputs, Program, Runtime, RuntimeOptions, Value, WeightFiles } from './runtime.js';

/**
 * The ONNX Runtime. Loaded only in worker processes, never in the extension host: a native fault takes its
 * process along (microsoft/vscode#115185).
 *
 * @throws ProblemError `runtime.not-loaded` when the native library cannot load, with its mend
 */
export async function onnxRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
  const ort = await loadOnnxRuntime();
  const compiled = (programs: readonly Outputs[], weights?: WeightFiles): Promise<Program[]> =>
    compilePrograms(ort, options, programs, weights);
  return {
    name: 'onnxruntime',
    compile: async (outputs, weights) => (await compiled([outputs], weights))[0]!,
    compileTogether: compiled,
  };
}

async function compilePrograms(
  ort: typeof Ort,
  options: RuntimeOptions,
  graphs: readonly Outputs[],
  weights: WeightFiles | undefined,
): Promise<Program[]> {
  const { bytes, inputs, constants, programs } = buildOnnxModel(graphs, (name) => {
    const found = weights?.tensors.get(name);
    // ONNX Runtime takes places relative to the folder only.
    return found && { ...found, file: path.relative(weights!.folder, path.resolve(weights!.folder, found.file)) };
  });
  const session = await explained('compile', () =>
    ort.InferenceSession.create(bytes, sessionOptions(options, weights?.folder)),
  );
  const fed = Object.fromEntries(
    [...constants].map(([name, { dtype, shape, data }]) => [
      name,
      tensorOf(ort, { dtype, shape: fixedShape(shape), data }),
    ]),
  );
  let inUse = programs.length;
  return programs.map(({ reads, weightBytes, outputs, choice }): Program => {
    const unread = [...inputs].filter(([name]) => !reads.has(name));
    const others = Object.fromEntries(
      unread.map(([name, type]) => [name, tensorOf(ort, name === choice ? CHOSEN : emptyValue(type))]),
    );
    return {
      reads,
      weightBytes,
      async run(feeds, into = {}) {
        const tensors: Record<string, Ort.Tensor> = { ...others, ...fed };
        for (const name of reads) {
          const value = feeds[name];
          if (value === undefined) throw new Error(`the graph needs a value for ${name}`);
          tensors[name] = tensorOf(ort, value);
        }
        const fetches: Record<string, Ort.Tensor | null> = {};
        for (const [name, output] of outputs) {
          const buffer = into[name];
          fetches[output] = buffer === undefined ? null : tensorOf(ort, buffer);
        }
        const results = await explained('run', () => session.run(tensors, fetches));
        const values: Record<string, Value> = {};
        for (const [name, output] of outputs) values[name] = into[name] ?? valueOf(results[output]!);
        return values;
      },
      dispose: async () => {
        inUse--;
        if (inUse === 0) await session.release();
      },
    };
  });
}

const CHOSEN: Value = { dtype: 'bool', shape: [], data: Uint8Array.of(1) };

/** As few elements as the type has; a single one is zero. */
function emptyValue({ dtype, shape }: TensorType): Value {
  return { dtype, shape: shape.map(() => 0), data: typedData(shape.length === 0 ? [0] : [], dtype) };
}

/** Turns what ONNX Runtime throws into a problem: most often it is that memory ran out. */
async function explained<T>(work: 'compile' | 'run', action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    const message = messageOf(error);
    if (/bad_alloc|failed to allocate|allocateraw|out of memory/i.test(message)) {
      fail(
        {
          code: 'runtime.out-of-memory',
          message: l10n.t`memory ran out: ${message}`,
          mend: l10n.t`Lower per_device_train_batch_size (gradient_accumulation_steps makes up for it) or max_length, or close other programs.`,
        },
        error,
      );
    }
    fail(
      {
        code: 'runtime.failed',
        message:
          work === 'compile'
            ? l10n.t`ONNX Runtime could not compile the graph: ${message}`
            : l10n.t`ONNX Runtime could not run the graph: ${message}`,
        mend: l10n.t`This is a fault of PEFT Studio or of its runtime: please report it with the log.`,
      },
      error,
    );
  }
}

function sessionOptions(options: RuntimeOptions, folder: string | undefined): Ort.InferenceSession.SessionOptions {
  return {
    executionProviders: ['cpu'],
    // Batches differ in length from step to step: a memory pattern planned for one keeps too much for another.
    enableMemPattern: false,
    // Lowerings emit fused kernels themselves; searching thousands of nodes for more takes seconds.
    graphOptimizationLevel: 'disabled',
    intraOpNumThreads: options.threads ?? 0,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
    ...(options.traces === undefined ? {} : { enableProfiling: true, profileFilePrefix: options.traces }),
    extra: {
      session: {
        ...(folder === undefined ? {} : { model_external_initializers_file_folder_path: folder }),
        // Packed copies of the weights would undo their mapping.
        disable_prepacking: '1',
        // A step is thousands of short ops: waking a sleeping thread for each takes longer than many of them, so
        // threads spin for the time between two ops. By default they would spin for longer than that, which takes
        // the core from the editor, and from each other on a busy machine.
        intra_op: { allow_spinning: '1', spin_duration_us: '20' },
      },
    },
  };
}

const ELEMENTS: Readonly<Partial<Record<Ort.Tensor.Type, DType>>> = {
  float32: 'float32',
  float64: 'float64',
  int32: 'int32',
  int64: 'int64',
  uint32: 'uint32',
  bool: 'bool',
};

function tensorOf(ort: typeof Ort, value: Value): Ort.Tensor {
  return new ort.Tensor(value.dtype, value.data as Ort.Tensor.DataTypeMap[DType], value.shape);
}

function valueOf(tensor: Ort.Tensor): Value {
  const dtype = ELEMENTS[tensor.type];
  if (dtype === undefined) throw new Error(`the graph returned elements of type ${tensor.type}`);
  return { dtype, shape: tensor.dims, data: tensor.data as TypedData };
}

async function loadOnnxRuntime(): Promise<typeof Ort> {
  try {
    const module = (await import('onnxruntime-node')) as typeof Ort & { default?: typeof Ort };
    return module.InferenceSession === undefined && module.default !== undefined ? module.default : module;
  } catch (error) {
    const message = messageOf(error);
    fail(
      {
        code: 'runtime.not-loaded',
        message: l10n.t`ONNX Runtime's native library does not load on ${process.platform}-${process.arch}: ${message}`,
        mend: loadMend(message),
      },
      error,
    );
  }
}

function loadMend(message: string): string {
  if (process.platform === 'win32') {
    return l10n.t`Install the Microsoft Visual C++ Redistributable (x64, 2019 or later), then start the run again.`;
  }
  if (process.platform === 'darwin' && process.arch === 'x64') {
    return l10n.t`ONNX Runtime has no build for Intel Macs; use a Mac with Apple silicon, Linux or Windows.`;
  }
  if (message.includes('GLIBC'))
    return l10n.t`The system C library is too old: ONNX Runtime needs glibc 2.28 or later.`;
  return l10n.t`Reinstall the package onnxruntime-node (npm rebuild does not help: the library is not compiled here).`;
}
