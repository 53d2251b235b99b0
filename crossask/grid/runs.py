"""The grid: the runs of several rows, folds and seeds."""

import dataclasses
import functools

from crossask.config import Experiment
from crossask.datasets import Corpora
from crossask.training.run_folder import Run, run_at


@dataclasses.dataclass(frozen=True)
class StepTime:
    """Time of a training step, with a few validation clips and a checkpoint.

    Attributes:
      first: Seconds of the first step of a run, in which TensorFlow builds its graphs.
      later: Seconds of another step.
    """

    first: float
    later: float


@dataclasses.dataclass(frozen=True)
class Grid:
    """What is trained, from which data, and where the runs are written.

    Attributes:
      rows: The rows.
      seeds: One run of each row and fold for each seed.
      data_dir: Folder (or CSV) of the data set.
      features_dir: Folder of the stored features.
      model_dir: Folder of the runs.
      folds: Names of folds; empty for each row's own.
    """

    rows: tuple[Experiment, ...]
    seeds: tuple[int, ...]
    data_dir: str
    features_dir: str
    model_dir: str
    folds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises ConfigError for folds that cannot be names of folders, as rows do for theirs."""
        for row in self.rows:
            if self.folds:
                dataclasses.replace(row, folds=self.folds)

    @functools.cached_property
    def corpora(self) -> Corpora:
        """The corpora of the rows. Each is read once, by the first step that needs it."""
        return Corpora(self.data_dir)

    def folds_of(self, row: Experiment) -> tuple[str, ...]:
        """Returns the folds on which a row is trained."""
        return self.folds or row.folds

    def plan(self) -> list[tuple[Experiment, Run]]:
        """Returns every run with its row, in the order in which they start."""
        runs = []
        for row in self.rows:
            for fold in self.folds_of(row):
                for seed in self.seeds:
                    runs.append((row, run_at(self.model_dir, row.name, fold, seed)))
        return runs
