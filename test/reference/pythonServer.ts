import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { ROOT } from '../support/fixtures.js';

/** Runs scripts of this folder in one Python, one at a time. */
export interface PythonServer {
  /** @throws when the script fails, with its trace */
  run(script: string, ...args: string[]): Promise<void>;
  end(): void;
}

/** Starts Python with the first script that is asked for. */
export function pythonServer(python: string): PythonServer {
  const open = (): { ask: (job: string) => Promise<string>; kill: () => void } => {
    const child = spawn(python, [path.join(ROOT, 'test/reference/serve.py')], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return {
      async ask(job) {
        child.stdin.write(`${job}\n`);
        const { value, done } = await answers.next();
        assert.ok(done !== true, 'Python ended before its answer');
        return value;
      },
      kill: () => child.kill(),
    };
  };
  let server: ReturnType<typeof open> | undefined;
  let last: Promise<unknown> = Promise.resolve();
  return {
    run(script, ...args) {
      const job = last.then(async () => {
        server ??= open();
        const error: unknown = JSON.parse(await server.ask(JSON.stringify([script, args])));
        assert.equal(error, null, typeof error === 'string' ? error : undefined);
      });
      last = job.catch(() => undefined);
      return job;
    },
    end: () => server?.kill(),
  };
}
