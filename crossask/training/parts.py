"""The three parts of a fold: what a run is trained, validated and evaluated on.

The training fold is cut into a training and a validation part. Everything is chosen on the
validation part; the evaluation fold is read by `crossask.training.evaluate` alone. With
`training.validation_share=0` the training part is the whole training fold, and nothing is chosen.
"""

import dataclasses

from crossask import config
from crossask.config import TrainingConfig
from crossask.datasets import Corpus, training_parts
from crossask.errors import DataError
from crossask.training.run_folder import Run


@dataclasses.dataclass(frozen=True)
class Parts:
    """Clip ids of one fold; no two parts share a clip.

    Attributes:
      training: Clips whose gradients train the network.
      validation: Clips of the training fold that choose the epoch; () without a validation part.
      evaluation: Clips of the evaluation fold.
    """

    training: tuple[str, ...]
    validation: tuple[str, ...]
    evaluation: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Digits that change with any clip of any part."""
        return config.digest(self.training, self.validation, self.evaluation)


def parts_of(corpus: Corpus, fold_name: str, settings: TrainingConfig) -> Parts:
    """Returns the parts of a fold.

    Args:
      corpus: The corpus.
      fold_name: Name of the fold.
      settings: validation_share and validation_seed are used. If the corpus itself fixes the
        validation part, only a share of 0 has an effect: there is no validation part then.

    Raises:
      DataError: There is no such fold, or no validation part can be cut from it.
    """
    fold = corpus.fold(fold_name)
    training, validation = training_parts(
        corpus, fold, settings.validation_share, settings.validation_seed
    )
    return Parts(training, validation, fold.evaluation)


def check_same_data(run: Run, corpus: Corpus, parts: Parts) -> None:
    """Raises DataError unless the corpus and its parts are those with which the run began.

    The names of cities and devices, too, must be those of the beginning.
    """
    recorded = run.read("config.json")["corpus"]
    # Runs of the first versions have no record of their recordings, or of their parts.
    if not corpus.same_as(recorded.get("fingerprint", corpus.fingerprint)):
        raise DataError(
            f"{run.folder} was trained with other recordings: files, scenes or locations of "
            f"{recorded['name']} have changed since.",
            "Restore them, or train again in another --model_dir.",
        )
    if recorded.get("division", parts.digest) != parts.digest:
        raise DataError(
            f"{run.folder} was trained when fold {run.fold} of {recorded['name']} had other "
            "training, validation or evaluation clips.",
            "Restore the corpus's folds and cities, or train again in another --model_dir.",
        )
    # A report takes the groups of the evaluation clips from the corpus as it is now, and those of
    # the training clips from this record.
    now = {
        "cities": corpus.training_cities(run.fold),
        "devices": corpus.training_devices(run.fold),
    }
    for kind, names in now.items():
        recorded_names = recorded.get(f"training_{kind}")
        if recorded_names and names and set(recorded_names) != set(names):
            raise DataError(
                f"{run.folder} was trained on the {kind} {', '.join(recorded_names)}, but the "
                f"training clips of fold {run.fold} of {recorded['name']} now have "
                f"{', '.join(names)}.",
                f"Restore the names of the {kind}, or train again in another --model_dir.",
            )
