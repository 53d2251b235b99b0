"""The exported model as a Python object: recordings in, scenes with their timeline and explanation out."""

import collections
import dataclasses
import json
from pathlib import Path

import numpy as np

from crossask.audio import reading
from crossask.errors import AudioError, CrossaskError

BATCH_WINDOWS = 8  # heard at once


class _Heard:
    """What has `probabilities`, one a scene."""

    probabilities: dict[str, float]

    @property
    def scene(self) -> str:
        return max(self.probabilities, key=self.probabilities.get)

    def top(self, count: int) -> list[tuple[str, float]]:
        """The most probable scenes in order."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])[:count]


@dataclasses.dataclass(frozen=True)
class Segment(_Heard):
    """One window of a recording, and a probability a scene for it."""

    start_seconds: float
    end_seconds: float
    probabilities: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What the model looked at in one window.

    Attributes:
      start_seconds, end_seconds: the window; steps of attention and frames of log-mel divide it evenly.
      log_mel: [frames, mels, channels], or None for a model that reads none.
      attention: weights by name, each row adding up to 1: "pooling" [heads, steps]; models with attention blocks "self"
        [heads, patches, patches] and "cross" [heads, query steps, key steps]; JRM "event_pooling" [heads, steps]. Empty for the
        official baselines.
      events: names of the events, where the event model came with its head.
      event_scores: [patches, events], or None.
    """

    start_seconds: float
    end_seconds: float
    log_mel: np.ndarray | None
    attention: dict[str, np.ndarray]
    events: tuple[str, ...]
    event_scores: np.ndarray | None

    def attended(self) -> np.ndarray:
        """Share of the pooling's attention that each of its steps has, the mean over heads [steps]; empty without attention."""
        weights = self.attention.get("pooling")
        return np.zeros(0) if weights is None else weights.mean(0)

    def events_heard(self, count: int = 5) -> list[tuple[str, float]]:
        """The events with the highest scores, where the model looked: patches weigh as the pooling attends to their time."""
        if self.event_scores is None:
            return []
        patches, steps = len(self.event_scores), self.attended()
        weights = np.full(patches, 1 / patches)
        if len(steps):
            weights = np.interp(
                (np.arange(patches) + 0.5) / patches,
                (np.arange(len(steps)) + 0.5) / len(steps),
                steps,
            )
            weights /= weights.sum()
        scores = weights @ self.event_scores  # [events]
        order = np.argsort(-scores, kind="stable")[:count]
        return [(self.events[number], float(scores[number])) for number in order]


@dataclasses.dataclass(frozen=True)
class Prediction(_Heard):
    """What the model says of one recording: the mean of its windows, and each window."""

    source: str
    seconds: float
    sample_rate_hz: int
    probabilities: dict[str, float]
    timeline: tuple[Segment, ...]
    _explain: object = dataclasses.field(repr=False, compare=False)

    def explain(self, at_seconds: float | None = None) -> Explanation:
        """What the model looked at in the window nearest to a moment, or else in the one that speaks most for `scene`.

        The recording is read again there.
        """
        if at_seconds is None:
            segment = max(self.timeline, key=lambda segment: segment.probabilities[self.scene])
        else:
            segment = min(
                self.timeline,
                key=lambda segment: abs(
                    segment.start_seconds + segment.end_seconds - 2 * at_seconds
                ),
            )
        return self._explain(segment)


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """Of one recording: scene [windows, D], events [windows, patches, E] (None where the model reads none), start_seconds [windows]."""

    scene: np.ndarray
    events: np.ndarray | None
    start_seconds: np.ndarray


class Classifier:
    """A SavedModel written by `crossask-export`.

    Args:
      model_dir: its folder.
      hop_seconds: of the windows in which a long recording is heard; None is half the clip length of training.

    Attributes:
      scenes: class names in the order of the model's outputs.
      card: the model card.

    Raises:
      CrossaskError: the folder is no SavedModel of ours, or the hop is not above 0.
    """

    def __init__(self, model_dir, hop_seconds: float | None = None):
        import tensorflow as tf

        folder = Path(model_dir)
        card = folder / "assets" / "model_card.json"
        if not (folder / "saved_model.pb").is_file() or not card.is_file():
            raise CrossaskError(
                f"{str(folder)!r} is not a model written by crossask-export.",
                "Give the folder that holds saved_model.pb.",
            )
        self.card = json.loads(card.read_text())
        self.scenes = tuple(self.card["scenes"])
        self.clip_seconds = self.card["clip_seconds"]
        self.hop_seconds = hop_seconds
        if hop_seconds is not None and not hop_seconds > 0:
            raise CrossaskError(f"The hop is {hop_seconds} s.", "Give one above 0.")
        self._tf, self._model = tf, tf.saved_model.load(str(folder))

    def predict(self, source, sample_rate_hz: int | None = None) -> Prediction:
        """The answer for one recording.

        Args:
          source: path of a sound file, or an array [samples] or [samples, channels] in -1..1 with its sample_rate_hz.

        Raises:
          AudioError: it cannot be used: unreadable, shorter than 1 s, a sample rate that the model does not know.
        """
        (answer,) = self.predict_each([source], sample_rate_hz)
        if isinstance(answer, AudioError):
            raise answer
        return answer

    def predict_each(self, sources, sample_rate_hz: int | None = None, heard=None):
        """The answers for many recordings, in their order: a Prediction each, or the AudioError of one that cannot be used.

        Windows are heard in batches across recordings; memory does not grow with their lengths or their number.

        Args:
          sources: an iterable of what `predict` takes.
          heard: called after every batch with (source, seconds heard of it).
        """
        told, batch = (
            collections.deque(),
            [],
        )  # recordings without an answer yet; (recording, start, window)
        for source in sources:
            recording = _Recording(source, sample_rate_hz)
            told.append(recording)
            try:
                for start, window in self._windows(recording):
                    if batch and (
                        len(batch) == BATCH_WINDOWS or batch[0][0].rate != recording.rate
                    ):
                        self._hear(batch, heard)
                    batch.append((recording, start, window))
                    recording.waiting += 1
            except AudioError as error:
                recording.error = error
            while told and (told[0].error or not told[0].waiting):
                yield self._answer(told.popleft())
        if batch:
            self._hear(batch, heard)
        for recording in told:
            yield self._answer(recording)

    def embed(self, source, sample_rate_hz: int | None = None) -> Embeddings:
        """The embeddings of one recording, window by window; arguments and errors: `predict`."""
        recording, starts, values = _Recording(source, sample_rate_hz), [], []
        for start, window in self._windows(recording):
            starts.append(start / recording.rate)
            values.append(self._call("embed", window[np.newaxis], recording.rate))
        whole = {
            name: np.concatenate([value[name][0] for value in values])
            for name in values[0]
            if name != "window_start_seconds"
        }
        return Embeddings(whole["scene_embedding"], whole.get("event_embedding"), np.array(starts))

    def check_rate(self, sample_rate_hz: int, name: str):
        """An AudioError that lists the sample rates the model knows, unless this is one of them."""
        if sample_rate_hz not in self.card["sample_rates_hz"]:
            rates = ", ".join(map(str, self.card["sample_rates_hz"]))
            raise AudioError(
                f"{name} has a sample rate of {sample_rate_hz} Hz.",
                f"Resample it to one of {rates} Hz.",
            )

    def _windows(self, recording):
        """(first sample, waveform [samples, channels]) of each window; none is shorter than least_seconds."""
        blocks, recording.rate = recording.blocks(self.clip_seconds)
        self.check_rate(recording.rate, recording.name)
        length = round(self.clip_seconds * recording.rate)
        hop = (
            length // 2
            if self.hop_seconds is None
            else max(1, round(self.hop_seconds * recording.rate))
        )
        heard = False
        for start, window in reading.sliding_windows(blocks, length, min(hop, length)):
            if len(window) < self.card["least_seconds"] * recording.rate:
                raise AudioError(
                    f"{recording.name} lasts {len(window) / recording.rate:.3f} s.",
                    f"Give at least {self.card['least_seconds']:g} s.",
                )
            heard = True
            yield start, window
        if not heard:
            raise AudioError(
                f"{recording.name} holds no samples.", "Record it again, or leave it out."
            )

    def _hear(self, batch, heard):
        """Adds the probabilities of all windows of `batch` to their recordings, and empties it."""
        rate = batch[0][0].rate
        # mono and stereo in one batch, as the model itself would: one channel stands for both
        stereo = [
            window if window.shape[1] == 2 else np.repeat(window, 2, axis=1)
            for _, _, window in batch
        ]
        longest = max(map(len, stereo))
        values = np.stack(
            [np.pad(window, ((0, longest - len(window)), (0, 0))) for window in stereo]
        )
        probabilities = self._call("serving_default", values, rate)["probabilities"]
        for (recording, start, window), row in zip(batch, probabilities, strict=True):
            named = dict(zip(self.scenes, map(float, row), strict=True))
            recording.timeline.append(Segment(start / rate, (start + len(window)) / rate, named))
            recording.waiting -= 1
        if heard:
            heard(recording.source, recording.timeline[-1].end_seconds)
        batch.clear()

    def _answer(self, recording):
        if recording.error:
            return recording.error
        table = np.array([list(segment.probabilities.values()) for segment in recording.timeline])
        mean = dict(zip(self.scenes, map(float, table.mean(0)), strict=True))
        seconds = recording.timeline[-1].end_seconds
        timeline = tuple(recording.timeline)
        return Prediction(
            recording.name,
            seconds,
            recording.rate,
            mean,
            timeline,
            lambda segment: self._explain(recording, segment),
        )

    def _explain(self, recording, segment) -> Explanation:
        window = recording.part(segment.start_seconds, segment.end_seconds)
        values = {
            name: value[0, 0]
            for name, value in self._call("explain", window[np.newaxis], recording.rate).items()
            if value.ndim > 2
        }
        return Explanation(
            segment.start_seconds,
            segment.end_seconds,
            values.get("log_mel"),
            {
                name.removeprefix("attention_"): value
                for name, value in values.items()
                if name.startswith("attention_")
            },
            tuple(self.card["events"]),
            values.get("event_scores"),
        )

    def _call(self, signature: str, waveform, rate: int) -> dict[str, np.ndarray]:
        tf = self._tf
        answer = self._model.signatures[signature](
            waveform=tf.constant(waveform, tf.float32), sample_rate_hz=tf.constant(rate, tf.int32)
        )
        return {name: value.numpy() for name, value in answer.items()}


class _Recording:
    """A file or an array, and what is known of it so far."""

    def __init__(self, source, sample_rate_hz):
        self.source, self.rate, self.waiting, self.timeline, self.error = (
            source,
            sample_rate_hz,
            0,
            [],
            None,
        )
        self.is_array = isinstance(source, np.ndarray)
        self.name = "the array" if self.is_array else str(source)

    def blocks(self, seconds: float):
        """(iterator over waveforms [samples, channels], sample rate in Hz)"""
        if not self.is_array:
            return reading.read_blocks(self.source, seconds)
        waveform = self.source
        if self.rate is None:
            raise AudioError(
                "An array was given without its sample rate.", "Give sample_rate_hz, too."
            )
        if (
            waveform.ndim not in (1, 2)
            or self._columns().shape[1] not in (1, 2)
            or not np.issubdtype(waveform.dtype, np.floating)
        ):
            raise AudioError(
                f"The array is {waveform.dtype} of shape {waveform.shape}.",
                "Give floats in -1..1, [samples] or [samples, channels] with 1 or 2 channels.",
            )
        if not np.isfinite(waveform).all():
            raise AudioError("The array holds samples that are no finite numbers.", "Mend it.")
        return iter([self._columns()]), self.rate

    def part(self, start_seconds: float, end_seconds: float) -> np.ndarray:
        """The waveform [samples, channels] between two moments."""
        start, end = round(start_seconds * self.rate), round(end_seconds * self.rate)
        return (
            self._columns()[start:end]
            if self.is_array
            else reading.read_part(self.source, start, end)
        )

    def _columns(self):
        return self.source if self.source.ndim == 2 else self.source[:, np.newaxis]
