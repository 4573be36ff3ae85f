import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exitCodeOf } from '../../../src/cli/exitCode.js';

test('codes of problems become exit codes', () => {
  const expected = {
    'config.unknown-key': 2,
    'data.no-rows': 2,
    'model.unsupported': 2,
    'targets.no-match': 2,
    'checkpoint.no-weights': 2,
    'safetensors.too-short': 2,
    'gguf.magic': 2,
    'adapter.keys': 2,
    'tokenizer.form': 2,
    'lora.tied': 2,
    'resume.changed': 2,
    'fusion.source': 2,
    'ia3.modules': 2,
    'method.combination': 2,
    'prefix-tuning.positions': 2,
    'prompt-tuning.labels': 2,
    'proxy.vocabulary': 2,
    'training.metric-task': 2,
    'merge.not-mergeable': 2,
    'proxy.server': 1,
    'sparse.non-finite': 1,
    'method.fisher': 1,
    'training.checkpoint-write': 1,
    'cli.unknown-option': 2,
    'folder.exists': 2,
    'generation.option': 2,
    'runtime.not-loaded': 1,
    'training.non-finite': 1,
    'merge.not-equal': 1,
    'run.process-ended': 1,
    'run.killed': 1,
    'generation.non-finite': 1,
    'folder.no-space': 1,
    'hub.repo-not-found': 2,
    'hub.gated': 2,
    'hub.unreachable': 1,
    'hub.checksum': 1,
    internal: 1,
    'cli.interrupted': 130,
    'run.stopped-early': 130,
  };
  for (const [code, exit] of Object.entries(expected)) assert.equal(exitCodeOf({ code, message: '' }), exit, code);
});
