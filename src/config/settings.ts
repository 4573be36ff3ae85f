import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';

/**
 * The editor's settings: the one definition that `contributes.configuration` of package.json (`npm run generate`), the
 * types and the defaults come from.
 */
export const Settings = Type.Object({
  'peftStudio.run.endsWithWindow': Type.Boolean({
    default: false,
    description:
      'Whether closing or reloading the window stops its run, as Stop does. Otherwise the run goes on and is found again by the next window on its folder.',
  }),
  'peftStudio.modelFolders': Type.Array(Type.String(), {
    default: [],
    description:
      'Further folders in which base models are looked for, beside the workspace and the Hugging Face cache. Absolute paths.',
  }),
});
export type Settings = Static<typeof Settings>;

/** A setting as the user's files have it; the default stands for what is of another type. */
export function settingValue<Name extends keyof Settings>(name: Name, value: unknown): Settings[Name];
export function settingValue(name: keyof Settings, value: unknown): unknown {
  const { type, default: fallback } = Settings.properties[name];
  if (type === 'boolean') return typeof value === 'boolean' ? value : fallback;
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : fallback;
}

/** `contributes.configuration` of package.json. */
export function settingsContribution(): Record<string, unknown> {
  const properties = Object.entries(Settings.properties).map(([name, schema]) => {
    const { type, default: value, description } = schema;
    const scope = name === 'peftStudio.modelFolders' ? 'machine-overridable' : 'window';
    return [
      name,
      { type, default: value, description, scope, ...('items' in schema ? { items: { type: 'string' } } : {}) },
    ];
  });
  return { title: 'PEFT Studio', properties: Object.fromEntries(properties) as Record<string, unknown> };
}
