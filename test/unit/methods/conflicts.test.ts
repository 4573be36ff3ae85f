import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRunFile } from '../../../src/config/parseRunFile.js';
import type { MethodConfig } from '../../../src/config/schema.js';
import { attachMethods, checkMethods } from '../../../src/engines/session.js';
import { METHODS, preparesFor } from '../../../src/methods/registry.js';
import { problem } from '../../support/adapters.js';
import { fixture } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';

const { context } = await openModel(fixture('lora-reference', 'tiny-llama'));
// Has biases.
const { context: gpt2 } = await openModel(fixture('gpt2', 'tiny-gpt2'));

function parsed(section: string): { codes: string[]; methods: readonly MethodConfig[] | undefined } {
  const { config, problems } = parseRunFile(
    `model: m\ndata: { train: a.jsonl }\nmethod: ${section}\n`,
    'a.peft.yaml',
  );
  return { codes: problems.map(({ code }) => code), methods: config?.method };
}

function attach(section: string): void {
  const { methods, codes } = parsed(section);
  assert.ok(methods, codes.join());
  attachMethods(methods, context);
}

const guidesItself = new Set(METHODS.filter((each) => 'guidesItself' in each).map(({ type }): string => type));
// The options of others are not complete without choices of one's own.
const TYPES = METHODS.map(({ type }): string => type).filter((type) =>
  parsed(`{ type: ${type} }`).codes.every((code) => code === 'config.method-alone'),
);
// Those that do not combine with LoRA prepare nothing.
const PREPARES = new Set(
  TYPES.filter((type) => parsed(`[{ type: lora }, { type: ${type} }]`).methods?.slice(1).some(preparesFor)),
);

const guides = (type: string): boolean => type === 'child_tuning';

/** What the docs' table says of two methods in this order; undefined: they combine. */
function expected(first: string, second: string): string | undefined {
  const whole = (type: string): boolean => ['full', 'lisa', 'galore', 'lt_sft'].includes(type);
  if (first === second) return 'config.method-twice';
  if (guides(first)) return 'config.method-alone';
  if (guides(second)) return guidesItself.has(first) ? 'config.not-guided' : undefined;
  return whole(first) || whole(second) ? 'config.full-with-others' : undefined;
}

/** Methods that act on all linear modules, or on their biases: what trains layers whole leaves them nothing. */
const ON_MODULES = new Set([
  'lora',
  'melora',
  'mora',
  'sora',
  'dylora',
  'relora',
  'cola',
  'adalora',
  'dora_rank',
  'lokr',
  'lotr',
  'ia3',
  'intrinsic',
  'bitfit',
  'learned_mask',
]);

/** Of these, those that change what a module reads or gives, not its weight. */
const AROUND_MODULES = new Set([
  'lora',
  'adalora',
  'dora_rank',
  'lokr',
  'lotr',
  'melora',
  'mora',
  'sltrain',
  'sora',
  'dylora',
  'relora',
  'cola',
  'ia3',
]);

function shareModules(...pair: readonly string[]): boolean {
  return pair.includes('last_layers') && pair.some((type) => ON_MODULES.has(type));
}

for (const first of TYPES) {
  test(`${first} and each other method: what combines attaches, what does not is said`, () => {
    for (const second of TYPES) {
      const { codes, methods } = parsed(`[{ type: ${first} }, { type: ${second} }]`);
      const wanted = expected(first, second);
      if (wanted !== undefined) {
        assert.ok(codes.includes(wanted), `${first} + ${second}: ${codes.join()}`);
        continue;
      }
      assert.ok(methods, `${first} + ${second}: ${codes.join()}`);
      const on = [first, second].includes('bitfit') ? gpt2 : context;
      // It does not adapt a Conv1D, and the other model has no biases.
      if ([first, second].includes('lokr') && on === gpt2) continue;
      if (shareModules(first, second)) {
        assert.throws(() => checkMethods(methods, on), problem('methods.same-module', first, second));
        continue;
      }
      if (second === 'learned_mask' && AROUND_MODULES.has(first)) {
        assert.throws(() => checkMethods(methods, on), problem('learned-mask.order', first));
        continue;
      }
      if (second === 'last_layers' && PREPARES.has(first)) {
        assert.throws(() => checkMethods(methods, on), problem('methods.same-module', first, second));
        continue;
      }
      if (first === 'last_layers' && PREPARES.has(second) && !guides(second)) {
        assert.throws(() => checkMethods(methods, on), problem('method.combination', first));
        continue;
      }
      checkMethods(methods, on);
      // Those that go through the data first attach in a run.
      if (PREPARES.has(first) || PREPARES.has(second)) continue;
      const names = attachMethods(methods, on).flatMap(({ trainables }) =>
        trainables.map(({ variable }) => variable.name),
      );
      assert.equal(new Set(names).size, names.length, `${first} + ${second}`);
    }
  });
}

test('two methods on one module, of which one trains it whole, are refused in either order', () => {
  const q = 'target_modules: [q_proj]';
  const named = (...parts: string[]) => problem('methods.same-module', ...parts);
  const whole = '{ type: adalora, target_modules: [v_proj], modules_to_save: [q_proj] }';
  assert.throws(
    () => attach(`[${whole}, { type: lora, ${q} }]`),
    named('adalora and lora', 'model.layers.0.self_attn.q_proj'),
  );
  assert.throws(() => attach(`[{ type: lora, ${q} }, ${whole}]`), named('lora and adalora'));
  assert.throws(
    () => attach(`[{ type: ia3, ${q}, feedforward_modules: [q_proj] }, ${whole}]`),
    named('ia3 and adalora'),
  );
  const head = 'modules_to_save: [lm_head]';
  assert.throws(() => attach(`[{ type: lora, ${q}, ${head} }, { type: ia3, ${head} }]`), named('lm_head'));
});

test('updates that are added, and factors, combine on one module', () => {
  attach('[{ type: lora }, { type: ia3 }]');
  attach('[{ type: lora, target_modules: [q_proj] }, { type: adalora, target_modules: [q_proj] }]');
  attach('[{ type: lora, modules_to_save: [lm_head] }, { type: prompt_tuning }, { type: prefix_tuning }]');
});
