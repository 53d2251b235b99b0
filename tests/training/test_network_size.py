"""Sizes against sums written out by hand."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from crossask import config
from crossask.training import network_size

DCASE2019 = Path(__file__).parents[2] / "experiments" / "dcase2019.py"


def described(row):
    (experiment,) = config.read_experiments(f"{DCASE2019}:{row}")
    return network_size.row_size(experiment, 10)


def convolutions(height, width, channels, pools, size=3):
    """Returns the multiplications of SAME convolutions, each before a pool that rounds down."""
    total = 0
    for before, after, pool in zip(channels, channels[1:], pools, strict=False):
        total += height * width * size * size * before * after
        height, width = height // pool[0], width // pool[1]
    return total


FA_ENCODER = convolutions(998, 64, (2, 64, 128, 256, 512), ((2, 2),) * 4)
FA_POOLING = 62 * 2048 * 1024 + 62 * 1024 * 4 + 4 * 62 * 2048
# ten patches
VGGISH = 10 * (
    convolutions(96, 64, (1, 64, 128), ((2, 2),) * 2)
    + convolutions(24, 16, (128, 256, 256), ((1, 1), (2, 2)))
    + convolutions(12, 8, (256, 512, 512), ((1, 1), (2, 2)))
    + 12288 * 4096
    + 4096 * 4096
    + 4096 * 128
)


def test_the_size_of_fa_is_that_worked_by_hand():
    found = described("fa")
    assert found.event is None
    assert found.shapes == {"log_mel": (998, 64, 2)}
    assert (found.scene.parameters, found.scene.trained) == (3_736_458, 3_734_538)
    assert found.scene.multiply_accumulates == FA_ENCODER + FA_POOLING + 8192 * 10


def test_the_size_of_cmam_with_a_frozen_event_model_is_that_worked_by_hand():
    found = described("cmam_feature_based")
    assert found.shapes == {"log_mel": (998, 64, 2), "embedding": (10, 128)}
    assert (found.event.parameters, found.event.trained) == (72_141_184, 0)
    assert found.event.multiply_accumulates == VGGISH
    block = 2048 * 2048
    own = 10 * 4 * block + 2 * 10 * 10 * 2048  # query, key, value, output; scores and their sum
    cross = (10 + 62 + 62 + 10) * block + 2 * 10 * 62 * 2048
    pooling = 10 * 2048 * 1024 + 10 * 1024 * 4 + 4 * 10 * 2048
    assert (
        found.scene.multiply_accumulates
        == FA_ENCODER + 10 * 128 * 2048 + own + cross + pooling + 8192 * 10
    )


def test_an_event_model_that_is_trained_counts_as_trained():
    assert described("vem_from_scratch").event.trained == 72_141_184
    assert described("vem_from_scratch").shapes == {"patches": (10, 96, 64)}


@pytest.mark.parametrize("transposed", [False, True])
def test_a_product_counts_its_inner_axis_whichever_way_it_lies(transposed):
    def product(x):
        return tf.matmul(x, tf.constant(np.ones((7, 3), np.float32)), transpose_a=transposed)

    spec = tf.TensorSpec([7, 5] if transposed else [5, 7], tf.float32)
    assert network_size.multiply_accumulates(product, spec) == 5 * 7 * 3
