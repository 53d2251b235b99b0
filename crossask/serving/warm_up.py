"""Requests that TensorFlow Serving runs when it loads an exported model, so that none is slow."""

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from crossask import config
from crossask.serving import wav_file
from crossask.serving.graph import OF_WAVEFORMS

if TYPE_CHECKING:
    from tensorflow_serving.apis import predict_pb2

# File inside the SavedModel in which TensorFlow Serving looks for warm-up requests.
WARM_UP = "assets.extra/tf_serving_warmup_requests"


def can_write_warm_up() -> bool:
    """Returns whether the package is installed that warm-up requests need."""
    return importlib.util.find_spec("tensorflow_serving") is not None


def write_warm_up(
    path: Path,
    features: config.FeatureConfig,
    embedding_shape: Sequence[int] | None = None,
) -> None:
    """Writes requests that TensorFlow Serving runs when it loads the model.

    The first request of each signature and number of channels is slow. Each of these requests is
    one clip of silence. Without the package tensorflow-serving-api, nothing is written.

    Args:
      path: File to write, in a folder that does not exist yet.
      features: Sample rate and length of the clip.
      embedding_shape: Shape of the input "embedding" without the batch, if there is one.
    """
    if not can_write_warm_up():
        return
    from tensorflow_serving.apis import prediction_log_pb2

    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in _requests(features, embedding_shape):
            predict_log = prediction_log_pb2.PredictLog(request=request)
            log = prediction_log_pb2.PredictionLog(predict_log=predict_log)
            writer.write(log.SerializeToString())


def _requests(
    features: config.FeatureConfig, embedding_shape: Sequence[int] | None
) -> Iterator["predict_pb2.PredictRequest"]:
    """Yields a request with one clip of silence for each signature and number of channels."""
    samples = round(features.clip_seconds * features.sample_rate_hz)
    rate = np.int32(features.sample_rate_hz)
    for channels in (1, 2):
        silence = np.zeros((samples, channels), np.int16)
        inputs = {"waveform": silence[np.newaxis].astype(np.float32), "sample_rate_hz": rate}
        if embedding_shape is not None:
            inputs["embedding"] = np.zeros((1, *embedding_shape), np.float32)
        for signature in OF_WAVEFORMS:
            yield _request(signature, inputs)
        if embedding_shape is None:
            yield _request("classify_wav", {"wav_bytes": [wav_file.content_of(silence, int(rate))]})


def _request(signature: str, inputs: Mapping[str, Any]) -> "predict_pb2.PredictRequest":
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request
