import * as l10n from '@vscode/l10n';
import type { Json, JsonObject } from '../common/json.js';
import { isJsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';

/** Beyond any model; sizes up to it can be multiplied, and lists of that length held, without harm. */
const MAX_COUNT = 2 ** 24;

/** Reads typed values out of a `config.json`; every fault names the key and what was found. */
export interface ConfigReader {
  count(key: string, fallback?: number): number;
  number(key: string, fallback?: number): number;
  positive(key: string, fallback?: number): number;
  flag(key: string, fallback: boolean): boolean;
  text(key: string, fallback: string): string;
  /** The object at a key, with a reader of its own; undefined where it is absent or null. */
  object(key: string): ConfigReader | undefined;
  /** A list of texts; undefined where it is absent or null. */
  texts(key: string): readonly string[] | undefined;
  has(key: string): boolean;
  readonly raw: JsonObject;
  /** Refuses the value at a key (`model.config`). */
  wrong(key: string, expected: string): never;
  /** Refuses a value that is valid for the model, but that PEFT Studio does not follow (`model.unsupported`). */
  unsupported(key: string, expected: string): never;
  /** Refuses what several keys say together. */
  fail(message: string, expected: string, code?: string): never;
}

/**
 * null at a key stands for "none" where the value of an absent key is another.
 * @param value reads the key, with the fallback for an absent one
 */
export function orNone<T>(config: ConfigReader, key: string, value: () => T): T | undefined {
  return config.raw[key] === null ? undefined : value();
}

/** @param source the checkpoint, for messages */
export function configReader(config: JsonObject, source: string, prefix = ''): ConfigReader {
  const refuse = (message: string, expected: string, code = 'model.config'): never =>
    fail({
      code,
      message,
      where: { file: source },
      expected,
      mend:
        code === 'model.config'
          ? l10n.t`Use a model folder as Transformers saves it (save_pretrained), or mend its config.json.`
          : l10n.t`Use another model: leaving this out would change its results silently.`,
    });
  const said = (key: string, found: Json | undefined): string =>
    found === undefined
      ? l10n.t`${prefix + key} of the model's config is missing`
      : l10n.t`${prefix + key} of the model's config is ${JSON.stringify(found)}`;
  const wrong = (key: string, found: Json | undefined, expected: string): never =>
    refuse(said(key, found), expected);
  const number = (key: string, fallback: number | undefined, expected: string): number => {
    const found = config[key] ?? fallback;
    return typeof found === 'number' && Number.isFinite(found) ? found : wrong(key, found, expected);
  };
  return {
    raw: config,
    fail: refuse,
    wrong: (key, expected) => wrong(key, config[key], expected),
    unsupported: (key, expected) => refuse(said(key, config[key]), expected, 'model.unsupported'),
    has: (key) => config[key] !== undefined && config[key] !== null,
    number: (key, fallback) => number(key, fallback, l10n.t`a number`),
    positive(key, fallback) {
      const found = number(key, fallback, l10n.t`a number above 0`);
      return found > 0 ? found : wrong(key, found, l10n.t`a number above 0`);
    },
    count(key, fallback) {
      const expected = l10n.t`a whole number from 1 to ${MAX_COUNT}`;
      const found = number(key, fallback, expected);
      return Number.isInteger(found) && found > 0 && found <= MAX_COUNT ? found : wrong(key, found, expected);
    },
    flag(key, fallback) {
      const found = config[key] ?? fallback;
      return typeof found === 'boolean' ? found : wrong(key, found, l10n.t`true or false`);
    },
    text(key, fallback) {
      const found = config[key] ?? fallback;
      return typeof found === 'string' ? found : wrong(key, found, l10n.t`a text`);
    },
    object(key) {
      const found = config[key] ?? undefined;
      if (found === undefined) return undefined;
      return isJsonObject(found)
        ? configReader(found, source, `${prefix}${key}.`)
        : wrong(key, found, l10n.t`an object`);
    },
    texts(key) {
      const found = config[key] ?? undefined;
      if (found === undefined) return undefined;
      const items = Array.isArray(found) ? (found as readonly Json[]) : undefined;
      return items?.every((item) => typeof item === 'string') ? items : wrong(key, found, l10n.t`a list of texts`);
    },
  };
}
