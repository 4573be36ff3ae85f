"""What the reference scripts share: reading token rows, running a model on them, writing tensors."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedModel


def load_base(folder: str) -> PreTrainedModel:
    """A language model in float32, read from a local folder only."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model = kind.from_pretrained(
        folder, dtype=torch.float32, attn_implementation='eager', local_files_only=True
    )
    return model.eval()


def read_rows(path: str) -> list[list[int]]:
    """A JSON file with a list of rows of token ids, which may differ in length."""
    rows = json.loads(Path(path).read_text())
    if not rows or not all(row and all(isinstance(token, int) for token in row) for row in rows):
        raise SystemExit(f'{path}: expected a list of non-empty lists of token ids')
    return rows


def logits_of(model: torch.nn.Module, rows: list[list[int]]) -> list[torch.Tensor]:
    """
    Logits [length, vocabulary] of each row by itself: no padding, nothing to mask. An encoder-decoder reads it on
    both sides.
    """
    is_pair = model.config.is_encoder_decoder
    with torch.no_grad():
        tokens = [torch.tensor([row]) for row in rows]
        inputs = [{'input_ids': ids} | ({'decoder_input_ids': ids} if is_pair else {}) for ids in tokens]
        return [model(**each).logits[0].float() for each in inputs]


def write_result(path: str, logits: dict[str, list[torch.Tensor]], notes: dict[str, object]) -> None:
    """Writes JSON (`{ name: [row][position][token], ...notes }`) or, by the ending, safetensors (`name.row`)."""
    if path.endswith('.safetensors'):
        tensors = {f'{name}.{row}': value for name, values in logits.items() for row, value in enumerate(values)}
        save_file(
            {name: value.contiguous() for name, value in tensors.items()},
            path,
            metadata={name: json.dumps(value) for name, value in notes.items()},
        )
        return
    rows = {name: [value.tolist() for value in values] for name, values in logits.items()}
    Path(path).write_text(json.dumps(rows | notes))
