#!/usr/bin/env bash
# The studies behind docs/results/small-corpus.md: ELECTRA and BERT, four arms, three seeds, five tasks; then the probe and a
# robustness table of the first seed's models.
#
#   scripts/small-corpus-results.sh DATA GLUE OUT      DATA made by scripts/get-real-data.sh, GLUE the folders of the tasks
#
# About two hours on two cores. May be stopped and started again.
set -euo pipefail
[ $# -eq 3 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
fnlm=${FNLM:-$root/target/release/fnlm}
data=$(realpath "$1") glue=$(realpath "$2")
mkdir -p "$3"
cd "$3"
[ -e data ] || { mkdir data && ln -s "$data"/* data/ && ln -s "$glue" data/glue; }
[ -e data/lexicons ] || FNLM=$fnlm "$root/scripts/study-lexicons.sh" data
cp -r "$root/studies" .
arms=(baseline hard hard-placebo soft)

for study in small-corpus small-corpus-bert; do
  "$fnlm" study run "studies/$study.toml" "${arms[@]/#/--arm=}"
  "$fnlm" study report "studies/$study.toml" > "$study.md"
  for arm in "${arms[@]}"; do
    run=study-$study/$arm/seed-1
    "$fnlm" probe false-negatives "$run" --lexicon data/lexicons/wordnet.safetensors --lexicon data/lexicons/vectors.safetensors \
      --wordnet data/wordnet --markdown > "$study-$arm-probe.md"
    "$fnlm" finetune --task mrpc --data data/glue --model "$run/model" --out "robust/$study-$arm" --seeds 1 --quiet \
      --set epochs=3 --set double_pairs=false > /dev/null
    "$fnlm" robust --task mrpc --data data/glue --model "robust/$study-$arm/seed-1/model" --wordnet data/wordnet \
      --out "robust/$study-$arm-sets" --markdown > "$study-$arm-robust.md"
  done
done
