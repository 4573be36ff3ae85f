import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pathKind } from '../common/files.js';
import type { ResolvedRunConfig } from '../config/loadRunFile.js';

/**
 * A hash of the files that a run's rows are read from. Of data sets of the hub, which a run pins itself, the ids count.
 */
export async function rowsHash({ data: { train, validation } }: ResolvedRunConfig): Promise<string> {
  const hash = createHash('sha256');
  for (const places of [train, validation ?? []]) {
    const all = [places].flat();
    hash.update(JSON.stringify(all.length));
    for (const place of all) {
      if ((await pathKind(place)) !== 'file') {
        hash.update(JSON.stringify(place));
        continue;
      }
      const own = createHash('sha256');
      const bytes: AsyncIterable<Buffer> = createReadStream(place);
      for await (const part of bytes) own.update(part);
      hash.update(own.digest());
    }
  }
  return hash.digest('hex');
}
