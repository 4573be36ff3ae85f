"""Logits of a model folder by transformers.

    python logits.py MODEL_FOLDER IDS_JSON OUT

IDS_JSON: a list of rows of token ids. OUT: `.json` with { logits: [row][position][token] }, or `.safetensors` with
tensors `logits.0`, `logits.1`, … [position, token], float32.
"""

import sys

import torch
from reference_io import load_base, logits_of, read_rows, write_result


def main(model_folder: str, ids: str, out: str) -> None:
    torch.set_num_threads(2)
    write_result(out, {'logits': logits_of(load_base(model_folder), read_rows(ids))}, {})


if __name__ == '__main__':
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
