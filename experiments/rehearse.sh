#!/usr/bin/env bash
# The rehearsal: soundscapes with the official names and one official fold at a twentieth of TAU 2019, an event model trained
# on isolated events, then experiments/reproduce.sh as it is.
#   OUT: where everything is written; SEEDS, ROWS, JOBS, DRY_RUN (which needs the rendered corpus, too): see reproduce.sh
set -euo pipefail
cd "$(dirname "$0")/.."
export BIN=${BIN:-.venv/bin} OUT=${OUT:-rehearsal_output}
EVENTS="$OUT/event_model.npz"
"$BIN"/crossask-prepare --dataset=soundscapes --data_dir="$OUT/soundscapes" --locations_per_scene=24 --clips_per_location=3 \
  --cities=barcelona,helsinki,lisbon,london,lyon,paris,prague,stockholm,vienna
if [ ! -f "$EVENTS" ]; then
  "$BIN"/crossask-prepare --dataset=events --data_dir="$OUT/events" --events=1500
  "$BIN"/crossask-pretrain --events="$OUT/events/events.csv" --out="$EVENTS" --width=0.125 --clip_seconds=2.9 --epochs=9
fi
export DATA="$OUT/soundscapes" DATASET=soundscapes EXPERIMENT=experiments/rehearsal.py PARAMS_OVERRIDE="event_model.weights=$EVENTS"
exec bash experiments/reproduce.sh
