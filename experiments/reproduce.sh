#!/usr/bin/env bash
# Trains, evaluates and reports all rows of one experiment file. Before the features of the corpus
# are computed, each row is checked with a few clips: features, two training steps, evaluation and
# export (preflight).
# If it is killed, run it again: it continues where it stopped. A run that fails does not stop the
# others. The exit code is 0 only if no run failed.
#
# Environment variables:
#   EXPERIMENT  experiment file
#   DATASET     data set
#   DATA        folder of the data set
#   OUT         folder for features, runs and report
#   SEEDS       seeds of each row, separated by commas
#   ROWS        rows to run, separated by commas (default: all)
#   JOBS        runs that are trained at the same time (on CPUs only)
#   DOWNLOAD=1  download the data set first
#   DRY_RUN=1   print the plan and stop; with DOWNLOAD=1, only the metadata is downloaded
#   PARAMS_OVERRIDE  fields to replace in every row
set -euo pipefail
cd "$(dirname "$0")/.."
BIN=${BIN:-.venv/bin}
SEEDS=${SEEDS:-0}
ROWS=${ROWS:-}
JOBS=${JOBS:-1}
DOWNLOAD=${DOWNLOAD:-}
DRY_RUN=${DRY_RUN:-}
EXPERIMENT="$EXPERIMENT${ROWS:+:$ROWS}"
OVERRIDE=--params_override=${PARAMS_OVERRIDE:-}
start=$SECONDS
is_on() { case "$1" in "" | 0 | no | false) return 1 ;; esac }
step() { printf '\n== %s (%d s) ==\n' "$1" $((SECONDS - start)); }

if is_on "$DRY_RUN"; then
  if is_on "$DOWNLOAD"; then
    "$BIN"/crossask-prepare --dataset="$DATASET" --data_dir="$DATA" --download --metadata_only
  fi
  exec "$BIN"/crossask-train --dry_run --experiment="$EXPERIMENT" "$OVERRIDE" \
    --data_dir="$DATA" --seeds="$SEEDS"
fi

step "1/4 Prepare the data set"
is_on "$DOWNLOAD" && FETCH=--download || FETCH=
"$BIN"/crossask-prepare --dataset="$DATASET" --data_dir="$DATA" $FETCH

# crossask-train computes the features, too: computing them takes hours and must follow the
# preflight.
step "2/4 Check the rows (preflight), compute features and train"
trained=0
"$BIN"/crossask-train --experiment="$EXPERIMENT" "$OVERRIDE" --data_dir="$DATA" \
  --features_dir="$OUT/features" --model_dir="$OUT/runs" --seeds="$SEEDS" --jobs="$JOBS" ||
  trained=$?
# Exit code 3 means that some rows failed. The others are evaluated all the same.
[ "$trained" -eq 0 ] || [ "$trained" -eq 3 ] || exit "$trained"

step "3/4 Evaluate"
evaluated=0
"$BIN"/crossask-evaluate --model_dir="$OUT/runs" || evaluated=$?
[ "$evaluated" -eq 0 ] || [ "$evaluated" -eq 3 ] || exit "$evaluated"

step "4/4 Report"
"$BIN"/crossask-report --model_dir="$OUT/runs" --out="$OUT/report" --json="$OUT/report/table.json"

step "Done"
echo "Report: $OUT/report/report.html (also report.md, table.csv and table.tex)"
failed=$((trained > evaluated ? trained : evaluated))
[ "$failed" -eq 0 ] || echo "Some runs failed; see the errors above. Run the same command to retry."
exit "$failed"
