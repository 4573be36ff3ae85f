/**
 * What this machine has free for a run: measured, within the limits of the container that this process is in. What
 * Node tells is not it: `os.freemem` counts no pages that macOS would give back at once, and of a container's memory
 * `process.availableMemory` counts the files that it read as taken.
 */
import * as l10n from '@vscode/l10n';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Problem } from './problem.js';

/** Memory for a run, in bytes. */
export interface MachineMemory {
  /** What a program can take without any other losing more than pages of files, which are read again. */
  readonly free: number;
  /** All there is; of a container, what it may have. */
  readonly total: number;
  /** What sets the bound. */
  readonly bound: 'machine' | 'container' | 'limit';
}

/** Reads a small file of the system; undefined where there is none. */
export type ReadText = (file: string) => Promise<string | undefined>;

/** Gigabytes (of 1024³ bytes) that a run may take, wherever it is started; the editor's setting goes before it. */
const LIMIT_VARIABLE = 'PEFT_STUDIO_MEMORY_LIMIT';
const GIGABYTE = 1024 ** 3;

/**
 * What is free now, at most `limit` bytes (without it, the gigabytes of `PEFT_STUDIO_MEMORY_LIMIT`, if it is set).
 * Never throws: what cannot be read limits nothing.
 */
export async function machineMemory(limit: number | undefined = limitOfEnvironment()): Promise<MachineMemory> {
  const measured = await measure();
  if (limit === undefined || limit >= measured.free) return measured;
  return { free: limit, total: Math.min(measured.total, limit), bound: 'limit' };
}

function limitOfEnvironment(): number | undefined {
  const gigabytes = Number(process.env[LIMIT_VARIABLE] ?? '');
  return gigabytes > 0 && Number.isFinite(gigabytes) ? gigabytes * GIGABYTE : undefined;
}

/** What a process that is started has to have in its environment to be limited, too. @param limit bytes, if there is one */
export function environmentOf(limit: number | undefined): Readonly<Record<string, string>> {
  return limit === undefined ? {} : { [LIMIT_VARIABLE]: String(limit / GIGABYTE) };
}

/** That `PEFT_STUDIO_MEMORY_LIMIT` is set to what limits nothing; undefined where it is well, or not set. */
export function limitProblem(): Problem | undefined {
  const text = process.env[LIMIT_VARIABLE]?.trim() ?? '';
  if (text === '' || limitOfEnvironment() !== undefined) return undefined;
  return {
    code: 'memory.limit-variable',
    severity: 'warning',
    message: l10n.t`the environment variable ${LIMIT_VARIABLE} is ${JSON.stringify(text)}, which limits nothing`,
    expected: l10n.t`gigabytes, such as 8 or 7.5`,
  };
}

async function measure(): Promise<MachineMemory> {
  const elsewhere: MachineMemory = { free: os.freemem(), total: os.totalmem(), bound: 'machine' };
  if (process.platform === 'linux') return (await linuxMemory(readText)) ?? elsewhere;
  if (process.platform !== 'darwin') return elsewhere;
  const pages = await promisify(execFile)('vm_stat').catch(() => undefined);
  const free = pages === undefined ? undefined : vmStatFree(pages.stdout);
  return free === undefined ? elsewhere : { ...elsewhere, free: Math.min(free, elsewhere.total) };
}

async function readText(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch(() => undefined);
}

/** On Linux: the kernel's own figure, within the limits of the control groups; undefined where it is not told. */
export async function linuxMemory(read: ReadText): Promise<MachineMemory | undefined> {
  const info = await read('/proc/meminfo');
  const [free, total] = ['MemAvailable', 'MemTotal'].map((key) => kilobytes(info, key));
  if (free === undefined || total === undefined) return undefined;
  let memory: MachineMemory = { free, total, bound: 'machine' };
  for (const group of await controlGroups(read)) {
    if (group.limit >= memory.total && group.free >= memory.free) continue;
    const bound = group.free < memory.free ? 'container' : memory.bound;
    memory = { free: Math.min(memory.free, group.free), total: Math.min(memory.total, group.limit), bound };
  }
  return memory;
}

/** What a control group may have, and what of it is free: pages of files that it read are given back first. */
interface ControlGroup {
  readonly limit: number;
  readonly free: number;
}

/** Names of a version's files, and of its figures for pages of files that no program has to have. */
const VERSIONS = {
  v2: { limit: 'memory.max', used: 'memory.current', pages: ['inactive_file', 'active_file'] },
  v1: {
    limit: 'memory.limit_in_bytes',
    used: 'memory.usage_in_bytes',
    pages: ['total_inactive_file', 'total_active_file'],
  },
} as const;

/** The limits of this process's groups and of all above them, of both versions. */
async function controlGroups(read: ReadText): Promise<readonly ControlGroup[]> {
  const lines = ((await read('/proc/self/cgroup')) ?? '').split('\n').map((line) => line.split(':'));
  const groups = lines.flatMap(([, controllers = '-', ...rest]): Promise<ControlGroup | undefined>[] => {
    const isV2 = controllers === '';
    if (!isV2 && !controllers.split(',').includes('memory')) return [];
    const folders = foldersOf(isV2 ? '/sys/fs/cgroup' : '/sys/fs/cgroup/memory', rest.join(':'));
    return folders.map((folder) => controlGroup(read, folder, isV2 ? VERSIONS.v2 : VERSIONS.v1));
  });
  return (await Promise.all(groups)).filter((group) => group !== undefined);
}

/** A group's folder and those above it; in a container the path is often the host's, and only the top one is there. */
function foldersOf(top: string, group: string): readonly string[] {
  const parts = group.split('/').filter((part) => part !== '' && part !== '..');
  return parts
    .reduceRight<string[]>((folders, _, at) => [...folders, path.posix.join(top, ...parts.slice(0, at + 1))], [])
    .concat(top);
}

async function controlGroup(
  read: ReadText,
  folder: string,
  names: (typeof VERSIONS)[keyof typeof VERSIONS],
): Promise<ControlGroup | undefined> {
  const [limit, used] = (
    await Promise.all([names.limit, names.used].map((name) => read(path.posix.join(folder, name))))
  ).map(count);
  // `max`, or no file at all: nothing is limited here.
  if (limit === undefined || used === undefined) return undefined;
  const stat = (await read(path.posix.join(folder, 'memory.stat'))) ?? '';
  const pages = names.pages.reduce(
    (sum, name) => sum + (count(new RegExp(`^${name} (\\d+)$`, 'm').exec(stat)?.[1]) ?? 0),
    0,
  );
  return { limit, free: Math.max(0, limit - used + Math.min(pages, used)) };
}

/** What macOS can hand out at once, of the text of `vm_stat`; undefined for another text. */
export function vmStatFree(text: string): number | undefined {
  const size = count(/page size of (\d+) bytes/.exec(text)?.[1]);
  const pages = ['free', 'inactive', 'speculative'].map((kind) =>
    count(new RegExp(`^Pages ${kind}:\\s+(\\d+)\\.?$`, 'm').exec(text)?.[1]),
  );
  const [free] = pages;
  if (size === undefined || free === undefined) return undefined;
  return size * pages.reduce<number>((sum, each) => sum + (each ?? 0), 0);
}

function kilobytes(text: string | undefined, key: string): number | undefined {
  const value = count(new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(text ?? '')?.[1]);
  return value === undefined ? undefined : value * 1024;
}

function count(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text.trim()) ? Number(text) : undefined;
}
