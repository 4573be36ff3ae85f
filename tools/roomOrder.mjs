// The lint rule that keeps arrows pointing one way: a room imports only itself and rooms below it.
import path from 'node:path';

/** From top to bottom; rooms of one line do not import each other. */
export const ROOMS = [
  ['extension'],
  ['host', 'cli', 'worker'],
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
    },
  },
  create(context) {
    const from = roomOf(context.filename);
    if (from === undefined) return {};
    const check = (node) => {
      const source = node.source?.value;
      if (typeof source !== 'string') return;
      for (const { pattern, rooms, why } of GUARDED) {
        if (pattern.test(source) && !rooms.includes(from)) {
          context.report({ node, messageId: 'guarded', data: { name: source, rooms: rooms.join(', '), why } });
        }
      }
      if (!source.startsWith('.')) return;
      const to = roomOf(path.resolve(path.dirname(context.filename), source));
      if (to === undefined || to === from) return;
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

/** `src/models/llama.ts` → `models`; `src/worker.ts` → `worker`; undefined outside of src. */
function roomOf(file) {
  const parts = path.relative(path.resolve('src'), file).split(path.sep);
  if (parts[0] === '..' || parts[0] === '') return undefined;
  const room = parts[0].replace(/\.[jt]s$/, '');
  return level(room) < 0 ? undefined : room;
}

function level(room) {
  return ROOMS.findIndex((rooms) => rooms.includes(room));
}
