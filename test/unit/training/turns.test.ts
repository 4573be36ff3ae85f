// Methods that are attached anew in the course of a run: FISH Mask, whose mask is taken again after some steps.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { Value } from '@sinclair/typebox/value';
import { fail } from '../../../src/common/problem.js';
import { random } from '../../../src/common/random.js';
import { FishMaskOptions, fishMask } from '../../../src/methods/fishMask.js';
import { LoraOptions, lora } from '../../../src/methods/lora.js';
import type {
  AttachContext,
  Attached,
  GradientPasses,
  Prepared,
  Turn,
  TurnView,
} from '../../../src/methods/method.js';
import { checkpointFolder, checkpointSteps, readCheckpoint } from '../../../src/training/checkpoint.js';
import type { RunEvent } from '../../../src/training/events.js';
import type { TrainingResult } from '../../../src/training/job.js';
import { problem } from '../../support/adapters.js';
import { fixture } from '../../support/fixtures.js';
import { openModel } from '../../support/model.js';
import type { JobParts } from './jobs.js';
import { UNEVEN, eventsOf, run } from './jobs.js';

const opened = await openModel(fixture('lora-reference', 'tiny-llama'));
const root = await mkdtemp(path.join(tmpdir(), 'peft-turns-'));
after(() => rm(root, { recursive: true, force: true }));
let count = 0;

const FISH = Value.Parse(FishMaskOptions, {
  type: 'fish_mask',
  keep_ratio: 0.01,
  num_samples: 8,
  target_modules: ['q_proj', 'up_proj'],
});
const LORA = Value.Parse(LoraOptions, { type: 'lora', r: 2, target_modules: ['v_proj'] });
const STARTED = 'test/started';
const RATE = 1e-2;
/** The step after which the mask is taken anew. */
const TURN = 3;

type Turns = (method: Attached, prepared: Prepared, now: TurnView) => Promise<Turn> | Turn;

function context(extra: Partial<AttachContext> = {}): AttachContext {
  return { ...opened.context, random: (...stream) => random(42, ...stream), ...extra };
}

/** The places that a mask keeps, out of the Fisher information of the model as it stands. */
async function mask(now: GradientPasses): Promise<Prepared> {
  return (await fishMask.prepare!(FISH, { ...context(), ...now }))!;
}

const first: Prepared = new Map([
  ['model.layers.0.self_attn.q_proj.weight.indices', Int32Array.of(3, 17, 200)],
  ['model.layers.1.mlp.up_proj.weight.indices', Int32Array.of(0, 5)],
]);

function fish(prepared: Prepared, turn: Turns): Attached {
  const places = new Map([...prepared].filter(([key]) => key !== STARTED));
  const method = fishMask.attach(FISH, context({ prepared: places }));
  return {
    ...method,
    startedAfter: () => Number(prepared.get(STARTED)?.[0] ?? 0),
    turnsAfter: ({ step }) => step === TURN,
    turn: async (now) => turn(method, prepared, now),
  };
}

/** New places by the present gradients, everything else anew. */
const anew: Turns = async (_method, _prepared, now) => ({
  prepared: new Map([...(await mask(now)), [STARTED, Int32Array.of(now.at.step)]]),
  values: new Map(),
});

function told({ events }: { readonly events: readonly RunEvent[] }): string[] {
  return eventsOf(events, 'log').map(({ message }) => message);
}

/** FISH Mask with a turn, and LoRA beside it. */
function parts(turn: Turns = anew, extra: JobParts = {}): JobParts {
  const attach = (prepared: readonly (Prepared | undefined)[]): Attached[] => {
    const own = fish(prepared[0]!, turn);
    const beside = context({ instance: '1:', before: [own] });
    return [own, lora.attach(LORA, beside)];
  };
  return {
    methods: attach([first]),
    attaching: {
      prepared: [first],
      attach,
      covered: (methods) => ({
        type: 'log',
        level: 'info',
        message: `covered ${methods.map(({ coverage }) => coverage.modules.reduce((sum, each) => sum + each.trainable, 0))}`,
      }),
    },
    validation: UNEVEN.slice(0, 3),
    ...extra,
    options: {
      per_device_train_batch_size: 2,
      learning_rate: RATE,
      max_steps: 6,
      weight_decay: 0,
      ...extra.options,
    },
  };
}

async function runFolder(): Promise<string> {
  const folder = path.join(root, String(++count));
  await mkdir(folder);
  return folder;
}

function same(a: Pick<TrainingResult, 'values'>, b: Pick<TrainingResult, 'values'>): void {
  assert.deepEqual([...a.values.keys()].sort(), [...b.values.keys()].sort());
  for (const [name, numbers] of a.values) assert.deepEqual(b.values.get(name), numbers, name);
}

test('a turn that changes nothing gives the run without one, bit for bit', async () => {
  let slots: ReadonlyMap<string, Float32Array> = new Map();
  const keeps: Turns = (method, prepared, { values }) => ({
    prepared: new Map(prepared),
    values: new Map(method.trainables.map(({ variable: { name } }) => [name, values.get(name)!])),
    slots,
  });
  const folder = await runFolder();
  const plain = await run(opened, {
    ...parts(keeps, { checkpoints: { runFolder: folder }, options: { save_steps: TURN, save_total_limit: 9 } }),
    methods: parts().methods!.map((method) => ({ ...method, turnsAfter: () => false })),
  });
  ({
    snapshot: { slots },
  } = await readCheckpoint(checkpointFolder(folder, TURN)));
  assert.ok(slots.size > 0);
  const turned = await run(opened, parts(keeps));
  same(turned, plain);
});

test('what is new starts where its method has it, with an optimizer of its own age; what is beside it goes on', async () => {
  let stop = false;
  const seen: Turn[] = [];
  const noting: Turns = async (...given) => {
    const turn = await anew(...given);
    seen.push(turn);
    return turn;
  };
  const turned = await run(
    opened,
    parts(noting, {
      emit: (event) => (stop ||= event.type === 'step' && event.step === TURN + 1),
      stopRequested: () => stop,
      options: { lr_scheduler_type: 'constant', max_grad_norm: 0 },
    }),
  );
  assert.equal(turned.steps, TURN + 1);
  const [own] = turned.methods;
  assert.equal(seen.length, 1);
  // The first step of Adam moves each number by the rate, whatever its gradient: if its corrections are those of step 1.
  for (const { variable } of own!.trainables) {
    for (const value of turned.values.get(variable.name)!)
      assert.ok(Math.abs(Math.abs(value) - RATE) < RATE * 1e-3);
  }
  const kept = own!.trainables.reduce((sum, { variable: { shape } }) => sum + Number(shape[0]), 0);
  assert.ok(kept > 5, `${kept} numbers instead of 5`);
  const b = turned.values.get([...turned.values.keys()].find((name) => name.includes('lora_B'))!)!;
  // In its fourth step after three of up to the rate each.
  assert.ok(Math.max(...b.map(Math.abs)) > 2 * RATE, 'LoRA was not set back');
  assert.match(told(turned).join('\n'), /^covered /m);
  const masks = eventsOf(turned.events, 'masks');
  assert.equal(masks.at(-1)!.step, TURN + 1, 'the new mask is told after the first step with it');
});

test('stopped and resumed before, at and after the turn: bit for bit the run left alone', async () => {
  const alone = await run(opened, parts());
  for (const at of [TURN - 1, TURN, TURN + 1, TURN + 2]) {
    const folder = await runFolder();
    let stop = false;
    await run(
      opened,
      parts(anew, {
        checkpoints: { runFolder: folder },
        emit: (event) => (stop ||= event.type === 'step' && event.step === at),
        stopRequested: () => stop,
      }),
    );
    const from = await readCheckpoint(checkpointFolder(folder, at));
    assert.equal(from.prepared.length, at > TURN ? 1 : 0);
    assert.equal(from.progress.turnedAfter, at > TURN ? TURN : undefined);
    const resumed = await run(opened, parts(anew, { checkpoints: { runFolder: folder, from } }));
    same(resumed, alone);
    const losses = (ran: typeof alone): (number | undefined)[] =>
      [4, 5, 6].map((step) => eventsOf(ran.events, 'step').find((each) => each.step === step)?.loss);
    assert.deepEqual(
      losses(resumed).filter((loss) => loss !== undefined),
      losses(alone).slice(Math.max(0, at - 3)),
    );
  }
});

test('a stop while the mask is taken anew leaves a checkpoint before the turn', async () => {
  const folder = await runFolder();
  let stop = false;
  const stopped = await run(
    opened,
    parts(anew, {
      checkpoints: { runFolder: folder },
      emit: (event) =>
        (stop ||= event.type === 'progress' && event.activity === 'Measuring gradients' && event.done === 2),
      stopRequested: () => stop,
    }),
  );
  assert.deepEqual([stopped.reason, stopped.steps], ['stopped', TURN]);
  assert.deepEqual(await checkpointSteps(folder), [TURN]);
  const from = await readCheckpoint(checkpointFolder(folder, TURN));
  same(await run(opened, parts(anew, { checkpoints: { runFolder: folder, from } })), await run(opened, parts()));
});

/** Learns before the turn and unlearns after it: a method says where in the schedule its steps are. */
async function unlearning(turn: (method: Attached) => Attached): Promise<Awaited<ReturnType<typeof run>>> {
  const runFolderOf = await runFolder();
  const given = parts(anew, {
    checkpoints: { runFolder: runFolderOf },
    options: { learning_rate: 30, lr_scheduler_type: 'linear', eval_steps: 2, load_best_model_at_end: true },
  });
  const staged = (methods: readonly Attached[]): Attached[] =>
    methods.map((method, at) =>
      turn({
        ...method,
        ...(at === 0
          ? {
              learningRate: ({ step }, schedule) =>
                schedule(step > TURN ? { step: 1, totalSteps: 3 } : { step: 1500, totalSteps: 1500 }),
            }
          : {}),
      }),
    );
  return run(opened, {
    ...given,
    methods: staged(given.methods!),
    attaching: { ...given.attaching!, attach: (prepared) => staged(given.attaching!.attach(prepared)) },
  });
}

test('the best evaluation may be one before the turn: its values come with its methods', async () => {
  const best = await unlearning((method) => method);
  assert.deepEqual(
    eventsOf(best.events, 'step').map(({ step, learningRate }) => [step, Number(learningRate.toFixed(6))]),
    [1, 2, 3, 4, 5, 6].map((step) => [step, step > TURN ? 30 : 0.02]),
  );
  const told = eventsOf(best.events, 'evaluation').map(({ step, loss }) => [step, loss] as const);
  assert.equal(best.metrics['eval_loss'], told.find(([step]) => step === 2)![1]);
  for (const { variable } of best.methods.flatMap(({ trainables }) => trainables)) {
    const size = variable.shape.reduce<number>((product, length) => product * Number(length), 1);
    assert.equal(best.values.get(variable.name)!.length, size);
  }
  assert.deepEqual(
    best.methods[0]!.trainables.map(({ variable }) => variable.shape),
    [[3], [2]],
  );
});

test('evaluations of a method that is on the way to something else are not the best', async () => {
  const ran = await unlearning((method) =>
    method.trainables[0]!.variable.shape[0] === 3 ? { ...method, isPassing: true } : method,
  );
  const [, before, ...later] = eventsOf(ran.events, 'evaluation').map(({ loss }) => loss);
  assert.equal(ran.metrics['eval_loss'], Math.min(...later));
  assert.ok(before! < Math.min(...later));
});

test('numbers that overflowed are not what a turn goes by', async () => {
  const options = { learning_rate: 1e39, lr_scheduler_type: 'linear' } as const;
  const given = parts(() => assert.fail('asked'), { options });
  // The last step before the turn takes the whole rate, those before it none.
  const failed = await run(opened, {
    ...given,
    methods: given.methods!.map((method, at) =>
      at > 0
        ? method
        : {
            ...method,
            learningRate: ({ step }, schedule) => schedule({ step: step === TURN ? 1 : 4, totalSteps: 3 }),
          },
    ),
  });
  assert.ok(failed.reason === 'failed');
  assert.match(failed.problem.message, /^step 3: the update made the trainable .* not finite$/);
});

test('what methods took hold of is told again only where it is something else', async () => {
  const samePlaces: Turns = (_method, prepared, { at }) => ({
    prepared: new Map([...prepared, [STARTED, Int32Array.of(at.step)]]),
    values: new Map(),
  });
  const turned = await run(opened, parts(samePlaces));
  assert.equal(turned.steps, 6);
  assert.doesNotMatch(told(turned).join('\n'), /covered/);
});

test('a turn that is refused fails the run, and what was learned before it is in its values', async () => {
  const refuse = (): never => fail({ code: 'method.fisher', message: 'nothing can be chosen' });
  const failed = await run(
    opened,
    parts(() => Promise.resolve().then(refuse)),
  );
  assert.ok(failed.reason === 'failed');
  assert.deepEqual([failed.problem.code, failed.steps], ['method.fisher', TURN]);
  assert.ok([...failed.values.values()].some((numbers) => numbers.some((value) => value !== 0)));
});

test('where memory runs out in a turn, a checkpoint is written, and the run goes on from it', async () => {
  const folder = await runFolder();
  const checkpoints = { runFolder: folder };
  const full = (): never => {
    throw new RangeError('Array buffer allocation failed');
  };
  await assert.rejects(
    run(
      opened,
      parts(() => Promise.resolve().then(full), { checkpoints }),
    ),
    problem('runtime.out-of-memory', `The checkpoint of step ${TURN} is there`),
  );
  const from = await readCheckpoint(checkpointFolder(folder, TURN));
  same(await run(opened, parts(anew, { checkpoints: { ...checkpoints, from } })), await run(opened, parts()));
});
