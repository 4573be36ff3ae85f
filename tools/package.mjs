// Packages the extension: `npm run package [-- --all | --target linux-x64 …] [--out DIR]`. A package carries the native
// library of one platform; without a target it is that of this machine.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

/** Fixed, so that the same commit gives the same package; fetched when it is needed, since it is large. */
const VSCE = '@vscode/vsce@3.9.2';

/** Where onnxruntime-node keeps its native libraries, and the platforms that it has. */
const NATIVE = 'node_modules/onnxruntime-node/bin/napi-v6';
const TARGETS = ['linux-x64', 'linux-arm64', 'darwin-arm64', 'win32-x64', 'win32-arm64'];

/** What the addon loads; macOS's library lies there under a second name too, which nothing asks for. */
const LIBRARIES = {
  linux: ['onnxruntime_binding.node', 'libonnxruntime.so.1'],
  darwin: ['onnxruntime_binding.node', 'libonnxruntime.1.dylib'],
  win32: ['onnxruntime_binding.node', 'onnxruntime.dll', 'DirectML.dll', 'dxcompiler.dll', 'dxil.dll'],
};

/** The line of .vscodeignore that takes in every platform. */
const EVERY_PLATFORM = '!node_modules/onnxruntime-node/bin/**';

const { values } = parseArgs({
  options: {
    target: { type: 'string', multiple: true },
    all: { type: 'boolean', default: false },
    out: { type: 'string', default: '.' },
  },
});
const targets = values.all ? TARGETS : (values.target ?? [`${process.platform}-${process.arch}`]);
for (const target of targets) {
  if (TARGETS.includes(target)) continue;
  console.error(`package: there is no native library for ${target}. There is one for: ${TARGETS.join(', ')}.`);
  process.exit(2);
}

const { name, version } = JSON.parse(readFileSync('package.json', 'utf8'));
const work = mkdtempSync(path.join(tmpdir(), 'peft-package-'));
mkdirSync(values.out, { recursive: true });
try {
  for (const target of targets) {
    const file = path.resolve(values.out, `${name}-${target}-${version}.vsix`);
    packageFor(target, file);
    console.log(`${file}  ${(statSync(file).size / 2 ** 20).toFixed(1)} MiB`);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}

function packageFor(target, file) {
  const libraries = librariesOf(target);
  const missing = libraries.filter((library) => !existsSync(library));
  if (missing.length > 0) throw new Error(`${missing.join(', ')} is not there: run npm ci.`);
  const everything = readFileSync('.vscodeignore', 'utf8');
  if (!everything.includes(EVERY_PLATFORM)) throw new Error(`.vscodeignore has no line ${EVERY_PLATFORM}.`);
  const ignore = path.join(work, target);
  writeFileSync(ignore, everything.replace(EVERY_PLATFORM, libraries.map((library) => `!${library}`).join('\n')));
  const vsce = process.env.VSCE ? [process.env.VSCE] : ['npx', '--yes', VSCE];
  // The README's links lead into the package itself.
  const flags = ['--no-rewrite-relative-links', '--ignoreFile', ignore, '--out', file];
  const [program, ...words] = [...vsce, 'package', '--target', target, ...flags];
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: 'utf8' });
  if (status !== 0) {
    process.stderr.write(stdout + stderr);
    throw new Error(`vsce ended with ${status} for ${target}.`);
  }
  // npm, which vsce asks for the dependencies, has a warning of its own about .npmrc; it says nothing of the package.
  const lines = `${stdout}\n${stderr}`.split('\n').filter((line) => !line.startsWith('npm warn'));
  const warnings = lines.filter((line) => /warn/i.test(line));
  for (const line of warnings) console.error(line);
  if (warnings.length > 0) process.exitCode = 1;
}

function librariesOf(target) {
  const [platform, architecture] = target.split('-');
  return LIBRARIES[platform].map((library) => `${NATIVE}/${platform}/${architecture}/${library}`);
}
