// Writes l10n/bundle.l10n.json, the list of all texts that have a translation, out of the sources: `npm run generate`.
// A test fails when they have drifted apart.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isJsonObject } from '../src/common/json.js';
import type { Json } from '../src/common/json.js';
import { ADVICE } from '../src/config/advice.js';
import { runFileJsonSchema } from '../src/config/jsonSchema.js';
import { listExamples } from '../src/engines/examples.js';
import { METHODS } from '../src/methods/registry.js';
import { sourcesByRoom, TEXTS, textsFile, textsOf } from './translations.mjs';

const EXAMPLES = await listExamples(fileURLToPath(new URL('../examples', import.meta.url)));

/** All texts, each under itself, as VS Code's tools have it. */
export function allTexts(): Readonly<Record<string, string>> {
  const texts = [...textsOf([...sourcesByRoom().values()].flat()), ...describedTexts()];
  return Object.fromEntries(texts.map((text) => [text, text]));
}

/**
 * What is written as plain text and translated where it is shown: titles and descriptions of methods and options, the
 * methods' families, advice, what the examples are.
 */
export function describedTexts(): readonly string[] {
  const texts: string[] = [];
  const visit = (value: Json): void => {
    if (Array.isArray(value)) value.forEach(visit);
    if (!isJsonObject(value)) return;
    for (const key of ['title', 'description', 'enumDescriptions']) {
      const found = value[key];
      texts.push(
        ...[found]
          .flat()
          .filter((text) => typeof text === 'string' && text !== '')
          .map(String),
      );
    }
    Object.values(value).forEach(visit);
  };
  visit(runFileJsonSchema());
  // A list of methods joins title and summary, which are translated each.
  const joined = new Set(METHODS.map(({ title, summary }) => `${title}: ${summary}`));
  return [
    ...texts.filter((text) => !joined.has(text)),
    ...METHODS.flatMap(({ family, place }) => [family, place]),
    ...Object.values(ADVICE).flatMap(({ text, source }) => [text, source]),
    ...EXAMPLES.map(({ description }) => description),
  ];
}

if (process.argv[1]?.endsWith('writeTexts.ts')) writeFileSync(TEXTS, textsFile(allTexts()));
