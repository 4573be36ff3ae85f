import type { JsonObject } from '../../common/json.js';
import { isError } from '../../common/problem.js';
import type { Problem } from '../../common/problem.js';
import type { LanguageModel } from '../../models/architecture.js';
import type { TensorInfo } from '../../models/checkpoint.js';

/** An adapter's config and the header of its weights: all that a fault of its form shows in, and a repair changes. */
export interface Form {
  readonly config: JsonObject;
  readonly tensors: ReadonlyMap<string, FormTensor>;
}

/** A tensor as repairs left it. */
export interface FormTensor extends TensorInfo {
  /** Its name in the file, which has its numbers. */
  readonly from: string;
  /** The file has its rows as columns. */
  readonly transposed: boolean;
}

/** What a check of a form knows beside it. */
export interface About {
  /** The paths of its files, for messages. */
  readonly configFile: string;
  readonly weightsFile: string;
  /** The base model, where it is known. */
  readonly model?: LanguageModel | undefined;
  /** How the config should name it, where somebody says so. */
  readonly modelName?: string | undefined;
}

/** What is wrong with a form. */
export interface Fault {
  readonly problem: Problem;
  /** The whole difference, where the message has only a part of it: a line each, `what was found → what it should be`. */
  readonly differences: readonly string[];
  /** What mends it and cannot be wrong, by what the files say; absent where that would be a guess. */
  readonly repair?: Repair;
}

/** A change of an adapter's form that keeps what it computes, or gives the only thing that it can have computed. */
export interface Repair {
  /** What is done, a sentence that follows a colon: small letter first, no full stop. */
  readonly title: string;
  apply(form: Form): Form;
}

/** Finds faults of one kind, in a form of which what can be mended of the kinds before is mended. */
export type Check = (form: Form, about: About) => readonly Fault[];

/** A form with other values in its config; undefined takes a key out. */
export function withConfig(
  { config, tensors }: Form,
  values: Readonly<Record<string, JsonObject[string] | undefined>>,
): Form {
  const all = Object.entries({ ...config, ...values });
  return {
    config: Object.fromEntries(all.flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]))),
    tensors,
  };
}

/** A form whose tensors are changed one by one; the entry is the new name and what is there. */
export function withTensors(
  { config, tensors }: Form,
  change: (name: string, tensor: FormTensor) => readonly [string, FormTensor],
): Form {
  return { config, tensors: new Map([...tensors].map(([name, tensor]) => change(name, tensor))) };
}

/** Whether faults keep the adapter from being used. */
export function stops(faults: readonly Fault[]): boolean {
  return faults.some(({ problem }) => isError(problem));
}
