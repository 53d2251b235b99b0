"""An exported model and recordings to answers. Imports no training or model code: TensorFlow and the reader alone."""

from crossask.prediction.classifier import Classifier, Embeddings, Explanation, Prediction, Segment

__all__ = ["Classifier", "Embeddings", "Explanation", "Prediction", "Segment"]
