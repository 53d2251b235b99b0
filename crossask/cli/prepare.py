"""crossask-prepare: gets a corpus, its features and the event models' weights ready; a killed run goes on.

crossask-prepare --dataset=soundscapes --data_dir=DATA                       renders the embedded corpus
crossask-prepare --dataset=tau2019 --data_dir=DATA --download                fetches and unpacks a published corpus
crossask-prepare --dataset=events --data_dir=DATA                            renders isolated events for crossask-pretrain
crossask-prepare --dataset=tau2019 --data_dir=DATA --experiment=FILE.py      writes the features that these rows read
crossask-prepare --dataset=... --experiment=... --runner=beam                the same as an Apache Beam pipeline
crossask-prepare --assets=vggish,yamnet                                      fetches and verifies weights
"""

import sys

from absl import flags

from crossask.cli import command
from crossask.errors import CrossaskError

FLAGS = flags.FlagValues()
command.define_experiment_flags(FLAGS)
flags.DEFINE_string(
    "dataset",
    "",
    "soundscapes | tau2019 | tut2017 | folder | embeddings | events.",
    flag_values=FLAGS,
)
flags.DEFINE_boolean(
    "download",
    False,
    "Fetch the data set's archives into --data_dir first (tau2019: 35.6 GB, tut2017: 10.7 GB; for non-commercial use).",
    flag_values=FLAGS,
)
flags.DEFINE_list(
    "assets",
    [],
    "Weight files to fetch, by their names in vggish_assets/manifest.json; 'all' for every one.",
    flag_values=FLAGS,
)
flags.DEFINE_enum(
    "runner",
    "direct",
    ["direct", "beam"],
    "What computes features: this process's threads, or an Apache Beam pipeline.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "beam_options",
    "",
    "Beam's own options: '--runner=FlinkRunner --flink_master=...'.",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "workers", 2, "Processes that render, threads that compute features.", 1, flag_values=FLAGS
)
flags.DEFINE_integer(
    "soundscapes_seed", None, "Another seed, other recordings; default: 0.", 0, flag_values=FLAGS
)
flags.DEFINE_integer(
    "locations_per_scene",
    None,
    "Soundscapes: places of each scene; default: 12.",
    2,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "clips_per_location",
    None,
    "Soundscapes: clips of each place; default: 3.",
    1,
    flag_values=FLAGS,
)
flags.DEFINE_list(
    "cities",
    [],
    "Soundscapes: cities to train in; default: two. Milan is always the unseen one.",
    flag_values=FLAGS,
)
flags.DEFINE_integer("events", 1200, "Isolated events to render.", 1, flag_values=FLAGS)


def prepare(values, _rest):
    if values.assets:
        _fetch_assets(values.assets)
        if not values.dataset and not values.download:
            return
    command.required(values, "dataset", "data_dir")
    if values.beam_options and values.runner != "beam":
        raise CrossaskError(
            "--beam_options is given without --runner=beam.", "Add it, or leave the options out."
        )
    if values.runner == "beam":
        command.required(values, "experiment")
    if values.download:
        from crossask.datasets import download_corpus

        download_corpus(values.dataset, values.data_dir, command.progress_bar(values.dataset, "B"))
    if values.dataset == "events":
        from crossask.datasets import soundscapes

        path = soundscapes.write_events(
            values.data_dir,
            values.soundscapes_seed or 0,
            values.events,
            values.workers,
            command.progress_bar("events"),
        )
        command.LOG.info("Labelled events: %s", path)
        return
    if values.dataset == "soundscapes":
        _render(values)
    from crossask.datasets import read_corpus

    corpus = read_corpus(values.dataset, values.data_dir)
    command.LOG.info(
        "%s: %d clips of %d scenes from %d locations, %d fold(s).",
        corpus.name,
        len(corpus.clips),
        len(corpus.scenes),
        len({clip.location for clip in corpus.clips}),
        len(corpus.folds),
    )
    if corpus.unused or corpus.faulty:
        command.LOG.info(
            "%d clips are in no fold and left out; %d are marked as partly faulty and kept.",
            corpus.unused,
            corpus.faulty,
        )
    if values.experiment:
        _features(values, corpus)


def _features(values, corpus):
    rows = command.experiments(values)
    from crossask.features.cache import prepare_features

    elsewhere = None
    if values.runner == "beam":
        import shlex

        from crossask.features import beam

        try:
            elsewhere = beam.runner(shlex.split(values.beam_options))
        except ValueError as error:
            raise CrossaskError(
                f"--beam_options is {values.beam_options!r} ({error}).", "Close the quotation mark."
            ) from error
    folder = command.features_dir(values.data_dir, values.features_dir)
    for row in rows:
        cache = prepare_features(
            corpus,
            row,
            folder,
            values.workers,
            command.progress_bar(f"features of {row.name}"),
            elsewhere,
        )
        for kind, path in cache.folders.items():
            command.LOG.info("%s %s: %s", kind, list(cache.shapes[kind]), path)


def _render(values):
    import dataclasses

    from crossask.datasets import soundscapes

    given = {
        "seed": values.soundscapes_seed,
        "locations_per_scene": values.locations_per_scene,
        "clips_per_location": values.clips_per_location,
        "cities": tuple(values.cities) or None,
    }
    # what is not asked for stays as the folder's recordings have it: the second call, for features, repeats no flags
    config = dataclasses.replace(
        soundscapes.recorded_config(values.data_dir),
        **{k: v for k, v in given.items() if v is not None},
    )
    soundscapes.write_soundscapes(
        values.data_dir, config, values.workers, command.progress_bar("soundscapes")
    )


def _fetch_assets(names):
    from crossask.events import assets

    for name in assets.names() if names == ["all"] else names:
        print(f"{name}: {assets.fetch(name, progress=command.progress_bar(name, 'B'))}")


def main(argv=None) -> int:
    return command.run(__doc__, FLAGS, prepare, argv)


if __name__ == "__main__":
    sys.exit(main())
