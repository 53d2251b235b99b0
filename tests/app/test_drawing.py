"""Pictures of predictions: whatever the scenes are called, the axes keep their place."""

import dataclasses
import io
import warnings

import numpy as np
import pytest
from app import made_up
from matplotlib.image import imread

from crossask.app import drawing


@pytest.mark.parametrize("name", ["x" * 5000, "a\nb\nc\nd\ne", "\N{GRINNING FACE}" * 60])
def test_a_long_name_leaves_place_for_the_axes(name):
    explanation = made_up.explanation(events=(name, "dog"))
    with warnings.catch_warnings():
        # Matplotlib warns if nothing is left for the axes.
        warnings.filterwarnings("error", "constrained_layout")
        warnings.filterwarnings("ignore", "Glyph")
        pictures = (
            drawing.timeline_png(made_up.prediction(first=name), explanation),
            drawing.events_png(explanation),
        )
    for picture in pictures:
        pixels = imread(io.BytesIO(picture), format="png")[..., :3]
        # The colours of the cells, which are neither grey nor near to white, are in a part of it.
        coloured = (np.ptp(pixels, axis=2) > 0.2).any(axis=0)
        assert coloured.mean() > 0.15


def coloured_columns(picture):
    """Returns how many columns of a PNG have colours that are neither grey nor near to white."""
    pixels = imread(io.BytesIO(picture), format="png")[..., :3]
    return (np.ptp(pixels, axis=2) > 0.2).any(axis=0).sum()


def test_silent_windows_are_empty():
    prediction = made_up.prediction()
    first, second = prediction.timeline
    silent = dataclasses.replace(second, level_dbfs=-100.0)
    with_silence = dataclasses.replace(prediction, timeline=(first, silent))
    explanation = made_up.explanation()
    before = coloured_columns(drawing.timeline_png(prediction, explanation))
    after = coloured_columns(drawing.timeline_png(with_silence, explanation))
    assert 0.4 < after / before < 0.6
