import type { RunEvent, Step } from '../training/events.js';

/**
 * Events on their way to a page. The steps of a long run travel as columns of numbers, which are copied as they are,
 * rather than as a hundred thousand objects, which are written and parsed as text.
 */
export interface PackedEvents {
  /** All events, in order, but for those in `steps`. */
  readonly events: readonly RunEvent[];
  readonly steps?: StepColumns;
}

/** Steps as columns, all of one length. */
export interface StepColumns {
  /** Where each step stands among all events, counted from 0. */
  readonly at: Float64Array;
  readonly columns: Readonly<Record<StepNumber, Float64Array>>;
  /** Extra terms of the loss by name; NaN where a step has none of that name. */
  readonly terms: Readonly<Record<string, Float64Array>>;
}

/** What of a step is a number. */
type StepNumber = { [Key in keyof Step]-?: Step[Key] extends number ? Key : never }[keyof Step];

/** Fewer steps than this are sent as they are: it costs nothing. */
const FEW_STEPS = 500;

/** Packs events; {@link unpackEvents} gives back the same, in the same order. */
export function packEvents(events: readonly RunEvent[]): PackedEvents {
  const steps: Step[] = [];
  const at: number[] = [];
  const others: RunEvent[] = [];
  events.forEach((event, index) => {
    if (event.type !== 'step') {
      others.push(event);
      return;
    }
    steps.push(event);
    at.push(index);
  });
  if (steps.length < FEW_STEPS) return { events };
  // Names come out of files: of a Map, none means anything else.
  const terms = new Map<string, Float64Array>();
  steps.forEach((step, index) => {
    if (step.terms === undefined) return;
    for (const [name, value] of Object.entries(step.terms)) {
      let values = terms.get(name);
      if (values === undefined) terms.set(name, (values = new Float64Array(steps.length).fill(NaN)));
      values[index] = value;
    }
  });
  const column = (name: StepNumber): Float64Array => {
    const values = new Float64Array(steps.length);
    // A record written by another version may lack a number.
    for (let index = 0; index < values.length; index++) values[index] = steps[index]![name] ?? NaN;
    return values;
  };
  const columns = {
    step: column('step'),
    epoch: column('epoch'),
    loss: column('loss'),
    learningRate: column('learningRate'),
    gradientNorm: column('gradientNorm'),
    tokens: column('tokens'),
    supervisedTokens: column('supervisedTokens'),
    rows: column('rows'),
    seconds: column('seconds'),
  };
  return { events: others, steps: { at: Float64Array.from(at), columns, terms: Object.fromEntries(terms) } };
}

/** The events that were packed, in their order. */
export function unpackEvents({ events, steps }: PackedEvents): readonly RunEvent[] {
  if (steps === undefined) return events;
  const all: RunEvent[] = [];
  const terms = Object.entries(steps.terms);
  let other = 0;
  for (let index = 0; index < steps.at.length; index++) {
    while (all.length < steps.at[index]!) all.push(events[other++]!);
    all.push(stepAt(steps.columns, terms, index));
  }
  while (other < events.length) all.push(events[other++]!);
  return all;
}

function stepAt(
  columns: StepColumns['columns'],
  terms: readonly (readonly [string, Float64Array])[],
  index: number,
): Step {
  const own = terms.filter(([, values]) => !Number.isNaN(values[index]));
  return {
    type: 'step',
    step: columns.step[index]!,
    epoch: columns.epoch[index]!,
    loss: columns.loss[index]!,
    learningRate: columns.learningRate[index]!,
    gradientNorm: columns.gradientNorm[index]!,
    tokens: columns.tokens[index]!,
    supervisedTokens: columns.supervisedTokens[index]!,
    rows: columns.rows[index]!,
    seconds: columns.seconds[index]!,
    ...(own.length > 0 ? { terms: Object.fromEntries(own.map(([name, values]) => [name, values[index]!])) } : {}),
  };
}
