"""Loads adapters with the `adapters` library and says what they compute.

    python adapters_load_ours.py JOBS_JSON OUT        (the environment VENV/adapters of install.sh)

JOBS_JSON: a list of { model, adapter, task }, folders and `causal`, `masked` or `classes`. OUT (`.safetensors`) holds `input_ids` and,
by the job's number, `N.base` and `N.logits`; its notes name the keys that the library missed or passed over.
"""

import json
import sys
from pathlib import Path

import adapters
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

KINDS = {'masked': AutoModelForMaskedLM, 'classes': AutoModelForSequenceClassification}


def load_base(folder: str, task: str) -> PreTrainedModel:
    kind = KINDS.get(task, AutoModelForCausalLM)
    # A config as transformers 4 writes it, where there is one beside version 5's.
    old = Path(folder) / 'config.v4.json'
    config = AutoConfig.from_pretrained(old if old.exists() else folder)
    model = kind.from_pretrained(
        folder, config=config, dtype=torch.float32, attn_implementation='eager', local_files_only=True
    )
    adapters.init(model)
    return model.eval()


def load_adapter(model: PreTrainedModel, folder: Path) -> dict[str, list[str]]:
    """Loads and activates; returns the keys that were missing in the file, or had no place in the model."""
    info: dict[str, list[str]] = {}
    if (folder / 'adapter_setup.json').exists():
        # The library does not say what a setup lacks: what the model has of it is compared with the files.
        model.load_adapter_setup(str(folder), set_active=True, use_safetensors=True)
        model.eval()
        present = set()
        for file in folder.glob('*/*.safetensors'):
            with safe_open(file, 'pt') as opened:
                present |= set(opened.keys())
        wanted = {key for key in model.state_dict() if '.adapters.' in key or '.adapter_fusion_layer.' in key}
        return {'missing_keys': sorted(wanted - present), 'unexpected_keys': sorted(present - wanted)}
    model.load_adapter(
        str(folder), use_safetensors=True, set_active=True, with_head=False, loading_info=info
    )
    return info


def main(jobs: str, out: str) -> None:
    torch.set_num_threads(1)
    ids = torch.randint(3, 90, (2, 12), generator=torch.Generator().manual_seed(5))
    tensors = {'input_ids': ids}
    notes = {}
    for number, job in enumerate(json.loads(Path(jobs).read_text())):
        model = load_base(job['model'], job['task'])
        with torch.no_grad():
            tensors[f'{number}.base'] = model(input_ids=ids).logits.contiguous()
            info = load_adapter(model, Path(job['adapter']))
            tensors[f'{number}.logits'] = model(input_ids=ids).logits.contiguous()
        notes[str(number)] = json.dumps({key: info.get(key, []) for key in ('missing_keys', 'unexpected_keys')})
    save_file(tensors, out, metadata=notes)


if __name__ == '__main__':
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
