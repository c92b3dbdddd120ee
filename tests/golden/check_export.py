"""Do the folders that we write load in transformers, and do they say the same?

    cargo run -p fn-models --example export_for_check -- DIR
    venv/bin/python tests/golden/check_export.py DIR          (venv: see make.py)

The example writes small random models and, beside each, `expected.json`: inputs and the logits that we compute. This script
loads each folder with the Auto classes and the named ones, fails on any missing or unexpected tensor and on logits that
differ by more than 1e-5, and prints the largest difference.
"""

import json
import pathlib
import sys

import torch
import transformers
from transformers import (AutoModelForMaskedLM, AutoModelForPreTraining, BertForMaskedLM, ElectraForMaskedLM,
                          ElectraForPreTraining)

CLASSES = {
    "bert": [AutoModelForMaskedLM, BertForMaskedLM],
    "electra": [AutoModelForPreTraining, ElectraForPreTraining],
    "electra/generator": [AutoModelForMaskedLM, ElectraForMaskedLM],
}


def check(folder, classes):
    expected = json.loads((folder / "expected.json").read_text())
    names = ("input_ids", "token_type_ids", "attention_mask")
    inputs = {name: torch.tensor(expected[name], dtype=torch.long) for name in names}
    worst = 0.0
    for cls in classes:
        model, info = cls.from_pretrained(folder, output_loading_info=True)
        problems = {k: list(v) for k, v in info.items() if v}
        if problems:
            sys.exit(f"{folder}: {cls.__name__}: {problems}")
        with torch.no_grad():
            got = model.eval()(**inputs).logits
        wanted = torch.tensor(expected["logits"])
        got = got.reshape(-1, got.shape[-1])[expected["rows"]] if "rows" in expected else got
        difference = (got - wanted).abs().max().item()
        print(f"{folder.name}: {cls.__name__}: largest difference of a logit {difference:.2e} "
              f"(largest logit {wanted.abs().max().item():.2f})")
        worst = max(worst, difference)
    return worst


if __name__ == "__main__":
    root = pathlib.Path(sys.argv[1])
    print("torch", torch.__version__.split("+")[0], "transformers", transformers.__version__)
    worst = max(check(root / name, classes) for name, classes in CLASSES.items())
    print(f"largest of all {worst:.2e}")
    sys.exit(worst > 1e-5)
