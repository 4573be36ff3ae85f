// A command line that plays a script instead of working: its first argument is a JSON list of
// {"out": text} {"err": text} {"echo": "stdin" | "args"} {"wait": true} {"deaf": true} {"exit": code} {"signal": name}
import { text } from 'node:stream/consumers';

for (const act of JSON.parse(process.argv[2])) {
  if ('out' in act) process.stdout.write(act.out);
  if ('err' in act) process.stderr.write(`${act.err}\n`);
  if (act.echo === 'stdin') process.stdout.write(JSON.stringify({ read: await text(process.stdin) }));
  if (act.echo === 'args') process.stdout.write(JSON.stringify({ args: process.argv.slice(3) }));
  if ('deaf' in act) process.on('SIGINT', () => undefined);
  if ('wait' in act) await new Promise((resolve) => setTimeout(resolve, 60_000));
  if ('exit' in act) process.exitCode = act.exit;
  if ('signal' in act) process.kill(process.pid, act.signal);
}
