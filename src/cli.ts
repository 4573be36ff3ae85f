import { fileURLToPath } from 'node:url';
import { createInterrupt } from './cli/interrupt.js';
import { createIo } from './cli/io.js';
import { lostOutput } from './cli/lostOutput.js';
import { main } from './cli/main.js';
import { useLanguage } from './common/language.js';

/**
 * The bin `peft-studio`: the jobs of the extension without an editor. Standard output carries results, standard
 * error everything else.
 */

// As a job of the editor: its problems are shown there.
useLanguage();

// The worker lies beside this file, bundled (dist/worker.js) or not.
const worker = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url),
);

const interrupt = createInterrupt((code) => process.exit(code));
process.on('SIGINT', interrupt.signal);
process.on('SIGTERM', interrupt.request);
process.on('SIGHUP', interrupt.request);

function loseOutput(error: NodeJS.ErrnoException): void {
  const lost = lostOutput(error);
  if (lost.kind === 'stop') {
    interrupt.request();
    return;
  }
  if (lost.say !== undefined) process.stderr.write(`${lost.say}\n`);
  process.exit(lost.code);
}
process.stdout.on('error', loseOutput);
// There is no place left to say it; what counts is standard output and what is written to disk.
process.stderr.on('error', () => undefined);

const io = createIo({
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  interrupt,
  worker,
  // The editor runs these commands as jobs, and shows how far they are.
  progress: process.env['PEFT_STUDIO_PROGRESS'] === 'json' ? 'json' : 'text',
});
const code = await main(process.argv.slice(2), io);
process.exitCode = code;
// ONNX Runtime's threads must not keep a finished process alive; what was printed leaves first.
process.stdout.write('', (error) => {
  if (error) loseOutput(error);
  process.stderr.write('', () => process.exit(code));
});
