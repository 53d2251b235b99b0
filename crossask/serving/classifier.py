"""Predicts the scenes of recordings with an exported model."""

import collections
import dataclasses
import logging
import math
import numbers
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crossask import stored
from crossask.audio import amplitudes, fill_window, rates, reading, sliding_windows
from crossask.audio.remarks import SILENCE_DBFS, Remarks
from crossask.audio.windows import BATCH_WINDOWS
from crossask.errors import AudioError, CrossaskError
from crossask.serving.cards import read_card
from crossask.serving.litert_runner import LiteRTModel
from crossask.serving.starter import starter_model

if TYPE_CHECKING:
    from crossask.events.precomputed import Precomputed

LITERT_SUFFIX = ".tflite"
# What TensorFlow raises for a damaged SavedModel, beside errors of its own.
BROKEN_MODEL = (
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    AssertionError,
)
EXPORT_AGAIN = "Export the run again with crossask-export."
# A recording that is shorter than this share of a window is warned of.
SHORT_SHARE = 0.9
LOG = logging.getLogger("crossask")

# A recording: the path of a sound file, or a waveform [samples] or [samples, channels].
Source = str | os.PathLike | np.ndarray
Progress = Callable[[Source, float], None]


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
    """

    start_seconds: float
    end_seconds: float
    probabilities: dict[str, float]


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

    def events_heard(self, count: int = 5) -> list[tuple[str, float]]:
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
      probabilities: Scene -> probability, the mean over all windows.
      timeline: The windows in order of time; they may overlap.
      filled_seconds: Seconds by which the recording was filled up to a window, with silence or with
        its repetition (see `crossask.audio.fill_window`); 0 if it is long enough.
      is_sure: Whether the probability of `scene` is at least the model's limit, and the recording
        is not silent.
      level_dbfs: Level of the loudest part of a window's length, in dB relative to an amplitude of
        1, at least -200. A constant offset does not count; a full-scale sine has -3 dBFS.
      remarks: What is unusual about the file: a silent channel, or a missing end. Each is the rest
        of a sentence that begins with `source`, without its full stop.
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
        if self.seconds < SHORT_SHARE * (self.seconds + self.filled_seconds):
            texts.append(
                f"lasts {self.seconds:.3g} s and was filled with {self.filled_seconds:.3g} s, so "
                "the prediction may be less accurate"
            )
        return tuple(texts)

    @property
    def is_silent(self) -> bool:
        """Whether no window is louder than SILENCE_DBFS; the scene then means nothing."""
        return self.level_dbfs < SILENCE_DBFS

    def explain(self, at_seconds: float | None = None) -> Explanation:
        """Returns the explanation of one window, whose part of the recording is read again.

        Args:
          at_seconds: The window whose centre is nearest to this time is explained. None is the
            window in which the probability of `scene` is highest.

        Raises:
          CrossaskError: The time is not a finite number.
        """
        if at_seconds is not None and not _is_finite(at_seconds):
            raise CrossaskError(
                f"The time is {at_seconds!r} s.", "Give a finite number of seconds."
            )
        if at_seconds is None:
            probabilities = [segment.probabilities[self.scene] for segment in self.timeline]
            number = int(np.argmax(probabilities))
        else:
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
          CrossaskError: There is no exported model, the hop is not above 0, or the embeddings are
            missing, not needed or of another shape.
        """
        if hop_seconds is not None and not (_is_finite(hop_seconds) and hop_seconds > 0):
            raise CrossaskError(f"The hop is {hop_seconds!r} s.", "Set it to a number above 0.")
        path = starter_model() if model_dir is None else Path(model_dir)
        if path.suffix == LITERT_SUFFIX:
            self._model: _SavedModel | LiteRTModel = LiteRTModel(path)
        else:
            self._model = _SavedModel(path, trust_model)
        self.card = self._model.card
        self.scenes = tuple(self.card["scenes"])
        self.clip_seconds = self.card["clip_seconds"]
        self.hop_seconds = hop_seconds
        self.least_probability = self.card.get("least_probability", 0.0)
        # The graph of an older model fills every short waveform with silence.
        self.most_silence_seconds = self.card.get("max_padding_seconds", self.clip_seconds)
        self.embeddings = self._read_embeddings(embeddings, path)
        # Name of embeddings -> path of the recording for which they were read.
        self._recording_of: dict[str, str] = {}

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
        pending: collections.deque[_Recording] = collections.deque()
        batch: list[_Window] = []
        for source in sources:
            recording = _Recording(source, sample_rate_hz)
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
        recording = _Recording(source, sample_rate_hz)
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

    def _read_embeddings(self, path: str | Path | None, folder: Path) -> "Precomputed | None":
        """Returns the embeddings of the recordings; None for a model that computes them itself."""
        shape = self.card.get("embedding_shape")
        if shape is None:
            if path is not None:
                raise CrossaskError(
                    f"The model {folder} computes all embeddings itself.", "Remove --embeddings."
                )
            return None
        if path is None:
            raise CrossaskError(
                f"The model {folder} needs the embeddings {shape} of each recording, which another "
                "toolkit computes.",
                "Predict with crossask-predict --embeddings=FILE.npz, or in Python with "
                "crossask.serving.Classifier(model_dir, embeddings=FILE).",
            )
        from crossask.config import EventModelConfig
        from crossask.events.precomputed import Precomputed

        found = Precomputed(EventModelConfig(name="precomputed", embeddings=str(path)))
        if list(found.shape) != list(shape):
            raise CrossaskError(
                f"The embeddings in {path} are {list(found.shape)}, but the model {folder} was "
                f"trained with {list(shape)}.",
                "Compute them with the same model, from clips of the same length.",
            )
        return found

    def _embedding_of(self, recording: "_Recording") -> np.ndarray:
        """Returns the embeddings [n, width] of a recording.

        Their name is the recording's path or the end of it, for example "audio/a.wav" or "a.wav".

        Raises:
          AudioError: There are none, or the recording is an array, which has no path.
        """
        if recording.is_array:
            raise AudioError(
                "The model needs embeddings, which are found by the path of the recording, but it "
                "is an array.",
                "Write it to a file.",
            )
        parts = Path(recording.source).parts
        for start in range(len(parts)):
            name = Path(*parts[start:]).as_posix()
            if name in self.embeddings:
                self._check_one_recording(name, recording)
                return self.embeddings.embedding_of(name)
        raise AudioError(
            f"{self.embeddings.path} has no embeddings of {recording.name}.",
            f"Add an array with the name {parts[-1]!r}.",
        )

    def _check_one_recording(self, name: str, recording: "_Recording") -> None:
        """Raises AudioError if an embedding has been read for another recording already."""
        path = os.path.realpath(recording.source)
        first = self._recording_of.setdefault(name, path)
        if first != path:
            raise AudioError(
                f"{first} and {path} would both have the embeddings {name!r} of "
                f"{self.embeddings.path}.",
                "Name the embeddings by more of the paths of their recordings, such as "
                f"{'/'.join(Path(path).parts[-2:])!r}.",
            )

    def _check_excess(self, recording: "_Recording", seconds: float) -> None:
        """Raises AudioError if a recording is too much longer than a clip to be cut to it."""
        if seconds > self.card["experiment"]["features"]["max_cut_seconds"]:
            raise AudioError(
                f"{recording.name} lasts more than a clip of {self.clip_seconds:g} s, to which its "
                "embeddings belong.",
                "Cut the recording into clips, with embeddings of each.",
            )

    def _windows(self, recording: "_Recording") -> Iterator["_Window"]:
        """Yields the windows of a recording, none of them shorter than least_seconds."""
        blocks = recording.read_blocks(self.clip_seconds)
        # The event model may read a higher rate than the scene model.
        events = self.card["front_end"].get("events", {})
        model_hz = max(self.card["sample_rate_hz"], events.get("sample_rate_hz", 0))
        rate = rates.graph_rate(recording.own_rate_hz, model_hz, self.card["sample_rates_hz"])
        recording.sample_rate_hz = rate
        blocks = rates.convert_blocks(blocks, recording.own_rate_hz, rate)
        length = round(self.clip_seconds * rate)
        if self.hop_seconds is None:
            hop = length // 2
        else:
            hop = min(max(1, round(self.hop_seconds * rate)), length)
        least_seconds = self.card["least_seconds"]
        is_empty = True
        for start, waveform in sliding_windows(blocks, length, hop):
            if len(waveform) < least_seconds * rate:
                raise AudioError(
                    f"{recording.name} lasts {len(waveform) / rate:.3f} s.",
                    f"Use a recording of at least {least_seconds:g} s.",
                )
            is_empty = False
            if self.embeddings is not None:
                # Fails here if there are none, and not in a batch with other recordings.
                self._embedding_of(recording)
                if start:
                    # What is left of a recording that is little longer than a clip is cut off.
                    self._check_excess(recording, start / rate)
                    continue
            yield _Window(recording, start, waveform)
        if is_empty:
            raise AudioError(
                f"{recording.name} contains no samples.", "Record it again, or leave it out."
            )

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
        for window, probabilities in zip(batch, values["probabilities"], strict=True):
            segment = Segment(
                start_seconds=window.start / rate,
                end_seconds=(window.start + len(window.waveform)) / rate,
                probabilities=self._by_scene(probabilities),
            )
            window.recording.timeline.append(segment)
            window.recording.unclassified -= 1
        if progress is not None:
            last = batch[-1].recording
            progress(last.source, last.timeline[-1].end_seconds)

    def _outcome(self, recording: "_Recording") -> Prediction | AudioError:
        """Returns the prediction for a recording whose windows are all classified, or its error."""
        if recording.error is not None:
            return recording.error
        timeline = tuple(recording.timeline)
        table = np.array([list(segment.probabilities.values()) for segment in timeline])

        def explain(segment: Segment) -> Explanation:
            """Returns the explanation of one window; reads the recording again."""
            return self._explain(recording, segment)

        probabilities = table.mean(0)
        level_dbfs = recording.remarks.loudest_dbfs
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

    def _explain(self, recording: "_Recording", segment: Segment) -> Explanation:
        waveform = recording.read_part(segment.start_seconds, segment.end_seconds)
        outputs = self._run("explain", waveform[np.newaxis], [recording])
        values = {}
        attention = {}
        for name, output in outputs.items():
            if name == "window_start_seconds":
                continue
            # The batch is one recording with one window.
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
        numbers = [float(value) for value in probabilities]
        return dict(zip(self.scenes, numbers, strict=True))

    def _run(
        self, signature: str, waveform: np.ndarray, recordings: list["_Recording"]
    ) -> dict[str, np.ndarray]:
        """Runs a signature of the model.

        Args:
          signature: Its name.
          waveform: Waveforms [batch, samples, channels].
          recordings: The recording of each waveform; all have the same sample rate.
        """
        embedding = None
        if self.embeddings is not None:
            embedding = np.stack([self._embedding_of(recording) for recording in recordings])
        return self._model.run(signature, waveform, recordings[0].sample_rate_hz, embedding)


class _SavedModel:
    """A SavedModel in a folder.

    Attributes:
      card: The model card.
      loaded: The SavedModel as TensorFlow loads it.
    """

    def __init__(self, folder: Path, trust_model: bool = False):
        # The card is read first: a graph that is loaded may run.
        self.card = read_card(folder, trust_model)
        stored.check_folder(folder, EXPORT_AGAIN)
        import tensorflow as tf
        from google.protobuf.message import DecodeError

        self._tf = tf
        try:
            self.loaded = tf.saved_model.load(str(folder))
        except (*BROKEN_MODEL, DecodeError, tf.errors.OpError) as error:
            problem = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise CrossaskError(f"{str(folder)!r} is damaged ({problem}).", EXPORT_AGAIN) from error

    def run(
        self, signature: str, waveform: np.ndarray, rate: int, embedding: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
          signature: Its name.
          waveform: Waveforms [batch, samples, channels].
          rate: Their sample rate in Hz.
          embedding: Embeddings [batch, n, width], for a model of precomputed embeddings.
        """
        inputs = {
            "waveform": self._tf.constant(waveform, self._tf.float32),
            "sample_rate_hz": self._tf.constant(rate, self._tf.int32),
        }
        if embedding is not None:
            inputs["embedding"] = self._tf.constant(embedding)
        tensors = self.loaded.signatures[signature](**inputs)
        return {name: tensor.numpy() for name, tensor in tensors.items()}


class _Recording:
    """A recording whose scene is being predicted.

    Attributes:
      source: Path of a sound file, or an array.
      name: What messages call it.
      own_rate_hz: Its sample rate in Hz; of a file, it is set when the file is opened.
      sample_rate_hz: Sample rate in Hz at which the model reads it; set with the first window.
      unclassified: Number of windows that wait in a batch.
      timeline: The classified windows.
      filled_seconds: Seconds by which the recording was filled up to a window.
      remarks: What is unusual about it.
      error: Why the recording cannot be used, if it cannot.
    """

    def __init__(self, source: Source, sample_rate_hz: int | None):
        self.source = source
        self.is_array = isinstance(source, np.ndarray)
        self.name = "the array" if self.is_array else str(source)
        self.own_rate_hz = sample_rate_hz
        self.sample_rate_hz = sample_rate_hz
        self.unclassified = 0
        self.timeline: list[Segment] = []
        self.filled_seconds = 0.0
        self.remarks = Remarks()
        self.error: AudioError | None = None

    @property
    def is_done(self) -> bool:
        """Whether all windows are classified, or an error makes them useless."""
        return self.error is not None or self.unclassified == 0

    def read_blocks(self, seconds: float) -> Iterator[np.ndarray]:
        """Returns the waveform as blocks [samples, channels]; those of a file last `seconds`."""
        if self.is_array:
            self._check_array()
            return self.remarks.of(self._blocks_of_array(seconds))
        if not isinstance(self.source, str | os.PathLike):
            raise AudioError(
                f"A recording has the type {type(self.source).__name__}.",
                "Give the path of a sound file, or a NumPy array with sample_rate_hz.",
            )
        blocks, self.own_rate_hz = reading.read_blocks(self.source, seconds, self.remarks)
        return blocks

    def read_part(self, start_seconds: float, end_seconds: float) -> np.ndarray:
        """Returns the waveform [samples, channels] between two moments, as the model reads it."""
        to_hz = self.sample_rate_hz
        if self.own_rate_hz == to_hz:
            return self._samples(round(start_seconds * to_hz), round(end_seconds * to_hz))
        # A second more on either side contains everything that the filter of the conversion needs.
        # At whole seconds, there is a sample at both rates.
        first_second = max(0, math.floor(start_seconds) - 1)
        last_second = math.ceil(end_seconds) + 1
        part = self._samples(first_second * self.own_rate_hz, last_second * self.own_rate_hz)
        converted = rates.convert(part, self.own_rate_hz, to_hz)
        start = round(start_seconds * to_hz) - first_second * to_hz
        end = round(end_seconds * to_hz) - first_second * to_hz
        return converted[start:end]

    def _samples(self, start: int, end: int) -> np.ndarray:
        """Returns samples of the recording at its own rate."""
        if self.is_array:
            return self._columns()[start:end]
        return reading.read_part(self.source, start, end)

    def _blocks_of_array(self, seconds: float) -> Iterator[np.ndarray]:
        """Yields the array in blocks [samples, channels]."""
        columns = self._columns()
        length = max(1, round(seconds * self.own_rate_hz))
        for start in range(0, len(columns), length):
            yield columns[start : start + length]

    def _columns(self) -> np.ndarray:
        """Returns the array as [samples, channels]."""
        if self.source.ndim == 1:
            return self.source[:, np.newaxis]
        return self.source

    def _check_array(self) -> None:
        """Raises AudioError unless the array is a waveform with a sample rate."""
        array = self.source
        if np.ma.isMaskedArray(array):
            raise AudioError(
                "The array is masked, and a masked sample has no value.",
                "Fill it, for example with array.filled(0).",
            )
        if self.own_rate_hz is None:
            raise AudioError("An array was given without its sample rate.", "Set sample_rate_hz.")
        self.own_rate_hz = _whole_rate(self.own_rate_hz)
        has_shape = array.ndim in (1, 2) and self._columns().shape[1] in (1, 2)
        has_floats = np.issubdtype(array.dtype, np.floating)
        if not (has_shape and has_floats):
            raise AudioError(
                f"The array is {array.dtype} of shape {array.shape}.",
                "Use floats in -1..1, [samples] or [samples, channels] with 1 or 2 channels.",
            )
        amplitudes.check(array, self.name)


def _is_finite(value: object) -> bool:
    """Returns whether a value is a finite number, and no text."""
    return isinstance(value, numbers.Real) and math.isfinite(value)


def _whole_rate(sample_rate_hz: float) -> int:
    """Returns the sample rate of an array as an integer; AudioError if it is none of a sound."""
    # Some libraries return 44100.0. Of text and other objects, the comparison is not possible.
    is_number = isinstance(sample_rate_hz, numbers.Real)
    is_usable = is_number and reading.LEAST_RATE_HZ <= sample_rate_hz <= reading.MOST_RATE_HZ
    if not is_usable or sample_rate_hz != round(sample_rate_hz):
        raise AudioError(
            f"The array has a sample rate of {sample_rate_hz!r} Hz.",
            "Set sample_rate_hz to that of the recording, an integer from "
            f"{reading.LEAST_RATE_HZ} to {reading.MOST_RATE_HZ}.",
        )
    return round(sample_rate_hz)


@dataclasses.dataclass(frozen=True, eq=False)
class _Window:
    """A window of a recording that waits to be classified.

    Attributes:
      recording: The recording.
      start: Its first sample in the recording.
      waveform: Its waveform [samples, channels].
    """

    recording: _Recording
    start: int
    waveform: np.ndarray


def _has_place(batch: list[_Window], window: _Window) -> bool:
    """Returns whether a window fits a batch, which has one sample rate and a largest size."""
    same_rate = batch[0].recording.sample_rate_hz == window.recording.sample_rate_hz
    return same_rate and len(batch) < BATCH_WINDOWS
