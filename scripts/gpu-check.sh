#!/usr/bin/env bash
# Checks fnlm on a GPU and writes one JSON file: agreement with the CPU, speed, and the speed of PyTorch on the same machine.
# Needs no network and no Rust: only fnlm (see .ci/cuda-build), python3, and for the comparison PyTorch with transformers.
#
#     scripts/gpu-check.sh FNLM DEVICES OUT.json      e.g. scripts/gpu-check.sh ./fnlm cuda:0,vulkan:0 gpu.json
#
# Every device is compared with flex; speed is measured on the first one. QUICK=1 uses small sizes, to test the script on a software
# device. PYTHON is the interpreter. PyTorch uses its own choice of device: the GPU, if it finds one.
set -uo pipefail
[ $# -eq 3 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
fnlm=$(realpath "$1") out=$(realpath -m "$3")
IFS=, read -ra devices <<< "$2"
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
mkdir results

note() { printf '==> %s\n' "$*" >&2; }
# name, command...: its standard output is one JSON value. With nvidia-smi, also records the peak GPU memory.
keep() {
  local name=$1 watch=
  shift
  note "$name: $*"
  if command -v nvidia-smi > /dev/null; then
    (while :; do nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits; sleep 0.2; done) > "results/$name.memory" 2> /dev/null &
    watch=$!
  fi
  "$@" > "results/$name.json" 2> "results/$name.err"
  echo $? > "results/$name.code"
  [ -z "$watch" ] || { kill "$watch"; wait "$watch" 2> /dev/null; }
  [ "$(cat "results/$name.code")" = 0 ] || tail -n 5 "results/$name.err" >&2
}

if [ -n "${QUICK:-}" ]; then
  steps=4 bench_steps=2 runs=("electra-tiny 2 16")
else
  steps=300 bench_steps=20 runs=("electra-small 128 128" "bert-base 16 512")
fi

# Losses and gradients of a small model, then a few hundred steps of the quickstart in each precision.
"$fnlm" quickstart --prepare-only --out q >&2
train() { # name, device, dtype
  note "$steps steps: $*"
  "$fnlm" pretrain --config q/config.toml --run "run-$1" --device "$2" --set train.dtype="$3" --set train.steps=$steps \
    --set log.every=1 --set eval.every=0 --set data.held_out='[]' --set model.hidden_dropout=0.0 \
    --set model.attention_dropout=0.0 --set train.temperature=0.01 --set correction.preset=hard --quiet >&2
}
train flex flex f32
for device in "${devices[@]}"; do
  keep "doctor-$device" "$fnlm" doctor --device "$device" --json
  for dtype in f32 bf16; do
    train "$device-$dtype" "$device" $dtype
    keep "losses-$device-$dtype" "$python" "$here/compare-metrics.py" --json run-flex/metrics.jsonl "run-$device-$dtype/metrics.jsonl"
  done
done

for run in "${runs[@]}"; do
  # shellcheck disable=SC2086
  set -- $run
  for dtype in f32 bf16; do
    keep "fnlm-$1-$dtype" "$fnlm" bench "$1" --batch "$2" --length "$3" --dtype "$dtype" --device "${devices[0]}" --steps $bench_steps --json --quiet
  done
done

if "$python" -c "import torch, transformers" 2>/dev/null; then
  for run in "${runs[@]}"; do
    # shellcheck disable=SC2086
    set -- $run
    for mode in "f32 --attention eager" "f32" "f32 --compile" "bf16 --attention eager" "bf16" "bf16 --compile"; do
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
    # A command that finds a difference reports it in its JSON and its exit code; PyTorch may print warnings before its JSON line.
    for part in (text, text.splitlines()[-1] if text else ""):
        try:
            value = json.loads(part)
            break
        except ValueError:
            value = {"failed": path.with_suffix(".err").read_text()[-2000:]}
    if not isinstance(value, dict):
        value = {"value": value}
    value["exit_code"] = int(path.with_suffix(".code").read_text())
    memory = path.with_suffix(".memory")
    used = [int(line) for line in memory.read_text().split() if line.isdigit()] if memory.exists() else []
    if used:
        value["gpu_memory_mib"] = max(used)
    found[path.stem] = value
pathlib.Path(sys.argv[1]).write_text(json.dumps(found, indent=1) + "\n")
for name, value in found.items():
    speed = value.get("tokens_per_s") or [f"{r['tokens_per_second']:.0f}" for r in value.get("runs", [])]
    print(name, "failed" if "failed" in value else speed or value.get("largest", value["exit_code"]))
PYTHON
