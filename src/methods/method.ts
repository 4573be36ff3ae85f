import type { Static, TObject } from '@sinclair/typebox';
import type { JsonObject } from '../common/json.js';
import type { Problem } from '../common/problem.js';
import type { Random } from '../common/random.js';
import type { LanguageModel } from '../models/architecture.js';
import type { Hooks, ParameterKind, Site } from '../models/site.js';
import type { Variable } from '../tensor/tensor.js';
import type { MethodCoverage } from './coverage.js';
import type { MethodInfo } from './info.js';
import type { PeftFormat } from './peftFormat.js';
import type { IdlePatterns } from './targets.js';

/** A method and what it does with a model; `Options` is the schema of its part of the run file. */
export interface Method<Options extends TObject> {
  readonly info: MethodInfo<Options>;
  /** Takes hold of a model. Throws a ProblemError when nothing matches. */
  attach(options: Static<Options>, context: AttachContext): Attached;
  /** How Hugging Face PEFT keeps its adapters. Absent: PEFT has no such method, or it writes whole models. */
  readonly peft?: PeftFormat<Static<Options>>;
}

/** What a method is handed; it never opens a file itself. */
export interface AttachContext {
  readonly model: LanguageModel;
  /** The base model's name, as it is written into an adapter's config. */
  readonly modelName: string;
  /** A base weight as float32, row-major. */
  readonly read: (name: string) => Promise<Float32Array>;
  /** Random numbers of a stream of one's own: no other method of the run draws the same. */
  readonly random: (...stream: (string | number)[]) => Random;
  /** What the names of its variables start with, so that two methods of a run may share a kind. Default: nothing. */
  readonly instance?: string;
  /** A pattern that matches nothing: `error` (the default) in a run file, `warning` in an adapter on disk. */
  readonly idlePatterns?: IdlePatterns;
}

/** One method on one model. A run may attach several; their hooks act in order. */
export interface Attached {
  readonly type: string;
  readonly hooks: Hooks;
  readonly trainables: readonly Trainable[];
  readonly coverage: MethodCoverage;
  /** Numbers per site for the panel, computed from present values. */
  report?(values: Values): readonly SiteReport[];
  /**
   * What a parameter of the base becomes when the method is merged into it, or undefined where it stays.
   * Computed in float32 from `base`. Absent: the method cannot be merged.
   */
  merge?(site: Site, kind: ParameterKind, base: Float32Array, values: Values): Float32Array | undefined;
  /** What is written to disk. */
  save(values: Values): SavedMethod;
  /**
   * Values of the trainables out of the tensors of an adapter on disk.
   * @throws ProblemError naming tensors that are missing, left over or of another shape
   */
  load(tensors: ReadonlyMap<string, NamedTensor>, source: string): LoadedValues;
}

/** Present numbers of the trainables, by name. */
export type Values = ReadonlyMap<string, Float32Array>;

export interface LoadedValues {
  readonly values: Values;
  readonly warnings: readonly Problem[];
}

/** A tensor that the run trains. */
export interface Trainable {
  readonly variable: Variable;
  /** Its numbers before the first step. */
  readonly start: () => Float32Array | Promise<Float32Array>;
  /** Weight decay acts on it. */
  readonly decays: boolean;
}

export interface SiteReport {
  readonly path: string;
  readonly rank?: number;
  readonly scale?: number;
  /** Frobenius norm of ΔW. */
  readonly norm?: number;
  readonly density?: number;
}

export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** An adapter in Hugging Face PEFT's form, or, where every weight trained, the weights themselves. */
export type SavedMethod =
  | { readonly kind: 'adapter'; readonly config: JsonObject; readonly tensors: readonly NamedTensor[] }
  | { readonly kind: 'model'; readonly weights: readonly NamedTensor[] };
