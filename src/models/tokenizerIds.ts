import * as l10n from '@vscode/l10n';
import type { Json, JsonObject } from '../common/json.js';
import { isJsonObject } from '../common/json.js';
import { fail } from '../common/problem.js';

/** Ids are rows of the embedding matrix: the biggest vocabularies have some 260,000. The library walks up to them. */
const MAX_ID = 2 ** 22;

/**
 * Checks every id that a `tokenizer.json` gives: the library takes any value for one, to break or never to end later.
 *
 * @param added the tokens that are matched in the text before it is split
 * @throws ProblemError `tokenizer.form` naming the token and what it has
 */
export function checkTokenIds(model: JsonObject, added: readonly JsonObject[], file: string): void {
  const refuse = (what: string, found: Json | undefined, expected: string): never =>
    fail({
      code: 'tokenizer.form',
      message: found === undefined ? l10n.t`${what} is missing` : l10n.t`${what} is ${JSON.stringify(found)}`,
      where: { file },
      expected,
      mend: l10n.t`Download the tokenizer again, or save it with a current version of Transformers.`,
    });
  const id = l10n.t`a whole number from 0 to ${MAX_ID}`;
  const check = (token: Json | undefined, found: Json | undefined): void => {
    if (typeof found === 'number' && Number.isInteger(found) && found >= 0 && found <= MAX_ID) return;
    refuse(l10n.t`the id of the token ${JSON.stringify(token)}`, found, id);
  };
  const vocab = model['vocab'];
  if (Array.isArray(vocab)) {
    // Unigram: a list of [token, score], the place of each its id.
    (vocab as readonly Json[]).forEach((entry, at) => {
      if (!Array.isArray(entry) || typeof entry[0] !== 'string' || typeof entry[1] !== 'number') {
        refuse(l10n.t`entry ${at} of the vocabulary`, entry, l10n.t`a list of token and score`);
      }
    });
    const unknown = model['unk_id'] ?? 0;
    const known =
      typeof unknown === 'number' && Number.isInteger(unknown) && unknown >= 0 && unknown < vocab.length;
    if (vocab.length > 0 && !known) refuse('unk_id', unknown, l10n.t`a whole number below ${vocab.length}`);
  } else {
    if (!isJsonObject(vocab))
      refuse(l10n.t`the vocabulary`, vocab, l10n.t`an object of tokens and their ids, or a list`);
    for (const [token, found] of Object.entries(vocab as JsonObject)) check(token, found);
  }
  for (const { content, id: found } of added) {
    if (typeof content !== 'string') refuse(l10n.t`the text of an added token`, content, l10n.t`a text`);
    check(content, found);
  }
}
