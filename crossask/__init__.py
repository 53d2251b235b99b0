"""Cross-task pre-training for acoustic scene classification (Zhang et al., arXiv 1910.09935)."""

from pathlib import Path
from typing import TYPE_CHECKING

from crossask.version import __version__

if TYPE_CHECKING:
    from crossask.serving import Classifier

__all__ = ["__version__", "load"]


def load(
    model_dir: str | Path | None = None,
    hop_seconds: float | None = None,
    trust_model: bool = False,
) -> "Classifier":
    """Loads a model that `crossask-export` wrote, or the starter model.

    >>> import crossask
    >>> model = crossask.load("demo_output/model")
    >>> prediction = model.predict("recording.wav")
    >>> prediction.scene == max(prediction.probabilities, key=prediction.probabilities.get)
    True
    >>> for segment in prediction.timeline:
    ...     print(segment.start_seconds, segment.end_seconds, segment.scene in model.scenes)
    0.0 2.0 True
    1.0 3.0 True
    >>> explanation = prediction.explain(at_seconds=2.5)
    >>> (explanation.start_seconds, explanation.end_seconds), sorted(explanation.attention)
    ((1.0, 3.0), ['pooling'])

    The model also takes arrays, and computes embeddings for other classifiers:

    >>> import numpy as np
    >>> noise = np.random.default_rng(0).normal(0, 0.1, (16000 * 3, 2))
    >>> model.predict(noise, sample_rate_hz=16000).seconds
    3.0
    >>> model.embed(noise, sample_rate_hz=16000).scene.shape[0]  # windows
    2

    It processes many recordings in batches. The result for a recording that cannot be used is an
    AudioError:

    >>> for result in model.predict_each(["recording.wav", "nowhere.wav"]):
    ...     print(type(result).__name__)
    Prediction
    AudioError

    Args:
      model_dir: Folder of the SavedModel, or a LiteRT file (.tflite), which needs no TensorFlow.
        None is the starter model, which knows ten everyday scenes; its event model is fetched when
        it is first used.
      hop_seconds: Time between the starts of windows in a recording that is longer than a training
        clip; None is half of a window.
      trust_model: Whether a SavedModel is loaded that is not from crossask-export. A SavedModel is
        a program, which can read and write your files; a LiteRT file is data.

    Raises:
      CrossaskError: There is no exported model, it is a SavedModel without a card of
        crossask-export and not trusted, or the hop is not above 0.
    """
    from crossask.serving import Classifier

    return Classifier(model_dir, hop_seconds, trust_model=trust_model)
