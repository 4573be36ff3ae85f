import { RuleTester } from 'eslint';
import path from 'node:path';
import { describe, it } from 'node:test';
import tseslint from 'typescript-eslint';
import { roomOrder } from '../../../tools/roomOrder.mjs';

RuleTester.describe = describe;
RuleTester.it = it;

const tester = new RuleTester({ languageOptions: { parser: tseslint.parser } });
const at = (file: string): string => path.resolve(file);
const imports = (source: string, kind = ''): string => `import ${kind} { x } from '${source}';`;

tester.run('room-order', roomOrder, {
  valid: [
    { filename: at('src/training/train.ts'), code: imports('../tensor/grad.js') },
    { filename: at('src/training/train.ts'), code: imports('./steps.js') },
    { filename: at('src/host/panel.ts'), code: imports('vscode') },
    { filename: at('src/runtime/onnxruntime.ts'), code: imports('onnxruntime-node') },
    { filename: at('src/extension.ts'), code: imports('./host/runs.js') },
    { filename: at('webview/panel.ts'), code: imports('../src/training/events.js', 'type') },
    { filename: at('webview/panel.ts'), code: imports('../src/engines/runState.js') },
    { filename: at('test/unit/x.test.ts'), code: imports('../../src/host/runs.js') },
  ],
  invalid: [
    {
      filename: at('src/tensor/grad.ts'),
      code: imports('../training/train.js'),
      errors: [{ messageId: 'up', data: { from: 'tensor', to: 'training' } }],
    },
    {
      filename: at('src/tensor/grad.ts'),
      code: "export { x } from '../linalg/products.js';",
      errors: [{ messageId: 'up' }],
    },
    { filename: at('src/cli/train.ts'), code: imports('../host/runs.js'), errors: [{ messageId: 'up' }] },
    {
      filename: at('src/models/llama.ts'),
      code: "const later = import('../methods/lora.js');",
      errors: [{ messageId: 'up' }],
    },
    { filename: at('src/training/train.ts'), code: imports('vscode'), errors: [{ messageId: 'guarded' }] },
    { filename: at('src/models/x.ts'), code: imports('onnxruntime-node'), errors: [{ messageId: 'guarded' }] },
    { filename: at('src/elsewhere/x.ts'), code: imports('../host/panel.js'), errors: [{ messageId: 'unknown' }] },
    {
      filename: at('webview/panel.ts'),
      code: imports('../src/config/schema.js'),
      errors: [{ messageId: 'page' }],
    },
    { filename: at('webview/panel.ts'), code: imports('vscode'), errors: [{ messageId: 'guarded' }] },
  ],
});
