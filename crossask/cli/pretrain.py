"""crossask-pretrain: trains an event model as a tagger of labelled events and writes weights for event_model.weights.

  crossask-pretrain --events=events.csv --out=event_model.npz --width=0.125
  crossask-pretrain --events=esc50.csv --test_folds=5 --out=event_model.npz

The CSV has a header: filename, and labels (several, AudioSet style) or category (one, ESC-50 style), optionally fold.
`crossask-prepare --dataset=events` renders such a collection of isolated events.
"""

import sys

from absl import flags

from crossask.cli import command
from crossask.errors import CrossaskError

FLAGS = flags.FlagValues()
flags.DEFINE_string("events", "", "CSV of sound files and labels.", flag_values=FLAGS)
flags.DEFINE_string("out", "", "Weights to write (.npz).", flag_values=FLAGS)
flags.DEFINE_string("model", "vggish", "vggish | yamnet.", flag_values=FLAGS)
flags.DEFINE_float(
    "width", 1.0, "Share of the published channel counts.", 0.01, 1.0, flag_values=FLAGS
)
flags.DEFINE_string("weights", "", "Weights to start from; default: random.", flag_values=FLAGS)
flags.DEFINE_float("clip_seconds", 10.0, "Clips are cut or padded to this.", 1.0, flag_values=FLAGS)
flags.DEFINE_integer("epochs", 30, "Passes over the clips.", 1, flag_values=FLAGS)
flags.DEFINE_integer("batch_size", 32, "Clips a step.", 1, flag_values=FLAGS)
flags.DEFINE_float("learning_rate", 1e-3, "Adam's.", 0.0, flag_values=FLAGS)
flags.DEFINE_list(
    "test_folds", [], "Clips of these folds are only scored, once, at the end.", flag_values=FLAGS
)
flags.DEFINE_integer("seed", 0, "Of weights, order and validation part.", 0, flag_values=FLAGS)
flags.DEFINE_integer("workers", 2, "Files read at once.", 1, flag_values=FLAGS)


def pretrain(values, _rest):
    command.required(values, "events", "out")
    if not values.out.endswith(".npz"):
        raise CrossaskError(f"--out is {values.out!r}.", "Give a path that ends in .npz.")
    from crossask import config, pretraining

    clips = pretraining.read_labelled_clips(values.events)
    test = [clip for clip in clips if clip.fold in values.test_folds]
    training = [clip for clip in clips if clip.fold not in values.test_folds]
    if values.test_folds and not test:
        raise CrossaskError(
            f"No clip has one of the folds {values.test_folds}.",
            f"Check the column fold of {values.events}.",
        )
    event_model = config.EventModelConfig(
        name=values.model, width=values.width, weights=values.weights
    )
    settings = pretraining.PretrainingConfig(
        event_model,
        values.clip_seconds,
        values.epochs,
        values.batch_size,
        values.learning_rate,
        seed=values.seed,
    )
    bars = (
        command.progress_bar("patches"),
        command.progress_bar(f"pre-training {values.model}", "epoch"),
    )
    report = pretraining.pretrain(settings, training, test, values.out, values.workers, *bars)
    tested = (
        f", {100 * report['test_tag_accuracy']:.1f} % on {len(test)} test clips" if test else ""
    )
    command.LOG.info(
        "%d kinds of events; tag accuracy %.1f %% on the validation part%s. Weights: %s",
        len(report["kinds"]),
        100 * report["validation_tag_accuracy"],
        tested,
        values.out,
    )


def main(argv=None) -> int:
    return command.run(__doc__, FLAGS, pretrain, argv)


if __name__ == "__main__":
    sys.exit(main())
