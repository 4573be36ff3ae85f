import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { configOf, onlyProblem, problemsOf, runText, span } from './support.js';

/** A run file with options of `training` in one line of YAML, from line 6, column 12 on. */
const text = (options: string): string => runText('', `training: {${options}}\n`);
const held = (options: string): string => text(options).replace('rows.jsonl', 'rows.jsonl\n  validation: v');
const brief = (content: string): string[] =>
  problemsOf(content).map((problem) => `${problem.severity ?? 'error'} ${problem.code} ${span(problem)}`);

describe('warm-up', () => {
  it('two of them', () => {
    assert.deepEqual(brief(text('warmup_steps: 5, warmup_ratio: 0.1')), ['error config.two-warmups 6:43-6:46']);
    assert.deepEqual(brief(text('warmup_steps: 0, warmup_ratio: 0.1')), []);
  });
  it('as long as the run', () => {
    assert.deepEqual(brief(text('max_steps: 10, warmup_steps: 10')), ['warning config.endless-warmup 6:41-6:43']);
    assert.deepEqual(brief(text('max_steps: 10, warmup_steps: 9')), []);
  });
  it('of a schedule that has none', () => {
    const problem = onlyProblem(text('lr_scheduler_type: constant, warmup_ratio: 0.1'));
    assert.equal(problem.code, 'config.no-warmup');
    assert.match(problem.message, /warmup_ratio/);
    assert.match(problem.mend ?? '', /constant_with_warmup/);
    assert.deepEqual(brief(text('lr_scheduler_type: constant, warmup_steps: 3')), [
      'error config.no-warmup 6:41-6:53',
    ]);
    assert.deepEqual(brief(text('lr_scheduler_type: constant_with_warmup, warmup_steps: 3')), []);
  });
});

describe('lr_scheduler_kwargs', () => {
  const kwargs = (type: string, given: string): string[] =>
    brief(text(`lr_scheduler_type: ${type}, lr_scheduler_kwargs: {${given}}`)).map((line) =>
      line.split(' ').slice(0, 2).join(' '),
    );
  it('holds what the schedule reads, and nothing else', () => {
    assert.deepEqual(kwargs('polynomial', 'power: 2, lr_end: 0'), []);
    assert.deepEqual(kwargs('inverse_sqrt', 'timescale: 50'), []);
    assert.deepEqual(kwargs('cosine', 'num_cycles: 1.5'), []);
    assert.deepEqual(kwargs('cosine_with_restarts', 'num_cycles: 3'), []);
    assert.deepEqual(kwargs('linear', ''), []);
    const problem = onlyProblem(text('lr_scheduler_type: cosine, lr_scheduler_kwargs: {power: 2}'));
    assert.deepEqual([problem.code, span(problem)], ['config.unread-schedule-key', '6:61-6:66']);
    assert.equal(problem.expected, '`num_cycles`');
    assert.match(problem.mend ?? '', /`polynomial`/);
    assert.equal(onlyProblem(text('lr_scheduler_kwargs: {min_lr: 0}')).expected, 'no keys with `linear`');
    assert.deepEqual(kwargs('linear', 'cycles: 2'), ['error config.unknown-key']);
  });
  it('the lowest rate of `cosine_with_min_lr` is given once', () => {
    assert.deepEqual(kwargs('cosine_with_min_lr', 'min_lr_rate: 0.1, num_cycles: 1'), []);
    assert.deepEqual(kwargs('cosine_with_min_lr', 'min_lr: 1e-5'), []);
    assert.deepEqual(kwargs('cosine_with_min_lr', 'min_lr: 1e-5, min_lr_rate: 0.1'), [
      'error config.two-lowest-rates',
    ]);
    assert.deepEqual(brief(text('lr_scheduler_type: cosine_with_min_lr')), [
      'error config.no-lowest-rate 6:31-6:49',
    ]);
  });
  it('the last rate is below the first', () => {
    const problem = onlyProblem(
      text('learning_rate: 1e-4, lr_scheduler_type: polynomial, lr_scheduler_kwargs: {lr_end: 1e-4}'),
    );
    assert.deepEqual([problem.code, problem.expected], ['config.out-of-range', 'a number below 0.0001']);
    assert.deepEqual(kwargs('cosine_with_min_lr', 'min_lr: 1'), ['error config.out-of-range']);
  });
  it('restarts are counted in whole numbers', () => {
    assert.deepEqual(kwargs('cosine_with_restarts', 'num_cycles: 1.5'), ['error config.out-of-range']);
  });
  it('keys that stand beside it are told where they belong', () => {
    const problem = onlyProblem(text('lr_scheduler_type: polynomial, power: 2'));
    assert.deepEqual(
      [problem.code, problem.mend],
      ['config.unsupported-key', 'Write it under `lr_scheduler_kwargs`.'],
    );
  });
});

describe('optimizers', () => {
  it('their names in Transformers', () => {
    assert.equal(onlyProblem(text('optim: adamw_torch_fused')).mend, 'Did you mean `adamw`?');
    assert.match(onlyProblem(text('optim: lion')).expected ?? '', /`adamw`, `sgd`, `adafactor`/);
    assert.equal(onlyProblem(text('metric_for_best_model: loss')).mend, 'Did you mean `eval_loss`?');
  });
  it('nesterov without momentum', () => {
    assert.deepEqual(brief(text('optim: sgd, nesterov: true')), [
      'error config.nesterov-without-momentum 6:34-6:38',
    ]);
    assert.deepEqual(brief(text('optim: sgd, nesterov: true, momentum: 0.9')), []);
  });
  it("Adafactor's own warm-up without its own rate", () => {
    assert.deepEqual(brief(text('optim: adafactor, adafactor_warmup_init: true')), [
      'error config.warmup-without-relative-step 6:53-6:57',
    ]);
    assert.deepEqual(
      brief(text('optim: adafactor, adafactor_warmup_init: true, adafactor_relative_step: true')),
      [],
    );
  });
  it('options that this optimizer does not read, unless they say what is so anyway', () => {
    const problem = onlyProblem(text('momentum: 0.9'));
    assert.deepEqual(
      [problem.code, problem.severity, span(problem)],
      ['config.unread-option', 'warning', '6:12-6:20'],
    );
    assert.equal(problem.mend, 'Remove it, or set `optim: sgd`.');
    assert.ok(configOf(text('momentum: 0.9')));
    assert.deepEqual(brief(text('momentum: 0, nesterov: false, adafactor_clip_threshold: 1')), []);
    assert.deepEqual(brief(text('optim: sgd, adam_beta1: 0.5, adafactor_beta1: 0.9')), [
      'warning config.unread-option 6:24-6:34',
      'warning config.unread-option 6:41-6:56',
    ]);
    assert.deepEqual(brief(text('optim: adafactor, adafactor_beta1: 0.9, weight_decay: 0.1')), []);
  });
  it('a learning rate beside that of Adafactor', () => {
    const own = 'optim: adafactor, adafactor_relative_step: true';
    assert.deepEqual(brief(text(own)), []);
    const problems = problemsOf(text(`${own}, learning_rate: 1e-3, lr_scheduler_type: cosine, warmup_steps: 3`));
    assert.deepEqual(
      problems.map(({ code, message }) => [code, message.split('`')[1]]),
      ['learning_rate', 'lr_scheduler_type', 'warmup_steps'].map((key) => [
        'config.unread-option',
        `training.${key}`,
      ]),
    );
  });
  it('sam_adaptive without a distance', () => {
    assert.deepEqual(brief(text('sam_adaptive: true')), ['warning config.unread-option 6:12-6:24']);
    assert.deepEqual(brief(text('sam_adaptive: true, sam_rho: 0.5')), []);
  });
});

describe('evaluation', () => {
  it('without validation data', () => {
    assert.deepEqual(brief(text('eval_steps: 5')), ['warning config.nothing-to-evaluate 6:12-6:22']);
    assert.deepEqual(brief(text('eval_generations: 3')), ['warning config.nothing-to-evaluate 6:12-6:28']);
    assert.deepEqual(brief(text('load_best_model_at_end: true')), ['error config.no-validation 6:12-6:34']);
    const problem = onlyProblem(text('early_stopping_patience: 2'));
    assert.deepEqual([problem.code, span(problem)], ['config.no-validation', '6:12-6:35']);
    assert.equal(
      problem.mend,
      'Add `data.validation` or `data.validation_split`, or remove `early_stopping_patience`.',
    );
  });
  it('with validation data', () => {
    const all = 'eval_steps: 5, load_best_model_at_end: true, early_stopping_patience: 2';
    assert.deepEqual(brief(held(all)), []);
    assert.deepEqual(brief(held(`${all}, early_stopping_threshold: 0.1`)), []);
    assert.deepEqual(brief(held(all).replace('validation: v', 'validation_split: 0.1')), []);
    assert.deepEqual(brief(held(all).replace('validation: v', 'validation_split: 0')).length, 3);
  });
  it('a metric or a threshold that nothing goes by', () => {
    assert.deepEqual(brief(held('metric_for_best_model: eval_row_accuracy')), [
      'warning config.unread-option 7:12-7:33',
    ]);
    assert.deepEqual(brief(held('early_stopping_threshold: 0.1')), ['warning config.unread-option 7:12-7:36']);
    assert.deepEqual(brief(held('cache_memory_mib: 64')), ['warning config.unread-option 7:12-7:28']);
    assert.deepEqual(brief(held('cache_memory_mib: 64, cache_frozen_layers: true')), []);
    assert.deepEqual(brief(held('metric_for_best_model: eval_row_accuracy, load_best_model_at_end: true')), []);
  });
});
