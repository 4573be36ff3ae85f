import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

const build = readFileSync('build.mjs', 'utf8');
const programs = [...build.matchAll(/entryPoints: \['(src\/[\w/]+\.ts)'\]/g)].map(([, file = '']) => file);
const [, named = ''] = /entryPoints: \[([^\]]+)\]\.flatMap/.exec(build) ?? [];
const pages = [...named.matchAll(/'(\w+)'/g)].map(([, name = '']) => `webview/${name}.ts`);

// Each bundle has a copy of the library of texts: one that is not told the language speaks English.
describe('entries of bundles', () => {
  it('are found', () => {
    assert.deepEqual([programs.length >= 6, pages.length >= 4], [true, true]);
    assert.ok([...programs, ...pages].every((file) => existsSync(file)));
  });

  for (const file of programs) {
    it(`${file} takes the editor's language`, () => {
      assert.match(readFileSync(file, 'utf8'), /^\s*use(Editors)?Language\(\);$/m);
    });
  }

  for (const file of pages) {
    it(`${file} reads its texts before anything else`, () => {
      assert.match(readFileSync(file, 'utf8'), /^import '\.\/language\.js';\n/);
    });
  }
});
