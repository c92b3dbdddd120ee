"""Makes tests/golden/exam.json: what scikit-learn says of grades with many ties, and of a logistic regression.

    venv/bin/python tests/golden/make_exam.py      (the environment of make.py)
"""

import json
import pathlib

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, precision_recall_curve


def curve(rng, n, base, decimals):
    good = rng.random(n) < base
    grades = np.round(np.clip(rng.normal(0.3 + 0.2 * good, 0.2), 0.0, 1.0), decimals)
    precision, recall, thresholds = precision_recall_curve(good, grades)
    # scikit-learn lists the lowest threshold first and ends with a point that accepts nothing.
    points = [[t, p, r] for t, p, r in zip(thresholds, precision, recall)][::-1]
    at = {str(level): next(([t, p, r] for t, p, r in points if r >= level), None) for level in (0.2, 0.3, 0.4)}
    return {"grades": grades.tolist(), "good": good.tolist(), "average_precision": average_precision_score(good, grades),
            "points": points, "at_recall": at}


def logistic(rng, n, width, l2):
    features = np.hstack([rng.normal(0.1, 0.2, (n, 1)), rng.random((n, width - 1)) < 0.15]).astype(float)
    weights = rng.normal(0, 2, width)
    good = rng.random(n) < 1 / (1 + np.exp(2 - features @ weights))
    fit = LogisticRegression(C=1 / l2, tol=1e-12, max_iter=10_000).fit(features, good)
    return {"features": features.tolist(), "good": good.tolist(), "l2": l2, "intercept": fit.intercept_[0],
            "weights": fit.coef_[0].tolist(), "probabilities": fit.predict_proba(features)[:, 1].tolist()}


def main():
    rng = np.random.default_rng(0)
    curves = [curve(rng, 40, 0.3, 1), curve(rng, 200, 0.12, 2), curve(rng, 200, 0.5, 6), curve(rng, 25, 0.2, 0)]
    logistics = [logistic(rng, 120, 4, 1.0), logistic(rng, 300, 8, 0.1), logistic(rng, 60, 8, 10.0)]
    out = {"versions": {"numpy": np.__version__, "scikit-learn": sklearn.__version__}, "curves": curves, "logistic": logistics}
    path = pathlib.Path(__file__).resolve().parent / "exam.json"
    path.write_text(json.dumps(out) + "\n")


main()
