#!/usr/bin/env bash
# The demo from recordings to a compared, saved scene classifier. Every step goes on where a killed run stopped.
#   BIN: folder of the installed commands; OUT: where everything is written; SEEDS: runs of FA and CMAM feature-based
#   JOBS: runs trained at once, for CPUs
set -euo pipefail
cd "$(dirname "$0")/.."
BIN=${BIN:-.venv/bin} OUT=${OUT:-demo_output} SEEDS=${SEEDS:-0,1,2} JOBS=${JOBS:-2}
ROWS=experiments/demo.py
WEIGHTS=--params_override=event_model.weights=$OUT/event_model.npz
RUN=$OUT/runs/cmam_feature_based/fold1/seed${SEEDS%%,*}
start=$SECONDS
step() { printf '\n== %s (%d s) ==\n' "$1" $((SECONDS - start)); }

step "1/7 Render binaural city scenes and isolated events"
"$BIN"/crossask-prepare --dataset=soundscapes --data_dir="$OUT/soundscapes"
[ -f "$OUT/event_model.npz" ] || "$BIN"/crossask-prepare --dataset=events --data_dir="$OUT/events" --events=1500

step "2/7 Pre-train a narrow VGGish on the isolated events"
[ -f "$OUT/event_model.npz" ] || "$BIN"/crossask-pretrain --events="$OUT/events/events.csv" --out="$OUT/event_model.npz" \
  --width=0.125 --clip_seconds=2.9 --epochs=9

step "3/7 Compute features"
"$BIN"/crossask-prepare --dataset=soundscapes --data_dir="$OUT/soundscapes" --experiment="$ROWS" "$WEIGHTS"

step "4/7 Train FA, CMAM from scratch and CMAM feature-based"
TRAIN=("$BIN"/crossask-train "$WEIGHTS" --data_dir="$OUT/soundscapes" --model_dir="$OUT/runs" --jobs="$JOBS")
"${TRAIN[@]}" --experiment="$ROWS":fa,cmam_feature_based --seeds="$SEEDS"
# the event model's backward pass makes this row as dear as three of the others: one seed
"${TRAIN[@]}" --experiment="$ROWS":cmam_from_scratch --seeds="${SEEDS%%,*}"

step "5/7 Evaluate on places never heard, and report"
"$BIN"/crossask-evaluate --model_dir="$OUT/runs"
"$BIN"/crossask-report --model_dir="$OUT/runs" --out="$OUT/report"

step "6/7 Export CMAM feature-based as a SavedModel"
[ "$OUT/model" -nt "$RUN/result.json" ] || rm -rf "$OUT/model"
[ -d "$OUT/model" ] || "$BIN"/crossask-export --model_dir="$RUN" --out="$OUT/model"

step "7/7 Name the scene of recordings it never saw"
"$BIN"/crossask-prepare --dataset=soundscapes --data_dir="$OUT/unheard" --soundscapes_seed=2019 --locations_per_scene=4 --clips_per_location=1
"$BIN"/crossask-predict --model="$OUT/model" $(ls "$OUT"/unheard/audio/*.wav | awk 'NR % 8 == 1')

step "Done"
echo "The report:    $OUT/report/report.html (and report.md, table.csv)"
echo "The model:     $OUT/model     $BIN/crossask-predict --model=$OUT/model YOUR.wav"
echo "The sounds:    $OUT/soundscapes/audio, what sounds when: $OUT/soundscapes/events.csv"
echo "Learning curves: $BIN/tensorboard --logdir $OUT/runs"
