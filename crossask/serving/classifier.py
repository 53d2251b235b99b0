"""Predicts the scenes of recordings with an exported model."""

import collections
import dataclasses
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crossask.audio import fill_window, rates, sliding_windows
from crossask.audio.remarks import SILENCE_DBFS, level_of
from crossask.audio.windows import BATCH_WINDOWS
from crossask.errors import AudioError, CrossaskError
from crossask.serving.litert_runner import LiteRTModel
from crossask.serving.recording import Recording, Source
from crossask.serving.results import (
    Embeddings,
    Explanation,
    Prediction,
    Segment,
    audible,
    is_finite,
)
from crossask.serving.saved_model_runner import SavedModel
from crossask.serving.starter import starter_model

if TYPE_CHECKING:
    from crossask.serving.recording_embeddings import RecordingEmbeddings

LITERT_SUFFIX = ".tflite"
LOG = logging.getLogger("crossask")

Progress = Callable[[Source, float], None]


class Classifier:
    """A SavedModel or a LiteRT file that `crossask-export` wrote.

    Attributes:
      card: The model card.
      scenes: Names of the scenes in the order of the model's outputs.
      clip_seconds: Length of a window, which is the length of a training clip.
      hop_seconds: Time between the starts of windows; None is half of a window.
      least_probability: Probability of the first scene below which a prediction is not sure; 0 for
        a model that has no such limit.
      most_silence_seconds: A recording that lacks more than this of a window is repeated; another
        short one is filled with silence.
      embeddings: Embeddings of the recordings, for a model that does not compute them itself.
    """

    def __init__(
        self,
        model_dir: str | Path | None = None,
        hop_seconds: float | None = None,
        embeddings: str | Path | None = None,
        trust_model: bool = False,
    ):
        """Loads the model.

        Args:
          model_dir: Folder of the SavedModel, or a .tflite file, which needs no TensorFlow; None is
            the starter model, see `crossask.serving.starter`.
          hop_seconds: Time between the starts of windows in a recording that is longer than a
            training clip; None is half of a window. A hop longer than a window is shortened to it.
          embeddings: For a model of a row with event_model.name=precomputed: .npz with the
            embeddings [n, width] of each recording, by its path or the end of it. Such a model
            predicts files that last one clip.
          trust_model: Whether a SavedModel is loaded that is not from crossask-export. A SavedModel
            is a program, which can read and write your files; a .tflite file is data.

        Raises:
          CrossaskError: There is no exported model, it is a SavedModel without a card of
            crossask-export and not trusted, the hop is not above 0, or the embeddings are missing,
            not needed or of another shape.
        """
        if hop_seconds is not None and not (is_finite(hop_seconds) and hop_seconds > 0):
            raise CrossaskError(f"The hop is {hop_seconds!r} s.", "Set it to a number above 0.")
        path = starter_model() if model_dir is None else Path(model_dir)
        if path.suffix == LITERT_SUFFIX:
            self._model: SavedModel | LiteRTModel = LiteRTModel(path)
        else:
            self._model = SavedModel(path, trust_model)
        self.card = self._model.card
        self.scenes = tuple(self.card["scenes"])
        self.clip_seconds = self.card["clip_seconds"]
        self.hop_seconds = hop_seconds
        self.least_probability = self.card.get("least_probability", 0.0)
        # The graph of an older model fills every short waveform with silence.
        self.most_silence_seconds = self.card.get("max_padding_seconds", self.clip_seconds)
        self.embeddings = self._read_embeddings(embeddings, path)

    def predict(self, source: Source, sample_rate_hz: int | None = None) -> Prediction:
        """Predicts the scene of one recording, and logs `Prediction.warnings`.

        Args:
          source: Path of a sound file, or an array [samples] or [samples, channels] in -1..1.
          sample_rate_hz: Sample rate of an array, any; not used for a file.

        Raises:
          AudioError: The recording cannot be used: it cannot be read, is shorter than 1 s, or has
            samples that are not finite or of amplitude 8 or more.
        """
        (outcome,) = self.predict_each([source], sample_rate_hz)
        if isinstance(outcome, AudioError):
            raise outcome
        for warning in outcome.warnings:
            LOG.warning("%s %s.", outcome.source, warning)
        return outcome

    def predict_each(
        self,
        sources: Iterable[Source],
        sample_rate_hz: int | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Prediction | AudioError]:
        """Predicts the scenes of many recordings.

        Windows are classified in batches, which may contain windows of several recordings. The
        memory does not grow with the length or the number of recordings.

        Args:
          sources: Recordings as `predict` takes them.
          sample_rate_hz: Sample rate of arrays.
          progress: Called after every batch with the last recording in it, and the seconds of that
            recording that are done.

        Yields:
          For each recording, in order, its Prediction, or the AudioError if it cannot be used.
        """
        if isinstance(sources, str | os.PathLike):
            raise CrossaskError(
                f"The recordings are one path, {str(sources)!r}.", "Give a list of recordings."
            )
        # Recordings in order, whose outcome has not been yielded yet.
        pending: collections.deque[Recording] = collections.deque()
        batch: list[_Window] = []
        for source in sources:
            recording = Recording(source, sample_rate_hz)
            pending.append(recording)
            try:
                for window in self._windows(recording):
                    if batch and not _has_place(batch, window):
                        self._classify(batch, progress)
                        batch = []
                    batch.append(window)
                    recording.unclassified += 1
            except AudioError as error:
                recording.error = error
            # Yield what is done, so that the memory does not grow with the number of recordings.
            while pending and pending[0].is_done:
                yield self._outcome(pending.popleft())
        if batch:
            self._classify(batch, progress)
        for recording in pending:
            yield self._outcome(recording)

    def embed(self, source: Source, sample_rate_hz: int | None = None) -> Embeddings:
        """Computes the embeddings of one recording; arguments and errors as in `predict`."""
        recording = Recording(source, sample_rate_hz)
        starts = []
        scene = []
        events = []
        for window in self._windows(recording):
            values = self._run("embed", window.waveform[np.newaxis], [recording])
            starts.append(window.start / recording.sample_rate_hz)
            # Index 0 is the only recording of the batch.
            scene.append(values["scene_embedding"][0])
            if "event_embedding" in values:
                events.append(values["event_embedding"][0])
        return Embeddings(
            scene=np.concatenate(scene),
            events=np.concatenate(events) if events else None,
            start_seconds=np.array(starts),
        )

    def _read_embeddings(
        self, path: str | Path | None, model: Path
    ) -> "RecordingEmbeddings | None":
        """Returns the embeddings of the recordings; None for a model that computes them itself."""
        shape = self.card.get("embedding_shape")
        if shape is None:
            if path is not None:
                raise CrossaskError(
                    f"The model {model} computes all embeddings itself.", "Remove --embeddings."
                )
            return None
        if path is None:
            raise CrossaskError(
                f"The model {model} needs the embeddings {shape} of each recording, which another "
                "toolkit computes.",
                "Predict with crossask-predict --embeddings=FILE.npz, or in Python with "
                "crossask.serving.Classifier(model_dir, embeddings=FILE).",
            )
        from crossask.serving.recording_embeddings import RecordingEmbeddings

        found = RecordingEmbeddings(path)
        found.check_shape(shape, model)
        return found

    def _check_excess(self, recording: Recording, seconds: float) -> None:
        """Raises AudioError if a recording is too much longer than a clip to be cut to it."""
        if seconds > self.card["experiment"]["features"]["max_cut_seconds"]:
            raise AudioError(
                f"{recording.name} lasts more than a clip of {self.clip_seconds:g} s, to which its "
                "embeddings belong.",
                "Cut the recording into clips, with embeddings of each.",
            )

    def _windows(self, recording: Recording) -> Iterator["_Window"]:
        """Yields the windows of a recording, none of them shorter than least_seconds."""
        blocks = recording.read_blocks(self.clip_seconds)
        rate = self._rate_for(recording.own_rate_hz)
        recording.sample_rate_hz = rate
        blocks = rates.convert_blocks(blocks, recording.own_rate_hz, rate)
        length = round(self.clip_seconds * rate)
        hop = length // 2
        if self.hop_seconds is not None:
            hop = min(max(1, round(self.hop_seconds * rate)), length)
        least_seconds = self.card["least_seconds"]
        # Rounded as the length of a window, which may be the least one.
        least_samples = round(least_seconds * rate)
        is_empty = True
        for start, waveform in sliding_windows(blocks, length, hop):
            if len(waveform) < least_samples:
                raise AudioError(
                    f"{recording.name} lasts {len(waveform) / rate:.3f} s.",
                    f"Use a recording of at least {least_seconds:g} s.",
                )
            is_empty = False
            if self.embeddings is not None:
                # If there are none, it fails here, and not in a batch with other recordings.
                self.embeddings.of(recording)
                if start:
                    # The rest of a recording that is little longer than a clip is cut off.
                    self._check_excess(recording, start / rate)
                    continue
            yield _Window(recording, start, waveform)
        if is_empty:
            raise AudioError(
                f"{recording.name} contains no samples.", "Record it again, or leave it out."
            )

    def _rate_for(self, own_rate_hz: int) -> int:
        """Returns the sample rate at which the model reads a recording of a rate, both in Hz."""
        # The event model may read a higher rate than the scene model.
        events = self.card["front_end"].get("events", {})
        model_hz = max(self.card["sample_rate_hz"], events.get("sample_rate_hz", 0))
        return rates.graph_rate(own_rate_hz, model_hz, self.card["sample_rates_hz"])

    def _classify(self, batch: list["_Window"], progress: Progress | None) -> None:
        """Adds the probabilities of each window in `batch` to its recording's timeline."""
        rate = batch[0].recording.sample_rate_hz
        length = round(self.clip_seconds * rate)
        most_silence = round(self.most_silence_seconds * rate)
        waveforms = []
        for window in batch:
            stereo = window.waveform
            # Mono is doubled, as the model does, so that the batch may also contain stereo.
            if stereo.shape[1] == 1:
                stereo = np.repeat(stereo, 2, axis=1)
            # The model would fill a short window in the same way.
            waveforms.append(fill_window(stereo, length, most_silence))
            # Only the single window of a short recording is shorter than others.
            window.recording.filled_seconds = (length - len(stereo)) / rate
        recordings = [window.recording for window in batch]
        values = self._run("serving_default", np.stack(waveforms), recordings)
        if values["probabilities"].shape[-1] != len(self.scenes):
            raise CrossaskError(
                f"The model computes {values['probabilities'].shape[-1]} probabilities, and its "
                f"card lists {len(self.scenes)} scenes.",
                "Correct the card, or export the run again.",
            )
        for window, probabilities in zip(batch, values["probabilities"], strict=True):
            if not np.isfinite(probabilities).all():
                window.recording.error = AudioError(
                    f"For {window.recording.name}, the model computes no finite probabilities.",
                    "Use another model: the weights or the precision of this one are not usable.",
                )
            segment = Segment(
                start_seconds=window.start / rate,
                end_seconds=(window.start + len(window.waveform)) / rate,
                probabilities=self._by_scene(probabilities),
                level_dbfs=level_of(window.waveform),
            )
            window.recording.timeline.append(segment)
            window.recording.unclassified -= 1
        if progress is not None:
            last = batch[-1].recording
            progress(last.source, last.timeline[-1].end_seconds)

    def _outcome(self, recording: Recording) -> Prediction | AudioError:
        """Returns the prediction for a recording whose windows are all classified, or its error."""
        if recording.error is not None:
            return recording.error
        loudest_dbfs = recording.remarks.loudest_dbfs
        # A conversion of the rate rings where an offset starts and ends, so that a window may seem
        # louder than the whole recording.
        timeline = tuple(
            dataclasses.replace(segment, level_dbfs=min(segment.level_dbfs, loudest_dbfs))
            for segment in recording.timeline
        )
        # The last block of a recording may be much shorter than a window, and louder.
        level_dbfs = max(segment.level_dbfs for segment in timeline)
        # The scene that the model computes for silence means nothing.
        table = np.array([list(segment.probabilities.values()) for segment in audible(timeline)])

        def explain(segment: Segment) -> Explanation:
            """Returns the explanation of one window; reads the recording again."""
            return self._explain(recording, segment)

        probabilities = table.mean(0)
        is_probable = probabilities.max() >= self.least_probability
        return Prediction(
            source=recording.name,
            seconds=timeline[-1].end_seconds,
            sample_rate_hz=recording.own_rate_hz,
            probabilities=self._by_scene(probabilities),
            timeline=timeline,
            _explain=explain,
            filled_seconds=recording.filled_seconds,
            is_sure=bool(is_probable and level_dbfs >= SILENCE_DBFS),
            level_dbfs=level_dbfs,
            remarks=tuple(remark.text for remark in recording.remarks.found()),
        )

    def _explain(self, recording: Recording, segment: Segment) -> Explanation:
        """Returns the explanation of one window, whose part of the recording is read again."""
        waveform = recording.read_part(segment.start_seconds, segment.end_seconds)
        outputs = self._run("explain", waveform[np.newaxis], [recording])
        values = {}
        attention = {}
        for name, output in outputs.items():
            # The start is that of the segment. All other outputs have a batch of one recording with
            # one window.
            if name == "window_start_seconds":
                continue
            value = output[0, 0]
            if name.startswith("attention_"):
                attention[name.removeprefix("attention_")] = value
            else:
                values[name] = value
        return Explanation(
            start_seconds=segment.start_seconds,
            end_seconds=segment.end_seconds + recording.filled_seconds,
            log_mel=values.get("log_mel"),
            attention=attention,
            events=tuple(self.card["events"]),
            event_scores=values.get("event_scores"),
        )

    def _by_scene(self, probabilities: np.ndarray) -> dict[str, float]:
        """Returns probabilities [scenes] as scene -> probability."""
        floats = [float(value) for value in probabilities]
        return dict(zip(self.scenes, floats, strict=True))

    def _run(
        self, signature: str, waveform: np.ndarray, recordings: list[Recording]
    ) -> dict[str, np.ndarray]:
        """Runs a signature of the model.

        Args:
          signature: Its name.
          waveform: Waveforms [batch, samples, channels].
          recordings: The recording of each waveform; all have the same sample rate.
        """
        embedding = None
        if self.embeddings is not None:
            embedding = np.stack([self.embeddings.of(recording) for recording in recordings])
        return self._model.run(signature, waveform, recordings[0].sample_rate_hz, embedding)


@dataclasses.dataclass(frozen=True, eq=False)
class _Window:
    """A window of a recording that waits to be classified.

    Attributes:
      recording: The recording.
      start: Its first sample in the recording.
      waveform: Its waveform [samples, channels].
    """

    recording: Recording
    start: int
    waveform: np.ndarray


def _has_place(batch: list[_Window], window: _Window) -> bool:
    """Returns whether a window fits a batch, which has one sample rate and a largest size."""
    same_rate = batch[0].recording.sample_rate_hz == window.recording.sample_rate_hz
    return same_rate and len(batch) < BATCH_WINDOWS
