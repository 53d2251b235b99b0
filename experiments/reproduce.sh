#!/usr/bin/env bash
# All rows of one experiment file on its corpus: a step of each row first (preflight), then features, training, evaluation, report.
# Every step goes on where a killed run stopped; a row that fails does not stop the others, and the exit code says so.
#   EXPERIMENT: the file of rows; DATASET and DATA: the corpus and its folder; OUT: where runs and report go
#   SEEDS: runs of each row; ROWS: some rows only; JOBS: runs trained at once (CPUs); DOWNLOAD=1: fetch the corpus first
#   DRY_RUN=1: print the plan and stop
set -euo pipefail
cd "$(dirname "$0")/.."
BIN=${BIN:-.venv/bin} SEEDS=${SEEDS:-0} ROWS=${ROWS:-} JOBS=${JOBS:-1} DOWNLOAD=${DOWNLOAD:-} DRY_RUN=${DRY_RUN:-}
EXPERIMENT="$EXPERIMENT${ROWS:+:$ROWS}"
OVERRIDE=--params_override=${PARAMS_OVERRIDE:-}
start=$SECONDS
on() { case "$1" in "" | 0 | no | false) return 1 ;; esac }
step() { printf '\n== %s (%d s) ==\n' "$1" $((SECONDS - start)); }

if on "$DRY_RUN"; then
  exec "$BIN"/crossask-train --dry_run --experiment="$EXPERIMENT" "$OVERRIDE" --data_dir="$DATA" --seeds="$SEEDS"
fi
step "1/4 Corpus"
on "$DOWNLOAD" && FETCH=--download || FETCH=
"$BIN"/crossask-prepare --dataset="$DATASET" --data_dir="$DATA" $FETCH
# features are computed here, so that the preflight comes before their hours
step "2/4 Preflight, features and training"
trained=0
"$BIN"/crossask-train --experiment="$EXPERIMENT" "$OVERRIDE" --data_dir="$DATA" --features_dir="$OUT/features" \
  --model_dir="$OUT/runs" --seeds="$SEEDS" --jobs="$JOBS" || trained=$?
[ "$trained" -eq 0 ] || [ "$trained" -eq 3 ] || exit "$trained"
step "3/4 Evaluate"
evaluated=0
"$BIN"/crossask-evaluate --model_dir="$OUT/runs" || evaluated=$?
[ "$evaluated" -eq 0 ] || [ "$evaluated" -eq 3 ] || exit "$evaluated"
step "4/4 Report"
"$BIN"/crossask-report --model_dir="$OUT/runs" --out="$OUT/report" --json="$OUT/report/table.json"
step "Done"
echo "The report: $OUT/report/report.html (and report.md, table.csv, table.tex)"
failed=$((trained > evaluated ? trained : evaluated))
[ "$failed" -eq 0 ] || echo "Some runs failed; their errors stand above. The same command tries them again."
exit "$failed"
