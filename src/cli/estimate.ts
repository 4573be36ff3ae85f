import { limitProblem, machineMemory } from '../common/machineMemory.js';
import { ProblemError, fail } from '../common/problem.js';
import { contractOf } from '../engines/estimateDocument.js';
import type { Estimate } from '../engines/estimate.js';
import { estimateRows } from '../engines/estimateText.js';
import { estimateTorch } from '../engines/estimateTorch.js';
import { placedProblem } from '../engines/methodPlaces.js';
import { scheduleOf } from '../engines/session.js';
import { configAt, dtypeOf, factsWithoutWeights } from '../language/configFacts.js';
import { besidesOf, estimateWith } from '../language/estimateFile.js';
import { readModelShape } from '../memory/readShape.js';
import type { Arguments } from './arguments.js';
import type { Command } from './command.js';
import { embeddedAdvice, limitRows, mostOf, savingLines, torchAdvice } from './estimateAdvice.js';
import type { Advice, Most } from './estimateAdvice.js';
import { estimateInput } from './estimateInput.js';
import type { EstimateInput } from './estimateInput.js';
import {
  ENGINES,
  RUN_OPTIONS,
  TORCH_OPTIONS,
  askedEngine,
  limitOf,
  overridesOf,
  torchOptions,
} from './estimateOptions.js';
import { DONE } from './exitCode.js';
import type { Io } from './io.js';
import { table } from './table.js';

export const estimate: Command = {
  name: 'estimate',
  summary: 'Tell what a run trains and what memory it needs, before it runs; no weights are read.',
  positionals: [
    {
      name: 'FILE|MODEL',
      help: 'a run file; or a model: a folder, a config.json, a .gguf file, or an id of the hub in its cache',
    },
  ],
  options: {
    engine: {
      value: 'NAME',
      help: `${ENGINES.join(' or ')} (Transformers and PEFT). Default: the file's; of a model that only the latter trains, that.`,
    },
    limit: {
      value: 'SIZE',
      help: 'What a GPU or this machine has, such as 24GB. Default: what is free here now, for the engine embedded.',
    },
    ...Object.fromEntries(
      Object.entries(RUN_OPTIONS).map(([name, { value, multiple, help }]) => [
        name,
        { help, ...(value === undefined ? {} : { value }), ...(multiple === undefined ? {} : { multiple }) },
      ]),
    ),
    ...TORCH_OPTIONS,
    'no-advice': { help: 'Leave out what fits and what would save memory, which takes most of the time.' },
  },
  json: '{ "engine", "total", "weights", "activations", "gradients", "optimizer", "other", "trainable", "parameters", "fileBacked", "anonymous", "assumptions", "parts": [{ "name", "bytes", "formula", "fileBacked" }], "moments": [{ "name", "bytes", "parts" }], "converted", "results": [{ "method", "what", "bytes" }], "notes", "limit": { "bytes", "bound", "verdict", "largest": { "batch", "length", "rank" } }, "savings": [{ "title", "saved", "total", "changes", "verdict" }] }; bytes',
  jsonForm: 'document',
  examples: [
    'sql.peft.yaml',
    'sql.peft.yaml --engine huggingface --limit 24GB',
    'meta-llama/Llama-3.1-8B --quantization nf4-double --r 16 --batch 4 --length 2048 --limit 24GB',
    'models/opt-1.3b/config.json --method full --devices 4 --sharding zero-3',
  ],
  async run(args, io) {
    const input = await estimateInput(args.positional(0), overridesOf(args), io);
    refuseTooShort(input);
    const { found, advice, most } = await estimated(input, args, io);
    io.interrupt.check();
    const document = { engine: found.engine, ...contractOf(found), ...advice };
    if (args.flag('json')) {
      io.json(document);
      return DONE;
    }
    io.line(table([['Engine', found.engine], ...estimateRows(document), ...limitRows(advice, most)]));
    for (const line of [...savingLines(advice), ...found.plan.assumptions, ...found.notes]) io.line(line);
    return DONE;
  },
};

/** @throws ProblemError what has no room in the run, on either engine, where its steps are told */
function refuseTooShort({ config: { method, training }, placeOf }: EstimateInput): void {
  if (training.max_steps === undefined) return;
  for (const [index, config] of method.entries()) {
    const problem = scheduleOf(config, training.max_steps);
    if (problem !== undefined) fail(placedProblem(problem, index, config, placeOf));
  }
}

interface Estimated {
  readonly found: Estimate;
  readonly advice: Advice;
  readonly most: Most;
}

/** What is said without being asked for advice. */
const NO_ADVICE: Advice = { savings: [] };

async function estimated(input: EstimateInput, args: Arguments, io: Io): Promise<Estimated> {
  const asked = askedEngine(args);
  if (asked === 'huggingface') return onTorch(input, args);
  try {
    return await onEmbedded(input, args, io);
  } catch (error) {
    // A model alone names no engine: the one that takes it is meant.
    const isStrange = error instanceof ProblemError && error.problem.code === 'model.unsupported';
    if (!isStrange || asked !== undefined || input.file !== undefined) throw error;
    return onTorch(input, args);
  }
}

async function onEmbedded(
  { config, place, folder, file }: EstimateInput,
  args: Arguments,
  io: Io,
): Promise<Estimated> {
  const limit = limitOf(args);
  const { facts, weights } = await factsWithoutWeights(place, undefined, config.task_type);
  const besides = await besidesOf(config, folder);
  const planRun = (changed: EstimateInput['config']): Estimate => estimateWith(changed, facts, besides, file);
  const plain = planRun(config);
  const most = mostOf(facts.model.maxPositions);
  const notes = [
    ...plain.notes,
    ...(weights === 'absent' ? ['The weights are not there: their header follows from config.json.'] : []),
  ];
  const found = { ...plain, notes };
  if (args.flag('no-advice')) return { found, advice: NO_ADVICE, most };
  const wrong = limit === undefined ? limitProblem() : undefined;
  if (wrong !== undefined) io.problem(wrong);
  const machine =
    limit === undefined ? await machineMemory() : { free: limit, total: limit, bound: 'limit' as const };
  return { found, advice: await embeddedAdvice(config, planRun, machine, most), most };
}

async function onTorch({ config, place }: EstimateInput, args: Arguments): Promise<Estimated> {
  const limit = limitOf(args);
  const modelConfig = await configAt(place);
  const shape = readModelShape(modelConfig, place);
  const { estimate: found, planned } = estimateTorch(shape, config, torchOptions(args, dtypeOf(modelConfig)));
  const positions = modelConfig['max_position_embeddings'] ?? modelConfig['n_positions'];
  const most = mostOf(typeof positions === 'number' && positions > 0 ? positions : undefined);
  const advice = args.flag('no-advice') ? NO_ADVICE : torchAdvice(planned, found, most, limit);
  return { found, advice, most };
}
