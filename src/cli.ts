import { fileURLToPath } from 'node:url';
import { createInterrupt } from './cli/interrupt.js';
import { createIo } from './cli/io.js';
import { main } from './cli/main.js';

/**
 * The bin `peft-studio`: the jobs of the extension without an editor. Standard output carries results, standard
 * error everything else.
 */

// The worker lies beside this file, bundled (dist/worker.js) or not.
const worker = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url),
);

// A reader that closed the pipe (`| head`) wants no more; a worker notices that we are gone and saves its adapter.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(1);
});

const interrupt = createInterrupt((code) => process.exit(code));
process.on('SIGINT', interrupt.signal);
process.on('SIGTERM', interrupt.signal);

const io = createIo({ stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, interrupt, worker });
const code = await main(process.argv.slice(2), io);
process.exitCode = code;
// ONNX Runtime's threads must not keep a finished process alive; what was printed leaves first.
process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
