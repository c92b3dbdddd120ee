"""The table of docs/results/glue.md from a folder that scripts/glue-results.sh filled: mean and spread of both programs.

    python scripts/glue-table.py OUT
"""

import json
import pathlib
import statistics
import sys

TASKS = {
    "cola": ("CoLA", ["matthews"]),
    "sst2": ("SST-2", ["accuracy"]),
    "mrpc": ("MRPC", ["accuracy", "f1"]),
    "stsb": ("STS-B", ["pearson", "spearman"]),
    "rte": ("RTE", ["accuracy"]),
}


def ours(folder, metric):
    seeds = json.loads((folder / "results.json").read_text())["seeds"]
    return [list(seed["scores"].values())[0][metric] for seed in seeds], [seed["examples_per_second"] for seed in seeds]


def peer(path, metric):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line[metric] for line in lines], [line["examples_per_second"] for line in lines]


def cell(values):
    return f"{100 * statistics.mean(values):.2f} ± {100 * statistics.stdev(values):.2f}"


def main(out):
    print("| task | metric | fnlm | transformers | difference | its standard error |\n|---|---|---:|---:|---:|---:|")
    for task, (name, metrics) in TASKS.items():
        if not (out / task / "results.json").exists() or not (out / f"peer-{task}.jsonl").exists():
            continue
        for metric in metrics:
            (a, _), (b, _) = ours(out / task, metric), peer(out / f"peer-{task}.jsonl", metric)
            spread = (statistics.variance(a) / len(a) + statistics.variance(b) / len(b)) ** 0.5
            difference = statistics.mean(a) - statistics.mean(b)
            print(f"| {name} | {metric} | {cell(a)} | {cell(b)} | {100 * difference:+.2f} | {100 * spread:.2f} |")


main(pathlib.Path(sys.argv[1]))
