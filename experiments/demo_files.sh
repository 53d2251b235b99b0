#!/usr/bin/env bash
# Makes the demo's files: the recordings in OUT/soundscapes and the event model
# OUT/event_model.npz. If it is killed, run it again: it goes on where it stopped.
#
# Environment variables:
#   BIN  folder of the installed commands
#   OUT  folder for all output
set -euo pipefail
cd "$(dirname "$0")/.."
export BIN=${BIN:-.venv/bin}
export OUT=${OUT:-demo_output}

"$BIN"/crossask-prepare --dataset=soundscapes --data_dir="$OUT/soundscapes"
bash experiments/event_model.sh
