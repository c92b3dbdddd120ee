"""Exact match and F1 of a file of SQuAD predictions by torchmetrics, to compare with `fnlm score`.

    pip install torch torchmetrics
    python scripts/squad-torchmetrics.py dev-v1.1.json[.xz] predictions.json
"""

import json
import lzma
import sys

from torchmetrics.text import SQuAD


def main(questions, predictions):
    opened = lzma.open(questions, "rt", encoding="utf-8") if questions.endswith(".xz") else open(questions, encoding="utf-8")
    with opened as file:
        data = json.load(file)["data"]
    with open(predictions, encoding="utf-8") as file:
        answers = json.load(file)
    asked = [question for article in data for paragraph in article["paragraphs"] for question in paragraph["qas"]]
    targets = [{"id": q["id"], "answers": {"text": [a["text"] for a in q["answers"]],
                                           "answer_start": [a["answer_start"] for a in q["answers"]]}} for q in asked]
    guesses = [{"id": q["id"], "prediction_text": answers[q["id"]]} for q in asked]
    metric = SQuAD()
    metric.update(guesses, targets)
    print(json.dumps({name: float(value) for name, value in metric.compute().items()} | {"questions": len(asked)}))


main(*sys.argv[1:])
