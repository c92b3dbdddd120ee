"""From an export of `fnlm probe false-negatives`, the first N passages of each text that a model's rows hold.

    python scripts/babylm-to-label.py EXPORTED.jsonl TOKENIZER.json LENGTH N > to-label.jsonl      (pip install tokenizers)
"""

import json
import sys

from tokenizers import Tokenizer


def main():
    exported, tokenizer, length, count = sys.argv[1], Tokenizer.from_file(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    tokenizer.no_truncation()
    tokenizer.no_padding()
    kept = {}
    for line in open(exported):
        row = json.loads(line)
        mine = kept.setdefault(row["domain"], [])
        if len(mine) < count and len(tokenizer.encode(row["context"]).ids) <= length:
            mine.append(line)
    for lines in kept.values():
        sys.stdout.writelines(lines)


main()
