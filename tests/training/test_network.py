"""A row's network, built without training."""

import numpy as np
import small_corpus
import tensorflow as tf

from crossask import config
from crossask.training import network


def test_both_channel_orders_have_the_same_prediction_the_mean_of_both():
    row = config.override(small_corpus.FA, {"model.both_channel_orders": True})
    model = network.build(row, ("a", "b"), 0, {})
    log_mel = tf.random.stateless_normal([2, 198, 64, 2], [0, 1])
    exchanged = log_mel[..., ::-1]
    both = tf.nn.softmax(model({"log_mel": log_mel})).numpy()
    np.testing.assert_allclose(both, tf.nn.softmax(model({"log_mel": exchanged})), atol=1e-6)
    alone = []
    for order in (log_mel, exchanged):
        logits, _ = model.scene_logits({"log_mel": order}, False, None)
        alone.append(tf.nn.softmax(logits).numpy())
    assert not np.allclose(*alone, atol=1e-4)
    np.testing.assert_allclose(both, np.mean(alone, axis=0), atol=1e-6)
