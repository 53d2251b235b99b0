"""Every log-mel front-end: this code and a small frozen configuration. In the graph, batched, fit for a SavedModel."""

import tensorflow as tf

from crossask.config import LogMelConfig
from crossask.errors import AudioError

# facts of the published modules: magnitude, 512 points, 125 to 7500 Hz; they differ in the logarithm's offset and the hop
VGGISH_LOG_MEL = LogMelConfig(
    fft_size=512, min_hz=125.0, max_hz=7500.0, spectrum="magnitude", log_offset=0.01
)
YAMNET_LOG_MEL = LogMelConfig(
    fft_size=512, min_hz=125.0, max_hz=7500.0, spectrum="magnitude", log_offset=0.001
)
EVENT_RATE_HZ = 16000  # both event models
PATCH_FRAMES = 96
PATCH_SAMPLES = 15600  # 0.975 s: what 96 frames need
YAMNET_HOP_FRAMES = 48
YAMNET_HOP_SAMPLES = 7680


def log_mel_spectrogram(waveform, sample_rate_hz: int, config: LogMelConfig):
    """waveform [..., samples] -> [..., frames, mel_bins], frames = 1 + (samples - window) // hop; no padding.

    Periodic Hann window (symmetric where its length is odd, as TensorFlow makes it), spectrum, HTK mel triangles with peak 1
    and a zero DC row, ln(mel + log_offset). The configuration's other values serve the official baselines: Hamming window,
    Slaney's mel scale with triangles of equal area, frames centred at t * hop with mirrored ends (then there are
    1 + samples // hop).
    """
    window = int(round(config.window_seconds * sample_rate_hz, 6))
    hop = int(round(config.hop_seconds * sample_rate_hz, 6))
    top = _max_hz(config, sample_rate_hz)
    if not (0 <= config.min_hz < top <= sample_rate_hz / 2 and hop >= 1 and config.mel_bins >= 1):
        raise AudioError(
            f"At {sample_rate_hz} Hz, log_mel has {config.mel_bins} bins from {config.min_hz:g} to {top:g} Hz and a hop of {hop} samples.",
            "Set log_mel.min_hz below max_hz, max_hz at most half the sample rate, and one sample and one bin or more.",
        )
    if config.fft_size < window:
        raise AudioError(
            f"fft_size is {config.fft_size}, the window {window} samples at {sample_rate_hz} Hz.",
            "Raise log_mel.fft_size.",
        )
    if config.centred:
        half = window // 2
        waveform = tf.pad(
            waveform, [[0, 0]] * (waveform.shape.rank - 1) + [[half, window - half]], mode="REFLECT"
        )
    shape = _choice("window", config.window, WINDOWS)
    frames = _frames(tf.convert_to_tensor(waveform), window, hop) * shape(
        window
    )  # [..., frames, window]
    spectrum = tf.signal.rfft(frames, [config.fft_size])  # [..., frames, fft_size / 2 + 1]
    power = tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
    power = _choice("spectrum", config.spectrum, SPECTRA)(power)
    mel = tf.matmul(
        power, _choice("mel_scale", config.mel_scale, MEL_SCALES)(config, sample_rate_hz)
    )  # [..., frames, mel_bins]
    return tf.math.log(mel + config.log_offset)


def _frames(waveform, window: int, hop: int):
    """waveform [..., samples] -> [..., frames, window], from slices of whole hops.

    tf.signal.frame gathers the same by a table of indices, which is the larger part of a small model's LiteRT file.
    """
    samples = _samples(waveform)
    count = _larger(1 + (samples - window) // hop, 0)
    steps = -(-window // hop)  # hops that a frame reaches over
    blocks = count + steps - 1
    padded = tf.pad(waveform, [[0, 0]] * (waveform.shape.rank - 1) + [[0, steps * hop]])[
        ..., : blocks * hop
    ]
    leading = (
        waveform.shape[:-1] if waveform.shape[:-1].is_fully_defined() else tf.shape(waveform)[:-1]
    )
    padded = tf.reshape(padded, tf.concat([leading, [blocks, hop]], 0))
    return tf.concat([padded[..., step : step + count, :] for step in range(steps)], -1)[
        ..., :window
    ]


def _htk_triangles(config: LogMelConfig, sample_rate_hz: int):
    """[fft_size / 2 + 1, mel_bins], triangles linear in mel with peak 1."""
    matrix = tf.signal.linear_to_mel_weight_matrix(
        config.mel_bins,
        config.fft_size // 2 + 1,
        sample_rate_hz,
        config.min_hz,
        _max_hz(config, sample_rate_hz),
        dtype=tf.float64,
    )
    return tf.cast(matrix, tf.float32)


def _slaney_triangles(config: LogMelConfig, sample_rate_hz: int):
    """[fft_size / 2 + 1, mel_bins], triangles linear in Hz with equal area, as librosa draws them."""
    from librosa import filters  # only the official baselines pay for its import

    matrix = filters.mel(
        sr=sample_rate_hz,
        n_fft=config.fft_size,
        n_mels=config.mel_bins,
        fmin=config.min_hz,
        fmax=_max_hz(config, sample_rate_hz),
    )
    return tf.constant(matrix.T, tf.float32)


def _max_hz(config: LogMelConfig, sample_rate_hz: int) -> float:
    return sample_rate_hz / 2 if config.max_hz is None else config.max_hz


WINDOWS = {"hann": tf.signal.hann_window, "hamming": tf.signal.hamming_window}
SPECTRA = {"power": tf.identity, "magnitude": tf.sqrt}
MEL_SCALES = {"htk": _htk_triangles, "slaney": _slaney_triangles}


def _choice(field: str, value: str, known: dict):
    if value not in known:
        raise AudioError(f"log_mel.{field} is {value!r}.", f"Use {' or '.join(known)}.")
    return known[value]


def scene_log_mel(waveform, sample_rate_hz: int, config: LogMelConfig | None = None):
    """waveform [..., samples, channels] -> [..., frames, 64, 2]; mono is doubled (Table 2).

    10 s give 998 frames at rates of which the hop is a whole number of samples; else it is cut to one (22.05 kHz: 1000 frames).
    """
    waveform = tf.convert_to_tensor(waveform, tf.float32)
    channels = waveform.shape[-1]
    if channels not in (1, 2):
        raise AudioError(
            f"The waveform's last axis is {channels}.",
            "Give [..., samples, channels] with 1 or 2 channels.",
        )
    pair = [
        log_mel_spectrogram(waveform[..., channel], sample_rate_hz, config or LogMelConfig())
        for channel in range(channels)
    ]
    return tf.stack([pair[0], pair[-1]], axis=-1)


def mono(waveform):
    """waveform [..., samples, channels] -> [..., samples], the mean of the channels."""
    return tf.reduce_mean(waveform, axis=-1)


def vggish_patches(waveform_16khz_mono, pad_end: bool = False):
    """VGGish's input: waveform [..., samples] at 16 kHz -> [..., patches, 96, 64], 0.96 s each without overlap.

    10 s give 10 patches; with `pad_end` the rest is padded with silence to an 11th. Less than one patch is padded to one.
    """
    waveform = tf.convert_to_tensor(waveform_16khz_mono, tf.float32)
    frame_samples = PATCH_FRAMES * 160
    smallest = _larger(_samples(waveform), PATCH_SAMPLES)
    if pad_end:
        # whole patches of 15,360 samples, and the 240 that the last window reaches beyond its hop
        smallest = -(-(smallest - 240) // frame_samples) * frame_samples + 240
    return _patches(_pad_to(waveform, smallest), VGGISH_LOG_MEL, PATCH_FRAMES)


def yamnet_patches(waveform_16khz_mono):
    """YAMNet's input: waveform [..., samples] at 16 kHz -> [..., patches, 96, 64], hop 0.48 s, the end padded (10 s: 20)."""
    waveform = tf.convert_to_tensor(waveform_16khz_mono, tf.float32)
    beyond = _larger(_samples(waveform) - PATCH_SAMPLES, 0)
    samples = PATCH_SAMPLES + -(-beyond // YAMNET_HOP_SAMPLES) * YAMNET_HOP_SAMPLES
    return _patches(_pad_to(waveform, samples), YAMNET_LOG_MEL, YAMNET_HOP_FRAMES)


def _patches(waveform, config: LogMelConfig, hop_frames: int):
    log_mel = log_mel_spectrogram(waveform, EVENT_RATE_HZ, config)  # [..., frames, 64]
    patches = tf.signal.frame(log_mel, PATCH_FRAMES, hop_frames, axis=-2)  # [..., patches, 96, 64]
    return tf.ensure_shape(patches, [*patches.shape[:-2], PATCH_FRAMES, config.mel_bins])


def _pad_to(waveform, samples):
    """Silence at the end up to `samples` (an integer where the length is static, else a tensor)."""
    missing = samples - _samples(waveform)
    return tf.pad(waveform, [[0, 0]] * (waveform.shape.rank - 1) + [[0, missing]])


def _samples(waveform):
    return tf.shape(waveform)[-1] if waveform.shape[-1] is None else waveform.shape[-1]


def _larger(a, b: int):
    return tf.maximum(a, b) if tf.is_tensor(a) else max(a, b)
