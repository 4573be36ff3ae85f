import { Type } from '@sinclair/typebox';
import type { Static, TObject } from '@sinclair/typebox';
import * as l10n from '@vscode/l10n';
import { nearestName } from '../common/nearest.js';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { Site } from '../models/site.js';
import { execAll, firstMatcher, regexTime } from './regex.js';

/** Which modules a method takes hold of, under HF PEFT's names and with its meaning (`LoraConfig`). */
export const TargetOptions = {
  target_modules: Type.Union([Type.String(), Type.Array(Type.String(), { minItems: 1 })], {
    default: 'all-linear',
    description:
      'The modules to adapt. A list matches names and path endings (`q_proj` matches `model.layers.0.self_attn.q_proj`); ' +
      'a string is a regular expression that must match the whole path; `all-linear` takes every linear layer except the output layer.',
  }),
  exclude_modules: Type.Optional(
    Type.Union([Type.String(), Type.Array(Type.String())], {
      description: 'Modules to leave out, matched by the same rules as `target_modules`.',
    }),
  ),
  layers_to_transform: Type.Optional(
    Type.Union([Type.Integer({ minimum: 0 }), Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1 })], {
      description:
        'Only these layer numbers (from 0). Modules without one are then left out, unless listed by their whole path.',
    }),
  ),
  layers_pattern: Type.Optional(
    Type.Union([Type.String(), Type.Array(Type.String())], {
      description:
        'The name of the list of layers in the module path, when it is not a common one (`layers`, `h`, `block`).',
    }),
  ),
};

export type TargetOptions = Static<TObject<typeof TargetOptions>>;

/** A problem with one option of a method. */
export interface OptionProblem extends Problem {
  /** Keys and indices from the method's options down: `['target_modules', 1]`, `['rank_pattern', '^q_proj']`. */
  readonly option: readonly (string | number)[];
}

/** Where among its method's options a problem is, if it says so. */
export function optionOf(problem: Problem): OptionProblem['option'] | undefined {
  return isOptionProblem(problem) ? problem.option : undefined;
}

function isOptionProblem(problem: Problem): problem is OptionProblem {
  return 'option' in problem;
}

/**
 * What a pattern that matches nothing leads to: `error` stops the work, `warning` goes on with a warning, `gather`
 * goes on with the error among the warnings, for an editor that shows all of them.
 */
export type IdlePatterns = 'error' | 'warning' | 'gather';

/**
 * A pattern that matches nothing is a mistake in a run file and thrown. In the config of an adapter on disk it is
 * harmless, as in PEFT, since each tensor has to find its place all the same: the problem comes back as a warning.
 */
export function idlePattern(problem: Problem, idlePatterns: IdlePatterns = 'error'): Problem {
  if (idlePatterns === 'error') return fail(problem);
  if (idlePatterns === 'gather') return problem;
  const mend = l10n.t`Nothing to do if the base model is the right one: every tensor of the adapter has its place in it.`;
  return { ...problem, severity: 'warning', mend };
}

/** The part of a site that matching needs. */
export type Matchable = Pick<Site, 'kind' | 'path' | 'layer' | 'isOutput'>;

export interface TargetMatch<S> {
  readonly sites: readonly S[];
  /** One per entry: how many modules it matched. */
  readonly entries: readonly { readonly entry: string; readonly matched: number }[];
  readonly warnings: readonly Problem[];
}

/**
 * The modules that `target_modules` and its companions select, by HF PEFT's rules
 * (`check_target_module_exists`): a string is a regular expression for the whole path, a list entry equals the
 * path or is a path ending behind a dot, `all-linear` is every linear layer but the output layer.
 *
 * @param capable which sites the method can adapt
 * @param idlePatterns what an entry of a list is that matches nothing while others do
 * @throws ProblemError when nothing matches, or an entry of a list matches nothing
 */
export function matchTargets<S extends Matchable>(
  options: TargetOptions,
  sites: readonly S[],
  capable: (site: S) => boolean,
  idlePatterns?: IdlePatterns,
): TargetMatch<S> {
  const { target_modules: targets, exclude_modules: excluded = [] } = options;
  const leftOut = new Set(
    (typeof excluded === 'string' ? [excluded] : excluded).flatMap((entry) => {
      return matched(entry, typeof excluded !== 'string', sites);
    }),
  );
  const candidates = sites.filter((site) => capable(site) && !leftOut.has(site));
  const entries = (typeof targets === 'string' ? [targets] : targets).map((entry, index) => ({
    entry,
    option: entryOption('target_modules', targets, index),
    sites:
      entry === ALL_LINEAR && typeof targets === 'string'
        ? candidates.filter((site) => site.kind === 'linear' && !site.isOutput)
        : matched(entry, typeof targets !== 'string', candidates),
  }));
  const idle = entries
    .filter((each) => each.sites.length === 0)
    .map(({ entry, option }) => nothingMatches(entry, option, candidates, sites));
  const none = idle.length === entries.length;
  const warnings = idle.map((each) =>
    idlePattern(each, none && idlePatterns === 'warning' ? 'error' : idlePatterns),
  );
  refuseCountedOn(options, sites);
  const inLayers = layerFilter(options, sites);
  // As in PEFT, a module that is listed by its whole path stays, whatever its layer.
  const stays = (site: S): boolean =>
    inLayers(site) || (typeof targets !== 'string' && targets.includes(site.path));
  const chosen = new Set(entries.flatMap((entry) => entry.sites));
  const selected = sites.filter((site) => chosen.has(site) && stays(site));
  if (selected.length === 0 && !none) {
    const problem: OptionProblem = {
      code: 'targets.nothing',
      message: l10n.t`layers_to_transform ${JSON.stringify(options.layers_to_transform)} leaves no module to adapt`,
      expected: l10n.t`layer numbers among ${[...new Set([...chosen].map((site) => site.layer ?? l10n.t`none`))].join(', ')}`,
      option: ['layers_to_transform'],
    };
    fail(problem);
  }
  return {
    sites: selected,
    entries: entries.map(({ entry, sites: found }) => ({ entry, matched: found.filter(stays).length })),
    warnings: [
      ...warnings,
      ...idleExclusions(excluded, sites),
      ...layerWarnings(
        options,
        [...chosen].filter((site) => !stays(site)),
        sites,
      ),
      ...unevenCoverage(entries, sites),
    ],
  };
}

const ALL_LINEAR = 'all-linear';

/** Where an entry of a list of patterns stands; the one expression that may stand for a list is the option itself. */
function entryOption(
  option: string,
  patterns: string | readonly string[],
  index: number,
): OptionProblem['option'] {
  return typeof patterns === 'string' ? [option] : [option, index];
}

/** A list entry matches the whole path or its ending behind a dot; a string is a regular expression. */
export function matchesAny(patterns: string | readonly string[], path: string): boolean {
  return typeof patterns === 'string'
    ? execAll(patterns, whole, [path])[0] !== null
    : patterns.some((entry) => isSuffix(entry, path));
}

/** The sites that one entry matches: a name out of a list, or the regular expression that stands for one. */
function matched<S extends Matchable>(entry: string, inList: boolean, sites: readonly S[]): S[] {
  if (inList) return sites.filter((site) => isSuffix(entry, site.path));
  const matches = execAll(
    entry,
    whole,
    sites.map((site) => site.path),
  );
  return sites.filter((_, at) => matches[at] !== null);
}

/**
 * The value that a `rank_pattern` or `alpha_pattern` holds for a module (PEFT's `get_pattern_key`): the first
 * key that, as a regular expression, matches the path or its ending behind a dot.
 */
export function patternValue(pattern: Readonly<Record<string, number>>, path: string): number | undefined {
  const find = matchers.get(pattern) ?? keyMatcher(Object.keys(pattern));
  matchers.set(pattern, find);
  const key = find(path);
  return key === undefined ? undefined : pattern[key];
}

/** A pattern is asked for each module: in all these calls together its keys have the time of one expression. */
const matchers = new WeakMap<object, ReturnType<typeof firstMatcher>>();

function keyMatcher(keys: readonly string[]): ReturnType<typeof firstMatcher> {
  if (!keys.every((key) => PLAIN_KEY.test(key))) return firstMatcher(keys, pathOrEnding);
  return (path) => keys.find((key) => endsLike(path, key));
}

/** Names and dotted paths, which most keys are: expressions of one length that need no engine and no clock. */
const PLAIN_KEY = /^[\w.-]+$/;

/** {@link pathOrEnding} of a plain key; its dots stand for any character. */
function endsLike(path: string, key: string): boolean {
  const start = path.length - key.length;
  if (start < 0 || (start > 0 && path[start - 1] !== '.')) return false;
  return [...key].every((character, at) => character === '.' || character === path[start + at]);
}

/** Keys of a pattern that match none of the modules, each as a problem with the nearest module name. */
export function idlePatternKeys(
  option: string,
  pattern: Readonly<Record<string, number>>,
  paths: readonly string[],
): OptionProblem[] {
  const time = regexTime();
  const idle = Object.keys(pattern).filter((key) =>
    PLAIN_KEY.test(key)
      ? !paths.some((path) => endsLike(path, key))
      : execAll(key, pathOrEnding, paths, time).every((match) => match === null),
  );
  const known = new Set(idle.length === 0 ? [] : paths.flatMap(endings));
  return idle.map((key) => {
    const near = nearestName(key.replace(/^\^/, ''), known);
    const anchored = key.startsWith('^')
      ? l10n.t` (\`^\` anchors it at the start of the whole path, \`model.layers…\`)`
      : '';
    return {
      code: 'targets.idle-pattern',
      message: l10n.t`the key '${key}' of ${option} matches no adapted module${anchored}`,
      expected: l10n.t`a module name or regular expression that matches the path of an adapted module or its ending`,
      mend: near === undefined ? l10n.t`Remove the key.` : l10n.t`Did you mean '${near}'?`,
      option: [option, key],
      ...(near === undefined ? {} : { replacement: near }),
    };
  });
}

const whole = (pattern: string): string => `^(?:${pattern})$`;
const pathOrEnding = (pattern: string): string => `^(?:.*\\.)?(?:${pattern})$`;

function isSuffix(entry: string, path: string): boolean {
  return path === entry || path.endsWith(`.${entry}`);
}

/**
 * Where two stacks have layers of the same numbers, PEFT and we would not choose the same ones.
 * @throws ProblemError `targets.two-stacks`
 */
function refuseCountedOn(
  { layers_to_transform, layers_pattern }: TargetOptions,
  sites: readonly Matchable[],
): void {
  const other = sites.find(({ layer, path }) => layer !== undefined && !path.includes(`.${layer}.`));
  if (layers_to_transform === undefined || layers_pattern !== undefined || other === undefined) return;
  const problem: OptionProblem = {
    code: 'targets.two-stacks',
    message: l10n.t`layers_to_transform does not say of which stack the layers are: the model has an encoder and a decoder`,
    expected: l10n.t`layers_pattern beside it, such as block, which takes these layers of both`,
    mend: l10n.t`Add layers_pattern, or name the modules by a regular expression in target_modules.`,
    option: ['layers_to_transform'],
  };
  fail(problem);
}

/** The first number behind the name of a list of layers counts (PEFT's `layers_pattern`). */
function layerFilter(options: TargetOptions, sites: readonly Matchable[]): (site: Matchable) => boolean {
  const { layers_to_transform: wanted, layers_pattern: pattern = [] } = options;
  if (wanted === undefined) return () => true;
  const numbers = new Set(typeof wanted === 'number' ? [wanted] : wanted);
  const patterns = typeof pattern === 'string' ? [pattern] : pattern;
  if (patterns.length === 0) return (site) => site.layer !== undefined && numbers.has(site.layer);
  const paths = sites.map((site) => site.path);
  const time = regexTime();
  const found = patterns.map((name) =>
    execAll(name, (each) => `^(?:.*?\\.)?(?:${each})\\.(?<layer>\\d+)\\.`, paths, time),
  );
  const layers = new Map(
    paths.map((path, at) => [path, found.find((matches) => matches[at] !== null)?.[at]?.groups?.['layer']]),
  );
  return (site) => numbers.has(Number(layers.get(site.path) ?? NaN));
}

function layerWarnings(
  options: TargetOptions,
  dropped: readonly Matchable[],
  sites: readonly Matchable[],
): OptionProblem[] {
  const { layers_to_transform: wanted = [], layers_pattern: pattern } = options;
  const withoutLayer = dropped.filter((site) => site.layer === undefined);
  const known = new Set(sites.map((site) => site.layer));
  const unknown = (typeof wanted === 'number' ? [wanted] : wanted).filter((layer) => !known.has(layer));
  const warnings: OptionProblem[] = [];
  if (withoutLayer.length > 0) {
    warnings.push({
      code: 'targets.no-layer',
      severity: 'warning',
      message: l10n.t`layers_to_transform leaves out ${names(withoutLayer)}: it has no layer number`,
      mend: l10n.t`List it by its whole path, take it out of target_modules, or remove layers_to_transform.`,
      option: ['layers_to_transform'],
    });
  }
  if (unknown.length > 0 && pattern === undefined) {
    warnings.push({
      code: 'targets.no-such-layer',
      severity: 'warning',
      message: l10n.t`layers_to_transform names the layers ${unknown.join(', ')}, which the model does not have`,
      expected: l10n.t`numbers from 0 to ${Math.max(0, ...[...known].map((layer) => layer ?? 0))}`,
      option: ['layers_to_transform', ...(typeof wanted === 'number' ? [] : [wanted.indexOf(unknown[0]!)])],
    });
  }
  return warnings;
}

/** Says which entries of `exclude_modules` leave nothing out. */
function idleExclusions(excluded: string | readonly string[], sites: readonly Matchable[]): OptionProblem[] {
  const inList = typeof excluded !== 'string';
  return (inList ? excluded : [excluded])
    .map((entry, index) => ({ entry, option: entryOption('exclude_modules', excluded, index) }))
    .filter(({ entry }) => matched(entry, inList, sites).length === 0)
    .map(({ entry, option }) => {
      const near = nearestModule(entry, sites);
      return {
        code: 'targets.idle-exclude',
        severity: 'warning',
        message: l10n.t`'${entry}' of exclude_modules matches no module of the model`,
        mend: near === undefined ? l10n.t`Remove it.` : l10n.t`Did you mean '${near}'?`,
        option,
        ...(near !== undefined && inList ? { replacement: near } : {}),
      };
    });
}

function nothingMatches(
  entry: string,
  option: OptionProblem['option'],
  candidates: readonly Matchable[],
  all: readonly Matchable[],
): OptionProblem {
  const known = [
    ...new Set((candidates.length > 0 ? candidates : all).map((site) => site.path.split('.').at(-1)!)),
  ];
  const inList = option.length > 1;
  const refused = matched(entry, inList, all)[0];
  const expected = l10n.t`names such as ${known.join(', ')}`;
  if (refused !== undefined) {
    return {
      code: 'targets.no-match',
      option,
      message: l10n.t`'${entry}' of target_modules matches no module that can be adapted`,
      expected,
      mend: l10n.t`${refused.path} is a module of kind ${refused.kind}: this method cannot adapt it, or exclude_modules leaves it out.`,
    };
  }
  return {
    code: 'targets.no-match',
    option,
    message: l10n.t`'${entry}' of target_modules matches no module of the model`,
    expected,
    ...meantTarget(entry, inList, candidates),
  };
}

/** What an entry that matches nothing was probably meant to be. */
function meantTarget(
  entry: string,
  inList: boolean,
  candidates: readonly Matchable[],
): Pick<Problem, 'mend' | 'replacement'> {
  const near = nearestModule(entry, candidates);
  if (inList) {
    if (entry === ALL_LINEAR) return { mend: l10n.t`Write target_modules: ${ALL_LINEAR}, without a list.` };
    if (/[*+?^$|()[\]\\]/.test(entry)) {
      return {
        mend: l10n.t`Entries of a list are names, not regular expressions: write target_modules: '${entry}' without the list.`,
      };
    }
    if (near !== undefined) return { mend: l10n.t`Did you mean '${near}'?`, replacement: near };
  } else {
    const slip = nearestName(entry, [ALL_LINEAR]);
    if (slip !== undefined) return { mend: l10n.t`Did you mean '${slip}'?`, replacement: slip };
    // One text is an expression for whole paths: a name needs a list. In quotes it is YAML and JSON.
    if (near !== undefined && PLAIN_KEY.test(entry)) {
      return { mend: l10n.t`Did you mean the list [${near}]?`, replacement: JSON.stringify([near]) };
    }
    if (near !== undefined) return { mend: l10n.t`Did you mean '${near}'?` };
  }
  return { mend: l10n.t`Use one of the names above.` };
}

/** Says once when an entry matches in some layers of the model only (layers that share keys and values, say). */
function unevenCoverage<S extends Matchable>(
  entries: readonly { entry: string; option: OptionProblem['option']; sites: readonly S[] }[],
  all: readonly S[],
): OptionProblem[] {
  const layers = new Set(all.flatMap((site) => (site.layer === undefined ? [] : [site.layer])));
  return entries.flatMap(({ entry, option, sites }) => {
    const has = new Set(sites.flatMap((site) => (site.layer === undefined ? [] : [site.layer])));
    const missing = [...layers].filter((layer) => !has.has(layer));
    if (has.size === 0 || missing.length === 0 || /[\d\\]/.test(entry)) return [];
    return [
      {
        code: 'targets.uneven',
        severity: 'warning' as const,
        message: l10n.t`'${entry}' matches in ${has.size} of ${layers.size} layers; layers ${missing.join(', ')} have no such module`,
        option,
      },
    ];
  });
}

/** The name or path ending that an entry was probably meant to be. */
export function nearestModule(entry: string, sites: readonly Matchable[]): string | undefined {
  return nearestName(entry, new Set(sites.flatMap(({ path }) => endings(path))));
}

/** `a.b.c` → `a.b.c`, `b.c`, `c` */
function endings(path: string): string[] {
  const parts = path.split('.');
  return parts.map((_, index) => parts.slice(index).join('.'));
}

function names(sites: readonly Matchable[]): string {
  return sites.map((site) => site.path).join(', ');
}
