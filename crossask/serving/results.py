"""What a model predicts for a recording: probabilities, a timeline, explanations and embeddings."""

import dataclasses
import math
import numbers
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from crossask.audio.remarks import SILENCE_DBFS
from crossask.errors import CrossaskError

# A recording that is shorter than this share of a window is warned of.
SHORT_SHARE = 0.9


class _SceneProbabilities:
    """Base of classes with an attribute `probabilities`: scene -> probability."""

    probabilities: Mapping[str, float]

    @property
    def scene(self) -> str:
        """The most probable scene; the first one by name if several are, as in evaluation."""
        ((scene, _),) = self.top(1)
        return scene

    def top(self, count: int) -> list[tuple[str, float]]:
        """Returns the `count` most probable scenes with their probabilities, in falling order."""
        ranked = sorted(self.probabilities.items(), key=lambda item: (-item[1], item[0]))
        return ranked[:count]


@dataclasses.dataclass(frozen=True)
class Segment(_SceneProbabilities):
    """The prediction for one window of a recording.

    Attributes:
      start_seconds: Start of the window.
      end_seconds: End of the window.
      probabilities: Scene -> probability.
      level_dbfs: Its level, at most that of the recording; see `Prediction`.
    """

    start_seconds: float
    end_seconds: float
    probabilities: dict[str, float]
    level_dbfs: float = 0.0

    @property
    def is_silent(self) -> bool:
        """Whether its level is below SILENCE_DBFS; the scene then means nothing."""
        return self.level_dbfs < SILENCE_DBFS


def audible(timeline: Sequence[Segment]) -> list[Segment]:
    """Returns the windows that are not silent, or all of them if all are."""
    return [segment for segment in timeline if not segment.is_silent] or list(timeline)


@dataclasses.dataclass(frozen=True)
class Explanation:
    """The inputs, attention weights and events behind the prediction for one window.

    Attributes:
      start_seconds: Start of the window.
      end_seconds: End of the window, after what a short recording was filled with. Frames of the
        log-mel and steps of the attention divide the window into equal parts.
      log_mel: Log-mel [frames, mels, channels], or None if the model does not read it.
      attention: Attention weights by name; each row adds up to 1. "pooling" [heads, steps]; models
        with attention blocks also have "self" [heads, patches, patches] and "cross" [heads, query
        steps, key steps]; JRM has "event_pooling" [heads, steps]. Empty for the official baselines.
      events: Names of the events; () if the model computes no scores of events.
      event_scores: Score of each event in each patch, [patches, events], or None.
    """

    start_seconds: float
    end_seconds: float
    log_mel: np.ndarray | None
    attention: dict[str, np.ndarray]
    events: tuple[str, ...]
    event_scores: np.ndarray | None

    def attended(self) -> np.ndarray:
        """Returns the pooling's attention to each step [steps], averaged over heads.

        The values add up to 1. The array is empty for a model without attention.
        """
        weights = self.attention.get("pooling")
        if weights is None:
            return np.zeros(0)
        return weights.mean(0)

    def top_events(self, count: int = 5) -> list[tuple[str, float]]:
        """Returns the `count` events with the highest scores, averaged over the patches.

        The weight of a patch in the average is the pooling's attention at its time.
        """
        if self.event_scores is None:
            return []
        scores = self._patch_weights() @ self.event_scores  # [events]
        order = np.argsort(-scores, kind="stable")[:count]
        return [(self.events[number], float(scores[number])) for number in order]

    def _patch_weights(self) -> np.ndarray:
        """Returns the attention to each patch [patches]; the weights add up to 1."""
        patches = len(self.event_scores)
        attention = self.attended()
        steps = len(attention)
        if not steps:
            return np.full(patches, 1 / patches)
        # Interpolate between the centres of the attention's steps, as shares of the window.
        patch_centres = (np.arange(patches) + 0.5) / patches
        step_centres = (np.arange(steps) + 0.5) / steps
        weights = np.interp(patch_centres, step_centres, attention)
        return weights / weights.sum()


@dataclasses.dataclass(frozen=True)
class Prediction(_SceneProbabilities):
    """The prediction for one recording.

    Attributes:
      source: Path of the sound file, or "the array".
      seconds: Length of the recording.
      sample_rate_hz: Its sample rate.
      probabilities: Scene -> probability, the mean over the windows that are not silent, or over
        all if all are.
      timeline: The windows in order of time; they may overlap.
      filled_seconds: Seconds by which the recording was filled up to a window, with silence or with
        its repetition (see `crossask.audio.fill_window`); 0 if it is long enough.
      is_sure: Whether the probability of `scene` is at least the model's limit, and the recording
        is not silent.
      level_dbfs: Level of the loudest part of a window's length, in dB relative to an amplitude of
        1, at least -200. A constant offset does not count; a full-scale sine has -3 dBFS.
      remarks: What is unusual about the file: a silent channel, channels of opposite polarity, or a
        missing end. Each is the rest of a sentence that begins with `source`, without its full
        stop.
    """

    source: str
    seconds: float
    sample_rate_hz: int
    probabilities: dict[str, float]
    timeline: tuple[Segment, ...]
    _explain: Callable[[Segment], Explanation] = dataclasses.field(repr=False, compare=False)
    filled_seconds: float = 0.0
    is_sure: bool = True
    level_dbfs: float = 0.0
    remarks: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes the prediction doubtful: `remarks`, silence, and less than 0.9 of a window."""
        texts = list(self.remarks)
        if self.is_silent:
            level = f"{self.level_dbfs:.0f} dBFS"
            texts.append(f"is silent (level {level}); its predicted scene means nothing")
        if self.is_short:
            texts.append(
                f"lasts {self.seconds:.3g} s and was filled with {self.filled_seconds:.3g} s, so "
                "the prediction may be less accurate"
            )
        return tuple(texts)

    @property
    def is_short(self) -> bool:
        """Whether it lasts less than SHORT_SHARE of a window, so that much of it was filled."""
        return self.seconds < SHORT_SHARE * (self.seconds + self.filled_seconds)

    @property
    def is_silent(self) -> bool:
        """Whether no window is louder than SILENCE_DBFS; the scene then means nothing."""
        return self.level_dbfs < SILENCE_DBFS

    def explain(self, at_seconds: float | None = None) -> Explanation:
        """Returns the explanation of one window, whose part of the recording is read again.

        Nothing notices that an array was changed since; a file that was is an error.

        Args:
          at_seconds: The window whose centre is nearest to this time is explained. None is the
            window that is not silent in which the probability of `scene` is highest.

        Raises:
          CrossaskError: The time is not a finite number.
          AudioError: The file has changed since the prediction, or is not there any more.
        """
        if at_seconds is not None and not is_finite(at_seconds):
            raise CrossaskError(
                f"The time is {at_seconds!r} s.", "Give a finite number of seconds."
            )
        if at_seconds is None:
            windows = audible(self.timeline)
            probabilities = [segment.probabilities[self.scene] for segment in windows]
            return self._explain(windows[int(np.argmax(probabilities))])
        centres = [(part.start_seconds + part.end_seconds) / 2 for part in self.timeline]
        number = int(np.argmin(np.abs(np.array(centres) - at_seconds)))
        return self._explain(self.timeline[number])


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """The embeddings of one recording.

    Attributes:
      scene: Scene embedding of each window, [windows, D].
      events: Event embeddings of each window's patches, [windows, patches, E]; None if the model
        reads no events.
      start_seconds: Start of each window, [windows].
    """

    scene: np.ndarray
    events: np.ndarray | None
    start_seconds: np.ndarray


def is_finite(value: object) -> bool:
    """Returns whether a value is a finite number, and no text."""
    return isinstance(value, numbers.Real) and math.isfinite(value)
