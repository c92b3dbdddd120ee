"""Makes tests/golden/metrics.json: what scikit-learn, SciPy and torchmetrics say about predictions.

    python -m venv venv && venv/bin/pip install numpy scipy scikit-learn torch torchmetrics
    venv/bin/python tests/golden/make_metrics.py

    classes    accuracy, F1 (null where there are more than two classes), Matthews' correlation     scikit-learn
    values     Pearson, Spearman (null: NaN)                                                        SciPy
    roc        area under the ROC curve (null: NaN)                                                 scikit-learn
    normal     texts and their normal form                                                          below = torchmetrics
    answers    one prediction, its references, [exact, F1] by the rules of SQuAD 1.1 and 2.0        below, checked by torchmetrics
    squad_v1   files of questions and predictions                                                   below = torchmetrics
    squad_v2   the same with no-answer scores                                                       below

torchmetrics has the loop of version 1.1 (a question without prediction scores 0) with the F1 of version 2.0 (two answers without
words: 1). So its F1 is the reference of both versions but for such pairs. Nobody in its environment knows the rest of version 2.0;
`Questions2` below is written from the definition of the task. Everything is drawn from one seed and computed in f64.
"""

import itertools
import json
import pathlib
import re
import string
import warnings

import numpy as np
import scipy
import scipy.stats
import sklearn
import sklearn.metrics as sk
import torch
import torchmetrics
from torchmetrics.functional.text.squad import _normalize_text, squad

HERE = pathlib.Path(__file__).resolve().parent
LIMIT = 200_000
random = np.random.default_rng(20)


# Numbers ---------------------------------------------------------------------------------------------------------------------

def number(value):
    """JSON has no NaN."""
    return None if np.isnan(value) else float(value)


def classes_case(name, predicted, expected):
    predicted, expected = [int(c) for c in predicted], [int(c) for c in expected]
    binary = set(predicted + expected) <= {0, 1}
    return dict(
        name=name, predicted=predicted, expected=expected,
        accuracy=sk.accuracy_score(expected, predicted),
        f1=sk.f1_score(expected, predicted, pos_label=1, average="binary") if binary else None,
        matthews=float(sk.matthews_corrcoef(expected, predicted)),
    )


def classes_cases():
    for i in range(12):
        count, length = int(random.integers(2, 5)), int(random.integers(2, 60))
        expected = random.integers(0, count, length)
        predicted = np.where(random.random(length) < 0.6, expected, random.integers(0, count, length))
        yield classes_case(f"random {i}, {count} classes", predicted, expected)
    for i in range(4):
        yield classes_case(f"rare positives {i}", random.random(50) < 0.1, random.random(50) < 0.1)
    yield classes_case("constant predictions 0", [0] * 7, [0, 1, 1, 0, 1, 0, 0])
    yield classes_case("constant predictions 1", [1] * 7, [0, 1, 1, 0, 1, 0, 0])
    yield classes_case("constant references", [0, 1, 1, 0], [1, 1, 1, 1])
    yield classes_case("constant references of three classes", [0, 1, 2, 0], [2, 2, 2, 2])
    yield classes_case("no positives anywhere", [0, 0, 0], [0, 0, 0])
    yield classes_case("all positive and right", [1, 1, 1], [1, 1, 1])
    yield classes_case("all wrong", [1, 0, 1], [0, 1, 0])
    yield classes_case("one example, right", [1], [1])
    yield classes_case("one example, wrong", [0], [1])
    yield classes_case("classes that are never predicted", [0, 0, 1, 1, 0], [0, 2, 1, 3, 0])


def values_case(name, x, y):
    x, y = [float(v) for v in x], [float(v) for v in y]
    # SciPy refuses single examples; they are constants.
    pearson = scipy.stats.pearsonr(x, y).statistic if len(x) > 1 else np.nan
    spearman = scipy.stats.spearmanr(x, y).statistic if len(x) > 1 else np.nan
    return dict(name=name, predicted=x, expected=y, pearson=number(pearson), spearman=number(spearman))


def values_cases():
    for i in range(10):
        length = int(random.integers(2, 60))
        x = random.normal(size=length).round(4)
        yield values_case(f"random {i}", x, (x * random.normal() + random.normal(size=length)).round(4))
    for i in range(6):
        length = int(random.integers(5, 50))
        yield values_case(f"many ties {i}", random.integers(0, 4, length), random.integers(0, 6, length) / 2)
    x = random.normal(size=30).round(3)
    yield values_case("a line", x, 3 * x - 1)
    yield values_case("a falling line", x, -0.5 * x + 4)
    yield values_case("monotone, not a line", x, np.exp(3 * x))
    yield values_case("far from zero", x + 1e6, random.normal(size=30).round(3))
    yield values_case("very different sizes", x * 1e-9, random.normal(size=30).round(3) * 1e9)
    yield values_case("constant predictions", [2.5] * 6, [1, 2, 3, 4, 5, 6])
    yield values_case("constant references", [1, 2, 3, 4, 5, 6], [0.1] * 6)
    yield values_case("both constant", [1] * 4, [3] * 4)
    yield values_case("two examples", [1, 2], [5, 3])
    yield values_case("one example", [1], [5])
    yield values_case("zeros of both signs", [0.0, -0.0, 1.0, -1.0], [1, 2, 3, 0])


def roc_case(name, scores, expected):
    scores, expected = [float(s) for s in scores], [int(c) for c in expected]
    value = sk.roc_auc_score(expected, scores) if len(set(expected)) == 2 else np.nan
    return dict(name=name, scores=scores, expected=expected, auc=number(value))


def roc_cases():
    for i in range(8):
        length = int(random.integers(4, 60))
        expected = np.r_[0, 1, random.integers(0, 2, length - 2)]
        yield roc_case(f"random {i}", (random.normal(size=length) + 0.7 * expected).round(4), expected)
        yield roc_case(f"many ties {i}", random.integers(0, 4, length) + expected, expected)
    yield roc_case("all scores equal", [0.5] * 6, [0, 1, 1, 0, 1, 0])
    yield roc_case("parted", [0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1])
    yield roc_case("parted the wrong way", [0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0])
    yield roc_case("only positives", [0.1, 0.2], [1, 1])
    yield roc_case("only negatives", [0.1, 0.2], [0, 0])
    # What scikit-learn says itself about one class.
    assert np.isnan(sk.roc_auc_score([1, 1], [0.1, 0.2]))


# Answers ---------------------------------------------------------------------------------------------------------------------

ARTICLE = re.compile(r"\b(?:an?|the)\b")
NO_PUNCTUATION = {ord(mark): None for mark in string.punctuation}


def normal(text):
    return " ".join(ARTICLE.sub(" ", text.lower().translate(NO_PUNCTUATION)).split())


def exact(prediction, reference):
    return float(normal(prediction) == normal(reference))


def f1(prediction, reference, both_empty):
    """Harmonic mean of precision and recall of words; `both_empty` if neither answer has any."""
    said, right = normal(prediction).split(), normal(reference).split()
    if not said and not right:
        return float(both_empty)
    left, common = list(right), 0
    for word in said:
        if word in left:
            left.remove(word)
            common += 1
    if common == 0:
        return 0.0
    precision, recall = common / len(said), common / len(right)
    value = 2.0 * precision * recall / (precision + recall)
    assert abs(value - 2 * common / (len(said) + len(right))) < 1e-15
    return value


def answer_v1(prediction, references):
    return [max(exact(prediction, r) for r in references), max(f1(prediction, r, 0) for r in references)]


def answer_v2(prediction, references):
    """The empty answer is right if there is no other."""
    references = [r for r in references if normal(r)] or [""]
    return [max(exact(prediction, r) for r in references), max(f1(prediction, r, 1) for r in references)]


def torch_squad(questions, predictions):
    """[exact, F1] of torchmetrics as fractions, and whether its F1 is that of version 1.1: no two answers without words meet."""
    said = [dict(id=i, prediction_text=text) for i, text in predictions.items()]
    target = [dict(id=i, answers=dict(text=references, answer_start=[0] * len(references))) for i, references in questions]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = squad(said, target)
    comparable = all(normal(predictions[i]) or all(map(normal, references)) for i, references in questions if i in predictions)
    return [out["exact_match"].item() / 100, out["f1"].item() / 100], comparable


HARD = [
    # Articles within words, beside punctuation, beside marks, and many of them.
    "a theme an Anthem the banana", "The the THE", "the-a", "the–a", "the — an", "a/an the", "athe thea", "(the) cat", "the_cat",
    "a\u0301 cafe\u0301", "the\u0301 x", "an\u0308", "a\u200d", "a\u200b cat", "the\ufe0f x", "a² the²", "a½", "aⅣ", "Ⓐ a Ⓐ", "aⒶ", "a°",
    "a\u0903 b", "कa का", "the中", "中 the 文", "a·b", "l’a", "l'a", "ª a º", "a\u00ad the", "the\u2019s", "an‿a", "A.B.", "an...the...a",
    # Lower case is not always one letter for one.
    "İstanbul", "ΟΔΟΣ ΟΔΟΣ.", "ΣΑΣ Σ", "STRASSE ß ẞ", "ǅ", "ﬁ FI", "Ａ ＴＨＥ", "Å Å",
    # White space of every kind.
    "x\u00a0y", "the\u00a0cat", "x\u3000y\u2009z\u202fw\u2028v\u1680u", "x\u001cy\u001dz\u001ev\u001fw", "x\u0085y", "x\u200by", "x\ufeffy",
    "\u00a0\u00a0", " \t\r\n\v\f", "x \t\n y", "x\u180ey", "x\u2060y",
    # Punctuation of ASCII and beyond.
    string.punctuation, "“x”", "‘x’", "x…", "x—y", "x-y", "x–y", "¿x?", "« x »", "$1,000.50", "£1,000.50", "1’000", "50%", "50 %", "3.14", "x。",
    "C++", "C", "#1", "e.g.", "AT&T", "U.S.A.", "", " ", "a", "an", "the", "A THE an", "...", "a.", "no answer",
]


def texts(count):
    """Short texts of few words, so that they overlap."""
    words = ["the", "a", "an", "The", "cat", "Cat.", "dog", "theme", "x-ray", "New", "York", "“cat”", "cat,", "d'or", "1,000", "1000", "né"]
    space = [" ", "  ", "\u00a0", "\t"]
    for _ in range(count):
        length = int(random.integers(0, 6))
        yield "".join(w + space[int(random.choice(4, p=[0.85, 0.05, 0.05, 0.05]))] for w in random.choice(words, length))


def answers_cases():
    drawn = list(texts(200))
    pick = lambda: drawn[int(random.integers(len(drawn)))]  # noqa: E731
    pairs = [(pick(), [pick() for _ in range(int(random.integers(1, 4)))]) for _ in range(150)]
    pairs += [(HARD[i], [HARD[j]]) for i, j in random.integers(0, len(HARD), (60, 2))]
    pairs += [(text, [text.upper(), "cat"]) for text in HARD]
    empty = ["", " ", "the", "A.", "\u00a0", "...", "cat"]
    pairs += [(p, [r]) for p, r in itertools.product(empty, empty)]
    pairs += [
        ("", ["the", "cat"]), ("a", ["the", "cat"]), ("the", ["cat", "dog"]), ("cat", ["", "the cat"]), ("no no no", ["no no yes yes"]),
        ("x", ["x x x x", "x y"]), ("New York", ["York New", "new york city", "NY"]), ("“cat”", ["cat"]), ("the\u00a0cat", ["cat"]),
    ]
    for prediction, references in pairs:
        v1, v2 = answer_v1(prediction, references), answer_v2(prediction, references)
        said, comparable = torch_squad([("q", references)], {"q": prediction})
        # Its exact match is that of 1.1 always; its F1 that of 2.0 as long as no reference is left out.
        assert v1[0] == said[0], (prediction, references)
        assert not comparable or abs(v1[1] - said[1]) < 1e-12, (prediction, references)
        if all(map(normal, references)) or len(references) == 1:
            assert np.allclose(v2, said, rtol=0, atol=1e-12), (prediction, references)
        yield dict(prediction=prediction, references=references, v1=v1, v2=v2)


# Files -----------------------------------------------------------------------------------------------------------------------

def dataset(questions, version):
    """Spread over two articles with two paragraphs each."""
    def qa(question):
        i, references = question
        out = dict(id=i, question=f"{i}?", answers=[dict(text=r, answer_start=n) for n, r in enumerate(references)])
        if version == "v2.0":
            out["is_impossible"] = not references
            if not references:
                out["plausible_answers"] = [dict(text="plausible", answer_start=0)]
        return out
    quarter = -(-len(questions) // 4)
    parts = [[qa(q) for q in questions[k * quarter:(k + 1) * quarter]] for k in range(4)]
    paragraphs = [dict(context="", qas=part) for part in parts]
    return dict(version=version, data=[dict(title="one", paragraphs=paragraphs[:2]), dict(title="two", paragraphs=paragraphs[2:])])


def draw_file(length, answerable, missing, unknown, wordless=False):
    drawn = list(texts(4 * length))
    questions, predictions = [], {}
    for i in range(length):
        references = [t for t in drawn[4 * i:4 * i + 3] if wordless or normal(t)] or ["cat"]
        if random.random() >= answerable:
            references = []
        questions.append((f"q{i:03}", references))
        draw = random.random()
        said = references[0] if references and draw < 0.5 else "" if draw < 0.65 else "the" if draw < 0.7 else drawn[4 * i + 3]
        if random.random() >= missing:
            predictions[f"q{i:03}"] = said
    predictions |= {f"unknown{i}": "cat" for i in range(unknown)}
    items = list(predictions.items())
    return questions, dict(items[i] for i in random.permutation(len(items)))


def squad_v1_case(name, length, missing=0.0, unknown=0, wordless=False):
    questions, predictions = draw_file(length, 1, missing, unknown, wordless)
    scores = [answer_v1(predictions[i], references) if i in predictions else [0.0, 0.0] for i, references in questions]
    total = np.mean(scores, axis=0).tolist()
    said, comparable = torch_squad(questions, predictions)
    assert abs(total[0] - said[0]) < 1e-12 and (not comparable or abs(total[1] - said[1]) < 1e-12), name
    ids = [i for i, _ in questions]
    return dict(
        name=name, data=dataset(questions, "1.1"), predictions=predictions, total=total, questions=length,
        missing=[i for i in ids if i not in predictions], unknown=[i for i in predictions if i not in ids],
        torchmetrics=said if comparable else None,
    )


class Questions2:
    """Version 2.0 from its definition. `scores` says how sure a model is that there is no answer."""

    def __init__(self, questions, predictions, scores):
        self.references = dict(questions)
        self.predictions, self.scores = predictions, scores
        self.counted = [i for i, _ in questions if i in predictions]
        self.raw = {i: answer_v2(predictions[i], self.references[i]) for i in self.counted}

    def final(self, i, threshold):
        """Above the threshold the empty answer is given, which is right if there is none."""
        if self.scores is not None and self.scores[i] > threshold:
            return [float(not self.references[i])] * 2
        return self.raw[i]

    def part(self, threshold, keep):
        kept = [self.final(i, threshold) for i in self.counted if keep(bool(self.references[i]))]
        return dict(zip(("exact", "f1"), np.mean(kept, axis=0).tolist()), questions=len(kept)) if kept else None

    def best(self, metric):
        """The best mean over all thresholds, tried one after the other, and the lowest threshold that reaches it.

        "Refuse all" is threshold 0 where all scores are above 0, and the lowest score less 1 elsewhere.
        """
        order = [i for i in self.scores if i in self.raw]
        lowest = min(self.scores[i] for i in order)
        candidates = sorted({0.0 if lowest > 0 else lowest - 1} | {self.scores[i] for i in order})
        means = [float(np.mean([self.final(i, t)[metric] for i in order])) for t in candidates]
        k = next(k for k, mean in enumerate(means) if mean > max(means) - 1e-9)
        return dict(score=means[k], threshold=candidates[k])


def squad_v2_case(name, length, answerable=0.6, missing=0.0, unknown=0, scores=None, threshold=1.0):
    questions, predictions = draw_file(length, answerable, missing, unknown)
    by_id = None
    if scores is not None:
        by_id = {i: scores(not references) for i, references in questions}
        items = list(by_id.items())
        by_id = dict(items[i] for i in random.permutation(len(items)))
        by_id |= {"unknown0": -1.0} if unknown else {}
    judge = Questions2(questions, predictions, by_id)
    ids = [i for i, _ in questions]
    return dict(
        name=name, data=dataset(questions, "v2.0"), predictions=predictions, scores=by_id, threshold=threshold,
        total=judge.part(threshold, lambda _: True), has_answer=judge.part(threshold, bool),
        no_answer=judge.part(threshold, lambda has: not has),
        best=None if by_id is None else dict(exact=judge.best(0), f1=judge.best(1)),
        missing=[i for i in ids if i not in predictions], unknown=[i for i in predictions if i not in ids],
        unknown_scores=[] if by_id is None else [i for i in by_id if i not in ids],
    )


def squad_v2_cases():
    probability = lambda none: round(float(random.beta(4, 2) if none else random.beta(2, 4)), 4)  # noqa: E731
    difference = lambda none: round(float(random.normal(2 if none else -2, 3)), 3)  # noqa: E731
    coarse = lambda none: int(random.integers(0, 4)) / 4  # noqa: E731
    yield squad_v2_case("no scores", 30)
    yield squad_v2_case("no scores, ids missing and unknown", 30, missing=0.3, unknown=3)
    yield squad_v2_case("probabilities, predictions decide", 40, scores=probability)
    for threshold in (0.0, 0.3, 0.5, 0.7):
        yield squad_v2_case(f"probabilities, threshold {threshold}", 40, scores=probability, threshold=threshold)
    yield squad_v2_case("logit differences", 40, scores=difference, threshold=0.0)
    yield squad_v2_case("logit differences, threshold below 0", 40, scores=difference, threshold=-1.5)
    yield squad_v2_case("equal scores", 40, scores=coarse, threshold=0.5)
    yield squad_v2_case("all scores equal", 20, scores=lambda _: 0.5, threshold=0.5)
    yield squad_v2_case("scores, ids missing and unknown", 40, missing=0.25, unknown=2, scores=probability, threshold=0.4)
    yield squad_v2_case("only questions with an answer", 12, answerable=1, scores=probability, threshold=0.5)
    yield squad_v2_case("only questions without", 12, answerable=0.0, scores=probability, threshold=0.5)


def main():
    torch.set_default_dtype(torch.float64)  # torchmetrics sums in the default type
    warnings.simplefilter("ignore")  # scikit-learn and SciPy warn of the degenerate cases
    answers = list(answers_cases())
    strings = sorted({s for case in answers for s in [case["prediction"], *case["references"]]} | set(HARD))
    assert all(normal(s) == _normalize_text(s) for s in strings)
    fixture = dict(
        versions={m.__name__: m.__version__.split("+")[0] for m in (np, scipy, sklearn, torch, torchmetrics)},
        classes=list(classes_cases()), values=list(values_cases()), roc=list(roc_cases()),
        normal=[[s, normal(s)] for s in strings], answers=answers,
        squad_v1=[squad_v1_case("all predicted", 30), squad_v1_case("ids missing and unknown", 30, missing=0.3, unknown=3),
                  squad_v1_case("most ids missing", 20, missing=0.8, unknown=1),
                  squad_v1_case("references without words", 30, wordless=True)],
        squad_v2=list(squad_v2_cases()),
    )
    text = json.dumps(fixture, separators=(",", ":"), allow_nan=False)
    text = re.sub(r'("(?:classes|values|roc|normal|answers|squad_v1|squad_v2)":\[)(?=[\[{])', r"\n\1", text) + "\n"
    assert json.loads(text) == fixture and len(text) < LIMIT, len(text)
    (HERE / "metrics.json").write_text(text)


main()
