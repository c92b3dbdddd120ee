#!/usr/bin/env bash
# What a step of pre-training costs as batch, length, width, vocabulary and look-up sets grow, and what preparing text costs as the
# corpus grows. Makes docs/results/growth.md and its pictures; about 20 minutes on two cores, nothing else may run.
#
#     scripts/growth.sh OUT          SIZES="10 100 1000 2000" are the megabytes of generated text
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
fnlm=${FNLM:-$root/target/release/fnlm}
out=$1
mkdir -p "$out/growth"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
{
  echo "# Cost of growth"
  echo
  echo "Made by \`scripts/growth.sh\` on: $("$fnlm" doctor | sed -n 's/^processor *//p' | sed 's/, [0-9.]* GiB of.*//'). ELECTRA-small, 16 x 128, flex, median of 5 steps; one"
  echo "number grows, the others stay. Memory is the process's at its highest."
  while read -r key values; do
    echo
    echo "## $key"
    echo
    echo "\`fnlm bench electra-small --sweep $key=$values\`"
    echo
    "$fnlm" bench electra-small --steps 5 --sweep "$key=$values" --plot "$out/growth" --quiet
    name=${key//./-}
    echo
    echo "![time](growth/electra-small-$name-time.svg) ![memory](growth/electra-small-$name-memory.svg)"
  done <<'SWEEPS'
batch 1,4,8,16,32,64
length 32,64,128,256,512
model.hidden_size 128,256,384,512,768
vocabulary 1000,8000,30522,100000
lexicon-width 8,16,32,64,128
SWEEPS
  echo
  echo "## Preparing text"
  echo
  echo "\`fnlm data prepare\` of generated text, dense rows of 128, two workers."
  echo
  echo "| MB | seconds | MB/s | memory, MiB |"
  echo "|---:|---:|---:|---:|"
  "$fnlm" quickstart --prepare-only --out "$scratch/q" --quiet > /dev/null
  for size in ${SIZES:-10 100 1000 2000}; do
    # The same text again and again is as long as other text.
    : > "$scratch/corpus.txt"
    while [ "$(stat -c %s "$scratch/corpus.txt")" -lt $((size * 1000000)) ]; do
      head -c 10000000 "$scratch/q/corpus.txt" >> "$scratch/corpus.txt"
    done
    rm -rf "$scratch/cache"
    start=$(date +%s.%N)
    /usr/bin/time -f %M -o "$scratch/memory" "$fnlm" data prepare --train "$scratch/corpus.txt" --tokenizer "$scratch/q/tokenizer" \
      --length 128 --set data.packing=dense --set data.cache="\"$scratch/cache\"" --quiet > /dev/null
    seconds=$(echo "$(date +%s.%N) - $start" | bc)
    bytes=$(stat -c %s "$scratch/corpus.txt")
    echo "| $((bytes / 1000000)) | $(printf %.1f "$seconds") | $(echo "$bytes / 1000000 / $seconds" | bc) | $(($(tail -n 1 "$scratch/memory") / 1024)) |"
  done
} > "$out/growth.md"
echo "wrote $out/growth.md"
