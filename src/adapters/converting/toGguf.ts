import * as l10n from '@vscode/l10n';
import { fail } from '../../common/problem.js';
import { transposed } from '../../linalg/products.js';
import type { LoraOptions } from '../../methods/lora.js';
import type { AttachContext } from '../../methods/method.js';
import { takesPair } from '../../methods/lowRankPair.js';
import type { LanguageModel } from '../../models/architecture.js';
import { F16_OVERFLOW } from '../../models/floatFormats.js';
import { GGUF_MODEL_TYPES, ggufNames } from '../../models/ggufNames.js';
import type { GgufNames } from '../../models/ggufNames.js';
import { permuteRotaryRows } from '../../models/ggufRotary.js';
import type { Site } from '../../models/site.js';
import type { GgufFloatType, GgufTensorToWrite } from '../../models/writeGguf.js';
import { loraTerm } from '../loraTerms.js';
import type { LoraTerm } from '../loraTerms.js';
import type { AdapterOnDisk } from '../readAdapter.js';

/** A LoRA as llama.cpp applies it to a GGUF file of its base. */
export interface GgufAdapter {
  readonly architecture: string;
  /** llama.cpp's scale of a pair is alpha / rank. */
  readonly alpha: number;
  readonly metadata: Readonly<Record<string, string | number>>;
  readonly tensors: readonly GgufTensorToWrite[];
  /** Those that have a pair. */
  readonly modules: readonly { readonly path: string; readonly rank: number }[];
}

/**
 * A LoRA adapter in the form that llama.cpp's `convert_lora_to_gguf.py` gives it. The file has one alpha for all modules: where
 * their s·r differ, B takes up the rest.
 *
 * @param adapter one that attaches to the model
 * @throws ProblemError `convert.gguf-method`, `convert.gguf-dora`, `convert.gguf-model`, `convert.gguf-whole`,
 *   `convert.gguf-module`, `convert.gguf-tied`, `convert.gguf-overflow`
 */
export async function ggufAdapter(
  adapter: AdapterOnDisk,
  { model }: Pick<AttachContext, 'model'>,
  dtype: GgufFloatType,
): Promise<GgufAdapter> {
  const names = ggufNames(model.modelType);
  if (names === undefined || model.classes !== undefined) return refuseModel(adapter, model.modelType);
  const options = optionsOf(adapter);
  refuseWhole(adapter);
  const pairs: NamedPair[] = [];
  for (const site of model.sites) {
    const term = takesPair(site) ? await loraTerm(adapter, options, site) : undefined;
    if (term === undefined) continue;
    const isTurned = names.pairedRows && /\.[qk]_proj$/.test(site.path);
    const turned = isTurned ? { headSize: model.headSize } : {};
    pairs.push({ site, name: nameOf(site, names, model, adapter), term, ...turned });
  }
  const [first] = pairs as [NamedPair, ...NamedPair[]];
  // As the file will hold it.
  const alpha = Math.fround(first.term.scale * first.term.r);
  const tensors = pairs.flatMap((pair) => tensorsOf(pair, alpha, dtype));
  if (dtype === 'F16') checkRange(tensors, adapter);
  return {
    architecture: names.architecture,
    alpha,
    metadata: {
      'general.architecture': names.architecture,
      'general.type': 'adapter',
      'adapter.type': 'lora',
      'adapter.lora.alpha': alpha,
    },
    tensors,
    modules: pairs.map(({ site, term }) => ({ path: site.path, rank: term.r })),
  };
}

interface NamedPair {
  readonly site: Site;
  /** `blk.3.attn_q` */
  readonly name: string;
  readonly term: LoraTerm;
  /** Of queries and keys whose rows llama.cpp has in another order. */
  readonly headSize?: number;
}

function tensorsOf(
  { site, name, term, headSize }: NamedPair,
  alpha: number,
  dtype: GgufFloatType,
): GgufTensorToWrite[] {
  const { r, a, scale } = term;
  const isEmbedding = site.kind === 'embedding';
  const [inSize, outSize] = (isEmbedding ? site.shape : [...site.shape].reverse()) as [number, number];
  const factor = (scale * r) / alpha;
  const b = factor === 1 ? term.b : term.b.map((value) => value * factor);
  const pair = {
    // Of an embedding columns of A are looked up, which llama.cpp does with rows.
    a: isEmbedding ? { shape: [inSize, r], data: transposed(a, r, inSize) } : { shape: [r, inSize], data: a },
    b: {
      shape: [outSize, r],
      data: headSize === undefined ? b : permuteRotaryRows(b, outSize, outSize / headSize),
    },
  };
  return [
    { name: `${name}.weight.lora_a`, dtype, ...pair.a },
    { name: `${name}.weight.lora_b`, dtype, ...pair.b },
  ];
}

/** @throws ProblemError `convert.gguf-method`, `convert.gguf-dora` */
function optionsOf({ config, configFile, format, peftType }: AdapterOnDisk): LoraOptions {
  const { options } = format.options(config, configFile);
  if (options.type !== 'lora') {
    return fail({
      code: 'convert.gguf-method',
      message: l10n.t`a GGUF adapter holds a LoRA, and this one is of type ${peftType}`,
      where: { file: configFile },
      expected: l10n.t`an adapter of type LORA`,
      mend: l10n.t`Make the nearest LoRA of it first (convert --to lora), or merge it and convert the merged model with llama.cpp.`,
    });
  }
  if (!options.use_dora) return options;
  return fail({
    code: 'convert.gguf-dora',
    message: l10n.t`DoRA scales the whole weight, which a GGUF adapter cannot hold`,
    where: { file: configFile },
    expected: l10n.t`LoRA adapters without use_dora`,
    mend: l10n.t`Make the nearest LoRA of it first (convert --to lora), or merge it and convert the merged model with llama.cpp.`,
  });
}

/** @throws ProblemError `convert.gguf-model` */
function refuseModel({ configFile }: AdapterOnDisk, modelType: string): never {
  return fail({
    code: 'convert.gguf-model',
    message: l10n.t`the adapter is for a model of type '${modelType}'`,
    where: { file: configFile },
    expected: l10n.t`a model that writes text, of one of the types ${GGUF_MODEL_TYPES.join(', ')}`,
  });
}

const PAIR = /\.lora_(?:embedding_)?[AB](?:\.weight)?$/;
/** PEFT puts the base's own matrix beside an adapted embedding. */
const BASE_COPY = /\.base_layer\.weight$/;

/** @throws ProblemError `convert.gguf-whole` for biases and modules that trained whole */
function refuseWhole({ tensors, weightsFile }: AdapterOnDisk): void {
  const whole = [...tensors.keys()].filter((key) => !PAIR.test(key) && !BASE_COPY.test(key));
  if (whole.length === 0) return;
  fail({
    code: 'convert.gguf-whole',
    message: l10n.t`the adapter holds more than pairs of A and B: ${whole.slice(0, 5).join(', ')}`,
    where: { file: weightsFile },
    expected: l10n.t`a LoRA without bias and modules_to_save: llama.cpp applies nothing else`,
    mend: l10n.t`Merge it and convert the merged model with llama.cpp.`,
  });
}

/** @throws ProblemError `convert.gguf-module`, `convert.gguf-tied` */
function nameOf(
  site: Site,
  { moduleName }: GgufNames,
  { tiedHead, sites }: LanguageModel,
  { weightsFile }: AdapterOnDisk,
): string {
  const where = { file: weightsFile };
  const mend = l10n.t`Merge it and convert the merged model with llama.cpp.`;
  if (tiedHead && site.weight === sites.find(({ isOutput }) => isOutput)?.weight) {
    fail({
      code: 'convert.gguf-tied',
      message: l10n.t`${site.path} is adapted, and the model uses one matrix as embedding and as output layer`,
      where,
      expected: l10n.t`an adapter that leaves both alone: llama.cpp knows them as one tensor`,
      mend,
    });
  }
  return (
    moduleName(site.path) ??
    fail({
      code: 'convert.gguf-module',
      message: l10n.t`${site.path} is adapted, to which llama.cpp applies no adapter`,
      where,
      mend,
    })
  );
}

/** @throws ProblemError `convert.gguf-overflow` */
function checkRange(tensors: readonly GgufTensorToWrite[], { weightsFile }: AdapterOnDisk): void {
  for (const { name, data } of tensors) {
    const at = data.findIndex((value) => Math.abs(value) >= F16_OVERFLOW);
    if (at < 0) continue;
    fail({
      code: 'convert.gguf-overflow',
      message: l10n.t`${name} holds ${String(data[at])}, which F16 cannot`,
      where: { file: weightsFile },
      expected: l10n.t`magnitudes below ${F16_OVERFLOW}`,
      mend: l10n.t`Write it as F32.`,
    });
  }
}
