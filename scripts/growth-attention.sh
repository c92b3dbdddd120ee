#!/usr/bin/env bash
# Measures time and memory of a pre-training step of ModernBERT by the length of its rows, 128 to 8,192 tokens, one row a step, with logarithmic
# slopes: 1 is linear, 2 quadratic: 12 layers of 256 as the preset modern-small has them (windows of 128, every third layer global), and
# transformers' ModernBertForMaskedLM (sdpa) beside it. About 15 minutes on two otherwise idle cores.
#
#     scripts/growth-attention.sh OUT        PYTHON=venv/bin/python adds transformers, alternating with fnlm
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
fnlm=${FNLM:-$root/target/release/fnlm}
out=$1
mkdir -p "$out"
lengths="128 256 512 1024 2048 4096 8192"
: > "$out/growth-attention.jsonl"
for length in $lengths; do
  "$fnlm" bench modern-small --batch 1 --length "$length" --steps 3 --json --quiet > "$out/fnlm-$length.json"
  printf '{"program": "fnlm", "length": %s, "result": %s}\n' "$length" "$(tr -d '\n' < "$out/fnlm-$length.json")" >> "$out/growth-attention.jsonl"
  if [ -n "${PYTHON:-}" ]; then
    printf '{"program": "transformers", "length": %s, "result": %s}\n' "$length" \
      "$("$PYTHON" "$root/scripts/peer-pretrain.py" --model modern-small --batch 1 --length "$length" --steps 3)" >> "$out/growth-attention.jsonl"
  fi
done
# The two shapes of the comparison, alternated three times.
for round in 1 2 3; do
  for shape in "16 128" "4 1024"; do
    set -- $shape
    printf '{"program": "fnlm", "round": %s, "batch": %s, "length": %s, "result": %s}\n' "$round" "$1" "$2" \
      "$("$fnlm" bench modern-small --batch "$1" --length "$2" --json --quiet | tr -d '\n')" >> "$out/growth-attention.jsonl"
    [ -z "${PYTHON:-}" ] || printf '{"program": "transformers", "round": %s, "batch": %s, "length": %s, "result": %s}\n' "$round" "$1" "$2" \
      "$("$PYTHON" "$root/scripts/peer-pretrain.py" --model modern-small --batch "$1" --length "$2")" >> "$out/growth-attention.jsonl"
  done
done
# What one layer costs: of 1, 3 and 4 layers, the first and the fourth see the whole row, the second and third a window.
for length in $lengths; do
  for layers in 1 3 4; do
    printf '{"program": "fnlm", "layers": %s, "length": %s, "result": %s}\n' "$layers" "$length" \
      "$("$fnlm" bench modern-small --batch 1 --length "$length" --steps 7 --set model.num_layers=$layers --json --quiet | tr -d '\n')" >> "$out/growth-attention.jsonl"
  done
done
"$fnlm" bench modern-small --batch 1 --steps 3 --sweep length="${lengths// /,}" --plot "$out" --quiet | tee "$out/growth-attention.txt"
