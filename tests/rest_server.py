"""A local server with the REST messages of TensorFlow Serving, for one SavedModel.

TensorFlow Serving itself is not a Python package. The rules are those of its page "RESTful API":
what "instances" and "inputs" may contain, how bytes are written, which outputs fit "predictions",
and errors as JSON. Requests and responses pass through the messages of tensorflow-serving-api.
"""

import base64
import contextlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

PREDICT = re.compile(r"/v1/models/(\w+)(?:/versions/(\d+))?:predict")
# JSON values that a tensor accepts; True is an int in Python only.
KINDS = {tf.float32: (int, float), tf.int32: (int,), tf.string: (str, bytes)}


class BadRequest(Exception):
    """A request to which the server responds with the status 400."""


class Handler(http.server.BaseHTTPRequestHandler):
    """Responds to requests with the model of its server."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        found = PREDICT.fullmatch(self.path)
        if found is None or found[1] != self.server.name:
            self._answer(404, {"error": f"Servable not found for request: Latest({self.path})"})
            return
        try:
            answer = predict(self.server.signatures, json.loads(body))
        except (BadRequest, json.JSONDecodeError, tf.errors.InvalidArgumentError) as error:
            self._answer(400, {"error": str(error)})
        else:
            self._answer(200, answer)

    def log_message(self, *_words):
        """Logs nothing."""

    def _answer(self, status: int, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def running(model_dir: Path, name: str) -> Iterator[str]:
    """Serves a SavedModel under a name; yields host and port."""
    model = tf.saved_model.load(str(model_dir))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.model = model  # The signatures do not keep it alive.
        server.signatures = model.signatures
        server.name = name
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def predict(signatures, content: dict) -> dict:
    """Returns the JSON of a response for the JSON of a request."""
    name = content.get("signature_name", "serving_default")
    if name not in signatures:
        raise BadRequest(f'Serving signature name: "{name}" not found in signature def')
    specs = signatures[name].structured_input_signature[1]
    is_row = "instances" in content
    if is_row == ("inputs" in content):
        raise BadRequest("There must be either 'inputs' or 'instances'.")
    if is_row:
        values = columns_of(content["instances"], specs)
    else:
        values = values_of(content["inputs"], specs)
    request = predict_pb2.PredictRequest()
    for key, value in values.items():
        array = array_of(value, specs[key].dtype)
        request.inputs[key].CopyFrom(tf.make_tensor_proto(array, specs[key].dtype))
    request = predict_pb2.PredictRequest.FromString(request.SerializeToString())
    inputs = {key: tf.constant(tf.make_ndarray(proto)) for key, proto in request.inputs.items()}
    response = predict_pb2.PredictResponse()
    for key, value in signatures[name](**inputs).items():
        response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
    outputs = {key: tf.make_ndarray(proto) for key, proto in response.outputs.items()}
    if is_row:
        return {"predictions": rows_of(outputs)}
    return {"outputs": {key: json_of(key, value) for key, value in outputs.items()}}


def is_bytes(value) -> bool:
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def columns_of(instances, specs) -> dict:
    """Returns name -> list of the values of all instances."""
    if not isinstance(instances, list) or not instances:
        raise BadRequest("'instances' must be a list with at least one value.")
    if isinstance(instances[0], dict) and not is_bytes(instances[0]):
        for instance in instances:
            if set(instance) != set(specs):
                raise BadRequest(f"The keys of an instance must be equal to {sorted(specs)}.")
        columns = {}
        for key in specs:
            columns[key] = [instance[key] for instance in instances]
        return columns
    if len(specs) > 1:
        raise BadRequest("instances is a plain list, but there are several inputs.")
    return dict.fromkeys(specs, instances)


def values_of(inputs, specs) -> dict:
    """Returns name -> value."""
    if isinstance(inputs, dict) and not is_bytes(inputs):
        missing = set(specs) - set(inputs)
        if missing:
            raise BadRequest(f"Missing named input: {sorted(missing)} in 'inputs' object.")
        return {key: inputs[key] for key in specs}
    if len(specs) > 1:
        raise BadRequest("inputs is a plain value, but there are several inputs.")
    return dict.fromkeys(specs, inputs)


def array_of(value, dtype: tf.DType) -> np.ndarray:
    """Returns nested lists as an array."""
    value = decoded(value, dtype)
    try:
        return np.array(value, object if dtype == tf.string else dtype.as_numpy_dtype)
    except ValueError as error:
        raise BadRequest("Encountered list at unexpected size.") from error


def decoded(value, dtype: tf.DType):
    """Returns a JSON value with bytes in place of base64, if its values have the right type."""
    if isinstance(value, list):
        return [decoded(item, dtype) for item in value]
    if is_bytes(value) and dtype == tf.string:
        return base64.b64decode(value["b64"])
    if isinstance(value, bool) or not isinstance(value, KINDS[dtype]):
        raise BadRequest(f"JSON Value: {value} is not of expected type: {dtype.name}")
    return value


def rows_of(outputs: dict[str, np.ndarray]) -> list:
    """Returns the outputs as one object for each entry of the batch."""
    sizes = {value.shape[:1] for value in outputs.values()}
    if len(sizes) != 1:
        raise BadRequest("A tensor has an inconsistent batch size.")
    columns = {key: json_of(key, value) for key, value in outputs.items()}
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def json_of(name: str, value: np.ndarray):
    """Returns an output as JSON; only outputs whose names end in _bytes are base64."""
    if value.dtype != object:
        return value.tolist()

    def text_of(item):
        if isinstance(item, list):
            return [text_of(part) for part in item]
        if name.endswith("_bytes"):
            return {"b64": base64.b64encode(item).decode()}
        return item.decode()

    return text_of(value.tolist())
