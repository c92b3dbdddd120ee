"""Fine-tunes on a task of GLUE with transformers' Trainer: the other half of docs/results/glue.md.

    pip install torch transformers accelerate scikit-learn scipy
    python scripts/peer-finetune.py --model DIR --data GLUE/RTE --task rte --seeds 1 2 3 --out peer-rte.jsonl

One JSON line per seed: scores on the development set, examples per second, seconds. Files are read here, independently of
fnlm's readers; batches are padded to their longest sequence and hold sequences of like length, as fnlm's do.
"""

import argparse
import csv
import json
import lzma
import pathlib
import resource
import sys
import tempfile
import time

import numpy as np
import torch
import transformers
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from transformers import (AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer,
                          TrainingArguments)

# Task: columns of the sentences, of the label, names of the classes (None: a score).
TASKS = {
    "cola": ((3,), 1, ["0", "1"]),
    "sst2": (("sentence",), "label", ["0", "1"]),
    "mrpc": (("#1 String", "#2 String"), "Quality", ["0", "1"]),
    "stsb": (("sentence1", "sentence2"), "score", None),
    "rte": (("sentence1", "sentence2"), "label", ["entailment", "not_entailment"]),
}


def rows(folder, split):
    path = folder / f"{split}.tsv"
    opened = open(path, newline="", encoding="utf-8-sig") if path.exists() else lzma.open(
        f"{path}.xz", "rt", newline="", encoding="utf-8")
    with opened as file:
        yield from csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


def read(task, folder, split, limit=None):
    texts, label, names = TASKS[task]
    lines = rows(folder, split)
    if isinstance(label, str):
        header = next(lines)
        texts, label = [header.index(t) for t in texts], header.index(label)
    found = [(tuple(line[t] for t in texts), line[label]) for line in lines][:limit]
    convert = (lambda v: names.index(v)) if names else float
    return [text for text, _ in found], [convert(value) for _, value in found]


def scores(task, logits, gold):
    if task == "stsb":
        guess = logits[:, 0]
        return {"pearson": float(pearsonr(guess, gold)[0]), "spearman": float(spearmanr(guess, gold)[0])}
    guess = logits.argmax(-1)
    out = {"accuracy": accuracy_score(gold, guess)}
    if task == "mrpc":
        out["f1"] = f1_score(gold, guess)
    if task == "cola":
        out["matthews"] = matthews_corrcoef(gold, guess)
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--task", required=True, choices=TASKS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--limit", type=int, help="first training examples only")
    parser.add_argument("--steps", type=int, default=-1, help="stop after so many steps; for timing")
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--out", default="-")
    args = parser.parse_args()

    tokenizer = AutoTokenizer.from_pretrained(args.model)

    def encoded(split, limit=None):
        texts, labels = read(args.task, args.data, split, limit)
        made = tokenizer(*map(list, zip(*texts)), truncation=True, max_length=args.length)
        return [{**{key: made[key][i] for key in made}, "label": labels[i], "length": len(made["input_ids"][i])}
                for i in range(len(labels))]

    train, dev = encoded("train", args.limit), encoded("dev")
    names = TASKS[args.task][2]
    out = sys.stdout if args.out == "-" else open(args.out, "a")
    for seed in args.seeds:
        transformers.set_seed(seed)
        model = AutoModelForSequenceClassification.from_pretrained(args.model, num_labels=len(names) if names else 1)
        settings = TrainingArguments(
            output_dir=tempfile.mkdtemp(), num_train_epochs=args.epochs, max_steps=args.steps, learning_rate=args.lr,
            per_device_train_batch_size=args.batch, per_device_eval_batch_size=args.batch, warmup_steps=0.1,
            lr_scheduler_type="linear", weight_decay=0.0, max_grad_norm=1.0, adam_epsilon=1e-8, seed=seed,
            train_sampling_strategy="group_by_length", length_column_name="length", save_strategy="no", report_to="none",
            logging_strategy="no", disable_tqdm=True, use_cpu=True, bf16=args.dtype == "bf16")
        trainer = Trainer(model=model, args=settings, train_dataset=train, eval_dataset=dev, processing_class=tokenizer,
                          data_collator=DataCollatorWithPadding(tokenizer))
        clock = time.perf_counter()
        result = trainer.train()
        seconds = time.perf_counter() - clock
        found = trainer.predict(dev)
        line = {"task": args.task, "seed": seed, **scores(args.task, found.predictions, found.label_ids),
                "train": len(train), "dev": len(dev), "loss": result.training_loss, "seconds": round(seconds, 2),
                "examples_per_second": result.metrics["train_samples_per_second"],
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}
        print(json.dumps(line), file=out, flush=True)


if __name__ == "__main__":
    main()
