import * as l10n from '@vscode/l10n';
import type { MethodConfig } from '../../methods/registry.js';

/** What Hugging Face PEFT does otherwise than planned, or not at all; sentences. */
export function torchNotes(config: MethodConfig): readonly string[] {
  switch (config.type) {
    case 'lotr':
      return [l10n.t`Hugging Face PEFT has no LoTR: planned as the authors' code runs it.`];
    case 'lisa':
      return [
        l10n.t`Hugging Face PEFT has no LISA: planned as LMFlow runs it, with gradients and optimizer of the layers that train at a time.`,
      ];
    case 'sora':
      return [l10n.t`Hugging Face PEFT has no SoRA: planned as LoRA with a gate on each component.`];
    case 'dora_rank':
      return [
        l10n.t`Hugging Face PEFT has no dora_rank: planned as LoRA of its first rank with a factor on each component.`,
      ];
    case 'dylora':
      return [l10n.t`Hugging Face PEFT has no DyLoRA: planned as LoRA of its largest rank.`];
    case 'fish_mask':
    case 'fish_dip':
    case 'pafi':
    case 'sam':
      return [
        l10n.t`Hugging Face PEFT has no ${config.type}: planned with gradients and optimizer of the chosen numbers, which want a hook that takes them out of each weight's gradient.`,
      ];
    case 'relora':
    case 'cola':
      return [
        l10n.t`Hugging Face PEFT has no ${config.type}: planned as its LoRA, merged into the weights on the way.`,
      ];
    case 'sltrain':
      return [
        l10n.t`Hugging Face PEFT has no SLTrain: planned as its LoRA, with gradients and optimizer of the numbers at the drawn places, which want a hook that takes them out of each weight's gradient.`,
      ];
    case 'melora':
    case 'mora':
      return [
        l10n.t`Hugging Face PEFT has no ${config.type}: planned as the authors' fork of it runs it, in float32.`,
      ];
    case 'lt_sft':
      return [
        l10n.t`Hugging Face PEFT has no LT-SFT: planned as its first phase, in which all targeted weights train; the second needs less.`,
      ];
    case 'bitfit':
      return [l10n.t`Hugging Face PEFT has no BitFit: planned with gradients and optimizer of the biases alone.`];
    case 'last_layers':
      return [
        l10n.t`Hugging Face PEFT does not train layers in place: planned as a model whose other parameters have requires_grad off.`,
      ];
    case 'intrinsic':
      return [
        l10n.t`Hugging Face PEFT has no training in a random subspace: planned with gradients and optimizer of ${config.intrinsic_dim} numbers; the moved copy of each weight and the projection's random numbers come on top.`,
      ];
    case 'adapter':
      return [l10n.t`Hugging Face PEFT has no bottleneck adapters: planned as the adapters library runs them.`];
    case 'adapter_fusion':
      return [l10n.t`Hugging Face PEFT has no AdapterFusion: planned as the adapters library runs it.`];
    case 'ciat':
      return [l10n.t`Hugging Face PEFT has no CIAT: planned as so many bottleneck adapters.`];
    case 'learned_mask':
      return [
        l10n.t`Hugging Face PEFT has no learned masks: planned as the authors' code runs them, with masks and masked weights kept for the backward pass.`,
      ];
    case 'galore':
      return [
        l10n.t`Hugging Face PEFT has no GaLore: planned as Transformers runs it with galore-torch, with all gradients at a time.`,
      ];
    case 'child_tuning':
      return [
        l10n.t`Hugging Face PEFT has no Child-Tuning: planned as a mask over the gradients of the methods before it.`,
      ];
    default:
      return [];
  }
}
