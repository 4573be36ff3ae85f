import * as l10n from '@vscode/l10n';
import type { FormFault, Keep, Option, Sign, Way } from '../src/engines/combination/form.js';
import type { Quantity } from '../src/engines/combination/preview.js';

/** What a way does, in a sentence, and where it is from. */
export interface WayWords {
  readonly says: string;
  readonly paper: string;
  readonly address: string;
}

export function wayWords(way: Way): WayWords {
  switch (way) {
    case 'linear':
      return {
        says: l10n.t`The weighted updates are added, exactly: the ranks add up.`,
        ...paper(
          l10n.t`Zhang et al. 2023, Composing Parameter-Efficient Modules with Arithmetic Operations`,
          '2306.14870',
        ),
      };
    case 'task_arithmetic':
      return {
        says: l10n.t`The same sum, seen as arithmetic with tasks: a positive weight adds what an adapter has learned, a negative one takes it away.`,
        ...paper(l10n.t`Ilharco et al. 2023, Editing Models with Task Arithmetic`, '2212.04089'),
      };
    case 'svd':
      return {
        says: l10n.t`Of the sum only its largest singular values are kept: the nearest update of that rank.`,
        paper: l10n.t`Eckart, Young 1936, The Approximation of One Matrix by Another of Lower Rank`,
        address: 'https://doi.org/10.1007/BF02288367',
      };
    case 'ties':
      return {
        says: l10n.t`Of each update only the largest numbers stay; each place takes the sign that weighs more, and the mean of the numbers that have it.`,
        ...paper(l10n.t`Yadav et al. 2023, TIES-Merging`, '2306.01708'),
      };
    case 'dare_linear':
      return {
        says: l10n.t`Of each update numbers are dropped at random, and the others are made larger by as much; then they are added.`,
        ...paper(l10n.t`Yu et al. 2023, Language Models are Super Mario (DARE)`, '2311.03099'),
      };
    case 'dare_ties':
      return {
        says: l10n.t`Numbers are dropped at random as DARE does; then signs are elected and averaged as TIES does.`,
        ...paper(l10n.t`Yu et al. 2023, Language Models are Super Mario (DARE)`, '2311.03099'),
      };
    case 'magnitude_prune':
      return {
        says: l10n.t`Of each update only the largest numbers stay; then they are added.`,
        ...paper(l10n.t`Han et al. 2015, Learning both Weights and Connections`, '1506.02626'),
      };
  }
}

function paper(name: string, arxiv: string): Pick<WayWords, 'paper' | 'address'> {
  return { paper: name, address: `https://arxiv.org/abs/${arxiv}` };
}

/** A field's title and what it is. */
export function optionWords(option: Option): { readonly title: string; readonly about: string } {
  switch (option) {
    case 'density':
      return {
        title: l10n.t`Density`,
        about: l10n.t`The share of each update's numbers that stays: above 0, at most 1.`,
      };
    case 'sign':
      return {
        title: l10n.t`Majority sign`,
        about: l10n.t`The sign that a place takes: of the sum of its numbers, or of more of them.`,
      };
    case 'keep':
      return {
        title: l10n.t`Kept of each sum`,
        about: l10n.t`A lower rank loses a part, which the preview shows.`,
      };
    case 'asPeft':
      return {
        title: l10n.t`As HF PEFT computes it`,
        about: l10n.t`A and B are combined by themselves, so that the result has products of one adapter's A with another's B, which none has learned. Needs equal ranks.`,
      };
    case 'seed':
      return { title: l10n.t`Seed`, about: l10n.t`Of the numbers that are dropped.` };
  }
}

export function signWords(sign: Sign): string {
  return sign === 'total' ? l10n.t`by sum (total)` : l10n.t`by count (frequency)`;
}

/** What `usual` keeps depends on the way. */
export function keepWords(keep: Keep, way: Way): string {
  switch (keep) {
    case 'usual':
      if (way === 'svd') return l10n.t`the largest rank`;
      return way === 'linear' || way === 'task_arithmetic' ? l10n.t`all of it` : l10n.t`all ranks together`;
    case 'rank':
      return l10n.t`a rank`;
    case 'energy':
      return l10n.t`a share of the squares`;
  }
}

/** What is to be put right before anything can be computed. */
export function faultWords(fault: FormFault, name: (folder: string) => string): string {
  switch (fault.kind) {
    case 'weight':
      return l10n.t`The weight of ${name(fault.folder)} is no number.`;
    case 'layers':
      return l10n.t`Say which layers or modules have other weights, each once.`;
    case 'few':
      return fault.least === 1
        ? l10n.t`Add an adapter with a weight other than 0.`
        : l10n.t`Add adapters until ${fault.least} have a weight other than 0.`;
    case 'density':
      return l10n.t`The density is to be above 0, and at most 1.`;
    case 'rank':
      return l10n.t`The rank is to be a whole number, 1 or more.`;
    case 'energy':
      return l10n.t`The share of the squares is to be above 0, and at most 1.`;
    case 'seed':
      return l10n.t`The seed is to be a whole number, 0 or more.`;
  }
}

/** A quantity's title and what it is. */
export function quantityWords(
  quantity: Quantity,
  names: readonly string[],
): { readonly title: string; readonly about: string } {
  switch (quantity.kind) {
    case 'norm':
      return { title: l10n.t`Norm of the result`, about: l10n.t`How far each weight moves: ‖ΔW‖ (Frobenius).` };
    case 'own-norm': {
      const name = names[quantity.at] ?? '';
      return {
        title: l10n.t`Norm of ${name}`,
        about: l10n.t`How far this adapter alone would move each weight, with its weight: ‖w·ΔW‖ (Frobenius).`,
      };
    }
    case 'signs':
      return {
        title: l10n.t`Signs opposed`,
        about: l10n.t`Share of the numbers that two updates push in opposite ways; by chance 50 %.`,
      };
    case 'cosine':
      return {
        title: l10n.t`Cosine`,
        about: l10n.t`How alike two updates are: 1 the same direction, 0 unrelated, below 0 against each other.`,
      };
    case 'shared':
      return {
        title: l10n.t`Overlap`,
        about: l10n.t`What two updates have in common: of low-rank ones the directions that they read and write, of others the numbers that both change.`,
      };
    case 'lost':
      return {
        title: l10n.t`Lost`,
        about: l10n.t`What the rank costs: ‖sum − what is kept‖ / ‖sum‖.`,
      };
    case 'pruned':
      return {
        title: l10n.t`Pruned`,
        about: l10n.t`What leaving out numbers took away, as a share of the sum of squares of the updates.`,
      };
    case 'outvoted':
      return {
        title: l10n.t`Outvoted`,
        about: l10n.t`What had not the sign that was elected, as a share of the sum of squares of the updates.`,
      };
    case 'rank':
      return { title: l10n.t`Rank`, about: l10n.t`Of what each module gets.` };
  }
}
