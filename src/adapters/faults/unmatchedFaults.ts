import * as l10n from '@vscode/l10n';
import { nearestName } from '../../common/nearest.js';
import { parameterShape } from '../../models/site.js';
import type { Site } from '../../models/site.js';
import { isLora, lines, pairsIn, some, wholeParameter } from './lowRankKeys.js';
import type { Check, Fault, Form } from './fault.js';

/** `adapter.unmatched`, `adapter.vocabulary`: modules that the base does not have, or that are of other sizes there. */
export const unmatchedFaults: Check = (form, { weightsFile, model }) => {
  if (model === undefined || !isLora(form)) return [];
  const sites = new Map(model.sites.map((site) => [site.path, site]));
  const needs = needsOf(form);
  const absent = needs.filter(({ path }) => !sites.has(path));
  const misfits = needs.flatMap(({ path, key, sizes }) => {
    const site = sites.get(path);
    const wanted = site && sizesIn(site, key);
    return site === undefined || wanted === undefined || sizes.join() === wanted.join()
      ? []
      : [{ site, key, sizes, wanted }];
  });
  const where = { file: weightsFile };
  const text = (sizes: readonly number[]): string => `[${sizes.join(', ')}]`;
  const faults: Fault[] = [];
  if (absent.length > 0) {
    const paths = [...new Set(absent.map(({ path }) => path))];
    const known = [...sites.keys()];
    faults.push({
      problem: {
        code: 'adapter.unmatched',
        severity: 'error',
        message: l10n.t`the base model does not have modules of the adapter: ${some(paths)} (${paths.length})`,
        where,
        mend: l10n.t`Name the base model that the adapter was trained on; where a name has a slip, only who wrote it knows which module was meant.`,
      },
      differences: lines(
        paths.map((path) => {
          const near = nearestName(path, known);
          return near === undefined ? `${path} → ?` : `${path} → ${near}?`;
        }),
      ),
    });
  }
  const grown = misfits.filter(({ site, sizes, wanted }) => isVocabulary(site) && differsInRows(sizes, wanted));
  const other = misfits.filter((each) => !grown.includes(each));
  if (grown[0] !== undefined) {
    const { sizes } = grown[0];
    const rows = sizes.find((size) => !grown[0]!.wanted.includes(size)) ?? sizes[0]!;
    faults.push({
      problem: {
        code: 'adapter.vocabulary',
        severity: 'error',
        message: l10n.t`the adapter was trained with a vocabulary of ${rows}, the base model's is ${model.vocabSize}`,
        where,
        mend: l10n.t`Resize the base model first, in Transformers: model.resize_token_embeddings(${rows}); model.save_pretrained("resized").`,
      },
      differences: lines(grown.map(({ key, sizes: found, wanted }) => `${key}: ${text(found)} → ${text(wanted)}`)),
    });
  }
  if (other[0] !== undefined) {
    const { key, sizes, wanted } = other[0];
    faults.push({
      problem: {
        code: 'adapter.unmatched',
        severity: 'error',
        message: l10n.t`${key} is for sizes ${text(sizes)}, and the base has ${text(wanted)} (${other.length} misfits)`,
        where,
        mend: l10n.t`Use the base model that the adapter was trained on (base_model_name_or_path).`,
      },
      differences: lines(other.map((each) => `${each.key}: ${text(each.sizes)} → ${text(each.wanted)}`)),
    });
  }
  return faults;
};

interface Need {
  readonly path: string;
  /** What is said not to fit: a module of a pair, or a parameter. */
  readonly key: string;
  readonly sizes: readonly number[];
}

/** The modules that a form needs, with the sizes that it has for them: [out, in] of a pair's, a parameter's own. */
function needsOf(form: Form): Need[] {
  const pairs = pairsIn(form).map(({ path, a, b }): Need => {
    return { path, key: path, sizes: [form.tensors.get(b)!.shape[0]!, form.tensors.get(a)!.shape[1]!] };
  });
  const whole = [...form.tensors].flatMap(([key, { shape }]): Need[] => {
    const parameter = wholeParameter(key);
    return parameter === undefined ? [] : [{ path: parameter.path, key, sizes: shape }];
  });
  return [...pairs, ...whole];
}

function sizesIn(site: Site, key: string): readonly number[] | undefined {
  if (key.endsWith('.weight') && key !== site.path) return parameterShape(site, 'weight');
  if (key.endsWith('.bias') && key !== site.path) return site.kind === 'norm' ? undefined : [site.shape[0]!];
  // An embedding's A reads the vocabulary, and B has the width.
  return site.kind === 'embedding' ? [...site.shape].reverse() : site.shape;
}

function isVocabulary({ kind, isOutput }: Site): boolean {
  return isOutput || kind === 'embedding';
}

function differsInRows(sizes: readonly number[], wanted: readonly number[]): boolean {
  return sizes.length === wanted.length && sizes.some((size, at) => size === wanted[at]);
}
