import * as l10n from '@vscode/l10n';
import type { Jobs } from './job.js';
import { placedSentences } from '../common/sentences.js';

/** Reads what a page shows with a job; whoever reads again takes back what is not read yet. */
export interface Reader {
  /** Calls `found` or `failed`, once; neither where it was cancelled by {@link cancel} or another `read`. */
  read<Document>(what: {
    readonly title: string;
    readonly args: readonly string[];
    readonly isDocument: (value: unknown) => value is Document;
    readonly found: (document: Document) => void;
    readonly failed: (message: string) => void;
  }): Promise<void>;
  /** The page is gone. */
  cancel(): void;
}

/** Makes the reader of one page. */
export function createReader(jobs: Pick<Jobs, 'run'>): Reader {
  let reading: AbortController | undefined;
  return {
    async read({ title, args, isDocument, found, failed }) {
      reading?.abort();
      const own = new AbortController();
      reading = own;
      let why = l10n.t`Cancelled.`;
      const document = await jobs.run({
        title,
        args,
        signal: own.signal,
        onFailure: (problem) => (why = placedSentences(problem)),
      });
      if (reading !== own) return;
      if (isDocument(document)) found(document);
      else failed(why);
    },
    cancel() {
      reading?.abort();
      reading = undefined;
    },
  };
}
