import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printable, stylesFor } from '../../../src/cli/styles.js';

test('text is marked on a terminal with colours only', () => {
  const write = (): boolean => true;
  assert.equal(stylesFor({ write, isTTY: true, hasColors: () => true }).bold('x'), '\u001b[1mx\u001b[22m');
  for (const output of [
    { write },
    { write, isTTY: true },
    { write, isTTY: true, hasColors: () => false },
    { write, hasColors: () => true },
  ]) {
    const styles = stylesFor(output);
    assert.deepEqual([styles.colours, styles.bold('x'), styles.green('x')], [false, 'x', 'x']);
  }
});

test('control characters are shown, not obeyed', () => {
  assert.equal(printable('a\u001b[2Jb\r\u0007\u009b1m\n\tc — é'), 'a\\x1b[2Jb\\x0d\\x07\\x9b1m\n\tc — é');
});
