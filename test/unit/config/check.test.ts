import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { METHODS } from '../../../src/methods/registry.js';
import { configOf, onlyProblem, problemsOf, runText, span } from './support.js';

const TYPES = METHODS.map(({ type }) => `\`${type}\``).join(', ');

/** Problem of a `training` line. */
const training = (line: string) => onlyProblem(runText('', `training:\n  ${line}\n`));
const lora = (line: string) => onlyProblem(runText(`  ${line}\n`));

describe('unknown keys', () => {
  it('names the nearest key and the known ones', () => {
    const problem = lora('lora_aplha: 4');
    assert.equal(problem.code, 'config.unknown-key');
    assert.equal(problem.message, 'the key `method.lora_aplha` is unknown');
    assert.equal(problem.mend, 'Did you mean `lora_alpha`?');
    assert.match(problem.expected ?? '', /^one of `type`, `r`, `lora_alpha`, /);
    assert.equal(span(problem), '6:3-6:13');
  });

  it('knows the names of other tools (★ 79: formatting)', () => {
    assert.equal(
      onlyProblem(runText().replace('rows.jsonl', 'rows.jsonl\n  formatting: alpaca')).mend,
      'Did you mean `format`?',
    );
    assert.equal(training('lr: 1e-4').mend, 'Did you mean `learning_rate`?');
    assert.equal(lora('rank: 4').mend, 'Did you mean `r`?');
  });

  it('says where a misplaced key belongs', () => {
    assert.equal(
      onlyProblem(runText('', 'learning_rate: 1e-4\n')).mend,
      '`learning_rate` belongs under `training`.',
    );
    assert.equal(training('lora_alpha: 3').mend, '`lora_alpha` belongs under `method`.');
    assert.equal(lora('model: x').mend, '`model` belongs at the top of the file.');
  });

  it('treats `__proto__` and `constructor` as any other key', () => {
    for (const key of ['__proto__', 'constructor', 'toString']) {
      assert.equal(training(`${key}: {learning_rate: 9}`).code, 'config.unknown-key');
      assert.equal(onlyProblem(runText('', `${key}: {}\n`)).code, 'config.unknown-key');
    }
    const [method] = configOf(runText('  rank_pattern: {__proto__: 4}\n')).method;
    assert.ok(method?.type === 'lora');
    assert.deepEqual(Object.entries(method.rank_pattern), [['__proto__', 4]]);
  });
});

describe("HF PEFT's keys that the engine lacks (★ 15)", () => {
  it('refuses them when they change the maths', () => {
    for (const line of [
      'use_qalora: true',
      'lora_bias: true',
      'layer_replication: [[0, 2]]',
      'target_parameters: [w]',
    ]) {
      const problem = lora(line);
      assert.equal(problem.code, 'config.unsupported-key', line);
      assert.match(problem.message, /would change the maths/);
      assert.equal(span(problem).split('-')[0], '6:3');
    }
    assert.equal(lora('task_type: SEQ_CLS').code, 'config.unsupported-key');
  });

  it('tells the two methods apart that are called SAM', () => {
    const problem = onlyProblem(runText('').replace('type: lora', 'type: sam') + '  rho: 0.05\n');
    assert.equal(problem.code, 'config.unsupported-key');
    assert.match(problem.message, /sharpness-aware minimization; `sam` is the second-order approximation/);
    assert.match(problem.mend!, /`sam_rho` under `training`/);
  });

  it("takes flags of ReLoRA's script to their places", () => {
    const relora = (line: string) => onlyProblem(runText('').replace('type: lora', `type: relora\n  ${line}`));
    assert.equal(relora('cycle_length: 100').mend, 'Did you mean `relora`?');
    assert.match(relora('min_lr_ratio: 0.1').mend ?? '', /cosine_with_min_lr/);
    assert.equal(relora('init_lora_weights: olora').code, 'config.unsupported-key');
  });

  it('ignores them with a warning at their off value', () => {
    for (const line of [
      'use_qalora: false',
      'loftq_config: {}',
      'layer_replication: null',
      'task_type: CAUSAL_LM',
    ]) {
      const text = runText(`  ${line}\n`);
      const problem = onlyProblem(text);
      assert.deepEqual([problem.code, problem.severity], ['config.ignored-key', 'warning'], line);
      const [method] = configOf(text).method;
      assert.ok(method && !Object.hasOwn(method, line.split(':')[0] ?? ''));
    }
  });

  it("says what is written elsewhere, and does so for Transformers' names", () => {
    assert.match(lora('base_model_name_or_path: x').mend ?? '', /`model` at the top/);
    assert.match(training('output_dir: out').mend ?? '', /`output\.dir`/);
    assert.equal(training('bf16: false').severity, 'warning');
    assert.equal(training('bf16: true').severity, 'error');
  });
});

describe('values', () => {
  it('says found and expected in plain words', () => {
    const cases: [string, string, string][] = [
      ['learning_rate: fast', '`training.learning_rate` is the text `fast`', 'a number above 0'],
      ['learning_rate: 0', '`training.learning_rate` is the number 0', 'a number above 0'],
      ['adam_beta1: 1', '`training.adam_beta1` is the number 1', 'a number from 0 to below 1'],
      ['warmup_ratio: 1.5', '`training.warmup_ratio` is the number 1.5', 'a number from 0 to 1'],
      ['warmup_steps: [1]', '`training.warmup_steps` is a list', 'a whole number from 0 up'],
      ['max_steps: {a: 1}', '`training.max_steps` is a mapping of keys to values', 'a whole number from 1 up'],
      ['seed: true', '`training.seed` is `true`', 'a whole number from 0 to 4294967295'],
      ['seed: .inf', '`training.seed` is the number .inf', 'a whole number from 0 to 4294967295'],
      ['learning_rate: .nan', '`training.learning_rate` is the number .nan', 'a number above 0'],
      ['optim:', '`training.optim` is empty', 'one of `adamw`, `sgd`, `adafactor`'],
      [
        'metric_for_best_model: 3',
        '`training.metric_for_best_model` is the number 3',
        'one of `eval_loss`, `eval_token_accuracy`, `eval_row_accuracy`, `eval_accuracy`, `eval_macro_f1`',
      ],
    ];
    for (const [line, message, expected] of cases) {
      const problem = training(line);
      assert.deepEqual([problem.message, problem.expected], [message, expected], line);
    }
    assert.equal(lora('target_modules: 3').expected, 'text; or a list, each entry text');
    assert.equal(lora('target_modules: []').code, 'config.empty-list');
    assert.equal(lora('target_modules: [q, 3]').message, '`method.target_modules.1` is the number 3');
    assert.equal(lora('rank_pattern: {q_proj: 0}').message, '`method.rank_pattern.q_proj` is the number 0');
    assert.equal(
      lora('rank_pattern: [q_proj]').expected,
      'a mapping from names, each to a whole number from 1 up',
    );
    assert.equal(onlyProblem(`${runText()}training: 3\n`).code, 'config.wrong-type');
    assert.equal(onlyProblem(runText().replace('./base', "''")).expected, 'text that is not empty');
  });

  it('points at the value, or at the key where there is none', () => {
    assert.equal(span(training('learning_rate: fast')), '7:18-7:22');
    assert.equal(span(training('optim:')), '7:3-7:8');
    assert.equal(span(lora('target_modules: [q, 3]')), '6:23-6:24');
  });

  it('explains what YAML makes of well-meant values', () => {
    assert.equal(lora('use_rslora: yes').mend, 'YAML 1.2 reads `yes` as text: write `true`.');
    assert.equal(lora('use_rslora: Off').mend, 'YAML 1.2 reads `Off` as text: write `false`.');
    assert.equal(lora('use_rslora: "true"').mend, 'Remove the quotes.');
    assert.equal(lora('lora_alpha: "16"').mend, 'Remove the quotes: 16.');
    assert.equal(training('seed: 1_000').mend, 'Write the number plainly: 1000.');
    assert.equal(training('max_steps: None').mend, 'Give it a value, or leave the key out.');
    assert.equal(onlyProblem(runText().replace('./base', '7')).mend, "Put it in quotes if it is text: '7'.");
    assert.equal(training('lr_scheduler_type: cosin').mend, 'Did you mean `cosine`?');
    assert.equal(lora('init_lora_weights: gausian').mend, 'Did you mean `gaussian`?');
    assert.equal(lora('bias: NONE').mend, 'Did you mean `none`?');
  });

  it('takes text with a whole number in it, and nothing like it', () => {
    for (const value of ['pissa', 'pissa_niter_0', 'pissa_niter_16', 'milora', 'true']) {
      assert.deepEqual(problemsOf(runText(`  init_lora_weights: ${value}\n`)), []);
    }
    for (const value of ['pissa_niter_', 'pissa_niter_1.5', 'pissa_niter_-1', 'pissa_niter_four']) {
      const problem = lora(`init_lora_weights: ${value}`);
      assert.equal(problem.code, 'config.unknown-value');
      assert.match(problem.expected!, /`pissa_niter_N` with a whole number for N/);
    }
  });
});

describe('the method', () => {
  it('is reported by its type, never as a union', () => {
    const problem = onlyProblem(runText().replace('type: lora', 'type: loar'));
    assert.equal(problem.message, '`method.type` is the text `loar`');
    assert.equal(problem.expected, `one of ${TYPES}`);
    assert.equal(problem.mend, 'Did you mean `lora`?');
    assert.equal(span(problem), '5:9-5:13');
    assert.equal(onlyProblem(runText().replace('type: lora', 'type: LORA')).mend, 'Did you mean `lora`?');
  });

  it("checks options against the chosen method's schema", () => {
    const problem = onlyProblem(runText('  r: 4\n').replace('type: lora', 'type: full'));
    assert.deepEqual([problem.code, problem.expected], ['config.unknown-key', 'one of `type`']);
  });

  it('says of a method that is an option of another how to write it', () => {
    for (const [type, mend] of [
      ['dora', 'Write `type: lora` with `use_dora: true`.'],
      ['DoRA', 'Write `type: lora` with `use_dora: true`.'],
      ['pissa', 'Write `type: lora` with `init_lora_weights: pissa`.'],
    ]) {
      const problem = onlyProblem(runText('').replace('type: lora', `type: ${type}`));
      assert.deepEqual([problem.code, problem.mend], ['config.unknown-value', mend]);
    }
  });

  it('needs a type, and a list needs an entry', () => {
    const text = (method: string): string => `model: m\ndata: {train: t}\nmethod: ${method}\n`;
    assert.deepEqual(
      [onlyProblem(text('{r: 4}'))].map((problem) => [problem.code, problem.message, span(problem)]),
      [['config.missing-key', '`method.type` is missing', '3:1-3:7']],
    );
    assert.equal(onlyProblem(text('{peft_type: LORA}')).mend, 'Write `type` instead of `peft_type`.');
    assert.equal(onlyProblem(text('[]')).code, 'config.empty-list');
    assert.equal(
      onlyProblem(text('lora')).expected,
      `a mapping with \`type\`: one of ${TYPES}; or a list, each entry a mapping with \`type\`: one of ${TYPES}`,
    );
    assert.equal(problemsOf(text('[{type: lora, r: 0}, {type: full, x: 1}]')).length, 2);
  });
});
