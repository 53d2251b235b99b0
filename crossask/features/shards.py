"""Computes and writes shards: files with the features of a fixed number of clips."""

import dataclasses
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from crossask import events
from crossask.config import Experiment
from crossask.datasets import Clip
from crossask.errors import AudioError
from crossask.features import records, samples
from crossask.features.computation import (
    CLIPS_PER_CALL,
    Change,
    ClipFeatures,
    Computed,
    Features,
    FrozenModel,
    StoredEmbeddings,
)

# Called for each clip of a shard with its change and, if it cannot be used, the problem.
Count = Callable[[Change, str], None]


@dataclasses.dataclass(frozen=True)
class Shard:
    """Files to write: shard `number` of each of `kinds`, with the features of `clips`."""

    number: int
    kinds: tuple[str, ...]
    clips: tuple[Clip, ...]


class ShardWriter:
    """Computes and writes shards. It can be pickled; the copy loads its own event model.

    Args:
      experiment: The row whose features are computed.
      folders: Kind of feature -> folder of its shards.
      ready_made: Whether the corpus contains embeddings instead of sound files.
      event_model: The frozen event model of the row, or None to load it when it is needed.
    """

    def __init__(
        self,
        experiment: Experiment,
        folders: dict[str, Path],
        ready_made: bool,
        event_model: FrozenModel | None = None,
    ):
        self.experiment = experiment
        self.folders = folders
        self.ready_made = ready_made
        self.event_model = event_model
        self._features: ClipFeatures | StoredEmbeddings | None = None
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict:
        return {
            "experiment": self.experiment,
            "folders": self.folders,
            "ready_made": self.ready_made,
        }

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)

    def missing(self, clips: Sequence[Clip]) -> list[Shard]:
        """Returns the shards that are not written yet.

        Args:
          clips: All clips of the corpus in the order of the records.
        """
        shards = []
        for number in range(records.shard_count(clips)):
            kinds = []
            for kind, folder in self.folders.items():
                if not records.shard_path(folder, number).is_file():
                    kinds.append(kind)
            if kinds:
                of_shard = tuple(records.clips_of_shard(clips, number))
                shards.append(Shard(number, tuple(kinds), of_shard))
        return shards

    def __call__(self, shard: Shard, count: Count | None = None) -> None:
        """Computes and writes one shard; writes nothing if one of its sound files is unusable."""
        with self._lock:
            if self._features is None:
                self._features = self._features_of(shard.clips)
        encoded = {kind: [] for kind in shard.kinds}
        hash_of_clip = {}
        is_complete = True
        for start in range(0, len(shard.clips), CLIPS_PER_CALL):
            for outcome in self._outcomes(shard.clips[start : start + CLIPS_PER_CALL], shard.kinds):
                if outcome.problem:
                    is_complete = False
                else:
                    hash_of_clip[outcome.clip.id] = outcome.computed.samples
                    for kind, value in outcome.computed.values.items():
                        encoded[kind].append(self._encoded(outcome.clip, kind, value))
                if count is not None:
                    count(outcome.computed.change, outcome.problem)
        if not is_complete:
            return
        for kind, lines in encoded.items():
            path = records.shard_path(self.folders[kind], shard.number)
            if any(hash_of_clip.values()):
                # The hashes are written first, so that every shard has them after a kill.
                with records.write_errors_of(path):
                    samples.write(self.folders[kind], shard.number, hash_of_clip)
            records.write_shard(path, lines)

    def _outcomes(self, clips: Sequence[Clip], kinds: Sequence[str]) -> list["_Outcome"]:
        """Computes the features of some clips, which the event model reads together."""
        outcomes = []
        usable = []
        for clip in clips:
            outcome = _Outcome(clip)
            outcomes.append(outcome)
            try:
                outcome.computed = self._features.of_sound(clip, kinds)
                usable.append(outcome)
            except AudioError as error:
                outcome.problem = error.problem
        if usable:
            self._features.embed([outcome.computed for outcome in usable], kinds)
        for outcome in usable:
            try:
                self._check_values(outcome.clip, outcome.computed.values)
            except AudioError as error:
                outcome.problem = error.problem
        return outcomes

    def _encoded(self, clip: Clip, kind: str, value: np.ndarray) -> bytes:
        return records.encode_clip(clip.id, value, self.folders[kind].name)

    def _check_values(self, clip: Clip, values: Features) -> None:
        """Raises AudioError for features that are not finite, or of another shape than others."""
        for kind, value in values.items():
            shape = self._shapes.setdefault(kind, value.shape)
            problem = ""
            if value.shape != shape:
                problem = f"is {list(value.shape)}, but that of other clips {list(shape)}"
            elif not np.isfinite(value).all():
                problem = "contains values that are not finite"
            if problem:
                raise AudioError(
                    f"The {kind} of clip {clip.id!r} ({clip.path}) {problem}.",
                    "Check the recording and the weights of the event model.",
                )

    def _features_of(self, clips: Sequence[Clip]) -> ClipFeatures | StoredEmbeddings:
        """Returns the source of the features of a corpus, of which `clips` are a part."""
        if self.ready_made:
            return StoredEmbeddings(clips[0].path)
        event_model = self.event_model
        if event_model is None:
            event_model = events.frozen(self.experiment)
        return ClipFeatures(self.experiment, event_model)


@dataclasses.dataclass
class _Outcome:
    """A clip, and what was computed from it.

    Attributes:
      clip: The clip.
      computed: Its features.
      problem: Why it cannot be used; "" if it can.
    """

    clip: Clip
    computed: Computed = dataclasses.field(default_factory=lambda: Computed({}))
    problem: str = ""
