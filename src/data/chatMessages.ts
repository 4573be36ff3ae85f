import * as l10n from '@vscode/l10n';
import { isJsonObject } from '../common/json.js';
import type { Json } from '../common/json.js';
import { nearestName } from '../common/nearest.js';
import type { ChatMessage } from '../models/tokenizer.js';
import { jsonKind } from './jsonText.js';
import { listNames } from './row.js';

/** Most messages in a row: supervision renders a prefix per turn, so the work grows with their square. */
export const MAX_MESSAGES = 512;

const OPENAI_ROLES: ReadonlyMap<string, string> = new Map(
  ['system', 'user', 'assistant', 'tool'].map((role) => [role, role]),
);
const SHAREGPT_ROLES: ReadonlyMap<string, string> = new Map([
  ['system', 'system'],
  ['human', 'user'],
  ['user', 'user'],
  ['gpt', 'assistant'],
  ['chatgpt', 'assistant'],
  ['assistant', 'assistant'],
]);

/**
 * Messages in OpenAI's style (`role`, `content`) or ShareGPT's (`from`, `value`; human, gpt), told apart by
 * the keys of the first, as messages of the chat template; else the reason why they cannot be used.
 */
export function chatMessages(value: Json): { messages: ChatMessage[] } | { reason: string } {
  if (!Array.isArray(value)) return { reason: l10n.t`the messages are ${jsonKind(value)}, not an array` };
  const items: readonly Json[] = value;
  if (items.length === 0) return { reason: l10n.t`there are no messages` };
  if (items.length > MAX_MESSAGES)
    return { reason: l10n.t`${items.length} messages; at most ${MAX_MESSAGES} are read` };
  const first = items[0];
  const shareGpt = isJsonObject(first) && Object.hasOwn(first, 'from') && !Object.hasOwn(first, 'role');
  const [roleKey, textKey] = shareGpt ? ['from', 'value'] : ['role', 'content'];
  const roles = shareGpt ? SHAREGPT_ROLES : OPENAI_ROLES;
  const messages: ChatMessage[] = [];
  for (const [index, item] of items.entries()) {
    const at = l10n.t`message ${index + 1}`;
    if (!isJsonObject(item)) return { reason: l10n.t`${at} is ${jsonKind(item)}, not an object` };
    for (const key of [roleKey, textKey]) {
      if (!Object.hasOwn(item, key))
        return { reason: l10n.t`${at} has no "${key}"; keys found: ${listNames(Object.keys(item))}` };
      if (typeof item[key] !== 'string')
        return { reason: l10n.t`${at}: "${key}" is ${jsonKind(item[key])}, not text` };
    }
    const name = String(item[roleKey]);
    const role = roles.get(name);
    if (role === undefined) {
      const near = nearestName(name, roles.keys());
      const mend =
        near === undefined ? l10n.t`known are ${listNames(roles.keys())}` : l10n.t`did you mean "${near}"?`;
      return { reason: l10n.t`${at}: unknown role ${listNames([name])}; ${mend}` };
    }
    messages.push({ role, content: String(item[textKey]) });
  }
  return { messages };
}
