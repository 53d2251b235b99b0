"""Functions are traced as they are written, without AutoGraph."""

import inspect
import re
from pathlib import Path

import pytest
import tensorflow as tf
import tf_keras as keras

from crossask.models import FA
from crossask.tracing import as_written

PACKAGE = Path(__file__).resolve().parent.parent / "crossask"


def file_of_caller() -> str:
    """Returns the file of the code that calls this function."""
    return inspect.currentframe().f_back.f_code.co_filename


def test_a_function_and_what_it_calls_are_traced_as_written():
    files = []

    def inner(x):
        files.append(file_of_caller())
        return x

    def outer(x):
        files.append(file_of_caller())
        return inner(x)

    tf.function(as_written(outer))(tf.constant(1.0))
    assert files == [__file__, __file__]
    # Without it, TensorFlow runs code that it has generated.
    tf.function(outer)(tf.constant(1.0))
    assert __file__ not in files[2:]


def test_a_function_of_a_dataset_is_traced_as_its_caller():
    files = []

    def doubled(x):
        files.append(file_of_caller())
        return 2 * x

    def batches():
        return tf.data.Dataset.range(2).map(doubled)

    assert list(as_written(batches)().as_numpy_iterator()) == [0, 2]
    assert files == [__file__]


def test_a_condition_on_a_tensor_is_an_error_that_names_the_remedy():
    def doubled_if_positive(x):
        if x > 0:
            return 2 * x
        return x

    with pytest.raises(tf.errors.OperatorNotAllowedInGraphError, match=r"@tf\.function"):
        tf.function(as_written(doubled_if_positive))(tf.constant(1.0))


def test_a_network_that_keras_trains_is_traced_as_written():
    files = []

    class Watched(FA):
        def scene_embedding(self, inputs, training, seed):
            files.append(file_of_caller())
            return super().scene_embedding(inputs, training, seed)

    model = Watched(2, log_mel_mean=[0.0] * 64, log_mel_deviation=[1.0] * 64)
    model.compile(
        keras.optimizers.SGD(), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    inputs = {"log_mel": tf.random.stateless_normal([2, 96, 64, 2], [0, 0])}
    model.train_on_batch(inputs, tf.constant([0, 1]))
    model.test_on_batch(inputs, tf.constant([0, 1]))
    assert set(files) == {__file__}


def test_every_tf_function_of_the_package_is_traced_as_written():
    decorators = re.compile(r"@tf\.function\b.*\n\s*(.*)")
    others = []
    found = 0
    for path in sorted(PACKAGE.rglob("*.py")):
        for following in decorators.findall(path.read_text()):
            found += 1
            if following != "@as_written":
                others.append(f"{path.name}: {following}")
    assert found > 10
    assert others == []
