#!/usr/bin/env python3
"""Compares the losses of two runs, step by step: `compare-metrics.py a/metrics.jsonl b/metrics.jsonl --tolerance 1e-3`.

The tolerance is relative; with --last only the last step of both is compared. Exits with 1 when a loss differs by more, or when the
runs do not have the same steps. With --json there is no tolerance: one line with the largest and the mean difference, and the mean loss
of the last tenth of both runs.
"""
import argparse
import json
import sys


def losses(path):
    """{step: {name: value}} of the step records of a metrics file."""
    out = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            if "loss" in record:
                out[record["step"]] = {"loss": float(record["loss"])} | {k: float(v) for k, v in record.get("terms", {}).items()}
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("left")
    parser.add_argument("right")
    parser.add_argument("--tolerance", type=float, default=1e-3)
    parser.add_argument("--last", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    try:
        left, right = losses(arguments.left), losses(arguments.right)
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}; the run that writes it failed")
    if arguments.last:
        left, right = ({step: run[step] for step in list(run)[-1:]} for run in (left, right))
    if not left or left.keys() != right.keys():
        sys.exit(f"steps differ: {sorted(left)} and {sorted(right)}")
    if arguments.json:
        share = [abs(left[s]["loss"] - right[s]["loss"]) / max(abs(left[s]["loss"]), 1e-9) for s in left]
        last = sorted(left)[-max(1, len(left) // 10):]
        mean = lambda run: sum(run[s]["loss"] for s in last) / len(last)
        print(json.dumps({"steps": len(left), "largest": max(share), "mean": sum(share) / len(share), "last_left": mean(left),
                          "last_right": mean(right)}))
        return
    worst = 0.0
    for step in sorted(left):
        for name in left[step]:
            a, b = left[step][name], right[step][name]
            difference = abs(a - b) / max(abs(a), abs(b), 1e-9)
            worst = max(worst, difference)
            print(f"step {step} {name}: {a:.6f} {b:.6f}  relative difference {difference:.1e}")
    print(f"largest relative difference {worst:.2e}, tolerance {arguments.tolerance:.0e}")
    sys.exit(0 if worst <= arguments.tolerance else 1)


if __name__ == "__main__":
    main()
