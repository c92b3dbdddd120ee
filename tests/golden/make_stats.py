"""Makes tests/golden/stats.json: what numpy and scipy say of small samples.

    venv/bin/python tests/golden/make_stats.py      (the environment of make.py)
"""

import json
import pathlib

import numpy as np
import scipy
from scipy import stats


def holm(values):
    order = np.argsort(values)
    adjusted = np.empty(len(values))
    largest = 0.0
    for rank, at in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - rank) * values[at]))
        adjusted[at] = largest
    return adjusted.tolist()


def main():
    rng = np.random.default_rng(0)
    summaries, permutations, bootstraps = [], [], []
    for n in (2, 3, 5, 8):
        values = rng.normal(0.8, 0.02, n)
        summaries.append({"values": values.tolist(), "mean": values.mean(), "sd": values.std(ddof=1), "median": np.median(values)})
    for n, shift in ((3, 0.5), (5, 0.3), (8, 0.2), (10, 1.0), (6, 0.0)):
        values = np.round(rng.normal(shift, 1.0, n), 2)
        test = stats.permutation_test((values,), lambda x, axis: np.abs(x.mean(axis=axis)), permutation_type="samples",
                                      alternative="greater", n_resamples=np.inf, vectorized=True)
        permutations.append({"differences": values.tolist(), "p": test.pvalue})
    for n, gain in ((150, 0.0), (400, 0.06)):
        a = (rng.random(n) < 0.7).astype(float)
        b = np.where(rng.random(n) < 0.85, a, (rng.random(n) < 0.7 + gain))
        found = stats.bootstrap((b - a,), np.mean, n_resamples=20_000, method="percentile", rng=rng)
        bootstraps.append({"a": a.tolist(), "b": b.tolist(), "low": found.confidence_interval.low,
                           "high": found.confidence_interval.high, "error": found.standard_error})
    # At the border between all signs and drawn ones, and beyond it.
    for n, shift in ((16, 0.4), (20, 0.4)):
        values = np.round(rng.normal(shift, 1.0, n), 2)
        test = stats.permutation_test((values,), lambda x, axis: np.abs(x.mean(axis=axis)), permutation_type="samples",
                                      alternative="greater", n_resamples=np.inf, batch=1 << 14, vectorized=True)
        permutations.append({"differences": values.tolist(), "p": test.pvalue})
    quantiles = [{"p": p, "freedom": freedom, "t": stats.t.ppf(p, freedom)}
                 for freedom in (1, 2, 7, 11, 29, 200) for p in (0.6, 0.8, 0.975, 1 - 0.05 / 180)]
    p_values = [0.01, 0.04, 0.03, 0.005, 0.6]
    out = {"versions": {"numpy": np.__version__, "scipy": scipy.__version__}, "summaries": summaries,
           "permutations": permutations, "bootstraps": bootstraps, "quantiles": quantiles, "holm": {"p": p_values, "adjusted": holm(np.array(p_values))}}
    path = pathlib.Path(__file__).resolve().parent / "stats.json"
    path.write_text(json.dumps(out) + "\n")


main()
