import { pathKind } from '../../common/files.js';

/** A path that is wanted, or one like it that is free: `adapter-2`; of a file the number stands before what says its kind. */
export async function freeName(wanted: string): Promise<string> {
  const [ending = ''] = /\.(?:gguf|safetensors)$/i.exec(wanted) ?? [];
  const stem = wanted.slice(0, wanted.length - ending.length);
  for (let at = 1; ; at++) {
    const name = at === 1 ? wanted : `${stem}-${at}${ending}`;
    if ((await pathKind(name)) === 'nothing') return name;
  }
}
