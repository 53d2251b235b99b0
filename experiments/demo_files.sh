#!/usr/bin/env bash
# Makes the demo's files: the recordings in OUT/soundscapes and the event model
# OUT/event_model.npz. If it is killed, run it again: it goes on where it stopped.
#
# Environment variables:
#   BIN  folder of the installed commands
#   OUT  folder for all output
set -euo pipefail
cd "$(dirname "$0")/.."
BIN=${BIN:-.venv/bin}
OUT=${OUT:-demo_output}

"$BIN"/crossask-prepare --dataset=soundscapes --data_dir="$OUT/soundscapes"
if [ ! -f "$OUT/event_model.npz" ]; then
  "$BIN"/crossask-prepare --dataset=events --data_dir="$OUT/events" --events=1500
  "$BIN"/crossask-pretrain --events="$OUT/events/events.csv" --out="$OUT/event_model.npz" \
    --width=0.125 --clip_seconds=2.9 --epochs=9
fi
