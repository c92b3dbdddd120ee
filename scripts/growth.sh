#!/usr/bin/env bash
# Measures time and memory of a pre-training step by batch, length, width, vocabulary and look-up sets, and of preparing text by the size of
# the corpus. Makes docs/results/growth.md and its figures; about 20 minutes on two otherwise idle cores.
#
#     scripts/growth.sh OUT          SIZES=10,100,1000,2000: megabytes of generated text
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
fnlm=${FNLM:-$root/target/release/fnlm}
out=$1
sizes=${SIZES:-10,100,1000,2000}
mkdir -p "$out/growth"
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
  echo "## Corpus"
  echo
  echo "\`fnlm bench --corpus $sizes\`: generated text, dense rows of 128, two workers. The memory is that of preparing."
  echo
  "$fnlm" bench --corpus "$sizes" --plot "$out/growth" --quiet
  echo
  echo "![preparing](growth/corpus-prepare.svg) ![memory](growth/corpus-memory.svg) ![loader](growth/corpus-loader.svg)"
} > "$out/growth.md"
echo "wrote $out/growth.md"
