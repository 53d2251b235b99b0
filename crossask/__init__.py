"""Cross-task pre-training for acoustic scene classification, after Zhang, Zou and Li (arXiv 1910.09935)."""

from crossask.version import __version__

__all__ = ["__version__", "load"]


def load(model_dir, hop_seconds: float | None = None):
    """The model that `crossask-export` wrote to `model_dir`, as a crossask.serving.Classifier.

    >>> import crossask
    >>> model = crossask.load("demo_output/model")
    >>> answer = model.predict("recording.wav")
    >>> answer.scene == max(answer.probabilities, key=answer.probabilities.get)
    True
    >>> for segment in answer.timeline:
    ...     print(f"{segment.start_seconds:.0f} to {segment.end_seconds:.0f} s: {segment.scene in model.scenes}")
    0 to 2 s: True
    1 to 3 s: True
    >>> why = answer.explain(at_seconds=2.5)
    >>> (why.start_seconds, why.end_seconds), sorted(why.attention)
    ((1.0, 3.0), ['pooling'])

    An array does as well, and embeddings can be had for classifiers of one's own:

    >>> import numpy as np
    >>> noise = np.random.default_rng(0).normal(0, 0.1, (16000 * 3, 2))
    >>> model.predict(noise, sample_rate_hz=16000).seconds
    3.0
    >>> model.embed(noise, sample_rate_hz=16000).scene.shape[0]  # windows
    2

    Many recordings are heard in batches; one that cannot be used is an AudioError in its place:

    >>> [type(answer).__name__ for answer in model.predict_each(["recording.wav", "nowhere.wav"])]
    ['Prediction', 'AudioError']

    Args:
      hop_seconds: of the windows in which a long recording is heard; None is half the clip length of training.

    Raises:
      CrossaskError: the folder is no SavedModel of ours.
    """
    from crossask.serving import Classifier

    return Classifier(model_dir, hop_seconds)
