#!/usr/bin/env python3
"""Which steps a correction saves: its runs of fewer steps against the baseline's runs of all steps, seed by seed.

    scripts/study-steps.py ALL.csv FEWER.csv ARM        both by scripts/study-csv.py

For each measured figure: the mean of the baseline after all steps and after fewer, the mean difference of ARM after fewer from the baseline after
all, in how many seeds it is above 0, and the two-sided p of all sign changes, not corrected.
"""

import csv
import itertools
import statistics
import sys


def read(path):
    with open(path) as file:
        return {(row["arm"], int(row["seed"])): row for row in csv.DictReader(file)}


def sign_changes(differences):
    observed = abs(sum(differences)) - 1e-12
    signs = itertools.product((1, -1), repeat=len(differences))
    return sum(abs(sum(s * d for s, d in zip(sign, differences))) >= observed for sign in signs) / 2 ** len(differences)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    every, fewer, arm = read(sys.argv[1]), read(sys.argv[2]), sys.argv[3]
    seeds = sorted(seed for name, seed in fewer if name == arm and ("baseline", seed) in fewer and ("baseline", seed) in every)
    print(f"| figure, {len(seeds)} seeds | baseline, all steps | baseline, fewer | {arm}, fewer | less the baseline of all steps | above 0 | p |")
    print("|---|---|---|---|---|---|---|")
    for figure in (name for name in next(iter(every.values())) if ": " in name):
        columns = [[float(runs[name, seed][figure]) for seed in seeds] for runs, name in ((every, "baseline"), (fewer, "baseline"), (fewer, arm))]
        differences = [b - a for a, b in zip(columns[0], columns[2])]
        means = " | ".join(f"{statistics.mean(column):.4f}" for column in columns)
        above = sum(d > 0 for d in differences)
        print(f"| {figure} | {means} | {statistics.mean(differences):+.4f} | {above} of {len(seeds)} | {sign_changes(differences):.4f} |")


main()
