import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { configOf, onlyProblem, runText, span } from './support.js';

describe('--set overrides', () => {
  it('replace, add and append, with YAML values', () => {
    const config = configOf(runText('  r: 4\n'), [
      'training.learning_rate=1e-3',
      'method.target_modules=[q_proj, v_proj]',
      'method.0.r=16',
      'method.rank_pattern={layers.0.q_proj: 4}',
      'output.name=a=b',
      'data.train=[x.jsonl]',
      'data.train.1=y.jsonl',
    ]);
    const [method] = config.method;
    assert.ok(method?.type === 'lora');
    assert.equal(config.training.learning_rate, 1e-3);
    assert.deepEqual(method.target_modules, ['q_proj', 'v_proj']);
    assert.equal(method.r, 16);
    assert.deepEqual(method.rank_pattern, { 'layers.0.q_proj': 4 });
    assert.equal(config.output.name, 'a=b');
    assert.deepEqual(config.data.train, ['x.jsonl', 'y.jsonl']);
  });

  it('go through lists of methods', () => {
    const text = 'model: m\ndata: {train: t}\nmethod:\n  - type: lora\n';
    const [method] = configOf(text, ['method.0.r=3']).method;
    assert.equal(method?.type === 'lora' && method.r, 3);
    const problem = onlyProblem(text, ['method.r=3']);
    assert.equal(problem.code, 'config.bad-override');
    assert.equal(problem.message, '`method` is a list of 1; `r` cannot be set in it');
  });

  it('make a file whole that lacks something', () => {
    assert.equal(configOf('', ['model=m', 'data.train=t.jsonl', 'method.type=full']).method[0]?.type, 'full');
  });

  it('come before the checks, so that they mend the file', () => {
    assert.equal(configOf(runText('  r: nonsense\n'), ['method.r=2']).model, './base');
  });

  it('name themselves as the place of what is wrong', () => {
    const cases: [string, string, RegExp][] = [
      ['training.lerning_rate=1', 'config.unknown-key', /`training\.lerning_rate` is unknown/],
      ['method.r=x', 'config.wrong-type', /`method\.r` is the text `x`/],
      ['foo.bar=1', 'config.unknown-key', /`foo` is unknown/],
      ['data.train.x=1', 'config.bad-override', /`data\.train` is the text `rows\.jsonl`/],
      ['training', 'config.bad-override', /no key before `=`/],
      ['=3', 'config.bad-override', /no key before `=`/],
      ['a..b=3', 'config.bad-override', /no key before `=`/],
      [`${'a.'.repeat(20_000)}b=3`, 'config.bad-override', /has 20001 parts/],
      ['model=[a', 'config.yaml-syntax', /not valid YAML/],
      ['model=!x a', 'config.custom-tag', /no meaning/],
    ];
    for (const [override, code, message] of cases) {
      const problem = onlyProblem(runText(), [override]);
      assert.equal(problem.where?.file, `--set ${override}`);
      assert.equal(problem.where?.line, undefined);
      assert.match(problem.message, message);
      assert.equal(problem.code, code);
    }
  });

  it('leave the places of the rest alone', () => {
    assert.equal(span(onlyProblem(runText('  rr: 1\n'), ['method.r=2'])), '6:3-6:5');
  });

  it('cannot reach prototypes', () => {
    assert.equal(onlyProblem(runText(), ['__proto__.polluted=1']).code, 'config.unknown-key');
    assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false);
  });
});
