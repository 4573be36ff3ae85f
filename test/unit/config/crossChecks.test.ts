import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { configOf, onlyProblem, problemsOf, runText, span } from './support.js';

const brief = (text: string): string[] =>
  problemsOf(text).map((problem) => `${problem.severity ?? 'error'} ${problem.code} ${span(problem)}`);
const lora = (options: string): string[] => brief(runText(options.replace(/^(?=.)/gm, '  ')));

describe('target modules', () => {
  it('★ 2: a regular expression inside a list matches nothing', () => {
    assert.deepEqual(lora('target_modules: [q_proj, ".*v_proj"]\n'), ['error config.regex-in-list 6:28-6:38']);
    assert.match(
      onlyProblem(runText('  target_modules: [".*q_proj"]\n')).mend ?? '',
      /target_modules: '\.\*q_proj'/,
    );
    assert.deepEqual(lora('exclude_modules: ["layers\\\\.0"]\n'), ['error config.regex-in-list 6:21-6:33']);
    assert.deepEqual(lora('target_modules: [q_proj, layers.0.self_attn.v_proj, "0"]\n'), []);
  });

  it('★ 3: an unescaped dot matches more than meant', () => {
    const text = runText('  target_modules: layers.1.q\n');
    assert.deepEqual(brief(text), ['warning config.unescaped-dot 6:19-6:29']);
    assert.equal(onlyProblem(text).mend, "If dots of the path are meant, write 'layers\\.1\\.q'.");
    assert.ok(configOf(text));
    assert.deepEqual(lora("target_modules: 'model\\.layers\\.[0-3]\\..*_proj'\n"), []);
    assert.deepEqual(lora("target_modules: '.*[.](q|v)_proj'\n"), []);
  });

  it('a plain name is a regular expression for the whole path', () => {
    const problem = onlyProblem(runText('  target_modules: q_proj\n'));
    assert.deepEqual([problem.code, problem.severity], ['config.name-as-regex', 'warning']);
    assert.equal(problem.mend, 'Write a list to match endings: `[q_proj]`.');
    assert.equal(onlyProblem(runText('  target_modules: all_linear\n')).mend, 'Did you mean `all-linear`?');
  });

  it('a broken regular expression', () => {
    assert.deepEqual(lora("target_modules: '(q_proj'\n"), ['error config.bad-regex 6:19-6:28']);
    assert.deepEqual(lora("alpha_pattern: {'q_proj)': 4}\n"), ['error config.bad-regex 6:19-6:28']);
  });

  it('★ 4: layers_to_transform drops modules outside the layers', () => {
    assert.deepEqual(lora('target_modules: [q_proj, embed_tokens]\nlayers_to_transform: [0]\n'), [
      'warning config.target-outside-layers 6:28-6:40',
    ]);
    assert.deepEqual(lora('target_modules: [q_proj, lm_head]\nlayers_to_transform: [0]\n'), []);
  });

  it('★ 5: a pattern key with ^ that is no path', () => {
    assert.deepEqual(lora('rank_pattern: {"^q_proj": 4}\n'), [
      'warning config.pattern-not-from-the-start 6:18-6:27',
    ]);
    assert.deepEqual(lora('alpha_pattern: {"^q_proj": 4}\n'), [
      'warning config.pattern-not-from-the-start 6:19-6:28',
    ]);
    assert.deepEqual(
      lora('rank_pattern: {"^model.layers.0.self_attn.q_proj": 4, q_proj: 2, "^.*q_proj": 3}\n'),
      [],
    );
  });

  it("HF's rules: layers need a list of modules, a pattern needs layers", () => {
    assert.deepEqual(lora('layers_to_transform: 1\nlayers_pattern: h\n'), [
      'error config.layers-without-list 6:3-6:22',
      'error config.layers-without-list 7:3-7:17',
    ]);
    assert.match(onlyProblem(runText('  layers_to_transform: 1\n')).message, /which is `all-linear`/);
    assert.deepEqual(lora('target_modules: [q_proj]\nlayers_pattern: h\n'), [
      'error config.pattern-without-layers 7:3-7:17',
    ]);
    assert.deepEqual(lora('target_modules: [q_proj]\nlayers_pattern: h\nlayers_to_transform: [0, 1]\n'), []);
  });
});

describe('methods together', () => {
  const methods = (...types: string[]): string =>
    `model: m\ndata: {train: t}\nmethod:\n${types.map((type) => `  - type: ${type}\n`).join('')}`;
  it('the same one twice', () =>
    assert.deepEqual(brief(methods('lora', 'lora')), ['error config.method-twice 5:11-5:15']));
  it('full beside another', () => {
    assert.deepEqual(brief(methods('lora', 'full')), ['error config.full-with-others 5:11-5:15']);
    assert.deepEqual(brief(methods('full')), []);
    assert.deepEqual(brief(methods('lisa', 'lora')), ['error config.full-with-others 4:11-4:15']);
    assert.deepEqual(brief(methods('galore', 'lora')), ['error config.full-with-others 4:11-4:17']);
    const joint = methods('prompt_tuning', 'adapter_fusion\n    stage1: MT-A');
    assert.deepEqual(brief(joint), ['error config.full-with-others 5:11-5:25']);
    assert.deepEqual(brief(methods('prompt_tuning', 'adapter_fusion')), []);
  });
  it('GaLore with sharpness-aware minimization', () => {
    const text = (training: string): string => `${methods('galore')}training: { ${training} }\n`;
    assert.deepEqual(brief(text('sam_rho: 0.05')), ['error config.galore-sharpness 5:22-5:26']);
    assert.deepEqual(brief(text('optim: adafactor, learning_rate: 1e-3')), []);
  });
  it('one that guides others needs one before it', () => {
    assert.deepEqual(brief(methods('child_tuning')), ['error config.method-alone 4:11-4:23']);
    assert.deepEqual(brief(methods('child_tuning', 'lora')), ['error config.method-alone 4:11-4:23']);
    assert.deepEqual(brief(methods('lora', 'child_tuning')), []);
    assert.deepEqual(brief(methods('full', 'child_tuning')), []);
  });
  it('nothing guides a method that changes for itself what trains', () => {
    for (const type of ['adalora', 'lisa', 'galore']) {
      assert.deepEqual(brief(methods(type, 'child_tuning')), ['error config.not-guided 5:11-5:23']);
    }
    assert.deepEqual(brief(methods('lora', 'adalora', 'child_tuning')), ['error config.not-guided 6:11-6:23']);
  });
});

describe('data and output', () => {
  const more = (text: string): string[] => brief(runText('', text));
  it('two validations, and a split that is neither share nor rows', () => {
    const data = (options: string): string[] =>
      brief(`model: m\nmethod: {type: full}\ndata: {train: t, ${options}}\n`);
    assert.deepEqual(data('validation: v, validation_split: 0.1'), ['error config.two-validations 3:51-3:54']);
    assert.deepEqual(data('validation_split: 1.5'), ['error config.out-of-range 3:36-3:39']);
    assert.deepEqual(data('validation_split: 20'), []);
  });
  it('a name that is no folder name', () => {
    assert.deepEqual(more('output: {name: ../x}\n'), ['error config.bad-name 6:16-6:20']);
    assert.deepEqual(more('output: {name: ..}\n'), ['error config.bad-name 6:16-6:18']);
    assert.deepEqual(more('output: {name: v1.2 test}\n'), []);
  });
  it('are found beside errors of other sections', () => {
    assert.deepEqual(brief('model: 3\ndata: {train: t}\nmethod: [{type: lora}, {type: lora}]\n'), [
      'error config.wrong-type 1:8-1:9',
      'error config.method-twice 3:31-3:35',
    ]);
  });
});

describe('proxy_tuning', () => {
  it('without validation data steers nothing', () => {
    const text = runText('', 'proxy_tuning: {model: large}\n');
    assert.deepEqual(brief(text), ['warning config.nothing-to-evaluate 6:1-6:13']);
    assert.deepEqual(brief(text.replace('rows.jsonl', 'rows.jsonl\n  validation_split: 4')), []);
  });
});
