// Puts what comes from the code into the README: `npm run generate`.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { methodsTable } from '../src/config/methodsTable.js';
import { isComparison } from '../src/engines/compareMethods/comparisonFiles.js';
import { comparisonMarkdown } from '../src/engines/compareMethods/comparisonText.js';
import type { MethodColumn } from '../src/engines/compareMethods/comparisonText.js';
import { format, resolveConfig } from 'prettier';

/** What bench/compareMethods.ts found. */
const COMPARISON = 'bench/results/compare-methods.json';
const COLUMNS: readonly MethodColumn[] = [
  'method',
  'loss',
  'metric',
  'share',
  'rate',
  'memory',
  'step',
  'size',
  'n',
];

/** The README with the methods table between its markers, as the registry has it, and that of the compared methods. */
export async function withMethods(readme: string): Promise<string> {
  const filled = between(between(readme, 'methods', methodsTable()), 'compared', comparedTable());
  return format(filled, { ...(await resolveConfig('README.md')), parser: 'markdown' });
}

function between(text: string, name: string, content: string): string {
  const [start, end] = [`<!-- ${name}:start -->`, `<!-- ${name}:end -->`];
  return text.replace(new RegExp(`${start}[^]*${end}`), () => `${start}\n\n${content}\n\n${end}`);
}

function comparedTable(): string {
  if (!existsSync(COMPARISON)) return '';
  const comparison: unknown = JSON.parse(readFileSync(COMPARISON, 'utf8'));
  if (!isComparison(comparison)) throw new Error(`${COMPARISON} is no comparison of methods`);
  return comparisonMarkdown(comparison, COLUMNS);
}

if (process.argv[1]?.endsWith('writeReadme.ts')) {
  writeFileSync('README.md', await withMethods(readFileSync('README.md', 'utf8')));
}
