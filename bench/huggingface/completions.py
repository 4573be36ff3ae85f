"""Prompt/completion rows as token ids with a mask, and batches of them, as the embedded engine makes them."""

import json
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

IGNORED = -100
END_MARKERS = ('<|endoftext|>', '<|end_of_text|>', '<|im_end|>', '<|eot_id|>')
Row = dict[str, list[int]]


def without_end(text: str, own_end: str) -> str:
    """The text without one end marker at its end: its place is taken by the tokenizer's own, as an id."""
    trimmed = text.rstrip()
    for marker in (own_end, *END_MARKERS):
        if trimmed.endswith(marker):
            return trimmed.removesuffix(marker)
    return text


def read_rows(path: str, tokenizer: PreTrainedTokenizerBase, max_length: int) -> tuple[list[Row], dict[str, int]]:
    """Prompt and completion tokenized apart, joined, ended by eos, cut to length. Label-less rows drop out."""
    rows: list[Row] = []
    truncated = dropped = 0
    for line in Path(path).read_text(encoding='utf-8').splitlines():
        if not line.strip():
            continue
        value = json.loads(line)
        completion = without_end(value['completion'], tokenizer.eos_token)
        prompt_ids = tokenizer(value['prompt'])['input_ids']
        answer_ids = tokenizer(completion, add_special_tokens=False)['input_ids'] + [tokenizer.eos_token_id]
        ids = (prompt_ids + answer_ids)[:max_length]
        labels = ([IGNORED] * len(prompt_ids) + answer_ids)[:max_length]
        truncated += len(prompt_ids) + len(answer_ids) > max_length
        if all(label == IGNORED for label in labels[1:]):
            dropped += 1
            continue
        rows.append({'input_ids': ids, 'labels': labels})
    return rows, {
        'rows': len(rows),
        'truncated': truncated,
        'dropped': dropped,
        'supervised_tokens': supervised(rows),
    }


def supervised(rows: list[Row]) -> int:
    """How many tokens the loss counts; the first of a row is predicted by nothing."""
    return sum(label != IGNORED for row in rows for label in row['labels'][1:])


def collate(rows: list[Row], padding: int) -> dict[str, torch.Tensor]:
    """[rows, longest row]; the mask goes by position, so that padding may equal eos."""
    width = max(len(row['input_ids']) for row in rows)

    def pad(values: list[int], filler: int) -> list[int]:
        return values + [filler] * (width - len(values))

    return {
        'input_ids': torch.tensor([pad(row['input_ids'], padding) for row in rows]),
        'attention_mask': torch.tensor([pad([1] * len(row['input_ids']), 0) for row in rows]),
        'labels': torch.tensor([pad(row['labels'], IGNORED) for row in rows]),
    }
