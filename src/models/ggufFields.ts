import * as l10n from '@vscode/l10n';
import { fail } from '../common/problem.js';
import type { GgufHeader, GgufValue } from './gguf.js';

/** Typed access to a GGUF file's metadata; `gguf.metadata` says what is missing or of another kind. */
export interface GgufFields {
  optionalNumber(key: string): number | undefined;
  number(key: string): number;
  optionalSize(key: string): number | undefined;
  size(key: string): number;
  optionalText(key: string): string | undefined;
  /** A list of so many flags. */
  flags(key: string, count: number): readonly boolean[];
  value(key: string): GgufValue | undefined;
  wrong(key: string, value: GgufValue | undefined, expected: string): never;
}

/** Every count in a model is at most this, so that each product of two stays exact. */
const MAX_SIZE = 2 ** 24;

/** @param prefix what every key starts with: `qwen2.` */
export function ggufFields({ file, metadata }: GgufHeader, prefix = ''): GgufFields {
  const wrong = (key: string, value: GgufValue | undefined, expected: string): never =>
    fail({
      code: 'gguf.metadata',
      message:
        value === undefined
          ? l10n.t`${prefix + key} is missing`
          : l10n.t`${prefix + key} is ${JSON.stringify(String(value).slice(0, 100))}`,
      where: { file },
      expected,
    });
  const value = (key: string): GgufValue | undefined => metadata.get(prefix + key);
  const optionalNumber = (key: string): number | undefined => {
    const found = value(key);
    if (found === undefined) return undefined;
    return typeof found === 'number' && Number.isFinite(found) ? found : wrong(key, found, l10n.t`a number`);
  };
  const optionalSize = (key: string): number | undefined => {
    const found = optionalNumber(key);
    if (found === undefined || (Number.isInteger(found) && found > 0 && found <= MAX_SIZE)) return found;
    return wrong(key, found, l10n.t`a whole number from 1 up`);
  };
  return {
    optionalNumber,
    optionalSize,
    size: (key) => optionalSize(key) ?? wrong(key, undefined, l10n.t`a whole number from 1 up`),
    number: (key) => optionalNumber(key) ?? wrong(key, undefined, l10n.t`a number`),
    optionalText(key) {
      const found = value(key);
      return found === undefined || typeof found === 'string' ? found : wrong(key, found, l10n.t`a text`);
    },
    flags(key, count) {
      const found = value(key);
      const flags = Array.isArray(found) ? (found as readonly GgufValue[]) : [];
      return flags.length === count && flags.every((flag) => typeof flag === 'boolean')
        ? flags
        : wrong(key, found, l10n.t`${count} flags`);
    },
    value,
    wrong,
  };
}

/** The decimal number that was meant by a float32: 1e-5 for 9.999999747378752e-6. */
export function shortest(value: number): number {
  for (let digits = 1; digits <= 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return short;
  }
  return value;
}
