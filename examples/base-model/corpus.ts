// Builds the corpus that the base model is pretrained on: `corpus.ts OUT` writes OUT/train.jsonl and
// OUT/heldout.jsonl, one {"text": …} document a line. The same seed gives the same bytes.
import path from 'node:path';
import { writeFileWhole } from '../../src/common/files.js';
import { random, shuffle } from '../../src/common/random.js';
import { generateDocument } from './generator.js';
import { kjvPassages } from './kjv.js';

const seed = 1611;
const kjvCharacters = 1_100_000;
const generatedCharacters = 3_300_000;
/** One document in so many is held out. */
const heldOutEvery = 40;

const documents: { source: string; text: string }[] = kjvPassages(random(seed, 'kjv'), kjvCharacters).map(
  (text) => ({
    source: 'KJV',
    text,
  }),
);

// Short generated documents can be drawn twice. Each is kept once, so that none is in both parts.
const known = new Set<string>();
let [generated, repeated] = [0, 0];
for (let index = 0; generated < generatedCharacters; index++) {
  const { kind, text } = generateDocument(random(seed, 'generated', index));
  if (known.has(text)) {
    repeated++;
    continue;
  }
  known.add(text);
  generated += text.length;
  documents.push({ source: kind, text });
}

// Each source holds out the same share, so that the held-out part is the corpus in small.
const counts = new Map<string, { documents: number; heldOut: number; characters: number }>();
const train: string[] = [];
const heldOut: string[] = [];
for (const { source, text } of shuffle(documents, random(seed, 'split'))) {
  const count = counts.get(source) ?? { documents: 0, heldOut: 0, characters: 0 };
  const held = count.documents % heldOutEvery === 0;
  (held ? heldOut : train).push(JSON.stringify({ text }));
  counts.set(source, {
    documents: count.documents + 1,
    heldOut: count.heldOut + (held ? 1 : 0),
    characters: count.characters + text.length,
  });
}

const out = process.argv[2] ?? path.join(import.meta.dirname, 'build');
await writeFileWhole(path.join(out, 'train.jsonl'), `${train.join('\n')}\n`);
await writeFileWhole(path.join(out, 'heldout.jsonl'), `${heldOut.join('\n')}\n`);
console.table(Object.fromEntries(counts));
console.log(
  `${train.length} documents to train on, ${heldOut.length} held out, ${repeated} repeated ones left out.`,
);
