"""crossask-pretrain: trains an event model or a trunk on labelled events and writes its weights.

crossask-pretrain --events=events.csv --out=event_model.npz --width=0.125
crossask-pretrain --events=esc50.csv --test_folds=5 --out=event_model.npz
crossask-pretrain --embeddings=events.npz --experiment=FILE.py:vem --out=trunk.npz

To use the weights, set event_model.weights of a row to the written file. The CSV has the columns
filename and labels (one or more, separated by commas or semicolons, as in AudioSet) or category
(one, as in ESC-50), and optionally fold. `crossask-prepare --dataset=events` renders isolated
events and writes such a CSV.

With --embeddings, sound is not needed: the network of a VEM row is trained to predict events from
embeddings, and all its layers but the last are written. To use them, set model.trunk of the row to
the written file. The .npz has event_names [events] and, for the parts train, val and optionally
test, PART_x [clips, patches, width] and PART_y [clips, events] (0 or 1). Of the other flags,
epochs, batch_size, learning_rate and seed apply.
"""

import sys
from collections.abc import Sequence

from absl import flags

from crossask import locks
from crossask.cli import command
from crossask.config import catalogue
from crossask.errors import CrossaskError

FLAGS = flags.FlagValues()
command.define_wait_flag(FLAGS)
flags.DEFINE_string("events", "", "CSV of sound files and labels.", flag_values=FLAGS)
flags.DEFINE_string(
    "embeddings",
    "",
    "Instead of --events: .npz of embeddings and events, on which a trunk is trained.",
    flag_values=FLAGS,
)
command.define_experiment_flags(FLAGS, corpus=False)
flags.DEFINE_string("out", "", "Weights to write (.npz).", flag_values=FLAGS)
flags.DEFINE_string(
    "model",
    "vggish",
    f"Event model to train: {' | '.join(catalogue.trainable_event_models())}.",
    flag_values=FLAGS,
)
flags.DEFINE_float(
    "width",
    1.0,
    "Factor on the published numbers of channels; below 1 for a smaller network.",
    0.01,
    1.0,
    flag_values=FLAGS,
)
flags.DEFINE_string("weights", "", "Weights to start from; default: random.", flag_values=FLAGS)
flags.DEFINE_float(
    "clip_seconds",
    10.0,
    "Length of a clip in seconds; longer ones are cut, shorter ones are padded with silence.",
    1.0,
    flag_values=FLAGS,
)
flags.DEFINE_integer("epochs", 30, "Number of epochs.", 1, flag_values=FLAGS)
flags.DEFINE_integer("batch_size", 32, "Clips in a batch.", 1, flag_values=FLAGS)
flags.DEFINE_float("learning_rate", 1e-3, "Adam's learning rate.", 0.0, flag_values=FLAGS)
flags.DEFINE_list(
    "test_folds",
    [],
    "Folds that are left out of training and scored once, at the end.",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "seed",
    0,
    "Seed of the initial weights, the order of the clips and the validation part.",
    0,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "workers",
    2,
    "Number of sound files that are read at the same time.",
    1,
    flag_values=FLAGS,
)


def pretrain(values: flags.FlagValues, _positional: list[str]) -> None:
    """Trains the event model or the trunk."""
    if values.events and values.embeddings:
        raise CrossaskError("Both --events and --embeddings are given.", "Give one of them.")
    command.required(values, "embeddings" if values.embeddings else "events")
    if not values.out.endswith(".npz"):
        raise CrossaskError(f"--out is {values.out!r}.", "Give a path that ends in .npz.")
    with locks.of_path(values.out):
        if values.embeddings:
            _pretrain_trunk(values)
        else:
            _pretrain_event_model(values)


def _pretrain_trunk(values: flags.FlagValues) -> None:
    """Trains the trunk of a row and logs its mean average precision."""
    rows = command.experiments(values)
    if len(rows) != 1:
        raise CrossaskError(
            f"--experiment selects {len(rows)} rows.", "Select one: --experiment=FILE.py:row."
        )
    from crossask import pretraining

    settings = pretraining.TrunkPretrainingConfig(
        experiment=rows[0],
        epochs=values.epochs,
        batch_size=values.batch_size,
        learning_rate=values.learning_rate,
        seed=values.seed,
    )
    progress = command.progress_bar("pre-training of a trunk", "epoch")
    report = pretraining.pretrain_trunk(settings, values.embeddings, values.out, progress)
    tested = ""
    if report["test_clips"]:
        tested = f", {100 * report['test_map']:.1f} % on {report['test_clips']} test clips"
    command.LOG.info(
        "%d events; mean average precision %.1f %% on the validation part (epoch %d)%s. Trunk: %s",
        report["events"],
        100 * report["validation_map"],
        report["best_epoch"],
        tested,
        values.out,
    )


def _pretrain_event_model(values: flags.FlagValues) -> None:
    """Trains the event model and logs its accuracy."""
    from crossask import config, pretraining

    clips = pretraining.read_labelled_clips(values.events)
    test = [clip for clip in clips if clip.fold in values.test_folds]
    training = [clip for clip in clips if clip.fold not in values.test_folds]
    if values.test_folds and not test:
        raise CrossaskError(
            f"No clip has one of the folds {values.test_folds}.",
            f"Check the column fold of {values.events}.",
        )
    settings = pretraining.PretrainingConfig(
        event_model=config.EventModelConfig(
            name=values.model, width=values.width, weights=values.weights
        ),
        clip_seconds=values.clip_seconds,
        epochs=values.epochs,
        batch_size=values.batch_size,
        learning_rate=values.learning_rate,
        seed=values.seed,
    )
    progress = pretraining.ProgressFunctions(
        clips=command.progress_bar("patches"),
        epochs=command.progress_bar(f"pre-training {values.model}", "epoch"),
    )
    report = pretraining.pretrain(settings, training, test, values.out, values.workers, progress)
    tested = ""
    if test:
        accuracy = 100 * report["test_tag_accuracy"]
        tested = f", {accuracy:.1f} % on {len(test)} test clips"
    command.LOG.info(
        "%d kinds of events; tag accuracy %.1f %% on the validation part%s. Weights: %s",
        len(report["kinds"]),
        100 * report["validation_tag_accuracy"],
        tested,
        values.out,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command.run(__doc__, FLAGS, pretrain, argv, needs=("out",))


if __name__ == "__main__":
    sys.exit(main())
