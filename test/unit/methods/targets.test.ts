import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProblemError } from '../../../src/common/problem.js';
import type { Problem } from '../../../src/common/problem.js';
import type { Matchable, TargetMatch, TargetOptions } from '../../../src/methods/targets.js';
import {
  idlePatternKeys,
  matchTargets,
  matchesAny,
  optionOf,
  patternValue,
} from '../../../src/methods/targets.js';
import { problem } from '../../support/adapters.js';

/** A Llama of some layers, as far as matching goes. */
function llama(layers: number, head = 'lm_head'): Matchable[] {
  const linear = ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj', 'mlp.up_proj'];
  const site = (kind: Matchable['kind'], path: string, layer?: number): Matchable => ({
    kind,
    path,
    layer,
    isOutput: path === head,
  });
  return [
    site('embedding', 'model.embed_tokens'),
    ...Array.from({ length: layers }, (_, layer) => [
      site('norm', `model.layers.${layer}.input_layernorm`, layer),
      ...linear.map((name) => site('linear', `model.layers.${layer}.${name}`, layer)),
    ]).flat(),
    site('norm', 'model.norm'),
    site('linear', head),
  ];
}

const SITES = llama(12);
const adaptable = (site: Matchable): boolean => site.kind !== 'norm';

function match(
  target_modules: TargetOptions['target_modules'],
  more: Partial<TargetOptions> = {},
  sites = SITES,
): TargetMatch<Matchable> {
  return matchTargets({ target_modules, ...more }, sites, adaptable);
}

const paths = (found: TargetMatch<Matchable>): string[] => found.sites.map((site) => site.path);
const codes = (problems: readonly Problem[]): string[] => problems.map(({ code }) => code);
const layersOf = (name: string, ...layers: number[]): string[] =>
  layers.map((layer) => `model.layers.${layer}.self_attn.${name}`);
const ALL = Array.from({ length: 12 }, (_, layer) => layer);

test('a list entry is the whole path or its ending behind a dot', () => {
  const found = match(['q_proj', 'layers.3.self_attn.v_proj', 'lm_head', 'model.layers.0.mlp.up_proj']);
  assert.deepEqual(
    new Set(paths(found)),
    new Set([...layersOf('q_proj', ...ALL), ...layersOf('v_proj', 3), 'lm_head', 'model.layers.0.mlp.up_proj']),
  );
  assert.deepEqual(
    found.entries.map(({ matched }) => matched),
    [12, 1, 1, 1],
  );
  assert.throws(() => match(['proj']), problem('targets.no-match', "'proj'"));
});

test('sites come in the order of the model, each once', () => {
  assert.deepEqual(paths(match(['v_proj', 'q_proj', 'self_attn.q_proj'], {}, llama(2))), [
    ...layersOf('q_proj', 0),
    ...layersOf('v_proj', 0),
    ...layersOf('q_proj', 1),
    ...layersOf('v_proj', 1),
  ]);
});

test('a string is a regular expression for the whole path', () => {
  assert.deepEqual(paths(match('.*layers\\.[12]\\..*q_proj')), layersOf('q_proj', 1, 2));
  assert.throws(() => match('q_proj'), problem('targets.no-match'));
  assert.deepEqual(paths(match('.*0\\.self_attn\\.q_proj|lm_head')), [...layersOf('q_proj', 0, 10), 'lm_head']);
  assert.throws(() => match('(unclosed'), problem('targets.regex', "'(unclosed'"));
  assert.throws(() => match('lm_head)|(x'), problem('targets.regex'), 'parentheses of our own do not mend it');
});

test('★1 a wrong name beside a right one is an error with the nearest name', () => {
  assert.throws(
    () => match(['q_proj', 'q_porj']),
    problem('targets.no-match', "'q_porj'", "Did you mean 'q_proj'?"),
  );
});

test('★2 a regular expression in a list: the hint says so', () => {
  assert.throws(
    () => match(['.*q_proj']),
    problem('targets.no-match', "target_modules: '.*q_proj'", 'without the list'),
  );
  assert.deepEqual(paths(match('.*q_proj')), layersOf('q_proj', ...ALL));
});

test('★3 an unescaped dot matches layers 1, 10 and 11, and the counts say it', () => {
  const found = match('model.layers.1.*q_proj');
  assert.deepEqual(paths(found), layersOf('q_proj', 1, 10, 11));
  assert.deepEqual(found.entries, [{ entry: 'model.layers.1.*q_proj', matched: 3 }]);
});

test('★4 layers_to_transform keeps a whole path, as PEFT does, and says which modules it leaves out', () => {
  const found = match(['q_proj', 'lm_head', 'embed_tokens'], { layers_to_transform: [0, 2] });
  assert.deepEqual(paths(found), [...layersOf('q_proj', 0, 2), 'lm_head']);
  assert.deepEqual(codes(found.warnings), ['targets.no-layer']);
  assert.match(found.warnings[0]!.message, /model\.embed_tokens/);
  assert.doesNotMatch(found.warnings[0]!.message, /lm_head/);
  assert.deepEqual(
    found.entries.map(({ matched }) => matched),
    [2, 1, 0],
  );
});

test('layer numbers that two stacks have say nothing without layers_pattern', () => {
  const site = (path: string, layer: number): Matchable => ({ kind: 'linear', path, layer, isOutput: false });
  const stacks = [
    site('encoder.block.0.layer.0.SelfAttention.q', 0),
    site('encoder.block.1.layer.0.SelfAttention.q', 1),
    site('decoder.block.0.layer.0.SelfAttention.q', 2),
    site('decoder.block.1.layer.0.SelfAttention.q', 3),
  ];
  assert.equal(match(['q'], {}, stacks).sites.length, 4);
  assert.throws(() => match(['q'], { layers_to_transform: [1] }, stacks), problem('targets.two-stacks', 'block'));
  assert.deepEqual(paths(match(['q'], { layers_to_transform: [1], layers_pattern: 'block' }, stacks)), [
    stacks[1]!.path,
    stacks[3]!.path,
  ]);
});

test('layers_to_transform: one number, numbers that no layer has, none left', () => {
  assert.deepEqual(paths(match(['q_proj'], { layers_to_transform: 0 })), layersOf('q_proj', 0));
  const found = match(['q_proj'], { layers_to_transform: [1, 99] });
  assert.deepEqual(paths(found), layersOf('q_proj', 1));
  assert.deepEqual(codes(found.warnings), ['targets.no-such-layer']);
  assert.match(found.warnings[0]!.message, /99/);
  assert.throws(
    () => match(['q_proj'], { layers_to_transform: 99 }),
    problem('targets.nothing', 'layers_to_transform 99'),
  );
});

test('layers_pattern: the first number behind the named list counts', () => {
  const sites = ['blocks.0.experts.1.up', 'blocks.1.experts.0.up', 'model.blocks.2.experts.1.up'].map(
    (path): Matchable => ({ kind: 'linear', path, layer: undefined, isOutput: false }),
  );
  const at = (layers_pattern: string | string[]): string[] =>
    paths(match(['up'], { layers_to_transform: [1], layers_pattern }, sites));
  assert.deepEqual(at('blocks'), ['blocks.1.experts.0.up']);
  assert.deepEqual(at('experts'), ['blocks.0.experts.1.up', 'model.blocks.2.experts.1.up']);
  assert.deepEqual(at(['nothing', 'blocks']), ['blocks.1.experts.0.up']);
  assert.throws(() => at('h'), problem('targets.nothing'));
});

test('★7 an entry that some layers lack is said once', () => {
  const shared = SITES.filter(({ path, layer }) => !(path.endsWith('v_proj') && (layer ?? 0) >= 9));
  const found = match(['q_proj', 'v_proj'], {}, shared);
  assert.deepEqual(codes(found.warnings), ['targets.uneven']);
  assert.match(found.warnings[0]!.message, /'v_proj' matches in 9 of 12 layers; layers 9, 10, 11/);
  assert.deepEqual(match(['q_proj', 'lm_head']).warnings, []);
});

test('★8 all-linear leaves out the output layer, whatever its name', () => {
  for (const head of ['lm_head', 'embed_out', 'model.readout']) {
    const found = match('all-linear', {}, llama(2, head));
    assert.deepEqual(found.entries, [{ entry: 'all-linear', matched: 10 }]);
    assert.ok(found.sites.every((site) => site.kind === 'linear' && !site.isOutput));
  }
  const renamed = llama(2).map((site) => (site.path === 'lm_head' ? { ...site, isOutput: false } : site));
  assert.ok(paths(match('all-linear', {}, renamed)).includes('lm_head'), 'the name alone leaves nothing out');
});

test('★11 a list of modules at the root', () => {
  const sites = ['0', '1', '10'].map((path): Matchable => ({
    kind: 'linear',
    path,
    layer: undefined,
    isOutput: false,
  }));
  assert.deepEqual(paths(match(['0'], {}, sites)), ['0']);
  assert.deepEqual(paths(match('0', {}, sites)), ['0']);
  assert.deepEqual(paths(match('all-linear', {}, sites)), ['0', '1', '10']);
});

test('★20 nothing matches: an error, with the names there are', () => {
  assert.throws(() => match(['c_attn', 'c_proj']), problem('targets.no-match', "'c_attn'", 'q_proj', 'lm_head'));
  assert.throws(() => match('transformer\\.h.*'), problem('targets.no-match'));
  assert.throws(
    () => match(['norm']),
    problem('targets.no-match', 'model.norm is a module of kind norm', 'cannot adapt'),
  );
});

test('exclude_modules leaves out by the same rules, and says what it does not find', () => {
  assert.deepEqual(
    paths(match(['q_proj'], { exclude_modules: '.*layers\\.(1.|[1-9])\\..*' })),
    layersOf('q_proj', 0),
  );
  const found = match('all-linear', { exclude_modules: ['self_attn.q_proj', 'k_proj', 'up_porj'] }, llama(1));
  assert.deepEqual(paths(found), [
    ...layersOf('v_proj', 0),
    ...layersOf('o_proj', 0),
    'model.layers.0.mlp.up_proj',
  ]);
  assert.deepEqual(codes(found.warnings), ['targets.idle-exclude']);
  assert.match(found.warnings[0]!.mend!, /'up_proj'/);
  assert.throws(
    () => match(['q_proj'], { exclude_modules: ['q_proj'] }),
    problem('targets.no-match', 'exclude_modules leaves it out'),
  );
});

test('a plain key matches what it would as an expression, dots included', () => {
  const keys = [
    'q_proj',
    'proj',
    'layers.1',
    '1.self_attn.q_proj',
    '.q_proj',
    '..',
    'q.proj',
    'model.layers.0.mlp.up_proj',
  ];
  const all = [...SITES.map(({ path }) => path), 'q_proj', '', 'q-proj', 'x.q-proj'];
  for (const key of keys) {
    const expression = new RegExp(`^(?:.*\\.)?(?:${key})$`, 's');
    const matching = all.filter((path) => patternValue({ [key]: 1 }, path) === 1);
    assert.deepEqual(
      matching,
      all.filter((path) => expression.test(path)),
      key,
    );
    assert.equal(idlePatternKeys('rank_pattern', { [key]: 1 }, all).length, matching.length === 0 ? 1 : 0, key);
  }
});

test('an editor gets every pattern that matches nothing, each with its place and what to write', () => {
  const options = { target_modules: ['q_porj', 'xyz', 'v_proj'], exclude_modules: ['kproj'] };
  const { warnings, sites } = matchTargets(options, SITES, adaptable, 'gather');
  assert.deepEqual(
    warnings.map((each) => [optionOf(each), each.replacement, each.severity]),
    [
      [['target_modules', 0], 'q_proj', undefined],
      [['target_modules', 1], undefined, undefined],
      [['exclude_modules', 0], 'k_proj', 'warning'],
    ],
  );
  assert.equal(sites.length, 12);
  const none = matchTargets({ target_modules: ['xyz'] }, SITES, adaptable, 'gather');
  assert.deepEqual([none.sites, codes(none.warnings)], [[], ['targets.no-match']]);
});

test('patternValue: the first key that matches the path or its ending', () => {
  const pattern = { 'layers.1.self_attn.q_proj': 2, q_proj: 4, '.*v_proj': 6, '^model.layers.0.mlp.up_proj': 7 };
  const at = (path: string): number | undefined => patternValue(pattern, `model.layers.${path}`);
  assert.deepEqual(
    ['1.self_attn.q_proj', '11.self_attn.q_proj', '3.self_attn.v_proj', '0.mlp.up_proj', '1.mlp.up_proj'].map(at),
    [2, 4, 6, 7, undefined],
  );
  assert.equal(patternValue({ proj: 1 }, 'model.layers.0.self_attn.q_proj'), undefined);
});

test('★5 pattern keys that match no adapted module, `^q_proj` above all', () => {
  const adapted = layersOf('q_proj', 0, 1);
  const idle = idlePatternKeys('rank_pattern', { '^q_proj': 4, q_proj: 2, v_proj: 3, q_porj: 1 }, adapted);
  assert.deepEqual(codes(idle), Array<string>(3).fill('targets.idle-pattern'));
  assert.match(idle[0]!.message, /\^q_proj.*anchors it at the start/);
  assert.match(idle[0]!.mend!, /'q_proj'/);
  assert.match(idle[1]!.message, /'v_proj' of rank_pattern/);
  assert.match(idle[2]!.mend!, /'q_proj'/);
  assert.deepEqual(idlePatternKeys('alpha_pattern', { 'model.*q_proj': 1 }, adapted), []);
});

test('an expression that never ends is stopped and named', () => {
  const endless = '([a-z._0-9]+)+!';
  const deep: Matchable[] = [
    { kind: 'linear', path: `model.${'a'.repeat(60)}`, layer: undefined, isOutput: false },
  ];
  const attempts: (() => unknown)[] = [
    () => match(endless, {}, deep),
    () => idlePatternKeys('rank_pattern', { [endless]: 1 }, [deep[0]!.path]),
  ];
  for (const attempt of attempts) assert.throws(attempt, problem('targets.regex-time', endless));
});

test('an expression that turns out too large when it runs is none', () => {
  const large = '[a-z]'.repeat(200_000);
  assert.doesNotThrow(() => new RegExp(large), 'or it would be refused before');
  // On a busy machine the clock may be faster than the engine's own limit: it is refused either way.
  const refused = (error: unknown): boolean =>
    error instanceof ProblemError && /^targets\.regex(-time)?$/.test(error.problem.code);
  assert.throws(() => match(large), refused);
  assert.throws(() => patternValue({ [large]: 1 }, 'model.q_proj'), refused);
});

test('the keys of a pattern share one clock, however often they are asked', () => {
  const slow = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`([a-z._0-9]+)+!${i}`, 1]));
  // One by one they would take 100 times the limit.
  const path = `model.${'a'.repeat(60)}`;
  for (let times = 0; times < 20; times++) {
    assert.throws(() => patternValue(slow, path), problem('targets.regex-time'));
  }
  assert.throws(() => idlePatternKeys('rank_pattern', slow, [path]), problem('targets.regex-time'));
});

test('matchesAny takes names and one expression alike', () => {
  assert.ok(matchesAny(['lm_head', 'q_proj'], 'model.q_proj'));
  assert.ok(!matchesAny(['q_proj'], 'model.xq_proj'));
  assert.ok(matchesAny('.*q_proj', 'model.xq_proj'));
  assert.ok(!matchesAny([], 'lm_head'));
});
