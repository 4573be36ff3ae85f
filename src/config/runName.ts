import { fileName } from '../common/fileName.js';

/** A run's name when its file gives none: the file's own up to `.peft.yaml`, or up to its last extension. */
export function runName(file: string): string {
  const base = fileName(file);
  const stem = base.replace(/\.peft\.(ya?ml|json)$/i, '');
  if (stem !== base) return stem || 'run';
  return base.replace(/(.)\.[^.]*$/, '$1');
}
