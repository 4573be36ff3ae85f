"""Loads encoders, with adapters of Hugging Face PEFT or without, and says what they compute.

    python encoder_logits.py JOBS_JSON OUT

JOBS_JSON: a list of { model, adapter (or null), task (`SEQ_CLS`, `MASKED_LM`), labels (how many), rows (token ids, all of one
length) }. OUT (`.safetensors`) holds `N.logits` by the job's number; its notes name the keys that PEFT missed or passed
over, its warnings, and the names of the classes in the model's config.
"""

import json
import sys
import warnings
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification


def load_base(job: dict[str, object]) -> torch.nn.Module:
    options = {'dtype': torch.float32, 'attn_implementation': 'eager', 'local_files_only': True}
    if job['task'] == 'MASKED_LM':
        return AutoModelForMaskedLM.from_pretrained(job['model'], **options)
    # A model folder of its own says how many classes it has.
    labels = {} if job['labels'] is None else {'num_labels': job['labels']}
    return AutoModelForSequenceClassification.from_pretrained(job['model'], **labels, **options)


def load_adapter(base: torch.nn.Module, folder: str) -> tuple[torch.nn.Module, dict[str, list[str]]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        model = PeftModel.from_pretrained(base, folder, local_files_only=True)
    with safe_open(Path(folder) / 'adapter_model.safetensors', 'pt') as file:
        present = set(file.keys())
    wanted = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    return model, {
        'missing_keys': sorted(wanted - present),
        'unexpected_keys': sorted(present - wanted),
        'warnings': [str(each.message) for each in caught if not issubclass(each.category, FutureWarning)],
    }


def main(jobs: str, out: str) -> None:
    torch.set_num_threads(2)
    tensors, notes = {}, {}
    for number, job in enumerate(json.loads(Path(jobs).read_text())):
        model, found = load_base(job), {}
        found['labels'] = [name for _, name in sorted(model.config.id2label.items())]
        if job['adapter'] is not None:
            model, told = load_adapter(model, job['adapter'])
            found |= told
        with torch.no_grad():
            logits = model.eval()(input_ids=torch.tensor(job['rows'])).logits.float()
        # Virtual tokens stand before the row: their logits are left out.
        length = len(job['rows'][0])
        tensors[f'{number}.logits'] = (logits[:, -length:] if logits.dim() == 3 else logits).contiguous()
        notes[str(number)] = json.dumps(found)
    save_file(tensors, out, metadata=notes)


if __name__ == '__main__':
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
