"""The interface of HEAR 2021 (https://hearbenchmark.com/hear-api.html) for exported models.

>>> from crossask import hear  # doctest: +SKIP
>>> model = hear.load_model("demo_output/model")  # doctest: +SKIP
>>> hear.get_scene_embeddings(audio, model).shape  # doctest: +SKIP
TensorShape([n_sounds, scene_embedding_size])

Audio is mono [n_sounds, n_samples] in -1..1 at model.sample_rate, of any length.
"""

import math
import os

import numpy as np
import tensorflow as tf

from crossask.audio import amplitudes, fill_window, frontends, sliding_windows
from crossask.config import catalogue
from crossask.errors import CrossaskError
from crossask.serving import Classifier, Embeddings

# Environment variable with the folder of the model.
MODEL_VARIABLE = "CROSSASK_HEAR_MODEL"
# Sample rates in which the benchmark provides its tasks.
SAMPLE_RATES_HZ = (16000, 22050, 32000, 44100, 48000)
# Time between the timestamps of a model that reads no events.
WINDOW_HOP_SECONDS = 1.0
PATCH_SECONDS = frontends.PATCH_SAMPLES / frontends.EVENT_RATE_HZ


class HearModel(tf.Module):
    """An exported model with the attributes that HEAR requires.

    Attributes:
      classifier: The exported model.
      sample_rate: Sample rate of the audio in Hz: the lowest of the benchmark's rates that is not
        below the rate of the training data.
      scene_embedding_size: Width of a scene embedding.
      timestamp_embedding_size: Width of a timestamp embedding.
      patches: Number of event patches in a window; 0 if the model reads no events, or if the times
        of its patches are not known.
    """

    def __init__(self, classifier: Classifier):
        """Determines the sizes of the embeddings by embedding a clip of silence."""
        super().__init__()
        self.classifier = classifier
        trained_hz = classifier.card["sample_rate_hz"]
        sufficient = [rate for rate in SAMPLE_RATES_HZ if rate >= trained_hz]
        self.sample_rate = min(sufficient, default=max(SAMPLE_RATES_HZ))
        samples = round(classifier.clip_seconds * self.sample_rate)
        silence = self.embed(np.zeros(samples, np.float32))
        self.scene_embedding_size = int(silence.scene.shape[-1])
        if silence.events is None or _patch_hop_seconds(classifier) is None:
            self.patches = 0
            self.timestamp_embedding_size = self.scene_embedding_size
        else:
            self.patches = silence.events.shape[1]
            self.timestamp_embedding_size = int(silence.events.shape[-1])

    def embed(self, sound: np.ndarray) -> Embeddings:
        """Returns the embeddings of one sound [samples]; a short one is filled up to a window."""
        most_silence = round(self.classifier.most_silence_seconds * self.sample_rate)
        return self._embed(sound, most_silence)

    def embed_with_silence(self, sound: np.ndarray) -> Embeddings:
        """Returns the embeddings of one sound [samples]; silence fills a short one.

        For the embeddings of events, which are those of a short part of the sound: beyond the end
        of the sound, a repetition would add events.
        """
        return self._embed(sound, self._window_samples)

    @property
    def _window_samples(self) -> int:
        return round(self.classifier.clip_seconds * self.sample_rate)

    def _embed(self, sound: np.ndarray, most_silence: int) -> Embeddings:
        filled = fill_window(sound, self._window_samples, most_silence)
        return self.classifier.embed(filled, self.sample_rate)


def load_model(model_file_path: str = "") -> HearModel:
    """Loads a model that `crossask-export` wrote.

    Args:
      model_file_path: Folder of the SavedModel; "" is the folder in the environment variable
        CROSSASK_HEAR_MODEL.

    Raises:
      CrossaskError: No folder is given, or it contains no exported model.
    """
    folder = model_file_path or os.environ.get(MODEL_VARIABLE, "")
    if not folder:
        raise CrossaskError(
            "No model is given.",
            f"Pass the folder that crossask-export wrote, or set {MODEL_VARIABLE} to it.",
        )
    return HearModel(Classifier(folder))


def get_scene_embeddings(audio: tf.Tensor | np.ndarray, model: HearModel) -> tf.Tensor:
    """Returns one embedding of each sound, the mean over its windows.

    Args:
      audio: Sounds [n_sounds, n_samples].
      model: The model.

    Returns:
      Embeddings [n_sounds, scene_embedding_size], float32.

    Raises:
      CrossaskError: The audio has another shape, is empty, or has samples that are not finite or
        of amplitude 8 or more.
    """
    embeddings = [model.embed(sound).scene.mean(0) for sound in _checked(audio)]
    return tf.constant(np.stack(embeddings), tf.float32)


def get_timestamp_embeddings(
    audio: tf.Tensor | np.ndarray, model: HearModel
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns embeddings of each sound over time.

    A model that reads events of VGGish or YAMNet returns the event embedding of each patch: 0.975 s
    long, every 0.96 s (VGGish) or 0.48 s (YAMNet). Another model returns the scene embedding of
    windows 1 s apart.
    Left out are patches whose centre lies after the end of the sound, and the rest of a long sound
    that does not fill a window.

    Args:
      audio: Sounds [n_sounds, n_samples].
      model: The model.

    Returns:
      Embeddings [n_sounds, n_timestamps, timestamp_embedding_size], and timestamps [n_sounds,
      n_timestamps] in milliseconds, which are the centres of the patches or windows. Both are
      float32.

    Raises:
      CrossaskError: The audio has another shape, is empty, or has samples that are not finite or
        of amplitude 8 or more.
    """
    embeddings = []
    centres = []
    for sound in _checked(audio):
        if model.patches:
            embedding, seconds = _embed_patches(sound, model)
        else:
            embedding, seconds = _embed_windows(sound, model)
        embeddings.append(embedding)
        centres.append(1000 * seconds)
    return (
        tf.constant(np.stack(embeddings), tf.float32),
        tf.constant(np.stack(centres), tf.float32),
    )


def _patch_hop_seconds(classifier: Classifier) -> float | None:
    """Returns the time between the starts of two event patches; None if the event model decides."""
    front_end_name = classifier.card["front_end"]["events"]["patches"]
    return catalogue.front_end(front_end_name).patch_hop_seconds


def _embed_patches(sound: np.ndarray, model: HearModel) -> tuple[np.ndarray, np.ndarray]:
    """Returns event embeddings [patches, E] and the patches' centres [patches] in seconds.

    The model computes the embeddings of one window at a time. Windows start where a patch starts,
    so that the patches of all windows are equally spaced.
    """
    rate = model.sample_rate
    clip_seconds = model.classifier.clip_seconds
    sound_seconds = len(sound) / rate
    hop_seconds = min(_patch_hop_seconds(model.classifier), clip_seconds)

    # Count the patches whose centre lies within the sound.
    patch_seconds = min(PATCH_SECONDS, clip_seconds, sound_seconds)
    last_centre = sound_seconds - patch_seconds / 2
    count = 1 + math.floor(last_centre / hop_seconds)
    centres = np.arange(count) * hop_seconds + patch_seconds / 2

    # The last patch of a window may reach beyond the window. If the sound goes on, the next window
    # starts with that patch, so each patch is computed once, from the sound instead of padding.
    last_start = max(0, clip_seconds - PATCH_SECONDS)
    whole_patches = 1 + math.floor(last_start / hop_seconds)
    window_samples = round(clip_seconds * rate)
    windows = 1
    if count > model.patches or len(sound) > window_samples:
        windows = math.ceil(count / whole_patches)

    embeddings = []
    for number in range(windows):
        start = round(number * whole_patches * hop_seconds * rate)
        window = sound[start : start + window_samples]
        patches = model.embed_with_silence(window).events[0]  # [patches, E]
        is_last = number == windows - 1
        embeddings.append(patches if is_last else patches[:whole_patches])
    return np.concatenate(embeddings)[:count], centres


def _embed_windows(sound: np.ndarray, model: HearModel) -> tuple[np.ndarray, np.ndarray]:
    """Returns scene embeddings [windows, D] and the windows' centres [windows] in seconds."""
    rate = model.sample_rate
    length = min(round(model.classifier.clip_seconds * rate), len(sound))
    hop = min(round(WINDOW_HOP_SECONDS * rate), length)
    embeddings = []
    centres = []
    for start, window in sliding_windows([sound], length, hop):
        # The benchmark requires equal steps, but the last window ends with the sound.
        if start % hop == 0:
            embeddings.append(model.embed(window).scene[0])
            centres.append((start + length / 2) / rate)
    return np.stack(embeddings), np.array(centres)


def _checked(audio: tf.Tensor | np.ndarray) -> np.ndarray:
    """Returns sounds as an array [n_sounds, n_samples].

    Raises:
      CrossaskError: The shape is another one, or samples are integers, not finite or of
        amplitude 8 or more.
    """
    sounds = np.asarray(audio)
    if not np.issubdtype(sounds.dtype, np.floating):
        raise CrossaskError(
            f"The audio is {sounds.dtype}.",
            "Pass floats in -1..1; divide 16-bit integers by 32768.",
        )
    with np.errstate(over="ignore"):
        sounds = sounds.astype(np.float32)
    if sounds.ndim != 2 or not sounds.size:
        raise CrossaskError(
            f"The audio has the shape {sounds.shape}.",
            "Pass [n_sounds, n_samples], with at least one of each.",
        )
    for number, sound in enumerate(sounds):
        amplitudes.check(sound, f"Sound {number} (counted from 0)")
    return sounds
