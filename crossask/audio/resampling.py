"""One polyphase resampler in the graph, used by the feature cache and by the served model alike.

A change of resampler moves VGGish's embeddings by more than its published tolerance, so there is one, and its version is part
of every cache key. It is a Kaiser-windowed sinc, zero phase, applied as a single matrix product over blocks of samples.
"""

import functools
import math

import numpy as np
import tensorflow as tf

from crossask.errors import AudioError

SAMPLE_RATES_HZ = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000)
RESAMPLER_VERSION = "kaiser-80-12-0.952"
ZERO_CROSSINGS = 80  # on either side, at the lower of the two rates
KAISER_BETA = 12.0  # stop band below -115 dB
ROLL_OFF = 0.952  # cut-off, as a share of the lower Nyquist frequency
SMALLEST_BLOCK = 64  # input samples: a smaller block repeats its overlap too often


def check_rate(sample_rate_hz: int, where="the waveform"):
    """An AudioError that lists the rates, unless this is one of them."""
    if sample_rate_hz not in SAMPLE_RATES_HZ:
        rates = ", ".join(map(str, SAMPLE_RATES_HZ))
        raise AudioError(f"{where} has a sample rate of {sample_rate_hz} Hz.", f"Resample it to one of {rates} Hz.")


def resample(waveform, from_hz: int, to_hz: int):
    """waveform [..., samples] at `to_hz`: [..., ceil(samples * to_hz / from_hz)], output sample n at time n / to_hz.

    Raises:
      AudioError: a rate that stands not in SAMPLE_RATES_HZ.
    """
    check_rate(from_hz)
    check_rate(to_hz)
    waveform = tf.convert_to_tensor(waveform, tf.float32)
    if from_hz == to_hz:
        return waveform
    matrix, hop, made, before = _filter_bank(from_hz, to_hz)
    length, samples = matrix.shape[0], tf.shape(waveform)[-1]
    divisor = math.gcd(from_hz, to_hz)
    up, down = to_hz // divisor, from_hz // divisor
    # ceil(samples * up / down) without leaving 32 bits: an hour at 96 kHz times 640 would
    wanted = samples // down * up + -(-(samples % down * up) // down)
    blocks = -(-wanted // made)
    after = blocks * hop + length - hop - before - samples
    flat = tf.reshape(waveform, [-1, samples])
    flat = tf.pad(flat, [[0, 0], [before, tf.maximum(0, after)]])
    frames = tf.signal.frame(flat, length, hop)[:, :blocks]  # [rows, blocks, length]
    output = tf.reshape(tf.matmul(frames, tf.constant(matrix)), [tf.shape(flat)[0], blocks * made])[:, :wanted]
    return tf.reshape(output, tf.concat([tf.shape(waveform)[:-1], [wanted]], 0))


def resample_any(waveform, sample_rate_hz, to_hz: int):
    """`resample` where the rate is a scalar int32 tensor; another rate fails when the graph runs, naming those known."""
    known = tf.constant(SAMPLE_RATES_HZ)
    matches = tf.equal(known, sample_rate_hz)
    message = f"sample_rate_hz must be one of {', '.join(map(str, SAMPLE_RATES_HZ))}"
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_any(matches), [message, sample_rate_hz])]):
        branch = tf.argmax(matches, output_type=tf.int32)
    return tf.switch_case(branch, [functools.partial(resample, waveform, rate, to_hz) for rate in SAMPLE_RATES_HZ])


@functools.lru_cache
def _filter_bank(from_hz: int, to_hz: int) -> tuple[np.ndarray, int, int, int]:
    """(matrix [length, outputs of a block], input samples between blocks, outputs of a block, samples before a block)."""
    divisor = math.gcd(from_hz, to_hz)
    repeat = max(1, -(-SMALLEST_BLOCK // (from_hz // divisor)))
    hop, made = from_hz // divisor * repeat, to_hz // divisor * repeat
    cut_off = ROLL_OFF * min(1.0, to_hz / from_hz)  # in units of the input's Nyquist frequency
    half = ZERO_CROSSINGS / min(1.0, to_hz / from_hz)  # in input samples
    before = math.ceil(half)
    length = before + hop + math.ceil(half)
    times = np.arange(made) * from_hz / to_hz + before  # of the outputs, in samples from the start of a frame
    distance = np.arange(length)[:, np.newaxis] - times
    window = np.i0(KAISER_BETA * np.sqrt(np.maximum(0, 1 - (distance / half) ** 2))) / np.i0(KAISER_BETA)
    matrix = cut_off * np.sinc(cut_off * distance) * window * (np.abs(distance) <= half)
    matrix /= matrix.sum(0)  # a constant stays what it is, whatever the phase
    return matrix.astype(np.float32), hop, made, before
