"""The studies whose results are stored in this folder: one entry for each JSON file.

`make results` (make_results.py) remakes the files. Text in braces is replaced: {out} is the folder
of all output, {runs} that of the study's runs, {stored} the JSON file to write, {bin} the folder of
the installed commands, {python} the interpreter, and names in capitals are variables of `make`.
Paths are relative to the folder of the repository.
"""

import dataclasses
from collections.abc import Mapping

Command = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Recordings or embeddings, and the command that prepares them.

    Attributes:
      data: Value of --data_dir.
      needs: Variables of `make` that it requires.
      preparation: The command, which can be run again; empty for none.
      after: Name of a corpus that is prepared first; "" for none.
    """

    data: str
    needs: tuple[str, ...] = ()
    preparation: Command = ()
    after: str = ""


@dataclasses.dataclass(frozen=True)
class Training:
    """Rows of one experiment file that are trained with the same seeds and changes.

    Attributes:
      file: The experiment file.
      seeds: Seeds of each row.
      rows: Names of rows; empty: all rows of the file.
      without: Names of rows that are left out.
      override: Value of --params_override.
      evaluations: (row, flag of crossask-evaluate) that are run after the training.
    """

    file: str
    seeds: tuple[int, ...]
    rows: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    override: str = ""
    evaluations: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True)
class Study:
    """What one JSON file contains.

    Attributes:
      name: Name of the JSON file, without its ending.
      about: What the file is, in a few words.
      corpus: Name of its corpus in `CORPORA`.
      trainings: What is trained, in this order; empty if the benchmark needs no trained rows.
      baseline: Value of crossask-report --baseline.
      needs: Variables of `make` that it requires besides those of the corpus.
      minutes: Time on two CPU cores; None if it is not known.
      is_measured: Whether `minutes` was measured. Otherwise it is estimated from other studies.
      benchmark: Command that writes the JSON file in place of crossask-report.
    """

    name: str
    about: str
    corpus: str
    trainings: tuple[Training, ...]
    baseline: str = "FA"
    needs: tuple[str, ...] = ()
    minutes: float | None = None
    is_measured: bool = True
    benchmark: Command = ()


# What a user gives with the variables of `make`.
VARIABLES = {
    "ESC10": "the folder of ESC-10's recordings (github.com/karolpiczak/ESC-10)",
    "YAMNET": "the published YAMNet: https://tfhub.dev/google/yamnet/1, or a file or folder of it",
    "YAMNET_8_BITS": (
        "an .npz with the weights of the published TFLite file of YAMNet, as float32 numbers"
    ),
    "TUT2017_EMBEDDINGS": (
        "an .npz with the parts train, val, test and eval, grouped by clip from the files in "
        "tfRecordsReal/ of github.com/tobiastoft91/VGGish_AudioClassifer_02456"
    ),
    "AMBIENCE": "a CSV of ambience recordings with the columns filename, scene and location",
    "SCENE_RECORDINGS": "a folder of scene recordings at their original level, one for each scene",
    "AUDIOSET": (
        "a folder with AudioSet's published embeddings as bal_train.npz and eval.npz, gathered by "
        "clip from its TFRecord files, and class_labels_indices.csv"
    ),
    "VGGISH_PCA": "the published vggish_pca_params.npz of VGGish",
}

ONE_SEED = (0,)
THREE_SEEDS = (0, 1, 2)
FIVE_SEEDS = (0, 1, 2, 3, 4)

DEMO_FILES = "{out}/demo_files"
AUDIOSET_FILES = "{out}/audioset_files"
CORPORA = {
    "demo": Corpus(
        data=f"{DEMO_FILES}/soundscapes",
        preparation=("env", "BIN={bin}", f"OUT={DEMO_FILES}", "bash", "experiments/demo_files.sh"),
    ),
    "esc10": Corpus(
        data="{out}/esc10_files/clips.csv",
        needs=("ESC10",),
        preparation=(
            "{python}",
            "benchmarks/esc10_table.py",
            "{ESC10}",
            "{out}/esc10_files/clips.csv",
        ),
    ),
    "tut2017_embeddings": Corpus(data="{TUT2017_EMBEDDINGS}", needs=("TUT2017_EMBEDDINGS",)),
    "audioset": Corpus(
        data=f"{AUDIOSET_FILES}/scene_labels.npz",
        needs=("AUDIOSET", "VGGISH_PCA"),
        preparation=(
            "{python}",
            "benchmarks/audioset_embeddings.py",
            "{AUDIOSET}",
            AUDIOSET_FILES,
            "--pca={VGGISH_PCA}",
        ),
    ),
    # The same corpus with the trunks that were pre-trained on AudioSet's events, one for each seed.
    "audioset_trunk": Corpus(
        data=f"{AUDIOSET_FILES}/scene_labels.npz",
        after="audioset",
        needs=("AUDIOSET", "VGGISH_PCA"),
        preparation=(
            "env",
            "BIN={bin}",
            f"OUT={AUDIOSET_FILES}",
            f"SEEDS={' '.join(str(seed) for seed in FIVE_SEEDS)}",
            "bash",
            "experiments/audioset_trunks.sh",
        ),
    ),
    "tut2017_trunk": Corpus(
        data="{TUT2017_EMBEDDINGS}",
        after="audioset_trunk",
        needs=("TUT2017_EMBEDDINGS", "AUDIOSET", "VGGISH_PCA"),
    ),
    "ambience": Corpus(
        data="{out}/ambience_files/clips.csv",
        needs=("AMBIENCE",),
        preparation=(
            "{python}",
            "benchmarks/recordings_to_clips.py",
            "{AMBIENCE}",
            "{out}/ambience_files",
            "--seconds=10",
            "--folds=5",
        ),
    ),
    "scene_recordings": Corpus(data="{SCENE_RECORDINGS}", needs=("SCENE_RECORDINGS",)),
    "ambience_quiet": Corpus(
        data="{out}/ambience_quiet_files/clips.csv",
        after="ambience",
        needs=("AMBIENCE",),
        preparation=(
            "{python}",
            "benchmarks/attenuate_clips.py",
            "{out}/ambience_files/clips.csv",
            "{out}/ambience_quiet_files",
        ),
    ),
}

DEMO_WEIGHTS = f"event_model.weights={DEMO_FILES}/event_model.npz"
YAMNET_WEIGHTS = "event_model.weights={YAMNET}"
# Doubled braces become single ones: crossask-train gets "trunk_{seed}.npz".
AUDIOSET_TRUNK = "model.trunk={out}/audioset_files/trunk_{{seed}}.npz"

# The tables of the row "base" from which the student of strong.py learns.
TEACHERS = ";".join(
    f"{{runs}}/base/fold1/seed{seed}/training_predictions.csv" for seed in FIVE_SEEDS
)


def needs(study: Study, corpora: Mapping[str, Corpus] = CORPORA) -> tuple[str, ...]:
    """Returns the variables of `make` that a study requires.

    Args:
      study: The study.
      corpora: Name of a corpus -> the corpus.
    """
    return (*corpora[study.corpus].needs, *study.needs)


def on_ambiences(name: str, about: str, file: str, minutes: float) -> Study:
    """Returns a study of all rows of an experiment file on the ambiences, with YAMNet.

    Args:
      name: See `Study`.
      about: See `Study`.
      file: The experiment file.
      minutes: See `Study`.
    """
    rows = Training(f"experiments/{file}", THREE_SEEDS, override=YAMNET_WEIGHTS)
    return Study(
        name,
        about,
        "ambience",
        (rows,),
        "cmam_feature_based",
        needs=("YAMNET",),
        minutes=minutes,
    )


def levels_of(name: str, about: str, row: str, corpus: str, minutes: float) -> Study:
    """Returns a study of one row of ambience_levels.py at several levels.

    Args:
      name: See `Study`.
      about: See `Study`.
      row: Name of the row without a level, with which the others are compared.
      corpus: Which of the two corpora of ambiences.
      minutes: See `Study`.
    """
    rows = (row, *[f"{row}_at_minus_{level}_dbfs" for level in (40, 26, 20)])
    training = Training(
        "experiments/ambience_levels.py", THREE_SEEDS, rows=rows, override=YAMNET_WEIGHTS
    )
    return Study(name, about, corpus, (training,), row, needs=("YAMNET",), minutes=minutes)


STUDIES = (
    Study(
        name="demo",
        about="the rows that `make demo` compares",
        corpus="demo",
        trainings=(
            Training(
                "experiments/demo.py",
                THREE_SEEDS,
                without=("cmam_from_scratch",),
                override=DEMO_WEIGHTS,
            ),
            Training(
                "experiments/demo.py",
                ONE_SEED,
                rows=("cmam_from_scratch",),
                override=DEMO_WEIGHTS,
            ),
        ),
        minutes=7,
    ),
    Study(
        name="esc10",
        about="ESC-10 with the published YAMNet, five folds, ten rows",
        corpus="esc10",
        needs=("YAMNET",),
        trainings=(Training("experiments/esc10.py", THREE_SEEDS, override=YAMNET_WEIGHTS),),
        # 99 minutes, of which 27 were a pause, and with other work at the same time.
        minutes=72,
    ),
    Study(
        name="esc10_controls",
        about="controls of the events on ESC-10",
        corpus="esc10",
        needs=("YAMNET",),
        trainings=(
            Training(
                "experiments/esc10_controls.py",
                THREE_SEEDS,
                without=("random_events",),
                override=YAMNET_WEIGHTS,
            ),
            Training("experiments/esc10_controls.py", THREE_SEEDS, rows=("random_events",)),
        ),
        baseline="cmam_feature_based",
        # 46.0 minutes with other work at the same time.
        minutes=46,
    ),
    Study(
        name="esc10_fine_tuning",
        about="remedies for fine-tuning on ESC-10",
        corpus="esc10",
        needs=("YAMNET",),
        trainings=(
            Training("experiments/esc10_fine_tuning.py", THREE_SEEDS, override=YAMNET_WEIGHTS),
        ),
        baseline="cmam_fine_tuning",
        # 58.7 minutes for 54 of the 60 runs, with other work at the same time.
        minutes=65,
    ),
    Study(
        name="esc10_8_bits",
        about="ESC-10 with YAMNet in float32 and in 8 bits",
        corpus="esc10",
        needs=("YAMNET", "YAMNET_8_BITS"),
        trainings=(
            Training(
                "experiments/esc10_8_bits.py",
                THREE_SEEDS,
                rows=("cmam_feature_based",),
                override=YAMNET_WEIGHTS,
            ),
            Training(
                "experiments/esc10_8_bits.py",
                THREE_SEEDS,
                rows=("cmam_8_bits",),
                override="event_model.weights={YAMNET_8_BITS}",
            ),
        ),
        baseline="cmam_feature_based",
        # 25.3 minutes with other work at the same time.
        minutes=25,
    ),
    Study(
        name="controls",
        about="controls of the events at the demo's scale",
        corpus="demo",
        trainings=(
            Training(
                "experiments/controls.py",
                FIVE_SEEDS,
                without=("random_events",),
                override=DEMO_WEIGHTS,
                evaluations=(("cmam_feature_based", "--swap_events"),),
            ),
            Training("experiments/controls.py", FIVE_SEEDS, rows=("random_events",)),
        ),
        baseline="cmam_feature_based",
        # controls and choices took half an hour together.
        minutes=15,
    ),
    Study(
        name="choices",
        about="choices that the paper leaves open, at the demo's scale",
        corpus="demo",
        trainings=(
            Training(
                "experiments/choices.py",
                FIVE_SEEDS,
                without=("tap_pca",),
                override=DEMO_WEIGHTS,
            ),
            Training(
                "experiments/choices.py",
                FIVE_SEEDS,
                rows=("tap_pca",),
                override=f"{DEMO_WEIGHTS},event_model.pca={DEMO_FILES}/event_model_pca.npz",
            ),
        ),
        baseline="cmam_feature_based",
        minutes=15,
    ),
    Study(
        name="fine_tuning",
        about="remedies for fine-tuning at the demo's scale",
        corpus="demo",
        trainings=(Training("experiments/fine_tuning.py", FIVE_SEEDS, override=DEMO_WEIGHTS),),
        baseline="cmam_fine_tuning",
        minutes=15,
    ),
    Study(
        name="strong",
        about="a modern recipe, and a small student, at the demo's scale",
        corpus="demo",
        trainings=(
            Training(
                "experiments/strong.py",
                FIVE_SEEDS,
                without=("student_distilled",),
                override=DEMO_WEIGHTS,
                evaluations=(("base", "--training_clips"),),
            ),
            Training(
                "experiments/strong.py",
                FIVE_SEEDS,
                rows=("student_distilled",),
                override=f"{DEMO_WEIGHTS},distillation.teacher='{TEACHERS}'",
            ),
        ),
        baseline="base",
        # 21.0 minutes with other work at the same time.
        minutes=21,
    ),
    Study(
        name="network",
        about="a larger network and a recipe for it, at the demo's scale",
        corpus="demo",
        trainings=(Training("experiments/network.py", THREE_SEEDS, override=DEMO_WEIGHTS),),
        baseline="fa",
        # 31.5 minutes with other work at the same time.
        minutes=32,
    ),
    Study(
        name="precision",
        about="float32 and bfloat16 at the demo's scale",
        corpus="demo",
        trainings=(Training("experiments/precision.py", FIVE_SEEDS, override=DEMO_WEIGHTS),),
        baseline="cmam_feature_based",
        # 95 runs of controls and choices took 30 minutes; these are 10.
        minutes=3,
        is_measured=False,
    ),
    Study(
        name="tut2017_embeddings",
        about="VEM on VGGish embeddings of TUT 2017 clips, on two kinds of evaluation clips",
        corpus="tut2017_embeddings",
        trainings=(Training("experiments/tut2017_embeddings.py", FIVE_SEEDS),),
        # 10.2 minutes with other work at the same time.
        minutes=10,
    ),
    Study(
        name="tut2017_embeddings_study",
        about="controls and open choices of VEM on these embeddings",
        corpus="tut2017_embeddings",
        trainings=(Training("experiments/tut2017_embeddings_study.py", FIVE_SEEDS),),
        baseline="vem_unseen_places",
        # 25 such runs to the 10 of the study before.
        minutes=25,
        is_measured=False,
    ),
    Study(
        name="tut2017_trunk",
        about="VEM's trunk pre-trained on AudioSet's events, on embeddings of TUT 2017 clips",
        corpus="tut2017_trunk",
        trainings=(
            Training(
                "experiments/tut2017_trunk.py",
                FIVE_SEEDS,
                rows=("vem_from_scratch", "random_trunk", "linear"),
            ),
            Training(
                "experiments/tut2017_trunk.py",
                FIVE_SEEDS,
                without=("vem_from_scratch", "random_trunk", "linear"),
                override=AUDIOSET_TRUNK,
            ),
        ),
        baseline="vem_from_scratch",
        # 17 minutes for the trunks and 30.1 for the rest, with other work at the same time.
        minutes=47,
    ),
    Study(
        name="audioset_scene_labels",
        about="VEM on AudioSet's five labels of places, from scratch and with such trunks",
        corpus="audioset_trunk",
        trainings=(
            Training(
                "experiments/audioset_scene_labels.py",
                FIVE_SEEDS,
                rows=("vem_from_scratch", "vem_equal_weights", "linear"),
            ),
            Training(
                "experiments/audioset_scene_labels.py",
                FIVE_SEEDS,
                without=("vem_from_scratch", "vem_equal_weights", "linear"),
                override=AUDIOSET_TRUNK,
            ),
        ),
        baseline="vem_from_scratch",
        # 25.1 minutes with other work at the same time, less 17 for the trunks of the study before.
        minutes=8,
    ),
    Study(
        name="ambience",
        about="ten real ambiences with the published YAMNet: systems and controls",
        corpus="ambience",
        needs=("YAMNET",),
        trainings=(
            Training(
                "experiments/ambience.py",
                THREE_SEEDS,
                without=("random_events",),
                override=YAMNET_WEIGHTS,
            ),
            Training("experiments/ambience.py", THREE_SEEDS, rows=("random_events",)),
        ),
        baseline="cmam_feature_based",
        # 36.4 minutes with other work at the same time.
        minutes=36,
    ),
    on_ambiences(
        "ambience_choices",
        "other choices of training and network on these ambiences",
        "ambience_choices.py",
        # 30.8 minutes with other work at the same time, after 15 of 120 runs before.
        minutes=34,
    ),
    on_ambiences(
        "ambience_fine_tuning",
        "fine-tuning the published YAMNet on these ambiences",
        "ambience_fine_tuning.py",
        # 141 minutes of training, two runs at a time, and 4 of evaluation, with other work at the
        # same time.
        minutes=75,
    ),
    levels_of(
        "ambience_levels_linear",
        "the level at which YAMNet reads these ambiences, for LINEAR",
        "linear",
        "ambience",
        # 7.5 minutes with other work at the same time.
        minutes=8,
    ),
    levels_of(
        "ambience_levels_cmam",
        "the same for CMAM",
        "cmam_feature_based",
        "ambience",
        # 23.4 minutes with other work at the same time.
        minutes=23,
    ),
    levels_of(
        "quiet_ambience_levels_linear",
        "the same at the levels of TAU 2019, for LINEAR",
        "linear",
        "ambience_quiet",
        # 7.1 minutes with other work at the same time.
        minutes=7,
    ),
    levels_of(
        "quiet_ambience_levels_cmam",
        "the same at the levels of TAU 2019, for CMAM",
        "cmam_feature_based",
        "ambience_quiet",
        minutes=15,
    ),
    Study(
        name="recording_levels",
        about="events that YAMNet finds in ten scene recordings at several levels",
        corpus="scene_recordings",
        trainings=(),
        needs=("YAMNET",),
        benchmark=(
            "{python}",
            "benchmarks/recording_levels.py",
            "{SCENE_RECORDINGS}",
            "--weights={YAMNET}",
            "--json={stored}",
        ),
        minutes=1,
    ),
    Study(
        name="litert",
        about="LiteRT files of FA and of a smaller FA on ESC-10: size, agreement, accuracy, time",
        corpus="esc10",
        trainings=(Training("experiments/litert.py", ONE_SEED),),
        benchmark=(
            "{python}",
            "benchmarks/litert_table.py",
            "{out}/esc10_files/clips.csv",
            "{out}/litert/models",
            "fa={runs}/fa/fold1/seed0",
            "student={runs}/student/fold1/seed0",
            "--json={stored}",
        ),
        minutes=4,
    ),
    Study(
        name="esc10_pretraining",
        about="event models that are pre-trained on ESC-10, scored on other sources",
        corpus="esc10",
        trainings=(),
        benchmark=(
            "{python}",
            "benchmarks/esc10_pretraining.py",
            "{out}/esc10_files/clips.csv",
            "{out}/esc10_pretraining/models",
            "--json={stored}",
        ),
        minutes=14,
    ),
    Study(
        name="scene_events_recovery",
        about="whether the events that stand out in each scene are the true ones, on soundscapes",
        corpus="demo",
        trainings=(Training("experiments/scene_events.py", ONE_SEED, override=DEMO_WEIGHTS),),
        benchmark=(
            "{python}",
            "benchmarks/scene_events_recovery.py",
            "{runs}/scene_events/fold1/seed0",
            "--json={stored}",
        ),
        minutes=3,
        is_measured=False,
    ),
)
