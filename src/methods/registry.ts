import { FullOptions } from './full.js';
import type { MethodInfo } from './info.js';
import { LoraOptions } from './lora.js';

/** Every method, in the order in which lists show them. */
export const METHODS = [
  {
    type: 'lora',
    family: 'low-rank',
    place: 'plain',
    title: 'LoRA',
    summary: 'Learns a low-rank update B·A beside each frozen weight matrix.',
    paper: {
      authors: 'Hu, Shen, Wallis, Allen-Zhu, Li, Wang, Wang & Chen',
      year: 2021,
      title: 'LoRA: Low-Rank Adaptation of Large Language Models',
      arxiv: '2106.09685',
    },
    engines: ['embedded'],
    mergeable: true,
    options: LoraOptions,
  },
  {
    type: 'full',
    family: 'full',
    place: 'all weights',
    title: 'Full fine-tuning',
    summary: 'Trains every weight of the model; the reference that other methods are measured against.',
    paper: {
      authors: 'Howard & Ruder',
      year: 2018,
      title: 'Universal Language Model Fine-tuning for Text Classification',
      arxiv: '1801.06146',
    },
    engines: ['embedded'],
    mergeable: false,
    options: FullOptions,
  },
] as const satisfies readonly MethodInfo[];

export type MethodType = (typeof METHODS)[number]['type'];
