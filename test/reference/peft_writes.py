"""Writes adapters with Hugging Face PEFT, random numbers in all that trains, and says what it computes with them.

    python peft_writes.py JOBS_JSON IDS_JSON OUT

JOBS_JSON: a list of { model, folder, type, options }. The adapter goes to `folder`; OUT (`.safetensors`) holds `N.row`, logits by
the job's number, without those of virtual tokens. Its notes: `peft_types`, all that PEFT has.
"""

import json
import sys
import warnings
from pathlib import Path

import torch
from peft import get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from reference_io import load_base, logits_of, read_rows, write_result

CONFIGS = {kind.value: config for kind, config in PEFT_TYPE_TO_CONFIG_MAPPING.items()}


def main(jobs: str, ids: str, out: str) -> None:
    torch.set_num_threads(2)
    rows = read_rows(ids)
    found = {}
    for number, job in enumerate(json.loads(Path(jobs).read_text())):
        base = load_base(job['model'])
        task = 'SEQ_2_SEQ_LM' if base.config.is_encoder_decoder else 'CAUSAL_LM'
        torch.manual_seed(number)
        config = CONFIGS[job['type']](task_type=task, **job['options'])
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            model = get_peft_model(base, config).eval()
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.requires_grad:
                        parameter += 0.2 * torch.randn_like(parameter)
            model.save_pretrained(job['folder'])
        logits = logits_of(model, rows)
        found[str(number)] = [each[-len(row) :] for each, row in zip(logits, rows, strict=True)]
    write_result(out, found, {'peft_types': sorted(CONFIGS)})


if __name__ == '__main__':
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
