import type { TObject } from '@sinclair/typebox';

/** Where a method comes from. */
export interface Citation {
  readonly authors: string;
  readonly year: number;
  readonly title: string;
  readonly arxiv?: string;
}

/** What schema, hovers, scaffold, documentation and tests need of a method; nothing runs. */
export interface MethodInfo<Options extends TObject = TObject> {
  /** The value of `type:` in a run file. */
  readonly type: string;
  readonly family: 'additive' | 'selective' | 'low-rank' | 'full';
  /** The taxonomy's subgroup: input, model, output; rule-based, learned; plain, … */
  readonly place: string;
  readonly title: string;
  /** One line for completions and the methods table. */
  readonly summary: string;
  readonly paper: Citation;
  readonly engines: readonly ('embedded' | 'huggingface')[];
  readonly mergeable: boolean;
  /** It trains nothing of its own but guides the methods listed before it. */
  readonly guides?: true;
  /** It changes in the course of a run what trains, so that no method can guide it. */
  readonly guidesItself?: true;
  /** TypeBox schema of the options, `type` included. */
  readonly options: Options;
}
