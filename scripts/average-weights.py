#!/usr/bin/env python3
"""The mean of the weights of several models of one shape (runs from one start): a Hugging Face folder.

    scripts/average-weights.py OUT MODEL MODEL...      for example OUT study-babylm/baseline/seed-*/model/generator

Everything but the weights is copied from the first. Needs safetensors and numpy.
"""

import pathlib
import shutil
import sys

import numpy
from safetensors.numpy import load_file, save_file


def main() -> None:
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    out, *models = map(pathlib.Path, sys.argv[1:])
    total = None
    for model in models:
        weights = {name: tensor.astype(numpy.float64) for name, tensor in load_file(model / "model.safetensors").items()}
        if total is None:
            total = weights
        elif total.keys() != weights.keys():
            sys.exit(f"{model}: other tensors than {models[0]}: {sorted(total.keys() ^ weights.keys())[:5]}")
        else:
            total = {name: tensor + weights[name] for name, tensor in total.items()}
    shutil.copytree(models[0], out)
    save_file(
        {name: (tensor / len(models)).astype(numpy.float32) for name, tensor in total.items()},
        out / "model.safetensors",
        metadata={"format": "pt"},
    )


if __name__ == "__main__":
    main()
