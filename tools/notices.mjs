// The licences of what the package carries of others: those whose files are in a bundle, and the native runtime.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

/** Shipped beside the bundles, as they are. */
const UNBUNDLED = ['onnxruntime-node', 'onnxruntime-common'];

const LICENCE_FILE = /^(licen[cs]e|notice|copying)([.-].*)?$/i;

/**
 * One section per package, by name: version, licence, where it comes from, and its licence's text.
 * @param metafiles esbuild's, one per bundle
 */
export function notices(metafiles) {
  const folders = new Set(UNBUNDLED.map((name) => path.join('node_modules', name)));
  for (const file of metafiles.flatMap(({ inputs }) => Object.keys(inputs))) {
    const folder = packageFolder(file);
    if (folder !== undefined) folders.add(folder);
  }
  const sections = [...folders].map(section).sort((a, b) => a.name.localeCompare(b.name));
  const heading = 'PEFT Studio contains or ships the following packages.';
  return [heading, ...sections.map(({ text }) => text)].join(`\n\n${'-'.repeat(80)}\n\n`) + '\n';
}

/** `node_modules/a/node_modules/@b/c/d.js` → `node_modules/a/node_modules/@b/c` */
function packageFolder(file) {
  return /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0];
}

function section(folder) {
  const { name, version, license, repository } = JSON.parse(
    readFileSync(path.join(folder, 'package.json'), 'utf8'),
  );
  if (typeof license !== 'string') throw new Error(`${folder} names no licence: it must not be shipped.`);
  const source = typeof repository === 'string' ? repository : repository?.url;
  const texts = readdirSync(folder)
    .filter((file) => LICENCE_FILE.test(file) && existsSync(path.join(folder, file)))
    .map((file) => readFileSync(path.join(folder, file), 'utf8').trim());
  return { name, text: [`${name} ${version}, ${license}`, source, ...texts].filter(Boolean).join('\n\n') };
}
