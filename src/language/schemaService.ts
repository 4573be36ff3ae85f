import { getLanguageService } from 'yaml-language-server';
import type { LanguageService } from 'yaml-language-server';
import { TextDocument } from 'vscode-languageserver-textdocument';
import type { CompletionItem, DocumentSymbol, FoldingRange, TextEdit } from 'vscode-languageserver-types';
import { serviceSchema } from './serviceSchema.js';

/** What the YAML language service does with a run file and its schema. */
export interface SchemaService {
  /** Keys and values that may stand at the offset. */
  complete(text: string, offset: number): Promise<readonly CompletionItem[]>;
  /** Markdown about the key or value at the offset. */
  hover(text: string, offset: number): Promise<string | undefined>;
  symbols(text: string): readonly DocumentSymbol[];
  folds(text: string): readonly FoldingRange[];
  /** What makes the text tidy; keeps comments and values. */
  format(text: string): Promise<readonly TextEdit[]>;
}

const SCHEMA_URI = 'peft-studio://run-file';

/** As completion items have it (LSP's CompletionItemKind). */
const SKELETON = 7;

/** The service fed with our schema. It reads nothing from disk or net, and checks nothing: our own checks say more. */
export function createSchemaService(): SchemaService {
  const service: LanguageService = getLanguageService({
    schemaRequestService: (uri) => Promise.reject(new Error(`${uri} is not fetched`)),
    workspaceContext: { resolveRelativePath: (relativePath) => relativePath },
  });
  service.configure({
    completion: true,
    hover: true,
    validate: false,
    format: true,
    isKubernetes: false,
    yamlVersion: '1.2',
    customTags: [],
    schemas: [{ uri: SCHEMA_URI, fileMatch: ['*.peft.yaml'], schema: serviceSchema() }],
  });
  // The service keeps what it parsed by address and version.
  let version = 0;
  const document = (text: string): TextDocument =>
    TextDocument.create('file:///run.peft.yaml', 'yaml', ++version, text);

  return {
    async complete(text, offset) {
      const opened = document(text);
      const { items } = await service.doComplete(opened, opened.positionAt(offset), false);
      // Skeletons of whole sections would write every default into the file.
      return items.filter(({ kind }) => kind !== SKELETON).map(withoutDefaults);
    },
    async hover(text, offset) {
      const opened = document(text);
      const contents = (await service.doHover(opened, opened.positionAt(offset)))?.contents;
      const markdown = typeof contents === 'object' && 'value' in contents ? contents.value : undefined;
      // Where the schema is from says nothing to anybody, nor does the name of the method above its option.
      return markdown?.replace(/\n*Source: \[.*$/s, '').replace(/^#### .*\n+/, '');
    },
    symbols: (text) => service.findDocumentSymbols2(document(text), { resultLimit: Number.MAX_SAFE_INTEGER }),
    folds: (text) => service.getFoldingRanges(document(text), { rangeLimit: Number.MAX_SAFE_INTEGER }) ?? [],
    format: (text) => service.doFormat(document(text), { printWidth: 100 }),
  };
}

/** A section is begun, not filled in: its options complete in their turn. */
function withoutDefaults(item: CompletionItem): CompletionItem {
  const shortened = (text: string): string => {
    const [first, ...rest] = text.split('\n');
    const indent = /^\s*/.exec(rest[0] ?? '')![0];
    return rest.length === 0 ? text : `${first}\n${indent === '' ? '  ' : indent}`;
  };
  const { textEdit, insertText } = item;
  return {
    ...item,
    ...(insertText === undefined ? {} : { insertText: shortened(insertText) }),
    ...(textEdit === undefined ? {} : { textEdit: { ...textEdit, newText: shortened(textEdit.newText) } }),
  };
}
