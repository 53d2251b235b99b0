#!/usr/bin/env bash
# Rehearses the reproduction of Table 3 on generated recordings. It renders soundscapes with the
# official names and one fold, a twentieth of the clips of TAU 2019, trains an event model on
# isolated events, and then runs experiments/reproduce.sh unchanged with the networks of
# experiments/rehearsal.py, which have an eighth of the channels.
#
# Environment variables:
#   OUT                         folder for all output
#   SEEDS, ROWS, JOBS, DRY_RUN  see reproduce.sh; DRY_RUN renders the soundscapes, too
set -euo pipefail
cd "$(dirname "$0")/.."
export BIN=${BIN:-.venv/bin}
export OUT=${OUT:-rehearsal_output}

"$BIN"/crossask-prepare --dataset=soundscapes --data_dir="$OUT/soundscapes" \
  --locations_per_scene=24 --clips_per_location=3 \
  --cities=barcelona,helsinki,lisbon,london,lyon,paris,prague,stockholm,vienna
bash experiments/event_model.sh

export DATA="$OUT/soundscapes"
export DATASET=soundscapes
export EXPERIMENT=experiments/rehearsal.py
export PARAMS_OVERRIDE="event_model.weights=$OUT/event_model.npz"
exec bash experiments/reproduce.sh
