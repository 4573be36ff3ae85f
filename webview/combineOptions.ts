import * as l10n from '@vscode/l10n';
import { KEEPS, SIGNS, WAYS, becomesLora, optionsRead } from '../src/engines/combination/form.js';
import type { CombinationForm, CombinationKind, Option } from '../src/engines/combination/form.js';
import { keepWords, optionWords, signWords, wayWords } from './combineWords.js';
import { make, setShown, setText } from './dom.js';
import { createNumberField } from './numberField.js';
import { makeCheckbox, makeDropdown } from './toolkit.js';

const SHARE = { step: '0.05', min: '0', max: '1' };
const WHOLE = { step: '1', min: '0' };

/** The way in which adapters are combined, what it does, and the options that it reads. */
export function createCombineOptions(onChange: (changed: Partial<CombinationForm>) => void): {
  readonly element: HTMLElement;
  draw(form: CombinationForm, kind: CombinationKind): void;
} {
  const way = makeDropdown(l10n.t`Way`, (value) => {
    const found = WAYS.find((each) => each === value);
    if (found !== undefined) onChange({ way: found });
  });
  const says = make('p', { class: 'way-says' });
  const link = make('a', {});
  const paper = make('p', { class: 'muted way-paper' }, link);

  const density = createNumberField(optionWords('density').title, SHARE, (value) => onChange({ density: value }));
  const sign = makeDropdown(optionWords('sign').title, (value) => {
    const found = SIGNS.find((each) => each === value);
    if (found !== undefined) onChange({ sign: found });
  });
  const keep = makeDropdown(optionWords('keep').title, (value) => {
    const found = KEEPS.find((each) => each === value);
    if (found !== undefined) onChange({ keep: found });
  });
  const rank = createNumberField(l10n.t`Rank`, { step: '1', min: '1' }, (value) => onChange({ rank: value }));
  const energy = createNumberField(l10n.t`Share of the squares`, SHARE, (value) => onChange({ energy: value }));
  const seed = createNumberField(optionWords('seed').title, WHOLE, (value) => onChange({ seed: value }));
  const asPeft = makeCheckbox(optionWords('asPeft').title, (ticked) => onChange({ asPeft: ticked }));

  const fields: Readonly<Record<Option, HTMLElement>> = {
    density: field('density', labelled(optionWords('density').title, density.element)),
    sign: field('sign', sign.element),
    keep: field('keep', make('div', { class: 'keep' }, keep.element, rank.element, energy.element)),
    asPeft: field('asPeft', asPeft.element),
    seed: field('seed', labelled(optionWords('seed').title, seed.element)),
  };
  const element = make(
    'section',
    { 'aria-label': l10n.t`How they are combined` },
    make('h2', {}, l10n.t`How they are combined`),
    way.element,
    says,
    paper,
    fields.density,
    fields.sign,
    fields.seed,
    fields.keep,
    fields.asPeft,
  );

  return {
    element,
    draw(form, kind) {
      setShown(element, becomesLora(kind));
      way.setOptions(
        WAYS.map((key) => ({ key, title: key })),
        form.way,
      );
      const words = wayWords(form.way);
      setText(says, words.says);
      setText(link, words.paper);
      link.setAttribute('href', words.address);
      density.write(form.density);
      sign.setOptions(
        SIGNS.map((key) => ({ key, title: signWords(key) })),
        form.sign,
      );
      keep.setOptions(
        KEEPS.map((key) => ({ key, title: keepWords(key, form.way) })),
        form.keep,
      );
      rank.write(form.rank);
      energy.write(form.energy);
      setShown(rank.element, form.keep === 'rank');
      setShown(energy.element, form.keep === 'energy');
      seed.write(form.seed);
      asPeft.tick(form.asPeft);
      const read = optionsRead(form, kind);
      for (const option of OPTIONS) setShown(fields[option], read.includes(option));
    },
  };
}

const OPTIONS = ['density', 'sign', 'keep', 'asPeft', 'seed'] as const satisfies readonly Option[];

/** A field with what it is below. */
function field(option: Option, control: HTMLElement): HTMLElement {
  return make(
    'div',
    { class: 'combine-option' },
    control,
    make('p', { class: 'muted' }, optionWords(option).about),
  );
}

/** A field behind its title, which a click on takes to it. */
function labelled(title: string, control: HTMLElement): HTMLElement {
  return make('label', { class: 'choice' }, make('span', {}, title), control);
}
