import * as l10n from '@vscode/l10n';
import { readFile, readdir, realpath } from 'node:fs/promises';
import path from 'node:path';
import { refuseDevice } from '../common/files.js';
import { fail } from '../common/problem.js';

/** Files of a folder that say how text becomes tokens. */
const TOKENIZER_FILES =
  /^(?:.*tokenizer.*|special_tokens_map|added_tokens|chat_template|vocab|merges|spiece)\.(?:json|txt|jinja|model)$/;

/**
 * The files that go along when an adapter, or what a merge kept, is written in another form: its tokenizer, and those named.
 *
 * They are copied as they are. A link of the hub's cache (`../../blobs/…`) is followed, any other that leaves the folder is
 * refused: who made the folder could have any file of this machine copied into what may be given away.
 *
 * @throws ProblemError `adapter.link-outside`, `adapter.no-file`
 */
export async function filesBeside(
  folder: string,
  named: readonly string[] = [],
): Promise<Map<string, Uint8Array>> {
  const names = (await readdir(folder)).filter((name) => TOKENIZER_FILES.test(name) || named.includes(name));
  return new Map(await Promise.all(names.map(async (name) => [name, await ownFile(folder, name)] as const)));
}

/** A file's content, where it lies in the folder or in the cache that the folder is a snapshot of. */
async function ownFile(folder: string, name: string): Promise<Uint8Array> {
  const own = await realpath(folder);
  const found = await realpath(path.join(own, name));
  const roots = [own, path.resolve(own, '..', '..', 'blobs')];
  if (roots.some((root) => found.startsWith(`${root}${path.sep}`))) {
    await refuseDevice(found, 'adapter');
    return readFile(found);
  }
  return fail({
    code: 'adapter.link-outside',
    message: l10n.t`${name} is a link that leaves the folder, to ${found}: it is not copied`,
    where: { file: path.join(folder, name) },
    expected: l10n.t`a file of the folder itself, or of the hub's cache`,
    mend: l10n.t`Put the file itself in the place of the link, or remove the link.`,
  });
}
