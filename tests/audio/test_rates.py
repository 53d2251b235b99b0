"""Conversion of sample rates outside of the graph, compared with soxr."""

import numpy as np
import pytest
import soxr

from crossask.audio import amplitudes, rates, resampling


@pytest.mark.parametrize("rate", resampling.SAMPLE_RATES_HZ)
def test_the_rates_of_the_graph_enter_it_bit_for_bit(rate):
    waveform = np.random.default_rng(0).normal(0, 0.1, (1000, 2)).astype(np.float32)
    found, to_hz = rates.to_graph_rate(waveform, rate, 48000)
    assert to_hz == rate
    assert found is waveform


@pytest.mark.parametrize(
    ("rate", "model", "expected"),
    [
        (12345, 48000, 48000),
        (192000, 44100, 44100),
        (192000, 47000, 48000),
        # The event models read 16 kHz of the same waveform.
        (12345, 8000, 16000),
        (192000, 200000, 96000),
    ],
)
def test_another_rate_is_converted_to_that_of_the_model_or_the_next_higher(rate, model, expected):
    assert rates.graph_rate(rate, model) == expected


def test_the_ringing_of_a_filter_does_not_turn_an_accepted_waveform_into_a_refused_one():
    loud = 7.9 * np.sign(np.random.default_rng(0).normal(size=(5000, 2)))
    amplitudes.check(loud, "the square wave")
    found = rates.convert(loud, 12345, 48000)
    amplitudes.check(found, "the converted one")
    assert np.abs(found).max() > 7.99


@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(12345, 48000), (192000, 48000), (44099, 16000), (6000, 16000)]
)
@pytest.mark.parametrize("block", [1000, 7, 10**6])
def test_pieces_are_converted_as_the_whole_is_by_soxr(from_hz, to_hz, block):
    waveform = np.random.default_rng(0).normal(0, 0.1, (from_hz + 17, 2)).astype(np.float32)
    pieces = [waveform[start : start + block] for start in range(0, len(waveform), block)]
    found = np.concatenate(list(rates.convert_blocks(pieces, from_hz, to_hz)))
    expected = soxr.resample(waveform, from_hz, to_hz, quality="VHQ")
    np.testing.assert_array_equal(found, expected)
    assert len(found) == round(len(waveform) * to_hz / from_hz)
    np.testing.assert_array_equal(rates.convert(waveform, from_hz, to_hz), expected)


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_less_than_one_sample_of_the_other_rate_is_one_sample(samples):
    waveform = np.full((samples, 2), 0.5, np.float32)
    np.testing.assert_array_equal(rates.convert(waveform, 384000, 8000), waveform[:1])
