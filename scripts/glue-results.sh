#!/usr/bin/env bash
# Fine-tunes one encoder on five tasks of GLUE, with fnlm and with transformers' Trainer: same files, same hyper-parameters,
# three seeds each. Makes the table of docs/results/glue.md.
#
#     scripts/glue-results.sh GLUE_DATA MODEL OUT      (python with torch, transformers, accelerate, scikit-learn, scipy)
set -euo pipefail
data=$1 model=$2 out=$3
here=$(cd "$(dirname "$0")" && pwd)
fnlm=${FNLM:-fnlm} python=${PYTHON:-python3}
mkdir -p "$out"

# Task, folder, epochs, first training examples.
while read -r task folder epochs limit; do
  "$fnlm" finetune --task "$task" --model "$model" --data "$data/$folder" --out "$out/$task" --seeds 3 --no-models \
    --recipe transformers --lr 1e-4 --set warmup=0.1 --epochs "$epochs" --batch 32 --length 128 --limit "$limit"
  if [ ! -s "$out/peer-$task.jsonl" ]; then
    "$python" "$here/peer-finetune.py" --model "$model" --data "$data/$folder" --task "$task" --epochs "$epochs" --lr 1e-4 \
      --batch 32 --length 128 --limit "$limit" --seeds 1 2 3 --out "$out/peer-$task.jsonl"
  fi
done <<'TASKS'
cola CoLA 2 8551
sst2 SST-2 1 10000
mrpc MRPC 3 3668
stsb STS-B 2 5749
rte RTE 2 2490
TASKS
"$python" "$here/glue-table.py" "$out"
