"""Makes probe.json: what transformers says about choices for a gap, and scikit-learn and torch about a token table.

    python -m venv venv && venv/bin/pip install torch transformers scikit-learn scipy
    venv/bin/python tests/golden/make_probe.py

Models are bert_tiny/ and electra_tiny/ beside this file (made by make.py), in f64. Every choice is computed alone, without
padding. Written are for each stem and choice, all natural logarithms:
    masked_lm, generator   mean over the choice's pieces of the log-probability, as many masks in the gap as it has pieces
    discriminator          mean over its pieces of the log-probability of "original", the choice in the gap
substitution: words in context and their substitutes, by scikit-learn's average precision of those scores, and the precision at the highest
threshold with a recall of .3.
geometry: cosines of BERT's token table for four lists of pairs. average_precision: what GAP must be for weights of 0 and 1.
"""

import json
import pathlib
import random
import tempfile

import scipy.stats
import sklearn
import torch
import transformers
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score
from transformers import BertForMaskedLM, BertTokenizerFast, ElectraForMaskedLM, ElectraForPreTraining

HERE = pathlib.Path(__file__).resolve().parent
VOCABULARY = ("[PAD] [UNK] [CLS] [SEP] [MASK] . , the a is was it not very than old young hot cold warm ice fire dog cat horse "
              "stone small large big house child bright clever smart sad glad happy ##er ##s ##ly ##est run walk stop go north "
              "south up down light dark never always often rare").split()
STEMS = [
    ("the child is [MASK] .", ["bright", "clever", "sad"]),
    ("[MASK] is hot , ice is not", ["fire", "the stone", "stones"]),
    ("a dog is small , a horse is [MASK]", ["smaller", "smallest", "big"]),
    ("It was not [MASK] cold , it was very warm .", ["never", "often", "always", "rarely"]),
    ("[MASK]", ["up", "downs"]),
]
PAIRS = {
    "synonyms": [(27, 28), (32, 33), (36, 35), (41, 42)],
    "antonyms": [(15, 16), (17, 18), (34, 36)],
    "random": [(8, 30), (22, 47), (11, 50), (29, 13)],
    "random_antonyms": [(15, 34), (18, 16), (36, 17)],
}
# Sentence, word, substitutes with what people say of each (1: good).
SUBSTITUTES = [
    ("the child is bright .", "bright", {"clever": 1, "smart": 1, "sad": 0, "cold": 0}),
    ("a dog is small , a horse is large", "large", {"big": 1, "small": 0, "old": 0, "rare": 0}),
    ("ice is cold , it is not warm", "warm", {"hot": 1, "dark": 0, "young": 0}),
    ("it was never light", "never", {"rarely": 0, "often": 0, "always": 1, "not": 1}),
]


def ids(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"] if text else []


def forward(model, row):
    with torch.no_grad():
        return model(input_ids=torch.tensor([row])).logits[0]


def masked_lm(model, before, pieces, after):
    row = [2, *before, *[4] * len(pieces), *after, 3]
    logs = forward(model, row).log_softmax(-1)
    return sum(logs[1 + len(before) + k, piece].item() for k, piece in enumerate(pieces)) / len(pieces)


def discriminator(model, before, pieces, after):
    logits = forward(model, [2, *before, *pieces, *after, 3])
    original = torch.nn.functional.logsigmoid(-logits)
    return original[1 + len(before) : 1 + len(before) + len(pieces)].mean().item()


def geometry(table):
    cosine = torch.nn.functional.cosine_similarity
    found = {name: [cosine(table[a], table[b], dim=0).item() for a, b in pairs] for name, pairs in PAIRS.items()}

    def auc(above, below):
        return roc_auc_score([1] * len(found[above]) + [0] * len(found[below]), found[above] + found[below])

    n = len(table)
    all_pairs = [cosine(table[a], table[b], dim=0).item() for a in range(n) for b in range(n) if a != b]
    return {
        "mean": {name: sum(values) / len(values) for name, values in found.items()},
        "error": {name: float(scipy.stats.sem(values)) for name, values in found.items()},
        "auc_random": auc("synonyms", "random"),
        "auc_antonyms": auc("synonyms", "antonyms"),
        "auc_antonyms_random": auc("antonyms", "random_antonyms"),
        "anisotropy": sum(all_pairs) / len(all_pairs),
        "norm": table.norm(dim=1).mean().item(),
    }


def average_precision():
    draw = random.Random(7)
    cases = []
    for length in [2, 5, 9, 20]:
        weights = [1] + [draw.randint(0, 1) for _ in range(length - 1)]
        draw.shuffle(weights)
        cases.append({"ranked": weights, "value": float(average_precision_score(weights, list(range(length, 0, -1))))})
    return cases


def substitution(tokenizer, scorers):
    rows, scores = [], {name: [] for name in scorers}
    for sentence, word, choices in SUBSTITUTES:
        start = sentence.index(word)
        before, after = ids(tokenizer, sentence[:start]), ids(tokenizer, sentence[start + len(word):])
        for choice, good in choices.items():
            piece = ids(tokenizer, choice)
            if len(piece) != 1:
                continue  # nobody is asked about words of several pieces
            rows.append([sentence, start, word, choice, good])
            for name, score in scorers.items():
                scores[name].append(score(before, piece, after))
    good = [row[-1] for row in rows]
    found = {}
    for name, values in scores.items():
        precision, recall, _ = precision_recall_curve(good, values)
        at = next(p for p, r in list(zip(precision, recall))[:-1][::-1] if r >= 0.3)
        found[name] = {"average_precision": float(average_precision_score(good, values)), "precision": float(at)}
    skipped = [[s, s.index(w), w, c, g] for s, w, choices in SUBSTITUTES for c, g in choices.items() if len(ids(tokenizer, c)) != 1]
    return {"rows": rows, "skipped": skipped, "scores": found}


def main():
    assert len(VOCABULARY) <= 56 and len(set(VOCABULARY)) == len(VOCABULARY), len(VOCABULARY)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "vocab.txt"
        file.write_text("\n".join(VOCABULARY) + "\n")
        tokenizer = BertTokenizerFast.from_pretrained(folder)
    bert = BertForMaskedLM.from_pretrained(HERE / "bert_tiny").double().eval()
    generator = ElectraForMaskedLM.from_pretrained(HERE / "electra_tiny" / "generator").double().eval()
    finder = ElectraForPreTraining.from_pretrained(HERE / "electra_tiny").double().eval()
    cases = []
    for stem, choices in STEMS:
        before, after = (ids(tokenizer, part.strip()) for part in stem.split("[MASK]"))
        pieces = [ids(tokenizer, choice) for choice in choices]
        assert all(1 not in p for p in [before, after, *pieces]), (stem, before, after, pieces)
        case = {"stem": stem, "choices": choices, "pieces": [len(p) for p in pieces]}
        case["masked_lm"] = [masked_lm(bert, before, p, after) for p in pieces]
        case["generator"] = [masked_lm(generator, before, p, after) for p in pieces]
        case["discriminator"] = [discriminator(finder, before, p, after) for p in pieces]
        cases.append(case)
    versions = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__,
                "scikit-learn": sklearn.__version__}
    table = bert.get_input_embeddings().weight.detach()
    (HERE / "probe.json").write_text(json.dumps({
        "versions": versions, "vocabulary": VOCABULARY, "cases": cases, "pairs": PAIRS, "geometry": geometry(table),
        "average_precision": average_precision(),
        "substitution": substitution(tokenizer, {
            "masked LM": lambda *row: masked_lm(bert, *row), "generator": lambda *row: masked_lm(generator, *row),
            "discriminator": lambda *row: discriminator(finder, *row)}),
    }, indent=1) + "\n")
    for case in cases:
        print(case)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
