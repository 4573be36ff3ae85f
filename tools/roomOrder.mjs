// The lint rule that keeps arrows pointing one way: a room imports only itself and rooms below it.
import path from 'node:path';

/** From top to bottom; rooms of one line do not import each other. */
export const ROOMS = [
  ['extension'],
  ['host', 'cli', 'worker', 'playground'],
  ['language'],
  ['engines'],
  ['tasks'],
  ['training', 'generation'],
  ['config'],
  ['memory'],
  ['adapters'],
  ['methods'],
  ['data'],
  ['models'],
  ['runtime'],
  ['tensor', 'linalg'],
  ['common'],
];

/** Packages that only some rooms may import. */
const GUARDED = [
  { pattern: /^vscode$/, rooms: ['host', 'extension'], why: 'everything below the editor runs in plain Node' },
  { pattern: /^(onnxruntime-|@tensorflow\/)/, rooms: ['runtime'], why: 'a native fault must stay in the worker' },
];

export const roomOrder = {
  meta: {
    type: 'problem',
    schema: [],
    messages: {
      up: '{{from}} may not import {{to}}: arrows point down (see docs/architecture.md)',
      guarded: '{{name}} may be imported only in {{rooms}}: {{why}}',
      unknown: '{{from}} is no room: add it to ROOMS in tools/roomOrder.mjs, at its place',
      page: "the panel's page runs in a browser: of src it may import types, and what FOR_PAGE in tools/roomOrder.mjs names",
    },
  },
  create(context) {
    const from = roomOf(context.filename);
    if (from === undefined) return {};
    if (from !== PAGE && level(from) < 0) {
      return { Program: (node) => context.report({ node, messageId: 'unknown', data: { from } }) };
    }
    const check = (node) => {
      const source = node.source?.value;
      if (typeof source !== 'string') return;
      for (const { pattern, rooms, why } of GUARDED) {
        if (pattern.test(source) && !rooms.includes(from)) {
          context.report({ node, messageId: 'guarded', data: { name: source, rooms: rooms.join(', '), why } });
        }
      }
      if (!source.startsWith('.')) return;
      const target = path.resolve(path.dirname(context.filename), source);
      const to = roomOf(target);
      if (to === undefined || to === from) return;
      if (from === PAGE) {
        const typesOnly = node.importKind === 'type' || node.exportKind === 'type';
        if (!typesOnly && !FOR_PAGE.test(below(target))) context.report({ node, messageId: 'page' });
        return;
      }
      if (level(to) <= level(from)) {
        context.report({ node, messageId: 'up', data: { from, to } });
      }
    };
    return {
      ImportDeclaration: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
      ImportExpression: check,
    };
  },
};

/** The folder of the panel's page, beside src. */
const PAGE = 'webview';

/** Plain functions without Node, which the page may run too. */
const FOR_PAGE =
  /^src\/(common\/|engines\/(combination\/|runState|packEvents|panelVersion|masks\/(overlap|maskTensor)|compareMethods\/(comparison(Csv|Picture|Text)?|placeLabels|svgText)\.|composition\/(names|record|remarks)\.)|config\/runName|memory\/partNames|methods\/coverage|training\/(describeEvent|soundEvent))/;

/** `src/models/llama.ts` → `models`; `src/worker.ts` → `worker`; `webview/x.ts` → `webview`; else undefined. */
function roomOf(file) {
  const parts = below(file).split('/');
  if (parts[0] === PAGE) return PAGE;
  if (parts[0] !== 'src' || parts.length < 2) return undefined;
  return parts[1].replace(/\.[jt]s$/, '');
}

/** A file's path from the repository's root, with `/`. */
function below(file) {
  return path.relative(process.cwd(), file).split(path.sep).join('/');
}

function level(room) {
  return ROOMS.findIndex((rooms) => rooms.includes(room));
}
