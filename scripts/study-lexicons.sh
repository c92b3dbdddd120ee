#!/usr/bin/env bash
# The look-up sets of studies/small-corpus*.toml: WordNet, its placebo, and neighbours in GloVe.
#
#     scripts/study-lexicons.sh DATA          DATA made by scripts/get-real-data.sh; writes DATA/lexicons
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
fnlm=${FNLM:-$root/target/release/fnlm}
data=$1 out=$1/lexicons
mkdir -p "$out"
[ -e "$out/wordnet.safetensors" ] ||
  "$fnlm" lexicon build --wordnet "$data/wordnet" --tokenizer "$data/tokenizer.json" --out "$out/wordnet.safetensors"
[ -e "$out/placebo.safetensors" ] ||
  "$fnlm" lexicon placebo --lexicon "$out/wordnet.safetensors" --tokenizer "$data/tokenizer.json" \
    --text "$data/corpus/train" --out "$out/placebo.safetensors"
[ -e "$out/vectors.safetensors" ] ||
  "$fnlm" lexicon build --vectors "$data"/glove-6b-50d/*.npy --words "$data"/glove-6b-50d/*.parquet \
    --tokenizer "$data/tokenizer.json" --out "$out/vectors.safetensors"
