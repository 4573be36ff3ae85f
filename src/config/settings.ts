/** What a setting is; without a library for schemas, since it is read when the extension activates. */
type Definition =
  | { readonly type: 'boolean'; readonly default: boolean; readonly scope: Scope; readonly description: string }
  | { readonly type: 'amount'; readonly default: null; readonly scope: Scope; readonly description: string }
  | {
      readonly type: 'texts';
      readonly default: readonly string[];
      readonly scope: Scope;
      readonly description: string;
    };

type Scope = 'window' | 'machine-overridable';

/**
 * The editor's settings: the one definition that `contributes.configuration` of package.json and its texts in
 * package.nls.json (`npm run generate`), the types and the defaults come from.
 */
const SETTINGS = {
  'peftStudio.run.endsWithWindow': {
    type: 'boolean',
    default: false,
    scope: 'window',
    description:
      'Whether closing or reloading the window stops its run, as Stop does. Otherwise the run goes on and is found again by the next window on its folder.',
  },
  'peftStudio.modelFolders': {
    type: 'texts',
    default: [],
    scope: 'machine-overridable',
    description:
      'Further folders in which base models are looked for, beside the workspace and the Hugging Face cache. Absolute paths.',
  },
  'peftStudio.memoryLimit': {
    type: 'amount',
    default: null,
    scope: 'machine-overridable',
    description:
      'Gigabytes that a run may take, where it has to share the machine: its predicted memory is compared with them. Empty: what is free, as measured.',
  },
} as const satisfies Readonly<Record<string, Definition>>;

/** What a setting's value is; an amount that is not set is null. */
interface Values {
  readonly boolean: boolean;
  readonly texts: readonly string[];
  readonly amount: number | null;
}

/** The settings' values by name. */
export type Settings = { readonly [Name in keyof typeof SETTINGS]: Values[(typeof SETTINGS)[Name]['type']] };

/** Every setting, in the order of the definition. */
export const SETTING_NAMES = Object.keys(SETTINGS) as readonly (keyof Settings)[];

/** A setting as the user's files have it; the default stands for what is of another type. */
export function settingValue<Name extends keyof Settings>(name: Name, value: unknown): Settings[Name];
export function settingValue(name: keyof Settings, value: unknown): unknown {
  const { type, default: fallback } = SETTINGS[name];
  if (type === 'boolean') return typeof value === 'boolean' ? value : fallback;
  if (type === 'amount') return typeof value === 'number' && value > 0 ? value : fallback;
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : fallback;
}

/** A setting's type as JSON Schema has it. */
const FORMS = {
  boolean: { type: 'boolean' },
  texts: { type: 'array', items: { type: 'string' } },
  amount: { type: ['number', 'null'], exclusiveMinimum: 0 },
} as const;

/** `contributes.configuration` of package.json; its descriptions are keys of {@link settingsTexts}. */
export function settingsContribution(): Record<string, unknown> {
  const properties = Object.entries(SETTINGS).map(([name, { type, default: value, scope }]) => {
    return [name, { ...FORMS[type], default: value, description: `%${textKey(name)}%`, scope }];
  });
  return { title: 'PEFT Studio', properties: Object.fromEntries(properties) as Record<string, unknown> };
}

/** The English descriptions by their keys, as package.nls.json has them. */
export function settingsTexts(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(SETTINGS).map(([name, { description }]) => [textKey(name), description]),
  );
}

function textKey(name: string): string {
  return name.replace(/^peftStudio/, 'setting');
}
