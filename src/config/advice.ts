/** What the field advises for an option, beyond what is possible. */
export interface Advice {
  readonly text: string;
  /** Who says so. */
  readonly source: string;
  /** Values outside of this are worth a hint: far off, not wrong. */
  readonly usual?: { readonly minimum?: number; readonly maximum?: number };
}

/** What the codes of hints start with: values that are possible, but far from usual. */
export const HINT = 'advice.';

const LORA_R: Advice = {
  text: 'Usual are 4, 8 and 16: smaller for small data sets, larger where the task is far from what the model knows.',
  source: 'Hu et al. 2021, table 6 (r of 1 to 8 often suffices); HF PEFT’s examples',
  usual: { minimum: 1, maximum: 256 },
};

const LORA_ALPHA: Advice = {
  text: 'Common are `r` and twice `r`. What counts is lora_alpha / r: it scales the update as a learning rate would.',
  source: 'Hu et al. 2021, section 4.1; Dettmers et al. 2023 (QLoRA), appendix',
};

const LORA_DROPOUT: Advice = {
  text: 'Where the data are few, 0.05 to 0.1; else 0.',
  source: 'Dettmers et al. 2023 (QLoRA), appendix',
  usual: { maximum: 0.3 },
};

const TARGETS: Advice = {
  text: 'Attention alone (`[q_proj, v_proj]`) trains the least; all linear layers (`all-linear`) come closest to full fine-tuning.',
  source: 'Hu et al. 2021, section 7.1; Dettmers et al. 2023 (QLoRA), figure 2',
};

/** By option: `training.seed`, or `TYPE.option` for those of a method. */
export const ADVICE: Readonly<Record<string, Advice>> = {
  'lora.r': LORA_R,
  'lora.lora_alpha': LORA_ALPHA,
  'lora.lora_dropout': LORA_DROPOUT,
  'lora.target_modules': TARGETS,
  'adalora.target_modules': TARGETS,
  'lokr.target_modules': TARGETS,
  'lotr.target_modules': TARGETS,
  'melora.target_modules': TARGETS,
  'melora.lora_dropout': LORA_DROPOUT,
  'melora.l_num': {
    text: '2 with an `r` of 8 on GLUE, 8 with an `r` of 1 on Llama-2-7B: more of them give a higher rank for as many numbers.',
    source: 'the scripts of ChasonShi/MELoRA',
    usual: { maximum: 64 },
  },
  'mora.target_modules': TARGETS,
  'mora.lora_dropout': LORA_DROPOUT,
  'mora.mora_type': {
    text: '6 with a small `r` such as 8; 1 with 128 and more.',
    source: 'README of kongds/MoRA',
  },
  'sltrain.r': LORA_R,
  'sltrain.lora_alpha': LORA_ALPHA,
  'sltrain.lora_dropout': LORA_DROPOUT,
  'sltrain.target_modules': TARGETS,
  'relora.lora_dropout': LORA_DROPOUT,
  'relora.target_modules': TARGETS,
  'relora.relora': {
    text: '5000 of 20000 steps, 5320 of 133000, with about twice the usual learning rate. After each merge Adam takes long steps for a while: give it a warm-up.',
    source: 'README of Guitaricet/relora',
  },
  'cola.r': LORA_R,
  'cola.lora_alpha': LORA_ALPHA,
  'cola.lora_dropout': LORA_DROPOUT,
  'cola.target_modules': TARGETS,
  'sora.target_modules': TARGETS,
  'dylora.target_modules': TARGETS,
  'adalora.init_r': {
    text: 'About one and a half times `target_r`, so that there is something to prune.',
    source: 'Zhang et al. 2023, section 4 (budget of 1.5 times the target)',
    usual: { maximum: 256 },
  },
  'dora_rank.target_modules': TARGETS,
  'dora_rank.start_rank': {
    text: 'About one and a half times `r`, so that there is something to prune.',
    source: 'Mao et al. 2024, the authors’ code',
    usual: { maximum: 256 },
  },
  'dora_rank.prune_interval_step': {
    text: 'A small part of the pruning, which takes 35 % of the steps by default: else most of it comes at once in the end.',
    source: 'Mao et al. 2024, the authors’ example: every 100 of about 8,000 steps',
  },
  'adalora.tfinal': {
    text: 'Let ranks fall during about half of the steps, and keep them at the end to settle.',
    source: 'answers of the authors in QingruZhang/AdaLoRA, issue 19',
  },
  'prompt_tuning.num_virtual_tokens': {
    text: '10 to 20 are a good start; 20 and more for quality. Each takes a position of the model from the text.',
    source: 'HF PEFT’s guide (10 to 20); Lester et al. 2021, figure 3a (gains end at about 20 to 100)',
    usual: { minimum: 5, maximum: 200 },
  },
  'prompt_tuning.prompt_tuning_init': {
    text: '`TEXT`, a description of the task or its class labels, beats random starts, most of all on small models.',
    source: 'Lester et al. 2021, figure 3b',
  },
  'adapter.bottleneck_size': {
    text: 'From 8 for few rows to 64 and more; 64 for every task came within a point of full fine-tuning on GLUE.',
    source: 'Houlsby et al. 2019, table 1 (79.6 against 80.4)',
    usual: { minimum: 2, maximum: 1024 },
  },
  'adapter.placement': {
    text: '`pfeiffer` trains half as much as `houlsby` at about the same quality; `parallel` was best on hard tasks.',
    source: 'Pfeiffer et al. 2021, appendix A; He et al. 2022, section 4',
  },
  'prefix_tuning.num_virtual_tokens': {
    text: '5 to 10 for tables to text, 200 for summaries: longer answers to more varied texts want more.',
    source: 'Li & Liang 2021',
    usual: { maximum: 200 },
  },
  'prefix_tuning.prefix_projection': {
    text: 'On, training is steadier and less sensitive to the learning rate; off, some thousand numbers train instead of millions.',
    source: 'Li & Liang 2021, section 4.3',
  },
  'fish_mask.keep_ratio': {
    text: 'Half a percent came close to training everything.',
    source: 'Sung, Nair & Raffel 2021, section 4',
    usual: { maximum: 0.2 },
  },
  'bitfit.bias_terms': {
    text: '`[query, intermediate]` lost little beside `all`, with half as many numbers.',
    source: 'Ben Zaken, Goldberg & Ravfogel 2022 (with learning rates of 1e-4 to 1e-3)',
  },
  'last_layers.fraction': {
    text: 'A quarter of the layers came to about 90 % of the quality of training all of them.',
    source: 'Lee, Tang & Lin 2019',
  },
  'intrinsic.intrinsic_dim': {
    text: 'Some hundred to some thousand: about 200 gave RoBERTa 90 % of full fine-tuning on MRPC. The learning rate is that of few numbers: 1e-3 to 1e-1.',
    source: 'Aghajanyan, Gupta & Zettlemoyer 2021',
    usual: { maximum: 100_000 },
  },
  'learned_mask.initial_sparsity': {
    text: 'The authors switch 5 % of the weights off at the start; rates of 1e-3 to 5e-3 go with it.',
    source: 'Zhao et al. 2020, their code',
  },
  'training.learning_rate': {
    text: 'LoRA and its kin: 1e-4 to 1e-3. Full fine-tuning: 1e-5 to 5e-5. (IA)³: 3e-3. Prompt tuning: 1e-3 to 0.3.',
    source:
      'Hu et al. 2021, appendix D; Liu et al. 2022, section 3.3; Lester et al. 2021, section 3 (0.3 with Adafactor)',
  },
};
