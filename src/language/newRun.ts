import * as l10n from '@vscode/l10n';
import { access } from 'node:fs/promises';
import path from 'node:path';
import { RUN_FILE_NAME, newRunText } from '../config/newRunText.js';
import type { NewRun } from '../config/newRunText.js';
import { METHODS } from '../methods/registry.js';
import type { MethodType } from '../methods/registry.js';
import { parseModelId } from '../models/hub/ids.js';
import { findData } from './dataSuggestions.js';
import type { FoundData } from './dataSuggestions.js';
import { findModels, modelAsWritten } from './modelFinder.js';
import type { FoundModel, ModelPlaces } from './modelFinder.js';
import { pathAsWritten } from './modelText.js';

/** A method to start a run file with. */
export interface MethodChoice {
  readonly type: MethodType;
  readonly title: string;
  /** Its family and subgroup: `low-rank › plain`. */
  readonly group: string;
  readonly summary: string;
  /** `Hu et al. (2021)` */
  readonly paper: string;
}

/** What a new run file can be made of, and its text. `folder` is where it will be, absolute. */
export interface NewRunFiles {
  /** Nearest first. */
  models(folder: string, places: ModelPlaces, signal: AbortSignal): Promise<readonly FoundModel[]>;
  /** The files of the folder first, then those of the workspace's others. */
  data(folder: string, roots: readonly string[], signal: AbortSignal): Promise<readonly FoundData[]>;
  /** By family and subgroup; those that only guide others are left out. */
  methods(): readonly MethodChoice[];
  /** A path that was browsed to, as the run file writes it. */
  written(kind: 'model' | 'data', target: string, folder: string): string;
  /** What is wrong with an id of the hub; undefined: nothing. */
  checkId(text: string): string | undefined;
  /** What is wrong with a name for the file in the folder; undefined: nothing. */
  checkName(name: string, folder: string): Promise<string | undefined>;
  /** A name that is free: `lora.peft.yaml`, `lora-2.peft.yaml`. */
  freeName(method: MethodType, folder: string): Promise<string>;
  /** See {@link newRunText}. */
  text(file: string, choice: NewRun): Promise<string>;
}

/** Everything behind the picker of New Run File; nothing of it needs the editor. */
export const newRunFiles: NewRunFiles = {
  async models(folder, places, signal) {
    const found = await findModels(folder, places, signal);
    return [...found].sort((a, b) => `${a.order}${a.text}`.localeCompare(`${b.order}${b.text}`));
  },
  async data(folder, roots, signal) {
    const found = new Map<string, FoundData>();
    for (const root of [folder, ...roots]) {
      for (const each of await findData(root, folder, signal)) {
        const place = path.resolve(folder, each.text);
        if (!found.has(place)) found.set(place, each);
      }
    }
    return [...found.values()];
  },
  methods() {
    const choices = METHODS.flatMap((method): MethodChoice[] => {
      if ('guides' in method) return [];
      const { type, title, family, place, summary, paper } = method;
      const group = family === place ? l10n.t(family) : l10n.t`${l10n.t(family)} › ${l10n.t(place)}`;
      return [
        { type, title: l10n.t(title), group, summary: l10n.t(summary), paper: `${paper.authors} (${paper.year})` },
      ];
    });
    const groups = [...new Set(choices.map(({ group }) => group))];
    // Groups stand in the order of their first method, and a group's methods together.
    return groups.flatMap((group) => choices.filter((choice) => choice.group === group));
  },
  written: (kind, target, folder) =>
    kind === 'model' ? modelAsWritten(target, folder) : pathAsWritten(target, folder),
  checkId: (text) =>
    parseModelId(text.trim()) === undefined
      ? l10n.t`Not an id: org/name, org/name@revision or org/name/file.gguf.`
      : undefined,
  async checkName(name, folder) {
    if (name.trim() === '') return l10n.t`Give it a name.`;
    if (/[\\/:*?"<>|]/.test(name)) return l10n.t`A name has none of ${'\\ / : * ? " < > |'}.`;
    if (!RUN_FILE_NAME.test(name)) return l10n.t`The name of a run file ends in .peft.yaml.`;
    return (await exists(path.join(folder, name))) ? l10n.t`${name} exists already.` : undefined;
  },
  async freeName(method, folder) {
    const stem = method.replaceAll('_', '-');
    let name = `${stem}.peft.yaml`;
    for (let number = 2; await exists(path.join(folder, name)); number++) name = `${stem}-${number}.peft.yaml`;
    return name;
  },
  text: newRunText,
};

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
