import { Type } from '@sinclair/typebox';
import type { Static, TObject } from '@sinclair/typebox';
import { nearestName } from '../common/nearest.js';
import { fail } from '../common/problem.js';
import type { Problem } from '../common/problem.js';
import type { Site } from '../models/site.js';

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
      description: 'Only these layer numbers (from 0). Modules without a layer number are then left out.',
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
 * @throws ProblemError when nothing matches, or an entry of a list matches nothing
 */
export function matchTargets<S extends Matchable>(
  options: TargetOptions,
  sites: readonly S[],
  capable: (site: S) => boolean,
): TargetMatch<S> {
  const { target_modules: targets, exclude_modules: excluded } = options;
  const candidates = sites.filter(
    (site) => capable(site) && (excluded === undefined || !matchesAny(excluded, site.path)),
  );
  const byLayer = layerFilter(options);
  const entries = (typeof targets === 'string' ? [targets] : targets).map((entry) => ({
    entry,
    sites: candidates.filter((site) => {
      if (entry === ALL_LINEAR && typeof targets === 'string') return site.kind === 'linear' && !site.isOutput;
      return typeof targets === 'string' ? matchesWhole(entry, site.path) : isSuffix(entry, site.path);
    }),
  }));
  const warnings: Problem[] = [];
  for (const { entry, sites: matched } of entries) {
    if (matched.length === 0) fail(nothingMatches(entry, targets, candidates, sites));
  }
  const chosen = new Set(entries.flatMap((entry) => entry.sites));
  const dropped = [...chosen].filter((site) => !byLayer(site));
  const withoutLayer = dropped.filter((site) => site.layer === undefined);
  if (withoutLayer.length > 0) {
    warnings.push({
      code: 'targets.no-layer',
      severity: 'warning',
      message: `layers_to_transform leaves out ${names(withoutLayer)}: it has no layer number`,
      mend: 'Remove layers_to_transform, or take this module out of target_modules (modules_to_save can train it).',
    });
  }
  const selected = sites.filter((site) => chosen.has(site) && byLayer(site));
  if (selected.length === 0) {
    fail({
      code: 'targets.nothing',
      message: `layers_to_transform ${JSON.stringify(options.layers_to_transform)} leaves no module to adapt`,
      expected: `layer numbers among ${[...new Set([...chosen].map((site) => site.layer ?? 'none'))].join(', ')}`,
    });
  }
  warnings.push(...unevenCoverage(entries, sites));
  return {
    sites: selected,
    entries: entries.map(({ entry, sites: matched }) => ({ entry, matched: matched.filter(byLayer).length })),
    warnings,
  };
}

const ALL_LINEAR = 'all-linear';

/** A list entry matches the whole path or its ending behind a dot; a string is a regular expression. */
export function matchesAny(patterns: string | readonly string[], path: string): boolean {
  return typeof patterns === 'string'
    ? matchesWhole(patterns, path)
    : patterns.some((entry) => isSuffix(entry, path));
}

/**
 * The value that a `rank_pattern` or `alpha_pattern` holds for a module (PEFT's `get_pattern_key`): the first
 * key that, as a regular expression, matches the path or its ending behind a dot.
 */
export function patternValue(pattern: Readonly<Record<string, number>>, path: string): number | undefined {
  const key = Object.keys(pattern).find((each) => matchesPatternKey(each, path));
  return key === undefined ? undefined : pattern[key];
}

/** Keys of a pattern that match none of the modules, each as a problem with the nearest module name. */
export function idlePatternKeys(
  option: string,
  pattern: Readonly<Record<string, number>>,
  paths: readonly string[],
): Problem[] {
  return Object.keys(pattern)
    .filter((key) => !paths.some((path) => matchesPatternKey(key, path)))
    .map((key) => {
      const near = nearestName(key.replace(/^\^/, ''), new Set(paths.flatMap(endings)));
      const anchored = key.startsWith('^')
        ? ' (`^` anchors it at the start of the whole path, `model.layers…`)'
        : '';
      return {
        code: 'targets.idle-pattern',
        message: `the key '${key}' of ${option} matches no adapted module${anchored}`,
        expected: 'a module name or regular expression that matches the path of an adapted module or its ending',
        mend: near === undefined ? 'Remove the key.' : `Did you mean '${near}'?`,
      };
    });
}

function matchesPatternKey(key: string, path: string): boolean {
  return compile(`^(?:.*\\.)?(?:${key})$`, key).test(path);
}

function matchesWhole(pattern: string, path: string): boolean {
  return compile(`^(?:${pattern})$`, pattern).test(path);
}

function isSuffix(entry: string, path: string): boolean {
  return path === entry || path.endsWith(`.${entry}`);
}

function compile(source: string, shown: string): RegExp {
  try {
    return new RegExp(source, 's');
  } catch (error) {
    return fail({
      code: 'targets.regex',
      message: `'${shown}' is not a regular expression: ${(error as Error).message}`,
      expected: 'a regular expression, or a list of module names',
    });
  }
}

function layerFilter(options: TargetOptions): (site: Matchable) => boolean {
  const { layers_to_transform: wanted, layers_pattern: pattern } = options;
  if (wanted === undefined) return () => true;
  const numbers = new Set(typeof wanted === 'number' ? [wanted] : wanted);
  if (pattern === undefined) return (site) => site.layer !== undefined && numbers.has(site.layer);
  const patterns = typeof pattern === 'string' ? [pattern] : pattern;
  return (site) =>
    patterns.some((name) => {
      const found = compile(`.*\\.${name}\\.(\\d+)\\.`, name).exec(site.path);
      return found !== null && numbers.has(Number(found[1]));
    });
}

function nothingMatches(
  entry: string,
  targets: string | readonly string[],
  candidates: readonly Matchable[],
  all: readonly Matchable[],
): Problem {
  const known = [...new Set(candidates.map((site) => site.path.split('.').at(-1)!))];
  const near = nearestName(entry, new Set(candidates.flatMap((site) => endings(site.path))));
  const looksLikeRegex = typeof targets !== 'string' && /[*+?^$|()[\]\\]/.test(entry);
  const incapable = all.find((site) => isSuffix(entry, site.path));
  return {
    code: 'targets.no-match',
    message: `'${entry}' of target_modules matches no module of the model`,
    expected: `names such as ${known.join(', ')}`,
    mend: looksLikeRegex
      ? `Entries of a list are names, not regular expressions: write target_modules: '${entry}' without the list.`
      : near !== undefined
        ? `Did you mean '${near}'?`
        : incapable !== undefined
          ? `'${incapable.path}' is a ${incapable.kind} and cannot be adapted so (or exclude_modules removes it).`
          : 'Use one of the names above.',
  };
}

/** Says once when an entry matches in some layers of the model only (layers that share keys and values, say). */
function unevenCoverage<S extends Matchable>(
  entries: readonly { entry: string; sites: readonly S[] }[],
  all: readonly S[],
): Problem[] {
  const layers = new Set(all.flatMap((site) => (site.layer === undefined ? [] : [site.layer])));
  return entries.flatMap(({ entry, sites }) => {
    const has = new Set(sites.flatMap((site) => (site.layer === undefined ? [] : [site.layer])));
    const missing = [...layers].filter((layer) => !has.has(layer));
    if (has.size === 0 || missing.length === 0 || /[\d\\]/.test(entry)) return [];
    return [
      {
        code: 'targets.uneven',
        severity: 'warning' as const,
        message: `'${entry}' matches in ${has.size} of ${layers.size} layers; layers ${missing.join(', ')} have no such module`,
      },
    ];
  });
}

/** `a.b.c` → `a.b.c`, `b.c`, `c` */
function endings(path: string): string[] {
  const parts = path.split('.');
  return parts.map((_, index) => parts.slice(index).join('.'));
}

function names(sites: readonly Matchable[]): string {
  return sites.map((site) => site.path).join(', ');
}
