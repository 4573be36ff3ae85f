import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { faultOf } from '../../../tools/translations.mjs';

const urlOf = (name: string): URL => new URL(`../../../${name}`, import.meta.url);
const read = (name: string): string => readFileSync(urlOf(name), 'utf8');
const manifest = read('package.json');
const english = JSON.parse(read('package.nls.json')) as Record<string, string>;
const chinese = JSON.parse(read('package.nls.zh-cn.json')) as Record<string, string>;

/** What leads somewhere, `[...](command:peftStudio.train)`, has to lead there in every language. */
const links = (text: string): string[] => text.match(/\]\([^)]+\)/g) ?? [];

test('every text of the manifest stands in package.nls.json, and no other does', () => {
  const used = [...manifest.matchAll(/"%([^%"]+)%"/g)].map(([, key]) => key);
  assert.deepEqual([...new Set(used)].sort(), Object.keys(english).sort());
});

test('what the manifest shows is a key, not English', () => {
  // Names stay as they are: of the product, and of keys and places that the editor does not show.
  const shown = [...manifest.matchAll(/"(?:title|name|description|contents|altText)": "([^"%][^"]*)"/g)];
  assert.deepEqual([...new Set(shown.map(([, text]) => text))].sort(), ['PEFT Studio', 'peft-studio']);
});

test('package.nls.zh-cn.json translates every text', () => {
  assert.deepEqual(Object.keys(chinese), Object.keys(english));
  for (const [key, text] of Object.entries(english)) {
    // A picture of the editor in that language.
    if (key.endsWith('.image')) assert.ok(existsSync(urlOf(chinese[key] ?? '')), key);
    else assert.equal(faultOf(text, chinese[key]), undefined, key);
    assert.deepEqual(links(chinese[key] ?? ''), links(text), key);
  }
});
