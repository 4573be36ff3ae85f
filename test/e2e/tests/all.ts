import { COMBINE } from './combine.js';
import { COMPOSE } from './compose.js';
import { LANGUAGE } from './language.js';
import { MEMORY } from './memory.js';
import { METHODS } from './methods.js';
import { PLAYGROUND } from './playground.js';
import { REPAIR } from './repair.js';
import { RUNS } from './runs.js';

/** A pattern of names; run.mjs writes it in. */
declare const E2E_ONLY: string;

/** Called by VS Code in its extension host; a rejection makes the run fail. */
export async function run(): Promise<void> {
  const wanted = new RegExp(E2E_ONLY);
  const tests = [
    ...LANGUAGE,
    ...MEMORY,
    ...RUNS,
    ...PLAYGROUND,
    ...METHODS,
    ...COMPOSE,
    ...COMBINE,
    ...REPAIR,
  ].filter(([name]) => wanted.test(name));
  if (tests.length === 0) throw new Error(`no end-to-end test is called ${wanted.source}`);
  let failures = 0;
  for (const [name, test] of tests) {
    const began = Date.now();
    try {
      await test();
      console.log(`✔ ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failures += 1;
      console.error(`✖ ${name}\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
  }
  if (failures > 0) throw new Error(`${failures} of ${tests.length} end-to-end tests failed`);
  console.log(`${tests.length} end-to-end tests passed`);
}
