"""The metrics of training against values worked out by hand."""

import pytest
import tensorflow as tf

from crossask import training


def test_macro_accuracy_is_the_mean_over_classes():
    metric = training.MacroAccuracy(3)
    # Class 0: 2 of 3 clips are right. Class 1: 0 of 1; its second clip has weight 0. Class 2: no
    # clips.
    logits = tf.one_hot([0, 0, 1, 2, 0], 3)
    weights = [1.0, 1.0, 1.0, 1.0, 0.0]
    metric.update_state([0, 0, 0, 1, 1], logits, weights)
    assert float(metric.result()) == pytest.approx((2 / 3 + 0) / 2)
    assert metric.by_class() == pytest.approx([2 / 3, 0, 0])
    soft = training.MacroAccuracy(3)
    soft.update_state(tf.one_hot([0, 0, 0, 1, 1], 3) * 0.9, logits, weights)
    assert float(soft.result()) == float(metric.result())
