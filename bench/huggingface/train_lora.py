"""The job that the embedded engine is measured on, in Hugging Face PEFT and Trainer on CPU, float32.

    python train_lora.py MODEL_FOLDER TRAIN_JSONL VALIDATION_JSONL --batches FILE [--r 8 ...]   (--help lists the rest)

Rows are { prompt, completion }. LoRA on all linears; loss on the completion and its end-of-text token. Prints one
JSON document: when each step ended (seconds since the start of the process), peak resident memory, the loss of every
step, and loss and token accuracy on the validation rows before and after.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

os.environ['HF_HUB_OFFLINE'] = '1'

import peft  # noqa: E402 (the hub must be off before these are imported)
import psutil  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from completions import IGNORED, Row, collate, read_rows  # noqa: E402
from peft import LoraConfig, get_peft_model  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainerCallback, TrainingArguments  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('model')
    parser.add_argument('train')
    parser.add_argument('validation')
    parser.add_argument('--r', type=int, default=8)
    parser.add_argument('--alpha', type=float, default=16)
    parser.add_argument('--lr', type=float, default=1e-3)
    parser.add_argument(
        '--batches', required=True, help="JSON file: the rows of every step's batch, as lists of indices"
    )
    parser.add_argument('--batch-size', type=int, default=8)
    parser.add_argument('--max-length', type=int, default=256)
    parser.add_argument('--weight-decay', type=float, default=0.0)
    parser.add_argument('--max-grad-norm', type=float, default=1.0, help='0: no clipping')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--attention', default='sdpa', choices=['sdpa', 'eager'])
    parser.add_argument(
        '--no-evaluation', action='store_true', help="train only, so that peak memory is training's"
    )
    parser.add_argument('--adapter', help='folder to save the adapter in')
    return parser.parse_args()


def process_age() -> float:
    """Seconds since this process was started, Python's own start and the imports included."""
    return time.time() - psutil.Process().create_time()


def peak_memory() -> int:
    """Largest resident set so far, in bytes (Linux counts KiB, macOS bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == 'darwin' else peak * 1024


@torch.no_grad()
def evaluate(model: torch.nn.Module, rows: list[Row], padding: int, batch_size: int) -> dict[str, float]:
    """Mean loss and share of right guesses over all supervised tokens."""
    model.eval()
    loss = right = count = 0.0
    for start in range(0, len(rows), batch_size):
        batch = collate(rows[start : start + batch_size], padding)
        labels = batch.pop('labels')[:, 1:]
        logits = model(**batch).logits[:, :-1][labels != IGNORED].float()
        targets = labels[labels != IGNORED]
        loss += torch.nn.functional.cross_entropy(logits, targets, reduction='sum').item()
        right += (logits.argmax(-1) == targets).sum().item()
        count += targets.numel()
    model.train()
    return {'loss': loss / count, 'accuracy': right / count, 'tokens': int(count)}


class Watch(TrainerCallback):
    """Notes when steps end and what Trainer logs of each."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.losses: list[float] = []
        self.gradient_norms: list[float] = []

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self.ends.append(process_age())

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if logs and 'loss' in logs:
            self.losses.append(logs['loss'])
            self.gradient_norms.append(logs.get('grad_norm'))


class GivenBatches(Trainer):
    """Takes the batches that it is given, in their order."""

    batches: list[list[int]]

    def get_train_dataloader(self) -> torch.utils.data.DataLoader:
        return torch.utils.data.DataLoader(
            self.train_dataset, batch_sampler=self.batches, collate_fn=self.data_collator
        )


def main() -> None:
    options = arguments()
    imported = {'seconds': process_age(), 'memory': peak_memory()}
    torch.set_num_threads(options.threads)
    transformers.set_seed(options.seed)
    transformers.utils.logging.disable_progress_bar()

    tokenizer = AutoTokenizer.from_pretrained(options.model)
    padding = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    train, train_report = read_rows(options.train, tokenizer, options.max_length)
    batches = json.loads(Path(options.batches).read_text(encoding='utf-8'))
    validation, validation_report = read_rows(options.validation, tokenizer, options.max_length)
    base = AutoModelForCausalLM.from_pretrained(
        options.model, dtype=torch.float32, attn_implementation=options.attention
    )
    base.config.use_cache = False
    config = LoraConfig(
        task_type='CAUSAL_LM', target_modules='all-linear', r=options.r, lora_alpha=options.alpha, lora_dropout=0.0
    )
    model = get_peft_model(base, config)

    before_start = process_age()
    before = None if options.no_evaluation else evaluate(model, validation, padding, options.batch_size)
    evaluation_seconds = process_age() - before_start

    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        trainer = GivenBatches(
            model=model,
            args=TrainingArguments(
                output_dir=folder,
                use_cpu=True,
                per_device_train_batch_size=options.batch_size,
                max_steps=len(batches),
                learning_rate=options.lr,
                weight_decay=options.weight_decay,
                max_grad_norm=options.max_grad_norm,
                optim='adamw_torch',
                seed=options.seed,
                logging_steps=1,
                save_strategy='no',
                report_to='none',
                disable_tqdm=True,
                remove_unused_columns=False,
                dataloader_pin_memory=False,
            ),
            train_dataset=train,
            data_collator=lambda rows: collate(rows, padding),
            callbacks=[watch],
        )
        trainer.batches = batches
        trainer.remove_callback(transformers.PrinterCallback)
        train_start = process_age()
        trainer.train()
        train_seconds = process_age() - train_start
    train_memory = peak_memory()
    after = None if options.no_evaluation else evaluate(model, validation, padding, options.batch_size)
    if options.adapter:
        model.save_pretrained(options.adapter)

    print(
        json.dumps(
            {
                'step_ends': watch.ends,
                'evaluation_seconds': evaluation_seconds,
                'train_seconds': train_seconds,
                'total_seconds': process_age(),
                'peak_memory': peak_memory(),
                'peak_memory_until_trained': train_memory,
                'imports': imported,
                'steps': len(watch.ends),
                'losses': watch.losses,
                'gradient_norms': watch.gradient_norms,
                'before': before,
                'after': after,
                'trainable': sum(value.numel() for value in model.parameters() if value.requires_grad),
                'data': {'train': train_report, 'validation': validation_report},
                'options': vars(options),
                'versions': {
                    'torch': torch.__version__,
                    'transformers': transformers.__version__,
                    'peft': peft.__version__,
                },
            },
            indent=1,
        )
    )


if __name__ == '__main__':
    main()
