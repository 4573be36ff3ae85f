// Texts in two languages. A text's key is its English; `l10n/bundle.l10n.json` lists them all (`npm run generate`).
// `node tools/translations.mjs missing [--room ROOM] [--count]` prints those without a Chinese text, as JSON;
// `node tools/translations.mjs add FILE.json` takes translations (English → Chinese) into the bundle, sorted;
// `node tools/translations.mjs prune` takes out those whose text is gone.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import ts from 'typescript';

const ROOT = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');
/** All texts, and those translated. */
export const TEXTS = path.join(ROOT, 'l10n', 'bundle.l10n.json');
export const CHINESE = path.join(ROOT, 'l10n', 'bundle.l10n.zh-cn.json');

/** Words that are the same in both languages: a translation of nothing else needs no Chinese letter. */
const SAME =
  /`[^`]*`|\{\d+\}|\b(?:PEFT Studio|FISH Mask|FISH-DIP|PaFi|BitFit|Child-Tuning|LoKr|KronA|LoTR|SparseAdapter|Adafactor|(?:Ada|Dy|ME|Re|Q)?LoRA|SoRA|MoRA|GaLore|SLTrain|Hugging Face|Hub|PyTorch|[A-Z0-9]{2,}s?|[kMGT]i?B|ms|min|vs)\b|[^A-Za-z]+/g;

/**
 * The texts of `l10n.t` in a TypeScript source, as the library looks them up: `{0}` stands for what is put in.
 * Texts that are computed are not among them: they are listed where they are written (tools/writeTexts.ts).
 */
export function textsIn(source) {
  if (!source.includes('l10n')) return [];
  const texts = [];
  const visit = (node) => {
    if (ts.isTaggedTemplateExpression(node) && isTranslate(node.tag)) texts.push(keyOf(node.template));
    if (ts.isCallExpression(node) && isTranslate(node.expression)) {
      const [first] = node.arguments;
      if (first !== undefined && ts.isStringLiteralLike(first)) texts.push(first.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('text.ts', source, ts.ScriptTarget.ES2022));
  return texts;
}

/** Whether an expression is `l10n.t`. */
function isTranslate(node) {
  return (
    ts.isPropertyAccessExpression(node) &&
    node.name.text === 't' &&
    ts.isIdentifier(node.expression) &&
    node.expression.text === 'l10n'
  );
}

function keyOf(template) {
  if (ts.isNoSubstitutionTemplateLiteral(template)) return template.text;
  return template.head.text + template.templateSpans.map(({ literal }, i) => `{${i}}${literal.text}`).join('');
}

/** The texts of files (absolute), each once. */
export function textsOf(files) {
  return [...new Set(files.flatMap((file) => textsIn(readFileSync(file, 'utf8'))))];
}

/** The TypeScript sources that are part of the product, absolute, by room: `host`, `webview`, … */
export function sourcesByRoom() {
  const rooms = new Map();
  for (const folder of ['src', 'webview']) {
    for (const name of readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.ts')) continue;
      const parts = name.split(path.sep);
      const room = folder === 'webview' ? folder : parts.length > 1 ? parts[0] : parts[0].replace(/\.ts$/, '');
      rooms.set(room, [...(rooms.get(room) ?? []), path.join(ROOT, folder, name)]);
    }
  }
  return rooms;
}

/** What is wrong with a translation, in words; undefined: nothing that can be checked. */
export function faultOf(english, chinese) {
  if (typeof chinese !== 'string' || chinese.trim() === '') return 'is empty';
  const placeholders = differences(english, chinese, /\{\d+\}/g);
  if (placeholders !== undefined) return `has other placeholders: ${placeholders}`;
  const code = differences(english, chinese, /`[^`]+`/g);
  if (code !== undefined) return `has other code: ${code}`;
  if (!/\p{Script=Han}/u.test(chinese) && english.replace(SAME, '') !== '') return 'has no Chinese letter';
  if (/\p{Script=Han}[,;:?!]|[,;:?!]\p{Script=Han}|\p{Script=Han}\.(?:\s|$)/u.test(chinese)) {
    return 'has punctuation of English beside Chinese letters: ，。；：？！';
  }
  return undefined;
}

/** What one text has oftener than the other; undefined: the same, in whatever order. */
function differences(english, chinese, pattern) {
  const [from, to] = [english, chinese].map((text) => (text.match(pattern) ?? []).sort());
  if (from.join('\n') === to.join('\n')) return undefined;
  return `${from.join(' ') || 'none'} in English, ${to.join(' ') || 'none'} in Chinese`;
}

/** Reads a file of texts; one that is not there has none. */
export function readTexts(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT') return {};
    throw error;
  }
}

/** A file of texts as it is written: sorted, so that additions of many meet seldom. */
export function textsFile(texts) {
  const sorted = Object.keys(texts).sort();
  return `${JSON.stringify(Object.fromEntries(sorted.map((key) => [key, texts[key]])), null, 2)}\n`;
}

/** Each text without a translation, by room; those of no source (descriptions of options, settings) are of `schema`. */
function missing() {
  const translated = readTexts(CHINESE);
  const rooms = new Map([...sourcesByRoom()].map(([room, files]) => [room, textsOf(files)]));
  const found = new Set([...rooms.values()].flat());
  rooms.set(
    'schema',
    Object.keys(readTexts(TEXTS)).filter((text) => !found.has(text)),
  );
  return new Map([...rooms].map(([room, texts]) => [room, texts.filter((text) => !(text in translated))]));
}

async function add(file) {
  const given = JSON.parse(readFileSync(file, 'utf8'));
  const known = new Set([...textsOf([...sourcesByRoom().values()].flat()), ...Object.keys(readTexts(TEXTS))]);
  const faults = Object.entries(given).flatMap(([english, chinese]) => {
    const fault = known.has(english) ? faultOf(english, chinese) : 'is no text of the sources';
    return fault === undefined ? [] : [{ english, fault }];
  });
  for (const { english, fault } of faults) console.error(`${JSON.stringify(english)} ${fault}`);
  const wrong = new Set(faults.map(({ english }) => english));
  const right = Object.entries(given).filter(([english]) => !wrong.has(english));
  await changed((texts) => ({ ...texts, ...Object.fromEntries(right) }));
  console.log(`${right.length} added, ${faults.length} refused.`);
  if (faults.length > 0) process.exitCode = 1;
}

async function prune() {
  const known = readTexts(TEXTS);
  await changed((texts) => Object.fromEntries(Object.entries(texts).filter(([text]) => text in known)));
}

/** Changes the translations, one at a time: many may add. */
async function changed(change) {
  const lock = path.join(ROOT, 'l10n', '.lock');
  for (let waited = 0; ; waited += 50) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      if (waited > 10_000) throw new Error(`${lock} stays: if nobody adds translations now, remove it.`);
      await sleep(50);
    }
  }
  try {
    const next = `${CHINESE}.next`;
    writeFileSync(next, textsFile(change(readTexts(CHINESE))));
    renameSync(next, CHINESE);
  } finally {
    rmdirSync(lock);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { room: { type: 'string' }, count: { type: 'boolean', default: false } },
  });
  const [command, file] = positionals;
  if (command === 'missing') {
    const rooms = missing();
    if (values.room !== undefined && !rooms.has(values.room)) {
      throw new Error(`there is no room ${values.room}; there are: ${[...rooms.keys()].join(', ')}`);
    }
    const wanted = [...rooms].filter(([room]) => room === (values.room ?? room));
    if (values.count) {
      for (const [room, texts] of wanted) if (texts.length > 0) console.log(`${room}  ${texts.length}`);
    } else {
      const texts = [...new Set(wanted.flatMap(([, of]) => of))];
      console.log(JSON.stringify(Object.fromEntries(texts.map((text) => [text, ''])), null, 2));
    }
  } else if (command === 'add' && file !== undefined) {
    await add(file);
  } else if (command === 'prune') {
    await prune();
  } else {
    console.error('translations: say `missing [--room ROOM] [--count]`, `add FILE.json` or `prune`.');
    process.exitCode = 2;
  }
}
