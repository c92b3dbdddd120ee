"""Scores pairs of sentences with transformers, to be held against `fnlm babylm`.

    python -m venv venv && venv/bin/pip install torch transformers
    fnlm babylm --model MODEL --blimp DATA --out RESULTS
    venv/bin/python tests/golden/check_babylm.py MODEL RESULTS/blimp DATA [--pairs N] [--tokenizer PATH]

MODEL is a Hugging Face folder (BERT with a masked-LM head; ELECTRA with generator/ inside), DATA a folder of BLiMP's .jsonl files (also
.xz or .gz). Of every file the first N pairs (default: all) are scored here, and the decisions compared: which sentence wins. It prints the
share of equal decisions for each score and ends with 1 if one is below 99.9 %.

The scores are written from their definitions, one word at a time, with the tokenizer's own word_ids():
    pseudo-log-likelihood          sum over the pieces of log p(piece | the sentence with it masked); Salazar et al. 2020
    within words left to right     the same, with the later pieces of the same word masked as well; Kauf & Ivanova 2023
    discriminator                  sum over the pieces of log p(original), of one pass over the unmasked sentence
"""

import argparse
import gzip
import json
import lzma
import pathlib
import sys

import torch
from transformers import AutoConfig, BertForMaskedLM, BertTokenizerFast, ElectraForMaskedLM, ElectraForPreTraining

PSEUDO, WITHIN, ORIGINAL = "pseudo-log-likelihood", "within words left to right", "discriminator"
BATCH = 64


def models(folder):
    """The masked LM of a folder and its discriminator; None for what it has not."""
    folder = pathlib.Path(folder)
    if AutoConfig.from_pretrained(folder).model_type == "bert":
        return BertForMaskedLM.from_pretrained(folder).eval(), None
    generator = ElectraForMaskedLM.from_pretrained(folder / "generator").eval()
    return generator, ElectraForPreTraining.from_pretrained(folder).eval()


def masked_copies(encoding, mask):
    """(ids, place, token, which scores it counts for) for each piece of a sentence, [CLS] and [SEP] left out."""
    ids, words = encoding["input_ids"], encoding.word_ids()
    for place, word in enumerate(words):
        if word is None:
            continue
        plain = list(ids)
        plain[place] = mask
        later = [at for at in range(place + 1, len(ids)) if words[at] == word]
        whole = list(plain)
        for at in later:
            whole[at] = mask
        yield plain, place, ids[place], (PSEUDO,)
        yield whole, place, ids[place], (WITHIN,)


def log_likelihoods(tokenizer, masked_lm, discriminator, texts):
    """A dictionary of scores for each text."""
    encodings = [tokenizer(text) for text in texts]
    scores = [{} for _ in texts]
    with torch.no_grad():
        if masked_lm is not None:
            rows = [(number, *copy) for number, encoding in enumerate(encodings)
                    for copy in masked_copies(encoding, tokenizer.mask_token_id)]
            rows.sort(key=lambda row: len(row[1]))
            for start in range(0, len(rows), BATCH):
                batch = rows[start : start + BATCH]
                inputs = tokenizer.pad({"input_ids": [row[1] for row in batch]}, return_tensors="pt")
                logs = masked_lm(**inputs).logits[range(len(batch)), [row[2] for row in batch]].log_softmax(-1)
                for log, (number, _, _, token, names) in zip(logs, batch):
                    for name in names:
                        scores[number][name] = scores[number].get(name, 0.0) + log[token].item()
        if discriminator is not None:
            for number, encoding in enumerate(encodings):
                logits = discriminator(input_ids=torch.tensor([encoding["input_ids"]])).logits[0]
                original = torch.nn.functional.logsigmoid(-logits.double())
                kept = [at for at, word in enumerate(encoding.word_ids()) if word is not None]
                scores[number][ORIGINAL] = original[kept].sum().item()
    return scores


def lines(path):
    opened = {".xz": lzma.open, ".gz": gzip.open}.get(path.suffix, open)
    with opened(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def decision(good, bad):
    return (good > bad) - (good < bad)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--tokenizer")
    args = parser.parse_args()
    tokenizer = BertTokenizerFast.from_pretrained(args.tokenizer or args.model)
    masked_lm, discriminator = models(args.model)
    equal, count, worst = {}, {}, {}
    for path in sorted(args.data.glob("*.jsonl*")):
        ours = args.results / (path.name.split(".jsonl")[0] + ".jsonl")
        if not ours.exists():
            continue
        pairs = lines(path)
        results = lines(ours)[: args.pairs]
        texts = [pairs[row["line"] - 1][key] for row in results for key in ["sentence_good", "sentence_bad"]]
        theirs = log_likelihoods(tokenizer, masked_lm, discriminator, texts)
        for number, row in enumerate(results):
            good, bad = theirs[2 * number], theirs[2 * number + 1]
            assert set(good) == set(row["good"]), (sorted(good), sorted(row["good"]))
            for name in good:
                same = decision(good[name], bad[name]) == decision(row["good"][name], row["bad"][name])
                equal[name] = equal.get(name, 0) + same
                count[name] = count.get(name, 0) + 1
                apart = max(abs(good[name] - row["good"][name]), abs(bad[name] - row["bad"][name]))
                worst[name] = max(worst.get(name, 0.0), apart)
        print(path.name, {name: f"{equal[name]} of {count[name]}" for name in equal}, flush=True)
    for name in equal:
        print(f"{name}: {equal[name]} of {count[name]} decisions equal ({100 * equal[name] / count[name]:.3f} %), "
              f"scores at most {worst[name]:.2e} apart")
    if not equal or any(equal[name] < 0.999 * count[name] for name in equal):
        sys.exit(1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
