"""Fills savedTensors.json: bytes that one more layer keeps for the backward pass, measured with PyTorch.

    python test/unit/memory/savedTensors.py        (torch, transformers, peft; CPU, a minute)

Each case names a tiny config; the model is built with one and with two layers, and the bytes of all distinct storages
that autograd saves (parameters and buffers left out) are subtracted. Cases with dropout are left out: on CPU masks
have the type of the values, on CUDA a byte.
"""
import json
from pathlib import Path

import peft
import torch
import transformers
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM

FILE = Path(__file__).with_name("savedTensors.json")
LAYER_KEYS = ("num_hidden_layers", "n_layer", "num_layers")


def build(case, layers):
    options = dict(case["config"])
    kind = options.pop("model_type")
    options.update({key: layers for key in LAYER_KEYS if key in options})
    if kind == "t5":
        options["decoder_start_token_id"] = 0
    config = AutoConfig.for_model(kind, **options, **({"pad_token_id": 0} if kind == "phi3" else {}))
    auto = {"t5": AutoModelForSeq2SeqLM, "bert": AutoModel}.get(kind, AutoModelForCausalLM)
    model = auto.from_config(config, attn_implementation=case["attention"])
    model = model.to({"fp32": torch.float32, "bf16": torch.bfloat16}[case["dtype"]])
    if case["targets"]:
        lora = peft.LoraConfig(r=case["rank"], target_modules=case["targets"], lora_dropout=0.0)
        model = peft.get_peft_model(model, lora)
    return model.train(), kind


def saved(case, layers, sizes):
    model, kind = build(case, layers)
    own = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *model.buffers()]}
    seen, held = {}, []

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
            held.append(tensor)
        return tensor

    ids = torch.randint(3, 100, (sizes["batch"], sizes["length"]))
    targets = torch.randint(3, 100, (sizes["batch"], sizes["targetLength"]))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        if kind == "t5":
            result = model(input_ids=ids, labels=targets).loss
        elif kind == "bert":
            result = model(input_ids=ids).last_hidden_state.float().sum()
        else:
            result = model(input_ids=ids, labels=ids, use_cache=False).loss
    del result
    return sum(seen.values())


def main():
    torch.manual_seed(0)
    document = json.loads(FILE.read_text())
    document["versions"] = {module.__name__: module.__version__ for module in (torch, transformers, peft)}
    for case in document["cases"]:
        case["bytes"] = saved(case, 2, document["sizes"]) - saved(case, 1, document["sizes"])
    FILE.write_text(json.dumps(document, indent=1) + "\n")


main()
