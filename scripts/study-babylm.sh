#!/usr/bin/env bash
# The data of studies/babylm*.toml: text, a vocabulary made of it, and the masked LM from which all runs start.
#
#     scripts/study-babylm.sh TEXT DATA       TEXT: a folder with DOMAIN.train.xz and DOMAIN_dev.train.xz of five domains of BabyLM,
#                                             600,000 and 100,000 words each; writes DATA/babylm
#
# FNLM names the program (target/release/fnlm), THREADS its threads (1). The masked LM takes about twelve minutes of one thread.
set -euo pipefail
[ $# -eq 2 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
fnlm=${FNLM:-$root/target/release/fnlm} threads=${THREADS:-1}
text=$1 out=$2/babylm
mkdir -p "$out/train" "$out/dev"

for domain in bnc_spoken childes gutenberg open_subtitles simple_wiki; do
  [ -e "$out/dev/$domain.txt" ] || xz -dc "$text/${domain}_dev.train.xz" > "$out/dev/$domain.txt"
  # The training files hold the development text, as their ends and in documents that stand twice: lines of more than 40 characters that are
  # in both are taken out.
  [ -e "$out/train/$domain.txt" ] || xz -dc "$text/$domain.train.xz" | awk -v dev="$out/dev/$domain.txt" '
    function line(text) { gsub(/^[ \t\r]+|[ \t\r]+$/, "", text); return text }
    BEGIN { while ((getline text < dev) > 0) if (length(line(text)) > 40) held[line(text)] }
    !(line($0) in held)' > "$out/train/$domain.txt.part"
  [ -e "$out/train/$domain.txt" ] || mv "$out/train/$domain.txt.part" "$out/train/$domain.txt"
done
# Held-out text: 50 blocks of about 300 words of each domain, evenly spread over its development text, domains in turn.
[ -e "$out/held-out.txt" ] || python3 - "$out" <<'PYTHON'
import pathlib, sys
out = pathlib.Path(sys.argv[1])
domains = []
for path in sorted((out / "dev").glob("*.txt")):
    blocks, lines, words = [], [], 0
    for line in path.read_text().split("\n"):
        lines.append(line)
        words += len(line.split())
        if words >= 300:
            blocks.append(lines)
            lines, words = [], 0
    domains.append([blocks[int(i * (len(blocks) / 50))] for i in range(50)])
with open(out / "held-out.txt", "w") as file:
    for i in range(50):
        for blocks in domains:
            file.write("\n".join(line for line in blocks[i] if line.strip()) + "\n\n")
PYTHON
# 1,000 words of the development texts, each with a word drawn from the training text by its frequency: nearly all of them wrong (labelled
# so unread).
[ -e "$out/random.jsonl" ] || python3 - "$out" <<'PYTHON'
import json, pathlib, random, re, sys
out, draw = pathlib.Path(sys.argv[1]), random.Random(1)
words = [w for path in sorted((out / "train").glob("*.txt")) for w in re.findall(r"\b[a-z]+\b", path.read_text())]
with open(out / "random.jsonl", "w") as file:
    for path in sorted((out / "dev").glob("*.txt")):
        lines = path.read_text().split("\n")
        for item in range(200):
            while True:
                at = draw.randrange(len(lines))
                context = "\n".join(lines[at:at + 3])
                found = list(re.finditer(r"\b[a-z]+\b", context))
                if 15 <= len(found) <= 60:
                    break
            match = draw.choice(found)
            while (other := draw.choice(words)) == match[0]:
                pass
            file.write(json.dumps({"id": f"{path.stem}-{item}", "domain": path.stem, "context": context, "start": match.start(),
                                   "word": match[0], "prediction": other, "labels": ["W"]}) + "\n")
PYTHON
[ -e "$out/tokenizer" ] || "$fnlm" tokenizer train "$out/train" --size 8192 --out "$out/tokenizer"

# The masked LM: short rows first (with rows of 64 a model of this size stays at the frequencies of words for thousands of steps), then
# rows of 64, as in the study.
masked_lm() {
  "$fnlm" pretrain --preset bert-tiny --train "$out/train" --held-out "$out/held-out.txt" --tokenizer "$out/tokenizer" \
    --set data.cache="$out/cache" --set data.packing=electra --set model.num_layers=4 --set model.hidden_dropout=0 \
    --set model.attention_dropout=0 --set optimizer.beta2=0.98 --set optimizer.bias_correction=true --threads "$threads" \
    --set eval.batches=0 --set log.every=100 --set log.tensorboard=false --seed 100 "$@"
}
[ -e "$out/short/model" ] || masked_lm --run "$out/short" --length 32 --batch 64 --steps 6000 --set schedule.lr=3e-3 \
  --set schedule.warmup=300 --set eval.every=1000 --set checkpoint.every=3000
[ -e "$out/long/model" ] || masked_lm --run "$out/long" --init "$out/short/model" --length 64 --batch 32 --steps 1500 \
  --set schedule.lr=1e-3 --set schedule.warmup=100 --set eval.every=500 --set checkpoint.every=1500
[ -e "$out/start" ] || cp -r "$out/long/model" "$out/start"

# For studies/babylm-bert.toml, where scripts/get-real-data.sh DATA has brought WordNet: its sets, and sets of the same size of other words.
if [ -e "$2/wordnet" ]; then
  [ -e "$out/wordnet.safetensors" ] ||
    "$fnlm" lexicon build --preset paper --wordnet "$2/wordnet" --tokenizer "$out/tokenizer" --out "$out/wordnet.safetensors"
  [ -e "$out/placebo.safetensors" ] ||
    "$fnlm" lexicon placebo --lexicon "$out/wordnet.safetensors" --tokenizer "$out/tokenizer" --text "$out/train" --out "$out/placebo.safetensors"
fi
