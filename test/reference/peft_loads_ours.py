"""Loads an adapter folder with Hugging Face PEFT and says what it computes.

    python peft_loads_ours.py MODEL_FOLDER ADAPTER_FOLDER IDS_JSON OUT

OUT (`.json`, or `.safetensors` as logits.py has it) holds `base`, `logits` (adapter applied) and `merged` (after
merge_and_unload, where the method has it), and what PEFT would otherwise pass over: `missing_keys`, which PEFT would have written for this
config and the file lacks; `unexpected_keys`, which the file has and PEFT does not read; `warnings`.
"""

import sys
import warnings
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict
from reference_io import load_base, logits_of, read_rows, write_result
from safetensors import safe_open


def main(model_folder: str, adapter_folder: str, ids: str, out: str) -> None:
    torch.set_num_threads(2)
    rows = read_rows(ids)
    base = load_base(model_folder)
    base_logits = logits_of(base, rows)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        model = PeftModel.from_pretrained(base, adapter_folder, local_files_only=True).eval()
    with safe_open(Path(adapter_folder) / 'adapter_model.safetensors', 'pt') as file:
        present = set(file.keys())
    wanted = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    known = wanted | set(get_peft_model_state_dict(model, save_embedding_layers=True))
    # Virtual tokens stand before the row: their logits are left out.
    logits = [found[-len(row) :] for found, row in zip(logits_of(model, rows), rows, strict=True)]
    can_merge = not model.active_peft_config.is_prompt_learning
    merged = {'merged': logits_of(model.merge_and_unload(), rows)} if can_merge else {}
    notes = {
        'missing_keys': sorted(wanted - present),
        'unexpected_keys': sorted(present - known),
        'warnings': [
            str(warning.message) for warning in caught if not issubclass(warning.category, FutureWarning)
        ],
    }
    write_result(out, {'base': base_logits, 'logits': logits} | merged, notes)


if __name__ == '__main__':
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
