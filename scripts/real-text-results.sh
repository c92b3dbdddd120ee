#!/usr/bin/env bash
# The runs behind docs/results/real-text.md: BERT and ELECTRA on real text, three arms each, and their tables and curves.
#
#   scripts/real-text-results.sh DATA RUNS OUT      DATA made by scripts/get-real-data.sh; about an hour on two cores
#
# May be stopped and started again: runs are resumed.
set -euo pipefail
[ $# -eq 3 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
fnlm=${FNLM:-$root/target/release/fnlm}
data=$(realpath "$1") runs=$2 out=$3
mkdir -p "$runs" "$out"

lexicon=$runs/wordnet.safetensors
[ -e "$lexicon" ] || "$fnlm" lexicon build --wordnet "$data/wordnet" --tokenizer "$data/tokenizer.json" --out "$lexicon"

train() { # preset, name, correction
  "$fnlm" pretrain --config "$root/configs/$1.toml" --run "$runs/$2" --correction "$3" \
    --set model.init="\"$data/bert-tiny\"" --set data.tokenizer="\"$data/tokenizer.json\"" \
    --set data.train="[\"$data/corpus/train\"]" --set data.held_out="[\"$data/corpus/heldout\"]" \
    --set data.cache="\"$runs/cache\"" --set lexicon.path="\"$lexicon\""
}
for family in electra-mini bert-tiny-continued; do
  name=${family%%-*}
  train "$family" "$name-baseline" none
  train "$family" "$name-hard" hard
  train "$family" "$name-soft" soft
  "$fnlm" report "$runs/$name-baseline" "$runs/$name-hard" "$runs/$name-soft" --markdown --curves "$out/$name" > "$out/$name.md"
done
