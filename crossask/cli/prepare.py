"""crossask-prepare: prepares a data set, its features and the event models' weights.

If the command is killed, run it again: it continues where it stopped.

crossask-prepare --dataset=soundscapes --data_dir=DATA                renders soundscapes
crossask-prepare --dataset=tau2019 --data_dir=DATA --download         downloads and unpacks a corpus
crossask-prepare --dataset=events --data_dir=DATA                     renders isolated events for
                                                                      crossask-pretrain
crossask-prepare --dataset=tau2019 --data_dir=DATA --experiment=ROWS  computes the rows' features
crossask-prepare --dataset=... --experiment=... --runner=beam         the same with Apache Beam
crossask-prepare --dataset=... --experiment=... --verify              reads all stored features, and
                                                                      computes damaged ones again
crossask-prepare --assets=vggish,yamnet                               downloads and checks weights
"""

import dataclasses
import sys
from collections.abc import Callable, Sequence

from absl import flags

from crossask import locks
from crossask.cli import command, progress, shared_flags
from crossask.config import catalogue
from crossask.errors import CrossaskError, WeightsError

# A collection of labelled events for crossask-pretrain; no corpus of scenes.
EVENTS = "events"
# Flags of generated recordings.
OF_SOUNDSCAPES = ("soundscapes_seed", "locations_per_scene", "clips_per_location", "cities")
OF_EVENTS = ("soundscapes_seed", "events")
# Flags of rows, without an effect if no rows are given.
OF_ROWS = ("features_dir", "config_file", "params_override")
# Flags without an effect if only weights are downloaded.
OF_DATASETS = (
    "data_dir",
    "metadata_only",
    "experiment",
    "features_dir",
    "verify",
    "runner",
    "beam_options",
    "workers",
    *OF_SOUNDSCAPES,
    *OF_EVENTS,
)


def _download_help() -> str:
    """Returns the help of --download, with the size of each data set."""
    sizes = []
    for entry in catalogue.DATASETS.values():
        if entry.archives:
            sizes.append(f"{entry.name}: {entry.download_gigabytes:g} GB")
    return (
        f"Download the data set's archives into --data_dir first ({', '.join(sizes)}; for "
        "non-commercial use)."
    )


FLAGS = flags.FlagValues()
shared_flags.define_wait_flag(FLAGS)
shared_flags.define_experiment_flags(FLAGS)
flags.DEFINE_string(
    "dataset", "", f"Data set to prepare: {shared_flags.dataset_names(EVENTS)}.", flag_values=FLAGS
)
flags.DEFINE_boolean("download", False, _download_help(), flag_values=FLAGS)
flags.DEFINE_boolean(
    "metadata_only",
    False,
    "Download the metadata without the recordings: less than 2 MB, and enough for "
    "crossask-train --dry_run.",
    flag_values=FLAGS,
)
flags.DEFINE_list(
    "assets",
    [],
    "Weights to download: vggish, vggish_checkpoint, vggish_pca, yamnet, yamnet_checkpoint, or "
    "all. If one of several fails, the others are still downloaded, and the exit code is 3.",
    flag_values=FLAGS,
)
flags.DEFINE_boolean(
    "verify",
    False,
    "Read all stored features of the rows (checksums, clips, values), and compute damaged files "
    "again.",
    flag_values=FLAGS,
)
shared_flags.define_runner_flags(FLAGS)
flags.DEFINE_integer(
    "workers",
    2,
    "Number of processes that render soundscapes, or of threads that compute features.",
    1,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "soundscapes_seed",
    None,
    "Soundscapes and isolated events: seed of the rendered recordings; default: 0.",
    0,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "locations_per_scene",
    None,
    "Soundscapes: number of locations of each scene; default: 12.",
    2,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "clips_per_location",
    None,
    "Soundscapes: number of clips of each location; default: 3.",
    1,
    flag_values=FLAGS,
)
flags.DEFINE_list(
    "cities",
    [],
    "Soundscapes: cities of the training fold; default: barcelona,helsinki. Milan is in the "
    "evaluation fold only.",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "events",
    1200,
    "Number of isolated events that --dataset=events renders.",
    1,
    flag_values=FLAGS,
)


def prepare(values: flags.FlagValues, _positional: list[str]) -> int:
    """Prepares what the flags request, in the order in which one needs the other.

    Returns:
      The exit code.
    """
    exit_code = 0
    has_dataset = bool(values.dataset or values.download or not values.assets)
    if not has_dataset:
        command.refuse(values, OF_DATASETS, "--assets alone", ", or add --dataset")
    if values.assets:
        exit_code = _fetch_assets(values.assets)
    if has_dataset:
        _prepare_dataset(values)
    return exit_code


def _prepare_dataset(values: flags.FlagValues) -> None:
    """Writes or checks the recordings of a data set, and computes the features of rows."""
    command.required(values, "dataset", "data_dir")
    _check_flags(values)
    elsewhere = shared_flags.runner(values)
    if values.metadata_only and (values.experiment or not values.download):
        raise CrossaskError(
            "--metadata_only leaves out the recordings, from which features are computed.",
            "Use it with --download and without --experiment.",
        )
    if values.runner == "beam" or values.verify:
        command.required(values, "experiment")
    is_rendered = values.dataset == EVENTS or catalogue.dataset(values.dataset).is_rendered
    if values.download or is_rendered:
        with locks.of_folder(values.data_dir):
            _write_recordings(values)
    if values.dataset == EVENTS:
        return
    _log_corpus(values)
    if values.experiment:
        _compute_features(values, elsewhere)


def _check_flags(values: flags.FlagValues) -> None:
    """Raises CrossaskError for a flag that has no effect on the data set."""
    of_corpora = ("download", "experiment", "verify")
    allowed: tuple[str, ...] = of_corpora
    if values.dataset == EVENTS:
        allowed = OF_EVENTS
    elif catalogue.dataset(values.dataset).is_rendered:
        allowed += OF_SOUNDSCAPES
    known = (*of_corpora, *OF_SOUNDSCAPES, *OF_EVENTS)
    others = [name for name in known if name not in allowed]
    command.refuse(values, others, f"--dataset={values.dataset}", ", or set another --dataset")
    if not values.experiment:
        # Scripts give empty ones, too.
        given = [name for name in OF_ROWS if values[name].value]
        reason = f"--dataset={values.dataset} without --experiment"
        command.refuse(values, given, reason, ", or add --experiment")


def _write_recordings(values: flags.FlagValues) -> None:
    """Downloads or renders the recordings of a data set."""
    if values.download:
        from crossask.datasets import download_corpus

        bar = progress.progress_bar(values.dataset, "B")
        download_corpus(values.dataset, values.data_dir, bar, values.metadata_only)
    if values.dataset == EVENTS:
        _render_events(values)
    elif catalogue.dataset(values.dataset).is_rendered:
        _render_soundscapes(values)


def _log_corpus(values: flags.FlagValues) -> None:
    """Checks the corpus and logs its size."""
    from crossask.datasets import read_corpus

    corpus = read_corpus(values.dataset, values.data_dir, need_audio=not values.metadata_only)
    locations = {clip.location for clip in corpus.clips}
    command.LOG.info(
        "%s: %d clips of %d scenes from %d locations, %d fold(s).",
        corpus.name,
        len(corpus.clips),
        len(corpus.scenes),
        len(locations),
        len(corpus.folds),
    )
    if corpus.unused or corpus.faulty:
        command.LOG.info(
            "%d clips are in no fold and are left out; %d are marked as partly faulty and kept.",
            corpus.unused,
            corpus.faulty,
        )


def _compute_features(values: flags.FlagValues, elsewhere: Callable | None) -> None:
    """Computes the rows' features, in this process or by `elsewhere`."""
    rows = shared_flags.experiments(values)
    from crossask.datasets import Corpora
    from crossask.features import verification
    from crossask.features.cache import prepare_features

    folder = shared_flags.features_dir(values.data_dir, values.features_dir)
    corpora = Corpora(values.data_dir)
    for row in rows:
        bar = progress.progress_bar(f"features of {row.name}")
        cache = prepare_features(corpora(row), row, folder, values.workers, bar, elsewhere)
        if values.verify:
            damaged = verification.remove_damaged(cache)
            if damaged:
                prepare_features(corpora(row), row, folder, values.workers, bar, elsewhere)
            count = len(cache.replaced) + len(damaged)
            command.LOG.info("Features of %s: %d files were damaged.", row.name, count)
        for kind, path in cache.folders.items():
            command.LOG.info("%s %s: %s", kind, list(cache.shapes[kind]), path)


def _render_events(values: flags.FlagValues) -> None:
    """Renders isolated events, and logs the path of their CSV."""
    from crossask.datasets import soundscapes

    config = soundscapes.IsolatedEventsConfig(
        seed=values.soundscapes_seed or 0, count=values.events
    )
    bar = progress.progress_bar("events")
    path = soundscapes.write_events(values.data_dir, config, values.workers, bar)
    command.LOG.info("Labelled events: %s", path)


def _render_soundscapes(values: flags.FlagValues) -> None:
    """Renders soundscapes with the settings of the flags, else those of the folder."""
    from crossask.datasets import soundscapes

    given = {
        "seed": values.soundscapes_seed,
        "locations_per_scene": values.locations_per_scene,
        "clips_per_location": values.clips_per_location,
        "cities": tuple(values.cities) or None,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    # Without flags, the folder's recordings stay as they are: the call that computes features need
    # not repeat the flags of the call that rendered.
    config = dataclasses.replace(soundscapes.recorded_config(values.data_dir), **changes)
    bar = progress.progress_bar("soundscapes")
    soundscapes.write_soundscapes(values.data_dir, config, values.workers, bar)


def _fetch_assets(names: Sequence[str]) -> int:
    """Fetches weights, prints their paths, then the errors, and returns the exit code."""
    from crossask.events import assets, manifest

    for name in names:
        # A name that does not exist is an error before the first download.
        if name != "all":
            manifest.entry(name)
    if "all" in names:
        names = assets.names()
    errors = {}
    for name in names:
        try:
            path = assets.fetch(name, progress=progress.progress_bar(name, "B"))
        except WeightsError as error:
            errors[name] = error
        else:
            print(f"{name}: {path}", flush=True)
    for name, error in errors.items():
        command.complain(f"{name}: {error.problem}", error.fix)
    if errors:
        command.LOG.info("%d of %d assets failed: %s.", len(errors), len(names), ", ".join(errors))
    return command.exit_code(len(errors), len(names))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command.run(__doc__, FLAGS, prepare, argv, takes_words=False)


if __name__ == "__main__":
    sys.exit(main())
