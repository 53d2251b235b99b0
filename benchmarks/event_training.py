"""Tests whether a full-size VGGish learns from scratch inside a scene model.

The task needs the events: four clips have the same log-mel and differ in their patches alone, of
which each has an event in a quarter of the mel bins. Without the events the loss cannot be below
ln 4 = 1.386. The script prints the loss and the standard deviation of the embeddings over the
patches. Eight gigabytes of memory are enough.

  python benchmarks/event_training.py --system CMAM --initialisation he --learning_rate 1e-4
"""

import argparse

import numpy as np
import tf_keras as keras

from crossask import config, models
from crossask.events import VGGish

CLIPS = 4
FRAMES = 100
MEL_BINS = 64
# The loss at which a clip's scene has a probability of 99.9 %.
SOLVED = 0.001


def task(patches_of_clip: int) -> dict[str, np.ndarray]:
    """Returns the inputs of four clips that differ in their events alone."""
    rng = np.random.default_rng(0)
    log_mel = np.repeat(rng.normal(-4.0, 1.5, (1, FRAMES, MEL_BINS, 2)), CLIPS, axis=0)
    patches = np.repeat(rng.normal(-2.5, 1.0, (1, patches_of_clip, 96, MEL_BINS)), CLIPS, axis=0)
    bins = MEL_BINS // CLIPS
    for clip in range(CLIPS):
        patches[clip, :, :, clip * bins : (clip + 1) * bins] += 3.0
    return {"log_mel": log_mel.astype(np.float32), "patches": patches.astype(np.float32)}


def train(
    system: str, event_model: VGGish, learning_rate: float, steps: int, patches_of_clip: int
) -> None:
    """Trains a scene model with the paper's sizes on the task.

    Every tenth step and the last one are printed.
    """
    statistics = {}
    if system != "VEM":
        statistics["log_mel_mean"] = np.full(MEL_BINS, -4.0)
        statistics["log_mel_deviation"] = np.full(MEL_BINS, 1.5)
    model = models.build(system, CLIPS, config.ModelConfig(), event_model=event_model, **statistics)
    model.compile(
        keras.optimizers.Adam(learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    inputs = task(patches_of_clip)
    scenes = np.arange(CLIPS)
    for step in range(steps):
        # The last step is known by its loss, so the embeddings before each step are kept.
        embeddings = event_model(inputs["patches"]).numpy()
        loss = float(np.ravel(model.train_on_batch(inputs, scenes))[0])
        is_last = step == steps - 1 or loss < SOLVED
        if step % 10 == 0 or is_last:
            deviation = embeddings.reshape(CLIPS * patches_of_clip, -1).std(axis=0).mean()
            print(f"step {step}: loss {loss:.3f}, deviation {deviation:.2g}", flush=True)
        if is_last:
            break


def main() -> None:
    """Parses the command line and trains."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--system", default="CMAM", choices=["VEM", "JRM", "CMAM"], help="the scene model"
    )
    parser.add_argument(
        "--initialisation", default="he", help="as in the field event_model.initialisation"
    )
    parser.add_argument(
        "--embedding_tap",
        default="linear",
        choices=["linear", "relu"],
        help="as in the field event_model.embedding_tap",
    )
    parser.add_argument("--learning_rate", type=float, default=1e-4, help="of Adam")
    parser.add_argument("--steps", type=int, default=40, help="training steps, at most")
    parser.add_argument("--patches", type=int, default=2, help="patches of a clip; JRM needs 4")
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    event_model = VGGish(
        trainable=True,
        initialisation=arguments.initialisation,
        embedding_tap=arguments.embedding_tap,
        seed=0,
    )
    train(
        arguments.system,
        event_model,
        arguments.learning_rate,
        arguments.steps,
        arguments.patches,
    )


if __name__ == "__main__":
    main()
