import * as l10n from '@vscode/l10n';
import { nearestName } from '../common/nearest.js';
import { METHODS } from '../methods/registry.js';
import type { Place, Problem } from '../common/problem.js';
import { escapeLoneDots, looksLikeRegex, regexFault } from './patterns.js';
import type { MethodConfig, RunConfig } from './schema.js';
import { trainingProblems } from './trainingChecks.js';
import type { ConfigPath } from './tree.js';

/** The sections that are right each for itself; the others are absent. */
export type Draft = { readonly [K in keyof RunConfig]?: RunConfig[K] };

/** Where a path stands in the file. */
export type PlaceOf = (path: ConfigPath, part?: 'key' | 'value') => Place;

/** Options that name modules, of whichever method. */
interface Targeted {
  readonly target_modules?: string | readonly string[] | undefined;
  readonly feedforward_modules?: string | readonly string[] | undefined;
  readonly exclude_modules?: string | readonly string[] | undefined;
  readonly layers_to_transform?: number | readonly number[] | undefined;
  readonly layers_pattern?: string | readonly string[] | undefined;
  readonly rank_pattern?: Readonly<Record<string, number>>;
  readonly alpha_pattern?: Readonly<Record<string, number>>;
}

/**
 * Modules below the model's root that no layer holds, in the usual architectures. (`lm_head` stands at the root:
 * its name is its whole path, and what is listed by its whole path stays, as in PEFT.)
 */
const OUTSIDE_LAYERS = ['embed_tokens', 'wte', 'wpe'];

/** What each option allows but the options together do not. Judged from the file alone: no model, no data is read. */
export function crossCheck(draft: Draft, placeOf: PlaceOf): Problem[] {
  return [
    ...(draft.data ? dataProblems(draft.data, placeOf) : []),
    ...(draft.method ? methodProblems(draft.method, placeOf) : []),
    ...(draft.training ? trainingProblems(draft.training, draft.data, placeOf) : []),
    ...sharpnessProblems(draft, placeOf),
    ...proxyProblems(draft, placeOf),
    ...(draft.output ? outputProblems(draft.output, placeOf) : []),
  ];
}

/** GaLore finds its subspaces in the gradient where the weights are, not in the second one, which moves them. */
function sharpnessProblems({ method = [], training }: Draft, placeOf: PlaceOf): Problem[] {
  if (training === undefined || training.sam_rho === 0 || !method.some(({ type }) => type === 'galore')) return [];
  return [
    {
      code: 'config.galore-sharpness',
      message: l10n.t`\`galore\` finds its subspaces in the gradient where the weights are; \`sam_rho\` takes the step from another`,
      where: placeOf(['training', 'sam_rho']),
      mend: l10n.t`Remove \`sam_rho\`, or train with \`full\`.`,
    },
  ];
}

/** A larger base only answers and is measured on held-out rows. */
function proxyProblems({ data, proxy_tuning: proxy }: Draft, placeOf: PlaceOf): Problem[] {
  if (proxy === undefined || data === undefined) return [];
  if (data.validation !== undefined || (data.validation_split ?? 0) > 0) return [];
  return [
    {
      code: 'config.nothing-to-evaluate',
      severity: 'warning',
      message: l10n.t`\`proxy_tuning\` changes nothing in the run: no validation data is given`,
      where: placeOf(['proxy_tuning'], 'key'),
      mend: l10n.t`Add \`data.validation\` or \`data.validation_split\`.`,
    },
  ];
}

function dataProblems(data: RunConfig['data'], placeOf: PlaceOf): Problem[] {
  const split = data.validation_split ?? 0;
  const where = placeOf(['data', 'validation_split']);
  if (split > 0 && data.validation !== undefined) {
    return [
      {
        code: 'config.two-validations',
        message: l10n.t`\`data.validation\` and \`data.validation_split\` are both given`,
        where,
        mend: l10n.t`Keep one: a file of held-out rows, or rows held out of \`train\`.`,
      },
    ];
  }
  if (split > 1 && !Number.isInteger(split)) {
    return [
      {
        code: 'config.out-of-range',
        message: l10n.t`\`data.validation_split\` is ${split}: neither a share nor a number of rows`,
        where,
        expected: l10n.t`a number below 1 (a share of the rows) or a whole number (rows)`,
      },
    ];
  }
  return [];
}

function outputProblems({ name }: RunConfig['output'], placeOf: PlaceOf): Problem[] {
  if (name === undefined || !(/[/\\:*?"<>|\0]/.test(name) || /^\.+$/.test(name))) return [];
  return [
    {
      code: 'config.bad-name',
      message: l10n.t`\`output.name\` is \`${name}\`, which cannot name a folder`,
      where: placeOf(['output', 'name']),
      expected: l10n.t`one folder name, without \`/ \\ : * ? " < > |\``,
      mend: l10n.t`To put runs elsewhere, set \`output.dir\`.`,
    },
  ];
}

function methodProblems(methods: readonly MethodConfig[], placeOf: PlaceOf): Problem[] {
  return methods.flatMap((method, i) => [
    ...combinationProblems(methods, i, placeOf),
    ...('target_modules' in method ? targetProblems(method, ['method', i], placeOf) : []),
  ]);
}

/** Whether a method only guides how others train. */
function guides({ type }: MethodConfig): boolean {
  return METHODS.some((method) => method.type === type && 'guides' in method);
}

function guidesItself({ type }: MethodConfig): boolean {
  return METHODS.some((method) => method.type === type && 'guidesItself' in method);
}

function combinationProblems(methods: readonly MethodConfig[], i: number, placeOf: PlaceOf): Problem[] {
  const type = methods[i]?.type;
  const where = placeOf(['method', i, 'type']);
  if (methods.findIndex((other) => other.type === type) < i) {
    return [
      {
        code: 'config.method-twice',
        message: l10n.t`the method \`${String(type)}\` stands twice in the list`,
        where,
        mend:
          type === 'lora'
            ? l10n.t`Keep one; \`rank_pattern\` and \`alpha_pattern\` give modules their own rank.`
            : l10n.t`Keep one.`,
      },
    ];
  }
  const acting = methods.filter((other) => !guides(other));
  const along = methods[i]?.type === 'adapter_fusion' && methods[i].stage1 === 'MT-A';
  if (
    (type === 'full' || type === 'galore' || type === 'lisa' || type === 'lt_sft' || along) &&
    acting.length > 1
  ) {
    return [
      {
        code: 'config.full-with-others',
        message: l10n.t`\`${String(type)}\` trains the model's own weights; another method beside it has nothing frozen to adapt`,
        where,
        mend: l10n.t`Keep \`${String(type)}\` or the other methods.`,
      },
    ];
  }
  if (methods[i] !== undefined && guides(methods[i]) && methods.slice(0, i).every(guides)) {
    return [
      {
        code: 'config.method-alone',
        message: l10n.t`\`${String(type)}\` trains nothing of its own: it guides the methods listed before it`,
        where,
        expected: l10n.t`a method before it in the list`,
        mend: l10n.t`List it after another method: \`method: [{ type: lora }, ${`{ type: ${String(type)} }`}]\`.`,
      },
    ];
  }
  const other = methods.slice(0, i).find(guidesItself);
  if (methods[i] !== undefined && guides(methods[i]) && other !== undefined) {
    return [
      {
        code: 'config.not-guided',
        message: l10n.t`\`${String(type)}\` cannot be combined with \`${other.type}\`, which changes for itself what trains`,
        where,
        expected: l10n.t`only methods such as \`lora\` or \`full\` before it`,
        mend: l10n.t`Keep one of the two.`,
      },
    ];
  }
  return [];
}

function targetProblems(method: Targeted, path: ConfigPath, placeOf: PlaceOf): Problem[] {
  return [
    ...(['target_modules', 'exclude_modules', 'feedforward_modules'] as const).flatMap((key) =>
      patternProblems(method[key] ?? [], [...path, key], placeOf),
    ),
    ...layerProblems(method, path, placeOf),
    ...(['rank_pattern', 'alpha_pattern'] as const).flatMap((key) =>
      keyProblems(Object.keys(method[key] ?? {}), [...path, key], placeOf),
    ),
  ];
}

/** HF PEFT's rules (`LoraConfig.__post_init__`), and modules that they drop without a word. */
function layerProblems(method: Targeted, path: ConfigPath, placeOf: PlaceOf): Problem[] {
  const { target_modules: targets = [], layers_to_transform, layers_pattern } = method;
  if (typeof targets === 'string') {
    return (['layers_to_transform', 'layers_pattern'] as const)
      .filter((key) => method[key] !== undefined)
      .map((key) => ({
        code: 'config.layers-without-list',
        message: l10n.t`\`${key}\` works only with a list of \`target_modules\`, which is \`${targets}\``,
        where: placeOf([...path, key], 'key'),
        mend: l10n.t`List the modules (\`target_modules: [q_proj, v_proj]\`), or name the layers in the regular expression.`,
      }));
  }
  if (layers_pattern !== undefined && layers_to_transform === undefined) {
    return [
      {
        code: 'config.pattern-without-layers',
        message: l10n.t`\`layers_pattern\` says where layer numbers stand, but \`layers_to_transform\` chooses none`,
        where: placeOf([...path, 'layers_pattern'], 'key'),
        mend: l10n.t`Add \`layers_to_transform\`, or remove \`layers_pattern\`.`,
      },
    ];
  }
  if (layers_to_transform === undefined) return [];
  return targets.flatMap((entry, i) =>
    OUTSIDE_LAYERS.includes(entry)
      ? [
          {
            code: 'config.target-outside-layers',
            severity: 'warning' as const,
            message: l10n.t`\`${entry}\` is in no layer, so \`layers_to_transform\` drops it`,
            where: placeOf([...path, 'target_modules', i]),
            mend: l10n.t`To train it in full, name it in \`modules_to_save\`.`,
          },
        ]
      : [],
  );
}

/** `target_modules` and `exclude_modules`: a list holds path endings, a string is one regular expression. */
function patternProblems(value: string | readonly string[], path: ConfigPath, placeOf: PlaceOf): Problem[] {
  const key = String(path.at(-1));
  if (typeof value !== 'string') {
    return value.flatMap((entry, i) =>
      looksLikeRegex(entry)
        ? [
            {
              code: 'config.regex-in-list',
              message: l10n.t`\`${entry}\` in the list \`${key}\` looks like a regular expression, but entries of a list are matched as path endings: it matches nothing`,
              where: placeOf([...path, i]),
              mend: l10n.t`Write the module's name (\`q_proj\`), or one regular expression without a list: \`${key}: '${entry}'\`.`,
            },
          ]
        : [],
    );
  }
  const where = placeOf(path);
  if (value === 'all-linear') return [];
  const fault = regexFault(value);
  if (fault !== undefined) {
    return [
      {
        code: 'config.bad-regex',
        message: l10n.t`\`${key}\` is no regular expression: ${fault}`,
        where,
        mend: l10n.t`Mend it, or list the names of the modules.`,
      },
    ];
  }
  if (!looksLikeRegex(value) && !value.includes('.')) {
    const near = nearestName(value, ['all-linear']);
    return [
      {
        code: 'config.name-as-regex',
        severity: 'warning',
        message: l10n.t`\`${key}\` is the text \`${value}\`: a regular expression that must match the whole path of a module, not only its end`,
        where,
        mend: near ? l10n.t`Did you mean \`${near}\`?` : l10n.t`Write a list to match endings: \`[${value}]\`.`,
      },
    ];
  }
  const escaped = escapeLoneDots(value);
  if (escaped === undefined) return [];
  return [
    {
      code: 'config.unescaped-dot',
      severity: 'warning',
      message: l10n.t`an unescaped dot in the regular expression \`${value}\` matches any character, so it may match more modules than meant`,
      where,
      mend: l10n.t`If dots of the path are meant, write '${escaped}'.`,
    },
  ];
}

/** Keys of `rank_pattern` and `alpha_pattern`: HF PEFT matches `(.*\.)?(KEY)$` against the whole path. */
function keyProblems(keys: readonly string[], path: ConfigPath, placeOf: PlaceOf): Problem[] {
  return keys.flatMap((key) => {
    const where = placeOf([...path, key], 'key');
    const fault = regexFault(key);
    if (fault !== undefined) {
      return [
        {
          code: 'config.bad-regex',
          message: l10n.t`the key \`${key}\` of \`${String(path.at(-1))}\` is no regular expression: ${fault}`,
          where,
          mend: l10n.t`Write the name or the path of a module.`,
        },
      ];
    }
    if (!key.startsWith('^') || /[.*]/.test(key)) return [];
    return [
      {
        code: 'config.pattern-not-from-the-start',
        severity: 'warning' as const,
        message: l10n.t`\`${key}\` in \`${String(path.at(-1))}\` matches only a module whose whole path is \`${key.slice(1)}\`: \`^\` stands for the start of the path`,
        where,
        mend: l10n.t`Write \`${key.slice(1)}\` to match by ending, or the whole path after \`^\`.`,
      },
    ];
  });
}
