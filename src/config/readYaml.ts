import * as l10n from '@vscode/l10n';
import { Composer, isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, Parser } from 'yaml';
import type { Document, Node, Pair, Scalar, YAMLError } from 'yaml';
import type { Place, Problem } from '../common/problem.js';
import { shorten } from './tree.js';
import type { ConfigNode, Entry, ScalarNode } from './tree.js';

/** A run file is a page of options; a megabyte is a file taken for one by mistake. */
export const MAX_RUN_FILE_BYTES = 1_000_000;
/** The deepest option is five levels down. The parser's own recursion is kept far from the end of the stack. */
const MAX_DEPTH = 64;
/** Words, marks and line breaks. Bounds time and memory on text that is all marks (1 to 2 s at worst). */
const MAX_LEXEMES = 100_000;
/** Values after aliases are written out: an "alias bomb" of a few lines stands for billions of them. */
const MAX_NODES = 20_000;
/** More messages than this help nobody. */
const MAX_SYNTAX_PROBLEMS = 20;

const CORE_TAGS = new Set(
  ['str', 'int', 'float', 'bool', 'null', 'map', 'seq'].map((tag) => `tag:yaml.org,2002:${tag}`),
);

const SYNTAX_MENDS: Readonly<Record<string, () => string>> = {
  TAB_AS_INDENT: () => l10n.t`Indent with spaces.`,
  BAD_DQ_ESCAPE: () =>
    l10n.t`In double quotes a backslash starts an escape: use single quotes, or \`/\` in paths.`,
  BAD_SCALAR_START: () => l10n.t`Put the value in single quotes.`,
  MISSING_CHAR: () => l10n.t`Close what was opened, or indent the line like its neighbours.`,
};

/**
 * Reads one YAML 1.2 document (JSON is a subset of it) into a tree with places. Custom tags, merge keys,
 * duplicate keys, several documents, deep nesting and alias bombs are problems; time and memory are bounded.
 * `root` is absent when there is any problem.
 */
export function readYaml(text: string, file: string): { root?: ConfigNode; problems: Problem[] } {
  const clean = text.startsWith('\uFEFF') ? text.slice(1) : text;
  const lines = new LineCounter();
  const placeOf = (start: number, end: number): Place => {
    const [from, to] = [lines.linePos(start), lines.linePos(Math.max(start, end))];
    return { file, line: from.line, column: from.col, endLine: to.line, endColumn: to.col };
  };
  const parsed = parse(clean, lines, placeOf);
  if ('problems' in parsed) return parsed;
  const { document } = parsed;
  const problems = [
    ...document.errors,
    ...document.warnings.filter((warning) => warning.code !== 'TAG_RESOLVE_FAILED'),
  ]
    .slice(0, MAX_SYNTAX_PROBLEMS)
    .map((error) => syntaxProblem(error, placeOf));
  if (problems.length > 0) return { problems };
  const root = convert(document, placeOf, problems);
  return problems.length > 0 ? { problems } : { root, problems };
}

type PlaceOf = (start: number, end: number) => Place;

function parse(
  text: string,
  lines: LineCounter,
  placeOf: PlaceOf,
): { document: Document.Parsed } | { problems: Problem[] } {
  const refuse = (code: string, message: string, mend: string, where: Place): { problems: Problem[] } => ({
    problems: [{ code, message, mend, where }],
  });
  lines.addNewLine(0);
  if (Buffer.byteLength(text) > MAX_RUN_FILE_BYTES) {
    const message = l10n.t`the run file is larger than ${MAX_RUN_FILE_BYTES / 1e6} MB`;
    return refuse(
      'config.too-large',
      message,
      l10n.t`Name the data by its file instead of pasting it in.`,
      placeOf(0, 0),
    );
  }
  const parser = new Parser(lines.addNewLine);
  const tokens = [];
  let lexemes = 0;
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) tokens.push(token);
    if (parser.stack.length > MAX_DEPTH) {
      const message = l10n.t`values are nested more than ${MAX_DEPTH} levels deep`;
      return refuse(
        'config.too-deep',
        message,
        l10n.t`Look for brackets or dashes typed by mistake.`,
        here(parser, placeOf),
      );
    }
    if (++lexemes > MAX_LEXEMES) {
      const message = l10n.t`the run file has more than ${MAX_LEXEMES} words, marks and line breaks`;
      return refuse('config.too-large', message, l10n.t`Is this the file you meant?`, here(parser, placeOf));
    }
  }
  for (const token of parser.end()) tokens.push(token);
  const composer = new Composer({ version: '1.2', schema: 'core', uniqueKeys: false, prettyErrors: false });
  const documents = [];
  for (const document of composer.compose(tokens, true, text.length)) {
    documents.push(document);
    if (documents.length > 1) {
      const place = placeOf(document.range[0], document.range[1]);
      return refuse(
        'config.several-documents',
        l10n.t`a second YAML document starts here`,
        l10n.t`Write one file per run.`,
        place,
      );
    }
    if (document.directives.yaml.version !== '1.2') {
      const message = l10n.t`the \`%YAML ${document.directives.yaml.version}\` directive asks for another version of YAML`;
      return refuse(
        'config.yaml-version',
        message,
        l10n.t`Remove the line: run files are YAML 1.2.`,
        placeOf(0, 0),
      );
    }
  }
  const [document] = documents;
  return document ? { document } : { problems: [] };
}

function here(parser: Parser, placeOf: PlaceOf): Place {
  return placeOf(parser.offset, parser.offset);
}

function syntaxProblem(error: YAMLError, placeOf: PlaceOf): Problem {
  return {
    code: 'config.yaml-syntax',
    message: l10n.t`not valid YAML: ${syntaxWords(error)}`,
    where: placeOf(...error.pos),
    mend: SYNTAX_MENDS[error.code]?.(),
  };
}

/** What is wrong, in words that can be translated; what is rare in the library's own. */
function syntaxWords({ code, message }: YAMLError): string {
  if (/ end with a [}\]]/.test(message)) return l10n.t`a brace or bracket is not closed`;
  switch (code) {
    case 'TAB_AS_INDENT':
      return l10n.t`a tab stands where spaces indent`;
    case 'BAD_INDENT':
      return l10n.t`the line is indented otherwise than its neighbours`;
    case 'MULTILINE_IMPLICIT_KEY':
      return l10n.t`a key goes over several lines, or its colon is missing`;
    case 'BLOCK_AS_IMPLICIT_KEY':
      return l10n.t`a second key stands in the line of the first`;
    case 'BAD_DQ_ESCAPE':
      return l10n.t`a backslash in double quotes starts no escape that there is`;
    case 'BAD_SCALAR_START':
      return l10n.t`a value begins with a character that is reserved`;
    case 'MISSING_CHAR':
      if (/^Missing closing .quote$/.test(message)) return l10n.t`a quote is not closed`;
      if (/ followed by map values$/.test(message)) return l10n.t`a key has no colon`;
  }
  return message.replace(/\.$/, '');
}

/** Turns the library's nodes into ours, writing aliases out under a budget. */
function convert(document: Document.Parsed, placeOf: PlaceOf, problems: Problem[]): ConfigNode | undefined {
  const anchors = new Map<string, { node: ConfigNode; size: number }>();
  let size = 0;

  const spend = (amount: number, where: Place): boolean => {
    const before = size;
    size += amount;
    if (before <= MAX_NODES && size > MAX_NODES) {
      problems.push({
        code: 'config.too-many-values',
        message: l10n.t`with its aliases written out the run file has more than ${MAX_NODES} values`,
        where,
        mend: l10n.t`Remove the aliases (\`*name\`) and write the values themselves.`,
      });
    }
    return size <= MAX_NODES;
  };

  const visit = (node: Node | null, fallback: Place): ConfigNode => {
    const at = node?.range ? placeOf(node.range[0], node.range[1]) : fallback;
    const nothing: ScalarNode = { kind: 'scalar', at: fallback, value: null, source: '', quoted: false };
    if (!node || size > MAX_NODES) return nothing;
    if (isAlias(node)) {
      const anchor = anchors.get(node.source);
      if (!anchor) {
        problems.push({
          code: 'config.unknown-alias',
          message: l10n.t`the alias \`*${shorten(node.source)}\` names no value that stands before it`,
          where: at,
          mend: l10n.t`Write the value itself; put text that starts with \`*\` in single quotes.`,
        });
        return nothing;
      }
      return spend(anchor.size, at) ? { ...anchor.node, at } : nothing;
    }
    const before = size;
    if (!spend(1, at)) return nothing;
    const result = content(node, at, fallback);
    if ('anchor' in node && node.anchor) anchors.set(node.anchor, { node: result, size: size - before });
    return result;
  };

  const content = (node: Node, at: Place, fallback: Place): ConfigNode => {
    if ('tag' in node && node.tag !== undefined && !CORE_TAGS.has(node.tag)) {
      problems.push({
        code: 'config.custom-tag',
        message: l10n.t`the tag \`${shorten(node.tag)}\` has no meaning in a run file`,
        where: at,
        mend: l10n.t`Remove the tag; put a value that starts with \`!\` in single quotes.`,
      });
    }
    if (isMap(node)) return { kind: 'map', at, entries: entries(node.items) };
    if (isSeq(node)) return { kind: 'list', at, items: node.items.map((item) => visit(asNode(item), at)) };
    if (isScalar(node)) return scalar(node, at, fallback);
    return { kind: 'scalar', at, value: null, source: '', quoted: false };
  };

  const entries = (pairs: readonly Pair[]): Entry[] => {
    const seen = new Map<string, Place>();
    return pairs.flatMap(({ key, value }) => {
      const keyNode = asNode(key);
      const keyAt = keyNode?.range ? placeOf(keyNode.range[0], keyNode.range[1]) : placeOf(0, 0);
      if (!isScalar(keyNode) || keyNode.value === null) {
        problems.push({
          code: 'config.bad-key',
          message: l10n.t`a key here is not a name`,
          where: keyAt,
          expected: l10n.t`a name, followed by \`:\``,
        });
        return [];
      }
      const name = typeof keyNode.value === 'string' ? keyNode.value : (keyNode.source ?? String(keyNode.value));
      const first = seen.get(name);
      if (first) {
        problems.push({
          code: 'config.duplicate-key',
          message: l10n.t`the key \`${shorten(name)}\` stands twice; first in line ${String(first.line)}`,
          where: keyAt,
          mend: l10n.t`Keep one of them.`,
        });
        return [];
      }
      if (name === '<<') {
        problems.push({
          code: 'config.merge-key',
          message: l10n.t`merge keys (\`<<\`) belong to YAML 1.1; YAML 1.2 does not have them`,
          where: keyAt,
          mend: l10n.t`Write the merged keys out.`,
        });
        return [];
      }
      seen.set(name, keyAt);
      return [{ key: name, keyAt, value: visit(asNode(value), keyAt) }];
    });
  };

  return visit(document.contents, placeOf(0, 0));
}

function scalar(node: Scalar, at: Place, fallback: Place): ScalarNode {
  const source = node.source ?? '';
  const quoted = node.type === 'QUOTE_DOUBLE' || node.type === 'QUOTE_SINGLE';
  const { value } = node;
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
    return { kind: 'scalar', at, value, source, quoted };
  }
  // Where nothing was written, the key is the thing to point at.
  return { kind: 'scalar', at: source === '' ? fallback : at, value: null, source, quoted };
}

/** The library types keys and values as `unknown`; parsed ones are nodes or absent. */
function asNode(value: unknown): Node | null {
  return isScalar(value) || isMap(value) || isSeq(value) || isAlias(value) ? value : null;
}
