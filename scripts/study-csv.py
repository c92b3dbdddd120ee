"""One line for each finished run of a study: its last held-out metrics, its measures, its seconds a step.

    python3 scripts/study-csv.py study-NAME > runs.csv
"""

import csv
import json
import pathlib
import statistics
import sys


def read(run):
    last, seconds = {}, []
    for line in (run / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["kind"] == "evaluation":
            last = record["metrics"]
        elif record["kind"] == "step":
            seconds.append(record["time"]["seconds_per_step"])
    row = {"arm": run.parent.name, "seed": int(run.name.split("-")[1]), **last}
    if seconds:
        row["median seconds a step"] = statistics.median(seconds)
        row["least seconds a step"] = min(seconds)
    measures = run / "measures.jsonl"
    for line in measures.read_text().splitlines() if measures.exists() else []:
        record = json.loads(line)
        for figure in record["figures"]:
            row[f"{record['measure']['name']}: {figure['name']}"] = figure["value"]
    return row


def main():
    runs = [path.parent for path in pathlib.Path(sys.argv[1]).glob("*/seed-*/model")]
    rows = sorted((read(run) for run in runs), key=lambda row: (row["seed"], row["arm"]))
    columns = list(dict.fromkeys(key for row in rows for key in row))
    out = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    out.writeheader()
    for row in rows:
        out.writerow({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()})


main()
