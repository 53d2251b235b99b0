r"""crossask-pretrain: trains an event model or a trunk on labelled events and writes its weights.

If the command is killed, run it again: it continues where it stopped.

crossask-pretrain --events=events.csv --out=event_model.npz --width=0.125
crossask-pretrain --events=esc50.csv --test_folds=5 --out=event_model.npz
crossask-pretrain --events=balanced_train_segments.csv --audio_dir=SOUNDS \
  --test_events=eval_segments.csv --event_names=class_labels_indices.csv --out=event_model.npz
crossask-pretrain --embeddings=events.npz --experiment=FILE.py:vem --out=trunk.npz

To use the weights, set event_model.weights of a row to the written file. The CSV has the columns
filename (absolute, or relative to the CSV or to a folder audio beside it) and labels (one or more,
separated by commas or semicolons) or category (one, as in ESC-50), and optionally fold; or it is a
list of segments as AudioSet publishes it.
`crossask-prepare --dataset=events` renders isolated events and writes such a CSV.

With --embeddings, sound is not needed: the network of a VEM row is trained to predict events from
embeddings, and all its layers but the last are written. To use them, set model.trunk of the row to
the written file. The .npz has event_names [events] and, for the parts train, val and optionally
test, PART_x [clips, patches, width] and PART_y [clips, events] (0 or 1). Of the other flags,
epochs, batch_size, learning_rate and seed apply, and training uses one device.
"""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from crossask import locks
from crossask.cli import command, progress, shared_flags
from crossask.config import catalogue
from crossask.errors import CrossaskError
from crossask.text_tables import natural_key

if TYPE_CHECKING:
    from crossask.pretraining import LabelledClip

# Flags that apply to --events alone, and to --embeddings alone.
OF_SOUND = (
    "test_events",
    "test_folds",
    "audio_dir",
    "event_names",
    "features_dir",
    "model",
    "width",
    "weights",
    "clip_seconds",
    "balanced",
    "mixup_alpha",
    "workers",
    "runner",
    "beam_options",
    # A trunk is small: it is trained on one device, and saved after each epoch.
    "distribution",
    "tpu",
    "peer_timeout",
    "save_steps",
)
OF_EMBEDDINGS = ("experiment", "config_file", "params_override")
# The parts of a row that its trunk depends on.
OF_TRUNK = ("system", "model", "event_model")
FLAGS = flags.FlagValues()
shared_flags.define_wait_flag(FLAGS)
shared_flags.define_device_flags(FLAGS)
shared_flags.define_runner_flags(FLAGS)
flags.DEFINE_string("events", "", "CSV of sound files and labels.", flag_values=FLAGS)
flags.DEFINE_string(
    "test_events",
    "",
    "Another CSV of the same kind, whose clips are scored once, at the end.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "audio_dir",
    "",
    "AudioSet: folder of the sound files, named after the segments (YTID.wav, YYTID.wav, "
    "YTID_30000_40000.flac). Segments without a sound file are left out.",
    flag_values=FLAGS,
)
flags.DEFINE_string("event_names", "", "AudioSet: its class_labels_indices.csv.", flag_values=FLAGS)
flags.DEFINE_string(
    "features_dir",
    "",
    "Folder of the stored patches; default: 'features' in <out>.training.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "embeddings",
    "",
    "Instead of --events: .npz of embeddings and events, on which a trunk is trained.",
    flag_values=FLAGS,
)
shared_flags.define_experiment_flags(FLAGS, corpus=False)
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
flags.DEFINE_bool(
    "balanced",
    False,
    "Read clips with rare labels more often, so that all labels occur about equally often.",
    flag_values=FLAGS,
)
flags.DEFINE_float(
    "mixup_alpha",
    0.0,
    "Mix training clips in pairs, with shares from Beta(alpha, alpha); 0: mix none.",
    0.0,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "workers",
    2,
    "Number of shards of patches that are computed at the same time.",
    1,
    flag_values=FLAGS,
)


def pretrain(values: flags.FlagValues, _positional: list[str]) -> int:
    """Trains the event model or the trunk, and returns the exit code."""
    if values.events and values.embeddings:
        raise CrossaskError("Both --events and --embeddings are given.", "Give one of them.")
    given = "embeddings" if values.embeddings else "events"
    others = OF_SOUND if values.embeddings else OF_EMBEDDINGS
    command.refuse(values, others, f"--{given}")
    command.required(values, given)
    shared_flags.refuse_unused_device_flags(values)
    if not values.out.endswith(".npz"):
        raise CrossaskError(f"--out is {values.out!r}.", "Give a path that ends in .npz.")
    if not values.learning_rate:
        raise CrossaskError(
            "--learning_rate is 0, with which nothing is learned.",
            "Give a rate above 0, such as 0.001.",
        )
    if values.embeddings:
        with locks.of_path(values.out):
            _pretrain_trunk(values)
        return 0
    exit_code = shared_flags.exit_code_of_child(values)
    if exit_code is not None:
        return exit_code
    with contextlib.ExitStack() as held:
        # Machines of one cluster share the folders, and the first one writes.
        if _is_first_machine(values.distribution):
            held.enter_context(locks.of_path(values.out))
        _pretrain_event_model(values)
    return 0


def _is_first_machine(distribution: str) -> bool:
    if distribution != "multi_worker_mirrored":
        return True
    from crossask.training import peers

    cluster = peers.read(os.environ)
    # Without machines, which is an error of its own, nothing is written.
    return cluster is not None and cluster.number == 0


def _pretrain_trunk(values: flags.FlagValues) -> None:
    """Trains the trunk of a row and logs its mean average precision."""
    rows = shared_flags.experiments(values)
    if len(rows) != 1:
        raise CrossaskError(
            f"--experiment selects {len(rows)} rows.", "Select one: --experiment=FILE.py:row."
        )
    _check_overrides(values.params_override)
    from crossask import pretraining

    settings = pretraining.TrunkPretrainingConfig(
        experiment=rows[0],
        epochs=values.epochs,
        batch_size=values.batch_size,
        learning_rate=values.learning_rate,
        seed=values.seed,
    )
    bar = progress.progress_bar("pre-training of a trunk", "epoch")
    report = pretraining.pretrain_trunk(settings, values.embeddings, values.out, bar)
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


def _check_overrides(params_override: str) -> None:
    """Raises CrossaskError for a field that has no effect on the pre-training of a trunk."""
    from crossask import config

    for name in config.parse_overrides(params_override):
        if name.partition(".")[0] not in OF_TRUNK:
            raise CrossaskError(
                f"--params_override sets {name}, which has no effect on the pre-training of a "
                "trunk.",
                f"Set fields of {', '.join(OF_TRUNK)} alone. Training is set by --epochs, "
                "--batch_size, --learning_rate and --seed.",
            )


def _pretrain_event_model(values: flags.FlagValues) -> None:
    """Trains the event model and logs its scores."""
    elsewhere = shared_flags.runner(values)
    from crossask import config, pretraining
    from crossask.training import devices

    settings = pretraining.PretrainingConfig(
        event_model=config.EventModelConfig(
            name=values.model, width=values.width, weights=values.weights
        ),
        clip_seconds=values.clip_seconds,
        epochs=values.epochs,
        batch_size=values.batch_size,
        learning_rate=values.learning_rate,
        seed=values.seed,
        mixup_alpha=values.mixup_alpha,
        is_balanced=values.balanced,
    )
    training, test = _labelled_clips(values)
    with devices.connected(values.distribution, values.tpu, values.peer_timeout) as distribution:
        options = pretraining.Options(
            features_dir=values.features_dir or None,
            workers=values.workers,
            elsewhere=elsewhere,
            distribution=distribution,
            save_steps=values.save_steps,
        )
        machines = devices.machines(distribution)
        if machines.is_first:
            options = dataclasses.replace(
                options,
                clip_progress=progress.progress_bar("patches"),
                epoch_progress=progress.progress_bar(f"pre-training {values.model}", "epoch"),
            )
        with locks.waiting(locks.waits() or machines.count > 1):
            report = pretraining.pretrain(settings, training, test, values.out, options)
    if machines.is_first:
        _log_scores(report, values.out)


def _labelled_clips(
    values: flags.FlagValues,
) -> tuple[Sequence["LabelledClip"], Sequence["LabelledClip"]]:
    """Returns the clips to train on and the test clips."""
    if values.test_events and values.test_folds:
        raise CrossaskError("Both --test_events and --test_folds are given.", "Give one of them.")
    given = [path for path in (values.events, values.test_events) if path]
    if not any(_is_of_audioset(path) for path in given):
        command.refuse(values, ("audio_dir", "event_names"), "a CSV of labelled files")
    clips = _read_clips(values.events, values)
    if values.test_events:
        return clips, _read_clips(values.test_events, values)
    test = [clip for clip in clips if clip.fold in values.test_folds]
    training = [clip for clip in clips if clip.fold not in values.test_folds]
    folds = {clip.fold for clip in clips}
    for fold in values.test_folds:
        if fold not in folds:
            raise CrossaskError(
                f"No clip of {values.events} has the fold {fold!r}.",
                f"Its folds are {', '.join(sorted(folds, key=natural_key)) or 'none'}.",
            )
    return training, test


def _read_clips(path: str, values: flags.FlagValues) -> Sequence["LabelledClip"]:
    """Returns the clips of one CSV, of labelled files or of AudioSet's segments."""
    from crossask import pretraining

    if not _is_of_audioset(path):
        return pretraining.read_labelled_clips(path)
    command.required(values, "audio_dir", "event_names")
    return pretraining.read_segments(path, values.audio_dir, values.event_names)


def _is_of_audioset(path: str) -> bool:
    """Returns whether a file is one of AudioSet's lists of segments."""
    from crossask import pretraining

    return os.path.isfile(path) and pretraining.is_segments_file(path)


def _log_scores(report: Mapping[str, Any], out: str) -> None:
    """Logs the score that chose the epoch, and those of the test clips."""
    validated = f"tag accuracy {100 * report['validation_tag_accuracy']:.1f} %"
    if "validation_map" in report:
        validated = f"mean average precision {100 * report['validation_map']:.1f} %"
    tested = ""
    if report["test_clips"]:
        tested = f"; on {report['test_clips']} test clips: "
        tested += f"tag accuracy {100 * report['test_tag_accuracy']:.1f} %"
    if "test_map" in report:
        tested += f", mean average precision {100 * report['test_map']:.1f} %"
        tested += f", AUC {report['test_auc']:.3f}"
    if report.get("test_d_prime") is not None:
        tested += f", d' {report['test_d_prime']:.2f}"
    command.LOG.info(
        "%d kinds of events; %s on the validation part%s. Weights: %s",
        len(report["kinds"]),
        validated,
        tested,
        out,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command.run(__doc__, FLAGS, pretrain, argv, needs=("out",), takes_words=False)


if __name__ == "__main__":
    sys.exit(main())
