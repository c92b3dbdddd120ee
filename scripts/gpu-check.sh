#!/usr/bin/env bash
# What a GPU does with fnlm, in one JSON file: does it compute what the CPU computes, how fast, and how fast is PyTorch there?
# Needs no network and no Rust: fnlm (see .ci/cuda-build), python3, and for the peer PyTorch with transformers.
#
#     scripts/gpu-check.sh FNLM DEVICE OUT.json      e.g. scripts/gpu-check.sh ./fnlm-cuda cuda:0 gpu.json
#
# QUICK=1 makes everything small, to see on a software device that the script works. PYTHON names the interpreter.
# The peer takes its own device: the GPU where PyTorch finds one.
set -uo pipefail
[ $# -ge 3 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
fnlm=$(realpath "$1") device=$2 out=$(realpath -m "$3")
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
mkdir results

note() { printf '==> %s\n' "$*" >&2; }
keep() { # name, command...: its standard output is one JSON value
  local name=$1; shift
  note "$name: $*"
  if ! "$@" > "results/$name.json" 2> "results/$name.err"; then
    tail -n 5 "results/$name.err" >&2
    "$python" -c 'import json,sys; print(json.dumps({"failed": sys.stdin.read()[-2000:]}))' < "results/$name.err" > "results/$name.json"
  fi
}

if [ -n "${QUICK:-}" ]; then
  steps=4 bench_steps=2 runs=("electra-tiny 2 16")
else
  steps=300 bench_steps=20 runs=("electra-small 128 128" "bert-base 16 512")
fi

# Losses and gradients of a small model, then a few hundred steps of the quickstart in each precision.
keep doctor "$fnlm" doctor --device "$device" --json
"$fnlm" quickstart --prepare-only --out q >&2
train() { # name, device, dtype
  "$fnlm" pretrain --config q/config.toml --run "run-$1" --device "$2" --set train.dtype="$3" --set train.steps=$steps \
    --set log.every=1 --set eval.every=0 --set data.held_out='[]' --set model.hidden_dropout=0.0 \
    --set model.attention_dropout=0.0 --set train.temperature=0.01 --set correction.preset=hard --quiet >&2
}
for run in "flex flex f32" "device $device f32" "bf16 $device bf16"; do
  # shellcheck disable=SC2086 # three words
  set -- $run
  note "$steps steps: $run"
  train "$1" "$2" "$3" || continue
  [ "$1" = flex ] || keep "losses-$1" "$python" "$here/compare-metrics.py" --json run-flex/metrics.jsonl "run-$1/metrics.jsonl"
done

for run in "${runs[@]}"; do
  # shellcheck disable=SC2086
  set -- $run
  for dtype in f32 bf16; do
    keep "fnlm-$1-$dtype" "$fnlm" bench "$1" --batch "$2" --length "$3" --dtype "$dtype" --device "$device" --steps $bench_steps --json --quiet
  done
done

if "$python" -c "import torch, transformers" 2>/dev/null; then
  for run in "${runs[@]}"; do
    # shellcheck disable=SC2086
    set -- $run
    for mode in "f32 --attention eager" "f32" "f32 --compile" "bf16" "bf16 --compile"; do
      # shellcheck disable=SC2086
      keep "peer-$1-$(tr -s ' -' - <<< "$mode")" "$python" "$here/peer-pretrain.py" --model "$1" --batch "$2" --length "$3" --head masked \
        --steps $bench_steps --dtype $mode
    done
  done
else
  note "no PyTorch with transformers for $python: no peer"
fi

"$python" - "$out" <<'PYTHON'
import json, pathlib, sys
found = {}
for path in sorted(pathlib.Path("results").glob("*.json")):
    text = path.read_text().strip()
    # The peer prints warnings before its line.
    for part in (text, text.splitlines()[-1] if text else ""):
        try:
            found[path.stem] = json.loads(part)
            break
        except ValueError:
            found[path.stem] = {"failed": text[-2000:]}
pathlib.Path(sys.argv[1]).write_text(json.dumps(found, indent=1) + "\n")
for name, value in found.items():
    speed = value.get("tokens_per_s") or [f"{r['tokens_per_second']:.0f}" for r in value.get("runs", [])]
    print(name, "failed" if "failed" in value else speed or value.get("largest", "ok"))
PYTHON
