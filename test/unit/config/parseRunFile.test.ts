import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TObject } from '@sinclair/typebox';
import { describeProblem } from '../../../src/common/problem.js';
import { parseRunFile } from '../../../src/config/parseRunFile.js';
import { DataOptions } from '../../../src/data/options.js';
import { LoraOptions } from '../../../src/methods/lora.js';
import { METHODS } from '../../../src/methods/registry.js';
import { configOf, FILE, onlyProblem, problemsOf, runText, span } from './support.js';

/** The defaults that another room's schema declares. */
function defaultsOf({ properties }: TObject): Record<string, unknown> {
  const given = Object.entries(properties).filter(([, schema]) => schema.default !== undefined);
  assert.ok(given.length > 3);
  return Object.fromEntries(given.map(([key, schema]) => [key, schema.default]));
}

describe('parseRunFile', () => {
  it('fills every default in and makes the method a list', () => {
    assert.deepEqual(configOf(runText()), {
      model: './base',
      engine: 'embedded',
      data: { train: 'rows.jsonl', ...defaultsOf(DataOptions) },
      method: [{ type: 'lora', ...defaultsOf(LoraOptions) }],
      training: {
        num_train_epochs: 3,
        per_device_train_batch_size: 8,
        per_device_eval_batch_size: 8,
        gradient_accumulation_steps: 1,
        learning_rate: 2e-4,
        optim: 'adamw',
        weight_decay: 0,
        adam_beta1: 0.9,
        adam_beta2: 0.999,
        adam_epsilon: 1e-8,
        momentum: 0,
        nesterov: false,
        adafactor_scale_parameter: false,
        adafactor_relative_step: false,
        adafactor_warmup_init: false,
        adafactor_clip_threshold: 1,
        adafactor_decay_rate: -0.8,
        adafactor_epsilon1: 1e-30,
        adafactor_epsilon2: 1e-3,
        sam_rho: 0,
        sam_adaptive: false,
        max_grad_norm: 1,
        lr_scheduler_type: 'linear',
        warmup_steps: 0,
        warmup_ratio: 0,
        seed: 42,
        save_total_limit: 1,
        load_best_model_at_end: false,
        metric_for_best_model: 'eval_loss',
        cache_frozen_layers: false,
        cache_memory_mib: 1024,
        early_stopping_threshold: 0,
        eval_generations: 0,
        eval_generation_tokens: 64,
        logging_steps: 1,
      },
      output: { dir: 'runs' },
      runtime: { provider: 'cpu' },
    });
  });

  it("accepts every registered method's defaults, alone and in a list", () => {
    for (const info of METHODS) {
      const { type } = info;
      const types = 'guides' in info ? ['lora', type] : [type];
      const list = `[${types.map((each) => `{type: ${each}}`).join(', ')}]`;
      for (const method of types.length === 1 ? [`{type: ${type}}`, list] : [list]) {
        const config = configOf(`model: m\ndata: {train: t.jsonl}\nmethod: ${method}\n`);
        assert.deepEqual(
          config.method.map((each) => each.type),
          types,
        );
      }
    }
  });

  it('reads JSON, BOM and CRLF, with right places', () => {
    const json =
      '{\n  "model": "m",\n  "data": { "train": ["a.jsonl", "b.jsonl"] },\n  "method": { "type": "full" }\n}\n';
    assert.deepEqual(configOf(json).data.train, ['a.jsonl', 'b.jsonl']);
    assert.equal(configOf(`\uFEFF${runText().replaceAll('\n', '\r\n')}`).model, './base');
    assert.equal(span(onlyProblem(runText('  rr: 3\n').replaceAll('\n', '\r\n'))), '6:3-6:5');
    assert.equal(span(onlyProblem(`\uFEFFx: 1\n${runText()}`)), '1:1-1:2');
  });

  it('is frozen at every depth', () => {
    const config = configOf(runText('  target_modules: [q_proj]\n'));
    const [method] = config.method;
    assert.ok(method && method.type === 'lora' && Array.isArray(method.target_modules));
    const { target_modules: targets } = method;
    assert.throws(() => targets.push('v_proj'), TypeError);
    assert.ok(Object.isFrozen(config) && Object.isFrozen(config.training) && Object.isFrozen(config.data));
  });

  it('gives each file its own copy of a default', () => {
    const ranks = [configOf(runText()), configOf(runText())].map(({ method: [first] }) =>
      first?.type === 'lora' ? first.rank_pattern : undefined,
    );
    assert.ok(ranks[0] && ranks[0] !== ranks[1]);
  });

  it('reads numbers as YAML 1.2 writes them', () => {
    const { training } = configOf(
      runText('', 'training:\n  learning_rate: 5e-3\n  adam_epsilon: .00001\n  weight_decay: 1E-2\n'),
    );
    assert.deepEqual([training.learning_rate, training.adam_epsilon, training.weight_decay], [5e-3, 1e-5, 1e-2]);
  });

  it('reports an empty file by what it lacks, at its start', () => {
    const problems = problemsOf('');
    assert.deepEqual(
      problems.map(({ code, message }) => [code, message]),
      ['model', 'data', 'method'].map((key) => ['config.missing-key', `\`${key}\` is missing`]),
    );
    assert.deepEqual(problems.map(span), ['1:1-1:1', '1:1-1:1', '1:1-1:1']);
    assert.equal(onlyProblem('- a\n').message, 'the run file is a list');
    assert.equal(onlyProblem('just text').message, 'the run file is the text `just text`');
  });

  it('reports everything at once, in the order of the file', () => {
    const text = [
      'model: 3',
      'engin: embedded',
      'data:',
      '  format: chta',
      'method:',
      '  - type: lora',
      '    r: 0',
      '    lora_aplha: "16"',
      '  - type: loro',
      'training:',
      '  warmup_steps: 2.5',
      '',
    ].join('\n');
    assert.deepEqual(
      problemsOf(text).map((problem) => `${problem.code} ${span(problem)}`),
      [
        'config.wrong-type 1:8-1:9',
        'config.unknown-key 2:1-2:6',
        'config.missing-key 3:1-3:5',
        'config.unknown-value 4:11-4:15',
        'config.out-of-range 7:8-7:9',
        'config.unknown-key 8:5-8:15',
        'config.unknown-value 9:11-9:15',
        'config.out-of-range 11:17-11:20',
      ],
    );
  });

  it('shows a problem as file, line, finding, expectation and mend', () => {
    assert.equal(
      describeProblem(onlyProblem(runText('  r: 0\n'))),
      ['/work/a.peft.yaml:6:6: `method.r` is the number 0', 'Expected: a whole number from 1 up'].join('\n'),
    );
  });

  it('lists a hundred problems and counts the rest', () => {
    const lines = Array.from({ length: 130 }, (_, i) => `zz${i}: 1\n`);
    const problems = problemsOf(runText('', lines.join('')));
    assert.equal(problems.length, 101);
    assert.equal(problems.at(-1)?.message, 'there are 30 more problems');
    assert.equal(problems.at(-1)?.where?.file, FILE);
  });

  it('finds places of values, keys and defaults', () => {
    const { placeOf } = parseRunFile(runText('  r: 4\n'), FILE);
    const lineOf = (...args: Parameters<typeof placeOf>): string =>
      `${placeOf(...args).line}:${placeOf(...args).column}`;
    assert.equal(lineOf(['method', 'r']), '6:6');
    assert.equal(lineOf(['method', 0, 'r']), '6:6');
    assert.equal(lineOf(['method', 0, 'r'], 'key'), '6:3');
    assert.equal(lineOf(['method', 'lora_alpha']), '4:1');
    assert.equal(lineOf(['training', 'seed']), '1:1');
  });
});
