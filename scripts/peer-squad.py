"""Fine-tunes on questions of SQuAD with transformers' Trainer, for its speed: the other half of docs/results/speed.md.

    pip install torch transformers accelerate
    python scripts/peer-squad.py --model DIR --train train-v1.1.json --limit 600 --steps 40

Prints one JSON line: windows and their mean length, windows per second. Batches hold windows of like length and are padded to the
longest, as fnlm's are; `--pad max` pads all to `--length`, as transformers' own example does.
"""

import argparse
import json
import lzma
import pathlib
import resource
import tempfile

import transformers
from transformers import (AutoModelForQuestionAnswering, AutoTokenizer, DataCollatorWithPadding, Trainer,
                          TrainingArguments)


def questions(path):
    opened = lzma.open if path.suffix == ".xz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        for article in json.load(file)["data"]:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    yield question["question"], paragraph["context"], question["answers"][:1]


def windows(tokenizer, found, length, stride):
    texts, contexts, answers = zip(*found)
    made = tokenizer(list(texts), list(contexts), truncation="only_second", max_length=length, stride=stride,
                     return_overflowing_tokens=True, return_offsets_mapping=True)
    for window, of in enumerate(made["overflow_to_sample_mapping"]):
        places = [0, 0]  # [CLS] where the answer lies elsewhere
        kinds = made.sequence_ids(window)
        if answers[of]:
            start = answers[of][0]["answer_start"]
            ends = [start, start + len(answers[of][0]["text"]) - 1]
            at = [next((i for i, (low, high) in enumerate(made["offset_mapping"][window])
                        if kinds[i] == 1 and low <= end < high), 0) for end in ends]
            places = at if all(at) else places
        ids = made["input_ids"][window]
        yield {"input_ids": ids, "token_type_ids": made["token_type_ids"][window], "attention_mask": [1] * len(ids),
               "start_positions": places[0], "end_positions": places[1], "length": len(ids)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--train", required=True, type=pathlib.Path)
    parser.add_argument("--limit", type=int, help="first questions only")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=384)
    parser.add_argument("--stride", type=int, default=128)
    parser.add_argument("--pad", choices=["longest", "max"], default="longest")
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    args = parser.parse_args()

    transformers.set_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    train = list(windows(tokenizer, list(questions(args.train))[:args.limit], args.length, args.stride))
    model = AutoModelForQuestionAnswering.from_pretrained(args.model)
    pad = dict(padding="max_length", max_length=args.length) if args.pad == "max" else {}
    settings = TrainingArguments(
        output_dir=tempfile.mkdtemp(), max_steps=args.steps, learning_rate=1e-4, per_device_train_batch_size=args.batch,
        max_grad_norm=1.0, seed=1, bf16=args.dtype == "bf16", use_cpu=True, save_strategy="no", report_to="none",
        logging_strategy="no", disable_tqdm=True, length_column_name="length",
        train_sampling_strategy="group_by_length" if args.pad == "longest" else "random")
    result = Trainer(model=model, args=settings, train_dataset=train, processing_class=tokenizer,
                     data_collator=DataCollatorWithPadding(tokenizer, **pad)).train()
    print(json.dumps({
        "windows": len(train), "mean_length": sum(w["length"] for w in train) / len(train), "pad": args.pad,
        "dtype": args.dtype, "windows_per_second": result.metrics["train_samples_per_second"],
        "loss": result.training_loss,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))


if __name__ == "__main__":
    main()
