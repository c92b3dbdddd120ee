#!/usr/bin/env bash
# Fine-tunes a model on the tasks of (Super)GLUE as the BabyLM challenge cuts them, one after the other.
#
#   scripts/babylm-glue.sh glue_filtered MODEL OUT [OPTIONS OF fnlm finetune]
#   scripts/babylm-glue.sh glue_filtered runs/a/model runs/a/glue --seeds 3 --no-models
#
# glue_filtered holds TASK.train.jsonl and TASK.valid.jsonl (also .xz, .gz, .zst). MNLI, MRPC, QQP and RTE: pairs of sentences whose labels
# are numbers. A task without a training file (BoolQ, MultiRC) is left out, and so is WSC, whose input is a pair of places in a text. The
# same command goes on after a stop. FNLM names the program [default: fnlm].
set -euo pipefail

if [ $# -lt 3 ]; then
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
data=$(cd "$1" && pwd)
model=$2
out=$3
shift 3
mkdir -p "$out"

for task in mnli:premise:hypothesis:'"0", "1", "2"' mrpc:sentence1:sentence2:'"0", "1"' qqp:question1:question2:'"0", "1"' \
    rte:sentence1:sentence2:'"0", "1"'; do
    IFS=: read -r name first second labels <<< "$task"
    files=("$data/$name".train.jsonl* "$data/$name".valid.jsonl*)
    if [ ! -e "${files[0]}" ] || [ ! -e "${files[1]}" ]; then
        echo "babylm-glue: no $name.train.jsonl and $name.valid.jsonl in $data; left out" >&2
        continue
    fi
    mkdir -p "$out/data/$name"
    for file in "${files[@]}"; do
        ln -sfn "$file" "$out/data/$name/$(basename "${file#"$data/$name".}")"
    done
    cat > "$out/$name.toml" << END
[task]
type = "pair"
first = "$first"
second = "$second"
label = "label"
labels = [$labels]
END
    "${FNLM:-fnlm}" finetune --task "$out/$name.toml" --data "$out/data/$name" --model "$model" --out "$out/$name" "$@"
done
