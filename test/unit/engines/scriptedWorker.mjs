// A worker that plays a script instead of training: the "run file" holds one JSON object per line.
// {"send": event} {"stderr": text} {"stdout": text} {"await": "stop"} {"weights": folder} {"exit": code} {"signal": name}
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

let stop = () => undefined;
const stopped = new Promise((resolve) => (stop = resolve));

async function play(file) {
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  for (const line of lines) {
    const act = JSON.parse(line);
    if ('send' in act) await new Promise((resolve) => process.send(act.send, resolve));
    if ('stderr' in act) process.stderr.write(`${act.stderr}\n`);
    if ('stdout' in act) process.stdout.write(`${act.stdout}\n`);
    if ('await' in act) await stopped;
    if ('weights' in act) {
      mkdirSync(act.weights, { recursive: true });
      writeFileSync(path.join(act.weights, 'adapter_model.safetensors'), 'weights');
    }
    if ('exit' in act) {
      process.exitCode = act.exit;
      process.disconnect();
      return;
    }
    if ('signal' in act) process.kill(process.pid, act.signal);
  }
}

process.on('message', (message) => {
  if (message.type === 'train') void play(message.file);
  if (message.type === 'stop') stop();
});
