import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { withMethods } from '../../../tools/writeReadme.js';

test("the README's table of methods is the registry's (npm run generate writes it)", async () => {
  const readme = await readFile('README.md', 'utf8');
  assert.equal(await withMethods(readme), readme);
});
