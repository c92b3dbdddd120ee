"""Holds `fnlm probe replaced` against transformers: the discriminator's figures on labelled replacements.

    venv/bin/python tests/golden/check_replaced.py MODEL LABELLED.jsonl LENGTH [FOUND.json]

FOUND.json is what `fnlm probe replaced LABELLED.jsonl --model MODEL --length LENGTH --json` printed. Without it the figures are printed.
"""

import json
import pathlib
import sys

import torch
from sklearn.metrics import roc_auc_score
from tokenizers import Tokenizer
from transformers import ElectraForPreTraining


def cut(before, after, longest, length):
    """As much of the text around the word as fits into a row, with [CLS] and [SEP]: the same on both sides, unless the text ends."""
    room = max(0, length - 2 - longest)
    left = min(len(before), max(room // 2, room - len(after)))
    return before[len(before) - left:], after[:room - left]


def main():
    folder, data, length = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    ids = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    model = ElectraForPreTraining.from_pretrained(folder).eval()
    originals, wrongs, fittings, pairs = [], [], [], []
    for line in data.read_text().splitlines():
        row = json.loads(line)
        context, start, end = row["context"], row["start"], row["start"] + len(row["word"])
        words = [ids(row["word"]), ids(row["prediction"])]
        before, after = cut(ids(context[:start]), ids(context[end:]), max(map(len, words)), length)
        scores = []
        for word in words:
            with torch.no_grad():
                logits = model(torch.tensor([[cls, *before, *word, *after, sep]])).logits[0].double()
            scores.append(torch.nn.functional.logsigmoid(-logits[1 + len(before):][:len(word)]).mean().item())
        share = sum(label != "W" for label in row["labels"]) / len(row["labels"])
        originals.append(scores[0])
        if share == 0:
            wrongs.append(scores[1])
            pairs.append(scores[0] > scores[1])
        elif share >= 0.5:
            fittings.append(scores[1])
    over = lambda high, low: roc_auc_score([1] * len(high) + [0] * len(low), high + low) if high and low else None
    figures = {"error_auc": over(originals, wrongs), "pairs": sum(pairs) / len(pairs), "fitting_over_wrong": over(fittings, wrongs),
               "original_over_fitting": over(originals, fittings)}
    print(json.dumps(figures))
    if len(sys.argv) > 4:
        found = json.loads(pathlib.Path(sys.argv[4]).read_text())
        assert (found["wrong"], found["fitting"]) == (len(wrongs), len(fittings)), found
        for name, value in figures.items():
            other = found["scores"]["discriminator"][name]
            # A pair of scores that differ by rounding may change places: one in all pairs of a thousand.
            assert value is None and other is None or abs(value - other) < 1e-3, (name, value, other)
        print("equal")


main()
