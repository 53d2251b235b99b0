#!/usr/bin/env bash
# Pre-trains a trunk of VEM on AudioSet's events for each seed: OUT/trunk_0.npz, OUT/trunk_1.npz and
# so on, with --seed=0, 1 and so on. If it is killed, run it again: it goes on where it stopped.
# A trunk that is older than events.npz is compared with it: crossask-pretrain ends with an error if
# it was trained on other events.
#
# Environment variables:
#   BIN    folder of the installed commands
#   OUT    folder with events.npz of benchmarks/audioset_embeddings.py, and for all output
#   SEEDS  the seeds
set -euo pipefail
cd "$(dirname "$0")/.."
export BIN=${BIN:-.venv/bin}
export OUT=${OUT:-audioset_files}

for SEED in ${SEEDS:-0 1 2 3 4}; do
  if [ ! "$OUT/trunk_$SEED.npz" -nt "$OUT/events.npz" ]; then
    "$BIN"/crossask-pretrain --embeddings="$OUT/events.npz" --out="$OUT/trunk_$SEED.npz" \
      --experiment=experiments/tut2017_trunk.py:vem_from_scratch --epochs=8 --batch_size=64 \
      --seed="$SEED"
  fi
done
