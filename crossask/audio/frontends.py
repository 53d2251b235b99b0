"""The front-ends: waveform to log-mel spectrogram, and waveform to the patches of event models.

All of them are `log_mel_spectrogram` with different configurations. They run in the graph, on
batches, so that a SavedModel contains them.
"""

import numpy as np
import tensorflow as tf

from crossask.audio.rates import EVENT_RATE_HZ
from crossask.audio.resampling import ceil_divide
from crossask.config import LogMelConfig
from crossask.errors import AudioError

# As in the published modules, which differ in the offset of the logarithm.
VGGISH_LOG_MEL = LogMelConfig(
    fft_size=512, min_hz=125.0, max_hz=7500.0, spectrum="magnitude", log_offset=0.01
)
YAMNET_LOG_MEL = LogMelConfig(
    fft_size=512, min_hz=125.0, max_hz=7500.0, spectrum="magnitude", log_offset=0.001
)
PATCH_FRAMES = 96
# Window and hop of a frame, 25 ms and 10 ms.
FRAME_SAMPLES = 400
FRAME_HOP_SAMPLES = 160
# The samples that 96 frames need, 0.975 s.
PATCH_SAMPLES = (PATCH_FRAMES - 1) * FRAME_HOP_SAMPLES + FRAME_SAMPLES
YAMNET_HOP_FRAMES = 48
YAMNET_HOP_SAMPLES = YAMNET_HOP_FRAMES * FRAME_HOP_SAMPLES
# Limit of `normalise_level`, so that the noise of an almost silent recording stays quiet.
MAX_GAIN_DB = 40.0

Waveform = tf.Tensor | np.ndarray


def log_mel_spectrogram(waveform: Waveform, sample_rate_hz: int, config: LogMelConfig) -> tf.Tensor:
    """Computes ln(mel + log_offset), where mel is the mel-filtered spectrum of each frame.

    The default configuration has a Hann window (periodic; symmetric if its length is odd, as in
    TensorFlow) and triangles on HTK's mel scale with peak 1 and a zero DC row. The official
    baselines use the other choices: a Hamming window, Slaney's mel scale with triangles of equal
    area, and frames that are centred at t * hop with mirrored ends.

    Args:
      waveform: Waveform [..., samples], amplitude from -1 to 1.
      sample_rate_hz: Sample rate in Hz.
      config: Window, hop, spectrum, mel bands and logarithm.

    Returns:
      Log-mel spectrogram, float32 [..., frames, mel_bins]. The number of frames is
      1 + (samples - window) // hop, and 1 + samples // hop if the frames are centred.

    Raises:
      AudioError: The mel bands, the hop or the window do not fit the sample rate.
    """
    # Rounding removes the noise of floats, so that 0.02 s at 44.1 kHz are 882 samples. A fraction
    # of a sample is cut off.
    window = int(round(config.window_seconds * sample_rate_hz, 6))
    hop = int(round(config.hop_seconds * sample_rate_hz, 6))
    _check_fit(config, sample_rate_hz, window, hop)
    waveform = tf.convert_to_tensor(waveform)
    if config.centred:
        half = window // 2
        waveform = pad_samples(waveform, half, window - half, mode="REFLECT")
    frames = _frames(waveform, window, hop)  # [..., frames, window]
    frames = frames * _WINDOWS[config.window](window)
    transform = tf.signal.rfft(frames, [config.fft_size])  # [..., frames, fft_size / 2 + 1]
    spectrum = tf.square(tf.math.real(transform)) + tf.square(tf.math.imag(transform))
    if config.spectrum == "magnitude":
        spectrum = tf.sqrt(spectrum)
    triangles = _MEL_SCALES[config.mel_scale](config, sample_rate_hz)
    mel = tf.matmul(spectrum, triangles)  # [..., frames, mel_bins]
    return tf.math.log(mel + config.log_offset)


def scene_log_mel(
    waveform: Waveform, sample_rate_hz: int, config: LogMelConfig | None = None
) -> tf.Tensor:
    """Computes the log-mel spectrogram of both channels (Table 2); mono is doubled.

    10 s have 998 frames if the hop is a whole number of samples, as at 48 and 44.1 kHz. At other
    rates the hop is rounded down, so there are more frames (22.05 kHz: 1000).

    Args:
      waveform: Waveform [..., samples, channels] with 1 or 2 channels.
      sample_rate_hz: Sample rate in Hz.
      config: The log-mel spectrogram; None is the default one.

    Returns:
      Log-mel spectrogram, float32 [..., frames, mel_bins, 2].

    Raises:
      AudioError: The waveform has more than two channels, or see `log_mel_spectrogram`.
    """
    waveform = tf.convert_to_tensor(waveform, tf.float32)
    channels = waveform.shape[-1]
    if channels not in (1, 2):
        raise AudioError(
            f"The waveform's last axis is {channels}.",
            "Give [..., samples, channels] with 1 or 2 channels.",
        )
    config = config or LogMelConfig()
    log_mels = []
    for channel in range(channels):
        log_mels.append(log_mel_spectrogram(waveform[..., channel], sample_rate_hz, config))
    left = log_mels[0]
    # The same as the left one if the waveform is mono.
    right = log_mels[-1]
    return tf.stack([left, right], axis=-1)


def mix_to_mono(waveform: Waveform) -> tf.Tensor:
    """Returns the mean of the channels: [..., samples, channels] -> [..., samples]."""
    return tf.reduce_mean(waveform, axis=-1)


def normalise_level(waveform: Waveform, level_dbfs: float) -> tf.Tensor:
    """Scales waveforms to a level.

    The level is 20 log10 of the root mean square around the mean, so a constant offset does not
    count. A full-scale sine has -3 dBFS. Waveforms are amplified by at most 40 dB, and silence
    stays silence. The result may exceed 1.

    Args:
      waveform: Waveforms [..., samples]; each one has its own gain.
      level_dbfs: Level of the result in dB relative to an amplitude of 1.

    Returns:
      Waveforms [..., samples].
    """
    waveform = tf.convert_to_tensor(waveform)
    deviation = tf.math.reduce_std(waveform, axis=-1, keepdims=True)
    level = _amplitude(level_dbfs)
    # With less than this, the gain would exceed its limit.
    least_deviation = level / _amplitude(MAX_GAIN_DB)
    gain = level / tf.maximum(deviation, least_deviation)
    return waveform * gain


def vggish_patches(waveform_16khz_mono: Waveform, pad_end: bool = False) -> tf.Tensor:
    """Computes the input of VGGish: patches of 0.96 s without overlap.

    10 s have 10 patches, and an 11th with `pad_end`. A waveform shorter than one patch is padded
    with silence to one.

    Args:
      waveform_16khz_mono: Waveform [..., samples] at 16 kHz.
      pad_end: Whether the last, incomplete patch is padded with silence and kept.

    Returns:
      Patches, float32 [..., patches, 96, 64].
    """
    waveform = tf.convert_to_tensor(waveform_16khz_mono, tf.float32)
    samples = _larger(_samples(waveform), PATCH_SAMPLES)
    if pad_end:
        # Whole patches of 15,360 samples, and the 240 by which the last window exceeds its hop.
        patch_hop = PATCH_FRAMES * FRAME_HOP_SAMPLES
        excess = FRAME_SAMPLES - FRAME_HOP_SAMPLES
        samples = ceil_divide(samples - excess, patch_hop) * patch_hop + excess
    return _patches(_pad_to(waveform, samples), VGGISH_LOG_MEL, PATCH_FRAMES)


def yamnet_patches(waveform_16khz_mono: Waveform) -> tf.Tensor:
    """Computes the input of YAMNet: patches of 0.96 s that overlap by half.

    The end is padded with silence to a whole patch: 10 s have 20 patches.

    Args:
      waveform_16khz_mono: Waveform [..., samples] at 16 kHz.

    Returns:
      Patches, float32 [..., patches, 96, 64].
    """
    waveform = tf.convert_to_tensor(waveform_16khz_mono, tf.float32)
    beyond_first = _larger(_samples(waveform) - PATCH_SAMPLES, 0)
    further_patches = ceil_divide(beyond_first, YAMNET_HOP_SAMPLES)
    samples = PATCH_SAMPLES + further_patches * YAMNET_HOP_SAMPLES
    return _patches(_pad_to(waveform, samples), YAMNET_LOG_MEL, YAMNET_HOP_FRAMES)


def waveform_itself(waveform: Waveform) -> tf.Tensor:
    """Returns the waveform [..., samples], for event models that contain their own front-end."""
    return tf.convert_to_tensor(waveform, tf.float32)


def pad_samples(
    waveform: tf.Tensor, before: int, after: int | tf.Tensor, mode: str = "CONSTANT"
) -> tf.Tensor:
    """Pads the last axis of a waveform; `mode` is that of `tf.pad`, by default silence."""
    other_axes = [[0, 0]] * (waveform.shape.rank - 1)
    return tf.pad(waveform, other_axes + [[before, after]], mode=mode)


def _check_fit(config: LogMelConfig, sample_rate_hz: int, window: int, hop: int) -> None:
    """Raises AudioError unless bands, hop and window (in samples) fit the sample rate."""
    max_hz = _max_hz(config, sample_rate_hz)
    has_bands = config.min_hz < max_hz <= sample_rate_hz / 2
    if not has_bands or hop < 1:
        raise AudioError(
            f"At {sample_rate_hz} Hz, log_mel has bands from {config.min_hz:g} to {max_hz:g} Hz "
            f"and a hop of {hop} samples.",
            "Set log_mel.min_hz below max_hz, max_hz at most to half the sample rate, and "
            "log_mel.hop_seconds at least to one sample.",
        )
    if config.fft_size < window:
        raise AudioError(
            f"fft_size is {config.fft_size}, but the window has {window} samples at "
            f"{sample_rate_hz} Hz.",
            "Raise log_mel.fft_size.",
        )


def _frames(waveform: tf.Tensor, window: int, hop: int) -> tf.Tensor:
    """Cuts a waveform [..., samples] into overlapping frames [..., frames, window].

    The frames are put together from slices of whole hops. tf.signal.frame gathers the same frames
    by a table of indices, which is the larger part of a small model's LiteRT file.
    """
    samples = _samples(waveform)
    count = _larger(1 + (samples - window) // hop, 0)
    hops_in_frame = ceil_divide(window, hop)
    blocks = count + hops_in_frame - 1
    padded = pad_samples(waveform, 0, hops_in_frame * hop)[..., : blocks * hop]
    leading = waveform.shape[:-1]
    if not leading.is_fully_defined():
        leading = tf.shape(waveform)[:-1]
    padded = tf.reshape(padded, tf.concat([leading, [blocks, hop]], 0))  # [..., blocks, hop]
    slices = [padded[..., start : start + count, :] for start in range(hops_in_frame)]
    return tf.concat(slices, -1)[..., :window]


def _htk_triangles(config: LogMelConfig, sample_rate_hz: int) -> tf.Tensor:
    """Returns [fft_size / 2 + 1, mel_bins]: triangles that are linear in mel, with peak 1."""
    matrix = tf.signal.linear_to_mel_weight_matrix(
        config.mel_bins,
        config.fft_size // 2 + 1,
        sample_rate_hz,
        config.min_hz,
        _max_hz(config, sample_rate_hz),
        dtype=tf.float64,
    )
    return tf.cast(matrix, tf.float32)


def _slaney_triangles(config: LogMelConfig, sample_rate_hz: int) -> tf.Tensor:
    """Returns [fft_size / 2 + 1, mel_bins]: librosa's triangles, linear in Hz, of equal area."""
    # Its import is slow, and only the official baselines need it.
    from librosa import filters

    matrix = filters.mel(
        sr=sample_rate_hz,
        n_fft=config.fft_size,
        n_mels=config.mel_bins,
        fmin=config.min_hz,
        fmax=_max_hz(config, sample_rate_hz),
    )
    return tf.constant(matrix.T, tf.float32)


_WINDOWS = {"hann": tf.signal.hann_window, "hamming": tf.signal.hamming_window}
_MEL_SCALES = {"htk": _htk_triangles, "slaney": _slaney_triangles}


def _amplitude(decibels: float) -> float:
    return 10.0 ** (decibels / 20)


def _max_hz(config: LogMelConfig, sample_rate_hz: int) -> float:
    if config.max_hz is None:
        return sample_rate_hz / 2
    return config.max_hz


def _patches(waveform: tf.Tensor, config: LogMelConfig, hop_frames: int) -> tf.Tensor:
    """Returns the log-mel patches [..., patches, 96, 64] of a waveform at 16 kHz."""
    log_mel = log_mel_spectrogram(waveform, EVENT_RATE_HZ, config)  # [..., frames, 64]
    patches = tf.signal.frame(log_mel, PATCH_FRAMES, hop_frames, axis=-2)  # [..., patches, 96, 64]
    return tf.ensure_shape(patches, [*patches.shape[:-2], PATCH_FRAMES, config.mel_bins])


def _pad_to(waveform: tf.Tensor, samples: int | tf.Tensor) -> tf.Tensor:
    """Pads a waveform with silence at its end, up to `samples` samples."""
    return pad_samples(waveform, 0, samples - _samples(waveform))


def _samples(waveform: tf.Tensor) -> int | tf.Tensor:
    """Returns the length of the last axis: an integer if it is static, else a tensor."""
    if waveform.shape[-1] is None:
        return tf.shape(waveform)[-1]
    return waveform.shape[-1]


def _larger(a: int | tf.Tensor, b: int) -> int | tf.Tensor:
    if tf.is_tensor(a):
        return tf.maximum(a, b)
    return max(a, b)
