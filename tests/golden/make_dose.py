"""Makes dose.json: areas under the curve without what is left out, and a logistic regression, by scikit-learn.

    python -m venv venv && venv/bin/pip install scikit-learn
    venv/bin/python tests/golden/make_dose.py
"""

import json
import pathlib

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

HERE = pathlib.Path(__file__).resolve().parent
rng = np.random.default_rng(14)

areas = []
for n, levels in [(60, 1000), (60, 5), (200, 17)]:
    kind = rng.integers(0, 3, n)  # 0 original, 1 error, 2 a replacement that fits
    scores = np.round((rng.normal(size=n) + (kind > 0)) * levels / 4) / 10
    kept = kind != 2
    areas.append({
        "scores": scores.tolist(),
        "kind": kind.tolist(),
        "auc": roc_auc_score(kind[kept] == 1, scores[kept]),
        "label_auc": roc_auc_score(kind > 0, scores),
    })

classes, width = 3, 4
centres = rng.normal(size=(classes, width))
y = rng.integers(0, classes, 90)
x = np.round(3 + 2 * (centres[y] + rng.normal(size=(90, width))), 3)
learn, test = slice(0, 60), slice(60, 90)
mean, deviation = x[learn].mean(0), x[learn].std(0)
scaled = (x - mean) / deviation
model = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(scaled[learn], y[learn])
regression = {
    "x": x.tolist(),
    "y": y.tolist(),
    "learnt": 60,
    "classes": classes,
    "probabilities": model.predict_proba(scaled[test]).tolist(),
    "accuracy": model.score(scaled[test], y[test]),
}

out = {"sklearn": sklearn.__version__, "areas": areas, "regression": regression}
(HERE / "dose.json").write_text(json.dumps(out, separators=(",", ":")) + "\n")
