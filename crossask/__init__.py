"""Cross-task pre-training for acoustic scene classification, after Zhang, Zou and Li (arXiv 1910.09935)."""

__version__ = "0.1.0"


def load(model_dir, hop_seconds: float | None = None):
    """The model that `crossask-export` wrote to `model_dir`: a crossask.prediction.Classifier.

    >>> import crossask
    >>> model = crossask.load("demo_output/model")  # doctest: +SKIP
    >>> answer = model.predict("recording.wav")  # doctest: +SKIP
    >>> answer.scene, answer.probabilities, answer.timeline, answer.explain().attended()  # doctest: +SKIP

    Args:
      hop_seconds: of the windows in which a long recording is heard; None is half the clip length of training.
    """
    from crossask.prediction import Classifier

    return Classifier(model_dir, hop_seconds)
