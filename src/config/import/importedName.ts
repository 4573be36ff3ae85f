import path from 'node:path';

/** What the run file of a config is usually called: `NAME.peft.yaml`; an adapter is called as its folder. */
export function importedName(file: string): string {
  const stem = path.basename(file).replace(/\.(ya?ml|json)$/i, '');
  return `${stem === 'adapter_config' ? path.basename(path.dirname(path.resolve(file))) : stem}.peft.yaml`;
}
