// Bundles the extension, what it knows of run files (loaded when one is opened), the worker, the command line and the pages of the editor into dist/:
// `node build.mjs [--production] [--watch]`.
import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build, context } from 'esbuild';
import { notices } from './tools/notices.mjs';
import { textsOf } from './tools/translations.mjs';

const production = process.argv.includes('--production');
const watch = process.argv.includes('--watch');

const common = {
  bundle: true,
  minify: production,
  // Names are kept: error messages and the log show them.
  keepNames: true,
  sourcemap: production ? false : 'linked',
  legalComments: 'eof',
  logLevel: 'warning',
  metafile: true,
};

/** Node programs; the native runtime and the optional TensorFlow.js are loaded from node_modules, never bundled. */
const node = {
  ...common,
  platform: 'node',
  target: 'node20',
  external: ['onnxruntime-node', '@tensorflow/tfjs-node-gpu', 'vscode'],
};

// A bundled CommonJS dependency calls require(), which an ES module does not have.
const requireBanner =
  "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";

const esm = { ...node, format: 'esm' };

/** Beside each page, the texts that it uses: the editor gives it those translations and no others. */
const pageTexts = {
  name: 'page-texts',
  setup({ onEnd }) {
    onEnd(({ metafile }) => {
      for (const [file, { entryPoint, inputs }] of Object.entries(metafile?.outputs ?? {})) {
        if (!entryPoint?.endsWith('.ts')) continue;
        const sources = Object.keys(inputs).filter((input) => /^(src|webview)\//.test(input));
        writeFileSync(file.replace(/\.js$/, '.texts.json'), JSON.stringify(textsOf(sources)));
      }
    });
  },
};

const bundles = [
  { ...node, entryPoints: ['src/extension.ts'], outfile: 'dist/extension.cjs', format: 'cjs' },
  {
    ...node,
    entryPoints: ['src/language/language.ts'],
    outfile: 'dist/language.cjs',
    format: 'cjs',
    // The YAML service's main file is of a form that cannot be bundled.
    mainFields: ['module', 'main'],
    // YAML needs no printer of JavaScript, and our schema has no errors to translate: 0.3 MB.
    alias: { 'prettier/plugins/estree': './tools/nothing.mjs', 'ajv-i18n': './tools/nothing.mjs' },
  },
  { ...node, entryPoints: ['src/language/memoryThread.ts'], outfile: 'dist/memoryThread.cjs', format: 'cjs' },
  { ...esm, entryPoints: ['src/worker.ts'], outfile: 'dist/worker.js', banner: { js: requireBanner } },
  { ...esm, entryPoints: ['src/playground.ts'], outfile: 'dist/playground.js', banner: { js: requireBanner } },
  {
    ...esm,
    entryPoints: ['src/cli.ts'],
    outfile: 'dist/cli.js',
    banner: { js: `#!/usr/bin/env node\n${requireBanner}` },
  },
  {
    ...common,
    entryPoints: ['panel', 'preview', 'compare', 'methods', 'combine', 'compose', 'playground'].flatMap((name) => [
      `webview/${name}.ts`,
      `webview/${name}.css`,
    ]),
    outdir: 'dist/webview',
    platform: 'browser',
    target: 'es2022',
    format: 'esm',
    tsconfig: 'webview/tsconfig.json',
    plugins: [pageTexts],
  },
];

// A package must not carry leftovers; while developing, a run that uses dist/ is not cut off.
if (production) rmSync('dist', { recursive: true, force: true });
const built = [];
for (const options of bundles) {
  const missing = options.entryPoints.filter((entry) => !existsSync(entry));
  if (missing.length > 0) {
    console.error(
      `build: ${missing.join(', ')} does not exist; ${options.outfile ?? options.outdir} is not built.`,
    );
    process.exitCode = 1;
    continue;
  }
  try {
    if (watch) await (await context(options)).watch();
    else built.push(await build(options));
  } catch {
    // esbuild has printed what is wrong; the other bundles are built all the same.
    process.exitCode = 1;
    continue;
  }
  const files = options.outfile
    ? [options.outfile]
    : options.entryPoints.map((entry) => path.join(options.outdir, path.basename(entry).replace(/\.ts$/, '.js')));
  if (watch) continue;
  for (const file of files) console.log(`${file}  ${(statSync(file).size / 1024).toFixed(1)} KiB`);
}
if (production) writeFileSync('dist/THIRD_PARTY_NOTICES.txt', notices(built.map(({ metafile }) => metafile)));
