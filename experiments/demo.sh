#!/usr/bin/env bash
# Runs the demo: from recordings to a compared, exported scene classifier.
# If it is killed, run it again: every step goes on where it stopped.
#
# Environment variables:
#   BIN    folder of the installed commands
#   OUT    folder for all output
#   SEEDS  seeds of FA and CMAM feature-based, separated by commas
#   JOBS   runs that are trained at the same time (on CPUs only)
set -euo pipefail
cd "$(dirname "$0")/.."
BIN=${BIN:-.venv/bin}
OUT=${OUT:-demo_output}
SEEDS=${SEEDS:-0,1,2}
JOBS=${JOBS:-2}
ROWS=experiments/demo.py
FIRST_SEED=${SEEDS%%,*}
WEIGHTS=--params_override=event_model.weights=$OUT/event_model.npz
RUN=$OUT/runs/cmam_feature_based/fold1/seed$FIRST_SEED
start=$SECONDS
step() { printf '\n== %s (%d s) ==\n' "$1" $((SECONDS - start)); }

step "1/6 Render binaural city scenes and isolated events, and pre-train a narrow VGGish on these"
BIN=$BIN OUT=$OUT bash experiments/demo_files.sh

step "2/6 Compute features"
"$BIN"/crossask-prepare --dataset=soundscapes --data_dir="$OUT/soundscapes" \
  --experiment="$ROWS" "$WEIGHTS"

step "3/6 Train FA, CMAM feature-based and CMAM from scratch"
TRAIN=("$BIN"/crossask-train "$WEIGHTS" --data_dir="$OUT/soundscapes" --model_dir="$OUT/runs"
  --jobs="$JOBS")
"${TRAIN[@]}" --experiment="$ROWS":fa,cmam_feature_based --seeds="$SEEDS"
# A run of this row takes as long as three of the others, because of the event model's backward
# pass, so the row has one seed.
"${TRAIN[@]}" --experiment="$ROWS":cmam_from_scratch --seeds="$FIRST_SEED"

step "4/6 Evaluate on other locations, and write the report"
"$BIN"/crossask-evaluate --model_dir="$OUT/runs"
"$BIN"/crossask-report --model_dir="$OUT/runs" --out="$OUT/report"

step "5/6 Export CMAM feature-based as a SavedModel"
# A model that is older than the run, or has another seed, belongs to an earlier run. Another folder
# is not removed.
CARD=$OUT/model/assets/model_card.json
is_of_run() {
  [ "$OUT/model" -nt "$RUN/result.json" ] && grep -q "^  \"seed\": $FIRST_SEED,*\$" "$CARD"
}
if [ -f "$CARD" ] && ! is_of_run; then
  rm -rf "$OUT/model"
fi
[ -d "$OUT/model" ] || "$BIN"/crossask-export --model_dir="$RUN" --out="$OUT/model"

step "6/6 Predict the scenes of new recordings"
"$BIN"/crossask-prepare --dataset=soundscapes --data_dir="$OUT/unheard" \
  --soundscapes_seed=2019 --locations_per_scene=4 --clips_per_location=1
RECORDINGS=("$OUT"/unheard/audio/*.wav)
CHOSEN=()
for ((number = 0; number < ${#RECORDINGS[@]}; number += 8)); do
  CHOSEN+=("${RECORDINGS[number]}")
done
"$BIN"/crossask-predict --model="$OUT/model" "${CHOSEN[@]}"

step "Done"
echo "Report:          $OUT/report/report.html (also report.md and table.csv)"
echo "Model:           $OUT/model"
echo "Predict:         $BIN/crossask-predict --model=$OUT/model YOUR.wav"
echo "Recordings:      $OUT/soundscapes/audio, their events: $OUT/soundscapes/events.csv"
echo "Learning curves: $BIN/tensorboard --logdir $OUT/runs"
