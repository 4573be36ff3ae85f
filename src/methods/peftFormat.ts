import type { JsonObject } from '../common/json.js';
import type { Problem } from '../common/problem.js';
import type { PairValues } from './lowRankPair.js';
import type { AttachContext, Prepared } from './method.js';
import type { Spectrum } from './spectrum.js';

/** How Hugging Face PEFT, or the `adapters` library, keeps the adapters of a method, so that they can be read back. */
export interface PeftFormat<Options> {
  /** `peft_type` of `adapter_config.json`: `LORA`; of the `adapters` library's, which have none, a name of ours. */
  readonly type: string;
  /** Whose files they are; default: PEFT's. */
  readonly library?: 'adapters';
  /** Whether a config is of this method, where its `peft_type` is another's: {@link type} is a name of ours then. */
  reads?(config: JsonObject): boolean;
  /**
   * The method's options out of an `adapter_config.json`.
   * @param source the file, for messages
   * @throws ProblemError `adapter.config`: a key that would change the arithmetic, a value that no option takes
   */
  options(
    config: JsonObject,
    source: string,
  ): { readonly options: Options; readonly warnings: readonly Problem[] };
  /**
   * Refuses a base model that is another one, where no tensor's shape tells.
   * @throws ProblemError `adapter.other-base`
   */
  checkBase?(
    adapter: Pick<AdapterTensors, 'config' | 'configFile' | 'tensors'>,
    options: Options,
    context: AttachContext,
  ): void;
  /** Whether the head of a task is among the weights that an adapter changes, and no weights of its own beside them. */
  adaptsHead?(config: JsonObject): boolean;
  /**
   * Its tensors are differences that are added to the base's numbers: at places of weights, of whole tensors, or as the
   * factors of low-rank updates. Such adapters of one base model can be added up.
   */
  readonly differences?: 'places' | 'tensors' | 'factors';
  /**
   * Its config says how many numbers the tensors hold (`stored_numbers`): which tensors there are does not follow from the
   * options alone, so that nothing else tells that one is missing.
   */
  readonly saysHowMany?: true;
  /** For a method that prepares: what it found, out of the adapter's files. */
  prepared?(adapter: AdapterTensors): Promise<Prepared>;
  /** What its tensors are, without the base model. What does not belong together is reported, not thrown. */
  inspect(adapter: AdapterTensors): Promise<InspectedTensors>;
  /**
   * For a method whose ΔW of a module is s·B·A and nothing more: A [r, in] and B [out, r] of a module that {@link inspect}
   * found, whose s that says.
   */
  pair?(adapter: AdapterTensors, module: InspectedModule): Promise<PairValues>;
}

/** The files of an adapter whose headers are read. */
export interface AdapterTensors {
  readonly config: JsonObject;
  /** The config's path, for messages. */
  readonly configFile: string;
  /** The weights' path, for messages. */
  readonly weightsFile: string;
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[]; readonly dtype: string }>;
  /** One tensor's numbers as float32. */
  read(name: string): Promise<Float32Array>;
  /** A tensor of 32-bit integers. */
  readIndices(name: string): Promise<Int32Array>;
}

/** What the tensors of an adapter are. */
export interface InspectedTensors {
  readonly r: number | undefined;
  readonly alpha: number | undefined;
  readonly modules: readonly InspectedModule[];
  /** What `a` and `b` of the modules are, with their shapes; default: `A [r, in]` and `B [out, r]`. */
  readonly factors?: readonly string[];
  /** Tensors of which there is one for several modules, by their keys. */
  readonly shared?: readonly {
    readonly key: string;
    readonly shape: readonly number[];
    readonly trainable: number;
    /** Paths of the modules that have it in common. */
    readonly modules: readonly string[];
  }[];
  /** Keys of base parameters that trained whole (`modules_to_save`, biases). */
  readonly whole: readonly string[];
  /** How many numbers a tensor among them stands for, where these are not its own: the bits of a mask. */
  readonly numbers?: ReadonlyMap<string, number>;
  /** Keys of tensors that belong to nothing that the config names. */
  readonly unknown: readonly string[];
  readonly problems: readonly Problem[];
}

/** One adapted module. */
export interface InspectedModule extends Spectrum {
  /** `model.layers.0.self_attn.q_proj` */
  readonly path: string;
  /** As A has it. */
  readonly rank: number;
  /** s of ΔW = s·B·A; undefined where the config could not be read. */
  readonly scale: number | undefined;
  /** [r, in]; embedding [r, vocabulary] */
  readonly a: readonly number[];
  /** [out, r]; absent where a module has one matrix (MoRA). */
  readonly b?: readonly number[];
  readonly trainable: number;
  /** ‖ΔW‖ (Frobenius); undefined where it cannot be had of these tensors alone. */
  readonly norm: number | undefined;
}
