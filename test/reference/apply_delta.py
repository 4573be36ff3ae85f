"""Logits of a model with a delta file added to it, as docs/converting.md has it.

    python apply_delta.py MODEL_FOLDER DELTA IDS_JSON OUT
"""

import sys

import torch
from reference_io import load_base, logits_of, read_rows, write_result
from safetensors.torch import load_file


def main(model_folder: str, file: str, ids: str, out: str) -> None:
    torch.set_num_threads(2)
    model = load_base(model_folder)
    delta, state = load_file(file), model.state_dict()
    for name, value in delta.items():
        if name.endswith('.values'):
            name = name.removesuffix('.values')
            state[name].view(-1)[delta[f'{name}.indices'].long()] += value
        elif not name.endswith('.indices'):
            state[name] += value
    write_result(out, {'logits': logits_of(model, read_rows(ids))}, {})


if __name__ == '__main__':
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
