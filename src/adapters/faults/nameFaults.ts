import * as l10n from '@vscode/l10n';
import { PEFT_PREFIX } from '../../methods/loraParameters.js';
import { isWrittenTwice } from '../../methods/parameters.js';
import type { LanguageModel } from '../../models/architecture.js';
import { lines } from './lowRankKeys.js';
import { withTensors } from './fault.js';
import type { Check, Fault, Form } from './fault.js';

/** Types whose tensors are named after modules, as PEFT names them. */
const NAMED_BY_MODULE: ReadonlySet<unknown> = new Set(['LORA', 'ADALORA', 'IA3']);

/** `adapter.keys`: tensors under other names than PEFT gives them: wrapped otherwise, or with the adapter's name inside. */
export const nameFaults: Check = (form, { weightsFile, model }) => {
  if (!NAMED_BY_MODULE.has(form.config['peft_type'])) return [];
  const all = [...form.tensors.keys()]
    .filter((key) => !isWrittenTwice(key, form.tensors))
    .map((key) => ({ key, ...wantedName(key, form, model) }));
  const inside = [...new Set(all.flatMap(({ adapter }) => adapter ?? []))];
  const wrong = all.filter(({ key, name }) => key !== name);
  const [first] = wrong;
  if (first === undefined) return [];
  const differences = lines(wrong.map(({ key, name }) => `${key} → ${name}`));
  const about = {
    code: 'adapter.keys',
    severity: 'error' as const,
    where: { file: weightsFile },
    expected: l10n.t`names such as ${first.name}`,
  };
  if (new Set(all.map(({ name }) => name)).size < all.length) {
    return [
      {
        problem: {
          ...about,
          message: l10n.t`the file holds several adapters: ${inside.join(', ')}`,
          mend: l10n.t`Save the one that you want by itself, in PEFT: save_pretrained(…, selected_adapters=[…]).`,
        },
        differences,
      },
    ];
  }
  const names = new Map(all.map(({ key, name }) => [key, name]));
  return [
    {
      problem: {
        ...about,
        message: l10n.t`${wrong.length} of ${all.length} tensors have other names than PEFT's, such as ${first.key}`,
      },
      differences,
      repair: {
        title: l10n.t`rename ${wrong.length} tensors: ${rules(wrong)}`,
        apply: (broken) => withTensors(broken, (name, tensor) => [names.get(name) ?? name, tensor]),
      },
    } satisfies Fault,
  ];
};

/** What frameworks put in front of, and into, the paths of modules that they wrap. */
const WRAPPERS = /^(?:(?:module|_orig_mod|base_model\.model)\.)+/;
const COMPILED = /\._orig_mod(?=\.)/g;

/** What stands behind a module's path: which tensor it is, and, where it was kept, the adapter's name. */
const ENDINGS: readonly {
  readonly found: RegExp;
  readonly wanted: (tensor: string, peftType: unknown) => string;
}[] = [
  {
    found: /\.(lora_[ABE])(?:\.(?!weight$|bias$)([^.]+))?(?:\.weight)?$/,
    // AdaLoRA's are bare parameters.
    wanted: (tensor, type) => `.${tensor}${type === 'ADALORA' ? '' : '.weight'}`,
  },
  { found: /\.(lora_B)(?:\.(?!bias$)([^.]+))?\.bias$/, wanted: (tensor) => `.${tensor}.bias` },
  {
    found: /\.(lora_embedding_[AB]|lora_magnitude_vector|ia3_l|ranknum)(?:\.(?!weight$)([^.]+))?(?:\.weight)?$/,
    wanted: (tensor) => `.${tensor}`,
  },
  { found: /\.modules_to_save(?:\.([^.]+))?\.(weight|bias)$/, wanted: (kind) => `.${kind}` },
];

interface Wanted {
  readonly name: string;
  /** What stands in front of the module in the file, and in PEFT's name. */
  readonly fronts?: readonly [found: string, wanted: string];
  /** The name of the adapter that stood in it. */
  readonly adapter?: string | undefined;
}

/** A tensor's name as PEFT has it. */
function wantedName(key: string, { config }: Form, model: LanguageModel | undefined): Wanted {
  for (const { found, wanted } of ENDINGS) {
    const match = found.exec(key);
    if (match === null) continue;
    const isWhole = match[0].startsWith('.modules_to_save');
    const [tensor, adapter] = isWhole ? [match[2]!, match[1]] : [match[1]!, match[2]];
    return { ...named(key.slice(0, match.index), wanted(tensor, config['peft_type']), model), adapter };
  }
  const [, path, end] = /^(.+?)((?:\.base_layer)?\.(?:weight|bias))$/.exec(key) ?? [];
  return path === undefined || end === undefined ? { name: key } : named(path, end, model);
}

function named(found: string, end: string, model: LanguageModel | undefined): Wanted {
  const path = `${PEFT_PREFIX}${placed(found.replace(WRAPPERS, '').replace(COMPILED, ''), model)}`;
  const [from, to] = [found.split('.'), path.split('.')];
  let common = 0;
  while (common < Math.min(from.length, to.length) && from.at(-1 - common) === to.at(-1 - common)) common++;
  const front = (parts: readonly string[]): string => parts.slice(0, parts.length - common).join('.');
  return { name: `${path}${end}`, fronts: [front(from), front(to)] };
}

/** The path of the one module of the base that is meant: another wrapping has more or less in front. */
function placed(path: string, model: LanguageModel | undefined): string {
  const paths = model?.sites.map((site) => site.path) ?? [];
  if (paths.includes(path)) return path;
  const meant = paths.filter((each) => each.endsWith(`.${path}`) || path.endsWith(`.${each}`));
  return meant.length === 1 ? meant[0]! : path;
}

/** How names change, each kind of change once. */
function rules(wrong: readonly Wanted[]): string {
  const all = wrong.flatMap(({ fronts: [found, wanted] = ['', ''], adapter }) => [
    ...(found === wanted
      ? []
      : [wanted === '' ? l10n.t`"${found}" in front goes` : l10n.t`"${found}" in front becomes "${wanted}"`]),
    ...(adapter === undefined ? [] : [l10n.t`the adapter's name "${adapter}" goes`]),
  ]);
  const [first, second, third, ...more] = new Set(all);
  return [first, second, third, ...(more.length > 0 ? ['…'] : [])].filter((each) => each !== undefined).join('; ');
}
