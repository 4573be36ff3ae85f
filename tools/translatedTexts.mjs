// The lint rule that keeps texts translatable: what a user reads in the editor or on a page is written l10n.t`…`.
import path from 'node:path';

/** Rooms whose words no window shows: they are the command line's, or faults of the program. */
const UNSEEN = ['cli', 'tensor', 'linalg'];
/** Rooms that show: there two words are a text already, and so are those of a table. */
const SHOWN = ['host', 'extension', 'webview'];
/** Modules whose sentences are written into files: cards, run files, prompts, tables, what is sent with a report. */
const FILE_TEXTS =
  /(?:src.(?:adapters.card|data.alpaca|engines.diagnostics|host.collectDiagnostics|config.(?:import.\w+|methodsTable|scaffold|newRunText))|webview.maskImageTable)\.ts$/;
/** What of an object is shown, whichever room makes it. */
const TEXT_KEYS = new Set(['message', 'expected', 'mend', 'title', 'reason', 'activity']);

export const translatedTexts = {
  meta: {
    type: 'problem',
    schema: [],
    messages: {
      plain: '"{{text}}" is read by users: write l10n.t`…` (see Languages in docs/architecture.md)',
      inside: '"{{text}}" stands inside another text, where no translation reaches it: write whole sentences',
      early: 'l10n.t is read here before the language is known: make it a function',
    },
  },
  create(context) {
    const room = roomOf(context.filename);
    if (room === undefined || UNSEEN.includes(room) || FILE_TEXTS.test(context.filename)) return {};
    const shows = SHOWN.includes(room);
    const check = (node) => {
      const text = wordsOf(node);
      if (text === undefined || !isEnglish(text) || isTagged(node) || isFault(node)) return;
      const place = placeOf(node);
      const isText = TEXT_KEYS.has(place.key)
        ? !isCode(text) && !isCitation(place.node)
        : isSentence(text, shows ? 2 : 3) && (shows || isDeferred(node)) && isShown(place.node);
      const isPart = isInside(place.node);
      if (!isText && !isPart) return;
      context.report({ node, messageId: isPart ? 'inside' : 'plain', data: { text: text.trim().slice(0, 40) } });
    };
    const checkTime = (node) => {
      if (isTranslate(node.tag ?? node.callee) && room !== 'webview' && !isDeferred(node)) {
        context.report({ node, messageId: 'early' });
      }
    };
    return {
      Literal: check,
      TemplateLiteral: check,
      TaggedTemplateExpression: checkTime,
      CallExpression: checkTime,
    };
  },
};

/** `src/models/llama.ts` → `models`; `webview/x.ts` → `webview`; elsewhere undefined. */
function roomOf(file) {
  const parts = path.relative(process.cwd(), file).split(path.sep);
  if (parts[0] === 'webview') return 'webview';
  return parts[0] === 'src' && parts.length > 1 ? parts[1].replace(/\.[jt]s$/, '') : undefined;
}

/** The words of a literal, without code, icons and the product's name; `…` stands for what a template puts in. */
function wordsOf(node) {
  const text =
    node.type === 'TemplateLiteral' ? node.quasis.map(({ value }) => value.cooked).join('…') : node.value;
  return typeof text === 'string' ? text.replace(/`[^`]*`|\$\([\w-]+\)|PEFT Studio/g, '…') : undefined;
}

/** Whether a text has a word of English, those in quotes and braces aside. */
function isEnglish(text) {
  return /(?:^|[\s(])[A-Za-z][a-z]+(?=[,.;:)?!]*(?:\s|$))/.test(text.replace(/"[^"]*"|\{[^}]*\}/g, ' '));
}

/** One value of several: `reason: 'stopped'`. */
const isCode = (text) => /^[a-z]+$/.test(text);

function isSentence(text, words) {
  return (text.match(/(?:^|\s)["'([]?[A-Za-z]{2,}(?=[\s"',.;:)\]?!]|$)/g) ?? []).length >= words;
}

function isTranslate(tag) {
  return tag.type === 'MemberExpression' && tag.object.name === 'l10n' && tag.property.name === 't';
}

const isTagged = (node) => node.parent.type === 'TaggedTemplateExpression';

/** Where a value goes: out of conditions, sums and parentheses; with the key of an object that it is written under. */
function placeOf(node) {
  let at = node;
  while (isBranch(at) || isSum(at.parent)) at = at.parent;
  const { parent } = at;
  const isValue = parent.type === 'Property' && parent.value === at && !parent.computed;
  return { node: at, key: isValue ? (parent.key.name ?? parent.key.value) : undefined };
}

function isBranch({ parent, ...node }) {
  if (parent.type === 'ConditionalExpression') return parent.test.range[0] !== node.range[0];
  return parent.type === 'LogicalExpression';
}

const isSum = (node) => node.type === 'BinaryExpression' && node.operator === '+';

/** Whether it is put into a text that is translated. */
function isInside({ parent }) {
  return parent.type === 'TemplateLiteral' && isTagged(parent) && isTranslate(parent.parent.tag);
}

/** A fault of the program, in its developers' language. */
function isFault(node) {
  for (let at = node.parent; at !== undefined && at !== null; at = at.parent) {
    if (at.type === 'NewExpression' && /Error$/.test(at.callee.name ?? '')) return true;
    if (/Function|Class|Program/.test(at.type)) return false;
  }
  return false;
}

/** A paper's title, or one that is translated where it is shown. */
function isCitation({ parent }) {
  const keys = parent.parent.properties.map((each) => each.key?.name);
  return ['authors', 'summary', '$schema'].some((key) => keys.includes(key));
}

/** Whether a sentence stands where it is shown: not a name, a type, something compared or looked up. */
function isShown(node) {
  const { parent } = node;
  switch (parent.type) {
    case 'ImportDeclaration':
    case 'ExportNamedDeclaration':
    case 'TSLiteralType':
    case 'BinaryExpression':
    case 'SwitchCase':
    case 'MemberExpression':
      return false;
    case 'AssignmentExpression':
      return parent.left.property?.name !== 'className';
    case 'Property':
      return parent.value === node && !/^(class|style|description|summary|place|type|kind)$/.test(parent.key.name);
    case 'CallExpression':
      return !UNREAD.test(parent.callee.property?.name ?? parent.callee.name ?? '');
    default:
      return true;
  }
}

/** What takes names, and what writes the log: faults are told in it in the language of who mends them. */
const UNREAD =
  /^(querySelector(All)?|closest|matches|setAttribute|get|has|write|trace|debug|info|warn|error|report|pageError)$/;

/** Whether it is read later than its module is loaded. */
function isDeferred(node) {
  for (let at = node.parent; at !== undefined && at !== null; at = at.parent) {
    if (/Function/.test(at.type) || at.type === 'PropertyDefinition') return true;
  }
  return false;
}
