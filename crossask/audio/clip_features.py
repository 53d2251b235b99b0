"""From a clip's waveform to what a scene model reads: one road for the feature cache and for the served model."""

import tensorflow as tf

from crossask.audio import frontends, resampling
from crossask.config import FeatureConfig, catalogue

# AutoGraph cannot convert an import, and warns of it.
_load = tf.autograph.experimental.do_not_convert(catalogue.load)


def clip_features(
    waveform, sample_rate_hz, features: FeatureConfig, front_end: str = "", pad_end: bool = False
) -> dict:
    """Log-mel of the scene branch and, where `front_end` names one, patches of the event branch.

    Args:
      waveform: [batch, samples, channels], amplitude -1..1, clip_seconds long, 1 or 2 channels.
      sample_rate_hz: a Python integer, or in a served model a scalar int32 tensor; one of resampling.SAMPLE_RATES_HZ.
      features: sample rate of the scene branch, length, log-mel.
      front_end: "" | "vggish" | "yamnet".
      pad_end: VGGish's last, incomplete patch is kept, padded.

    Returns:
      {"log_mel": [batch, frames, mels, 2] (1 where features.mono)} and "patches": [batch, patches, 96, 64].
    """
    scene = tf.transpose(waveform, [0, 2, 1])  # [batch, channels, samples]
    if features.mono:
        scene = tf.reduce_mean(scene, axis=1, keepdims=True)
    scene = _at_rate(scene, sample_rate_hz, features.sample_rate_hz, features.clip_seconds)
    log_mel = frontends.scene_log_mel(
        tf.transpose(scene, [0, 2, 1]), features.sample_rate_hz, features.log_mel
    )
    result = {"log_mel": log_mel[..., :1] if features.mono else log_mel}
    if front_end:
        result["patches"] = event_patches(waveform, sample_rate_hz, features, front_end, pad_end)
    return result


def event_patches(
    waveform, sample_rate_hz, features: FeatureConfig, front_end: str, pad_end: bool = False
):
    """The event branch's patches [batch, patches, 96, 64] of waveform [batch, samples, channels]."""
    entry = catalogue.front_end(front_end)
    event = _at_rate(
        frontends.mono(waveform), sample_rate_hz, entry.sample_rate_hz, features.clip_seconds
    )
    patches = _load(entry.patches)
    if entry.can_pad_end:
        return patches(event, pad_end=pad_end)
    return patches(event)


def _at_rate(waveform, from_hz, to_hz: int, seconds: float):
    """[..., samples] at another rate, exactly round(seconds * to_hz) samples, so that every later shape is static."""
    if isinstance(from_hz, int):
        waveform = resampling.resample(waveform, from_hz, to_hz)
    else:
        waveform = resampling.resample_any(waveform, from_hz, to_hz)
    samples = round(seconds * to_hz)
    missing = tf.maximum(0, samples - tf.shape(waveform)[-1])
    waveform = tf.pad(waveform, [[0, 0]] * (waveform.shape.rank - 1) + [[0, missing]])[
        ..., :samples
    ]
    return tf.ensure_shape(waveform, waveform.shape[:-1] + [samples])
