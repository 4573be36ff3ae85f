// Puts what comes from the code into the README: `npm run generate`.
import { readFileSync, writeFileSync } from 'node:fs';
import { methodsTable } from '../src/config/methodsTable.js';
import { format, resolveConfig } from 'prettier';

/** The README with the methods table between its markers, as the registry has it. */
export async function withMethods(readme: string): Promise<string> {
  const filled = readme.replace(
    /<!-- methods:start -->[\s\S]*<!-- methods:end -->/,
    `<!-- methods:start -->\n\n${methodsTable()}\n\n<!-- methods:end -->`,
  );
  return format(filled, { ...(await resolveConfig('README.md')), parser: 'markdown' });
}

if (process.argv[1]?.endsWith('writeReadme.ts')) {
  writeFileSync('README.md', await withMethods(readFileSync('README.md', 'utf8')));
}
