#!/usr/bin/env bash
# Makes the event model OUT/event_model.npz: renders isolated events in OUT/events and pre-trains a
# VGGish with an eighth of the channels on them. If it is killed, run it again: it goes on where it
# stopped.
#
# Environment variables:
#   BIN  folder of the installed commands
#   OUT  folder for all output
set -euo pipefail
cd "$(dirname "$0")/.."
if [ ! -f "$OUT/event_model.npz" ]; then
  "$BIN"/crossask-prepare --dataset=events --data_dir="$OUT/events" --events=1500
  "$BIN"/crossask-pretrain --events="$OUT/events/events.csv" --out="$OUT/event_model.npz" \
    --width=0.125 --clip_seconds=2.9 --epochs=9
fi
