"""An exported model behind the interface of HEAR 2021 (https://hearbenchmark.com/hear-api.html).

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

from crossask.audio import frontends
from crossask.config import catalogue
from crossask.errors import CrossaskError
from crossask.serving import Classifier

MODEL_VARIABLE = "CROSSASK_HEAR_MODEL"
SAMPLE_RATES_HZ = (16000, 22050, 32000, 44100, 48000)  # in which the benchmark's tasks come
WINDOW_HOP_SECONDS = 1.0  # of a model that reads no events
PATCH_SECONDS = frontends.PATCH_SAMPLES / frontends.EVENT_RATE_HZ


class HearModel(tf.Module):
    """What `load_model` gives.

    Attributes:
      sample_rate: Hz; of the benchmark's rates the lowest that holds what the model was trained on.
      scene_embedding_size, timestamp_embedding_size: width of the embeddings.
    """

    def __init__(self, classifier: Classifier):
        super().__init__()
        self.classifier = classifier
        trained = classifier.card["sample_rate_hz"]
        self.sample_rate = min(
            (rate for rate in SAMPLE_RATES_HZ if rate >= trained), default=SAMPLE_RATES_HZ[-1]
        )
        silence = self.embed(
            np.zeros(round(classifier.clip_seconds * self.sample_rate), np.float32)
        )
        self.patches = 0 if silence.events is None else silence.events.shape[1]  # of a window
        self.scene_embedding_size = int(silence.scene.shape[-1])
        self.timestamp_embedding_size = int(
            (silence.events if self.patches else silence.scene).shape[-1]
        )

    def embed(self, sound):
        """Classifier.embed of one sound [samples]; silence is added to one that is shorter than the model hears."""
        least = math.ceil(self.classifier.card["least_seconds"] * self.sample_rate)
        return self.classifier.embed(
            np.pad(sound, (0, max(0, least - len(sound)))), self.sample_rate
        )


def load_model(model_file_path: str = "") -> HearModel:
    """The model that crossask-export wrote to this folder, or else to the one that CROSSASK_HEAR_MODEL names.

    Raises:
      CrossaskError: neither is given, or the folder is no SavedModel of ours.
    """
    folder = model_file_path or os.environ.get(MODEL_VARIABLE, "")
    if not folder:
        raise CrossaskError(
            "No model is given.",
            f"Give the folder that crossask-export wrote, or set {MODEL_VARIABLE} to it.",
        )
    return HearModel(Classifier(folder))


def get_scene_embeddings(audio, model: HearModel) -> tf.Tensor:
    """[n_sounds, scene_embedding_size] float32: of each sound the mean over its windows.

    Raises:
      CrossaskError: the audio is not [n_sounds, n_samples], or holds nothing or no numbers.
    """
    return tf.constant(
        np.stack([model.embed(sound).scene.mean(0) for sound in _sounds(audio)]), tf.float32
    )


def get_timestamp_embeddings(audio, model: HearModel) -> tuple[tf.Tensor, tf.Tensor]:
    """What a sound holds over time.

    A model that reads events gives their embeddings, patch by patch: 0.975 s each, every 0.96 s (VGGish) or 0.48 s (YAMNet).
    Another gives the scene embedding of windows, 1 s apart. Patches whose centre lies beyond the sound are left out, and so is
    the rest of a long sound that fills no window.

    Returns:
      (embeddings [n_sounds, n_timestamps, timestamp_embedding_size], timestamps [n_sounds, n_timestamps] in milliseconds, the
      centre of each), both float32.

    Raises:
      CrossaskError: as `get_scene_embeddings`.
    """
    heard = [
        (_of_patches if model.patches else _of_windows)(sound, model) for sound in _sounds(audio)
    ]
    embeddings, seconds = (np.stack(values) for values in zip(*heard, strict=True))
    return tf.constant(embeddings, tf.float32), tf.constant(1000 * seconds, tf.float32)


def _of_patches(sound, model: HearModel):
    """(event embeddings [patches, E], centres of the patches [patches] in seconds)"""
    rate, clip_seconds = model.sample_rate, model.classifier.clip_seconds
    hop = min(
        catalogue.front_end(
            model.classifier.card["front_end"]["events"]["patches"]
        ).patch_hop_seconds,
        clip_seconds,
    )
    length = min(PATCH_SECONDS, clip_seconds, len(sound) / rate)
    count = 1 + math.floor((len(sound) / rate - length / 2) / hop)
    # a window's last patch may reach beyond it: there the next window goes on while the sound does, and no patch is heard twice
    whole = 1 + max(0, math.floor((clip_seconds - PATCH_SECONDS) / hop))
    windows = (
        -(-count // whole)
        if count > model.patches or len(sound) > round(clip_seconds * rate)
        else 1
    )
    heard = []
    for number in range(windows):
        start = round(number * whole * hop * rate)
        window = sound[start : start + round(clip_seconds * rate)]
        events = model.embed(window).events[0]
        heard.append(events if number == windows - 1 else events[:whole])
    return np.concatenate(heard)[:count], np.arange(count) * hop + length / 2


def _of_windows(sound, model: HearModel):
    """(scene embeddings [windows, D], centres of the windows [windows] in seconds)"""
    rate = model.sample_rate
    window = min(round(model.classifier.clip_seconds * rate), len(sound))
    hop = min(round(WINDOW_HOP_SECONDS * rate), window)
    starts = np.arange(0, len(sound) - window + 1, hop)
    return np.stack([model.embed(sound[start : start + window]).scene[0] for start in starts]), (
        starts + window / 2
    ) / rate


def _sounds(audio) -> np.ndarray:
    sounds = np.asarray(audio, np.float32)
    if sounds.ndim != 2 or not sounds.size:
        raise CrossaskError(
            f"The audio has the shape {sounds.shape}.",
            "Give [n_sounds, n_samples], at least one of each.",
        )
    return sounds
