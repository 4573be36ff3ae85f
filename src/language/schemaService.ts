import { getLanguageService } from 'yaml-language-server';
import type { LanguageService } from 'yaml-language-server';
import { TextDocument } from 'vscode-languageserver-textdocument';
import type { DocumentSymbol, FoldingRange, TextEdit } from 'vscode-languageserver-types';
import type { SchemaRow } from './schemaRows.js';
import { serviceSchema } from './serviceSchema.js';

/** What the YAML language service does with a run file and its schema. */
export interface SchemaService {
  /** Keys and values that may stand at the offset; nothing between braces. */
  complete(text: string, offset: number): Promise<readonly SchemaRow[]>;
  symbols(text: string): readonly DocumentSymbol[];
  folds(text: string): readonly FoldingRange[];
  /** What makes the text tidy; keeps comments and values. */
  format(text: string): Promise<readonly TextEdit[]>;
}

const SCHEMA_URI = 'peft-studio://run-file';

/** Kinds of completion items as the protocol counts them: a key, and a section with all its defaults. */
const KEY = 10;
const SKELETON = 7;

/** The service fed with our schema. It reads nothing from disk or net, and checks nothing: our own checks say more. */
export function createSchemaService(): SchemaService {
  const service: LanguageService = getLanguageService({
    schemaRequestService: (uri) => Promise.reject(new Error(`${uri} is not fetched`)),
    workspaceContext: { resolveRelativePath: (relativePath) => relativePath },
  });
  service.configure({
    completion: true,
    hover: false,
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
      return items
        .filter(({ kind }) => kind !== SKELETON)
        .map(({ label, kind, documentation, textEdit, insertText }) => {
          const text = typeof documentation === 'object' ? documentation.value : documentation;
          return {
            label,
            isKey: kind === KEY,
            insert: textEdit?.newText ?? insertText ?? label,
            ...(text === undefined || text === '' ? {} : { documentation: text }),
          };
        });
    },
    symbols: (text) => service.findDocumentSymbols2(document(text), { resultLimit: Number.MAX_SAFE_INTEGER }),
    folds: (text) => service.getFoldingRanges(document(text), { rangeLimit: Number.MAX_SAFE_INTEGER }) ?? [],
    format: (text) => service.doFormat(document(text), { printWidth: 100 }),
  };
}
