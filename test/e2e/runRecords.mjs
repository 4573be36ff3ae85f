// What runs leave on disk, read by walks beside what the pages show: events, resolved run files, an adapter's tensors.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'yaml';

/** The folder of the only run of a run file, once it is there. */
export async function runFolder(runFile) {
  const name = path.basename(runFile).replace(/\.peft\.yaml$/, '');
  const runs = path.join(path.dirname(runFile), 'runs', name);
  return until(`a run in ${runs}`, () => {
    const [run] = existsSync(runs) ? readdirSync(runs) : [];
    return run && existsSync(path.join(runs, run, 'events.jsonl')) ? path.join(runs, run) : undefined;
  });
}

/** The events of a run of one type, as far as they are written. */
export function eventsOf(folder, type) {
  const lines = readFileSync(path.join(folder, 'events.jsonl'), 'utf8').split('\n');
  // What follows the last line's end is not written whole yet.
  return lines
    .slice(0, -1)
    .map((line) => JSON.parse(line))
    .filter((event) => event.type === type);
}

/** The leaves of the resolved run file, by their path: `training.learning_rate` → 0.01; a list of one is its item. */
export function settingsOf(folder) {
  const leaves = new Map();
  const visit = (value, name) => {
    if (Array.isArray(value) && value.length === 1) visit(value[0], name);
    else if (typeof value !== 'object' || value === null) leaves.set(name, value);
    else for (const [key, inner] of Object.entries(value)) visit(inner, name === '' ? key : `${name}.${key}`);
  };
  visit(parse(readFileSync(path.join(folder, 'run.peft.yaml'), 'utf8')), '');
  return leaves;
}

/** A tensor of a safetensors file with 4-byte numbers (F32, I32). */
export function tensorOf(file, name) {
  const bytes = readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const entry = JSON.parse(bytes.toString('utf8', 8, start))[name];
  if (entry === undefined) throw new Error(`${file} has no tensor ${name}.`);
  const [from, to] = entry.data_offsets.map((offset) => start + offset);
  const numbers = bytes.buffer.slice(bytes.byteOffset + from, bytes.byteOffset + to);
  return entry.dtype === 'I32' ? new Int32Array(numbers) : new Float32Array(numbers);
}

/** Asks again until something is there, so many seconds at most. */
export async function until(what, find, seconds = 60) {
  for (const end = Date.now() + seconds * 1000; ; await sleep(100)) {
    const found = await find();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > end) throw new Error(`Waited ${seconds} s for ${what}.`);
  }
}
