#!/usr/bin/env python3
"""Draws what scripts/growth-attention.sh measured, both axes logarithmic, with the slopes from 1,024 tokens on in the legend: time of a step of
fnlm and of transformers, and of one layer that sees the whole row and one with a window (differences of models of 1, 3 and 4 layers).

    pip install matplotlib
    scripts/growth-attention-plot.py OUT/growth-attention.jsonl modern-small-log.svg
"""
import json
import math
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "growth"
import matplotlib.pyplot as plt


def seconds(record):
    result = record["result"]
    return result["runs"][0]["seconds_per_step"] if record["program"] == "fnlm" else result["seconds_per_step"]


def main():
    records = [json.loads(line) for line in open(sys.argv[1])]
    steps, layers = {"fnlm": {}, "transformers": {}}, {}
    for record in records:
        if "layers" in record:
            layers[record["length"], record["layers"]] = seconds(record)
        elif "round" not in record:
            steps[record["program"]][record["length"]] = seconds(record)
    lengths = sorted({length for length, _ in layers})
    lines = {
        "step, transformers": steps["transformers"],
        "step, fnlm": steps["fnlm"],
        "layer that sees the row, fnlm": {n: layers[n, 4] - layers[n, 3] for n in lengths},
        "layer with a window of 128, fnlm": {n: (layers[n, 3] - layers[n, 1]) / 2 for n in lengths},
    }
    figure, axes = plt.subplots(figsize=(7.2, 4.6))
    for name, line in lines.items():
        if not line:
            continue
        longest = max(line)
        slope = math.log(line[longest] / line[1024]) / math.log(longest / 1024)
        axes.loglog(list(line), [1e3 * value for value in line.values()], marker="o", label=f"{name}: slope {slope:.2f}")
    axes.set_xticks(lengths, [f"{n:,}" for n in lengths], minor=False)
    axes.minorticks_off()
    axes.set_xlabel("length, tokens (one row a step)")
    axes.set_ylabel("milliseconds")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(sys.argv[2], metadata={"Date": None, "Creator": None})


main()
