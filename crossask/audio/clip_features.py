"""Computes the input of a scene model from a clip, for the feature cache and the served model."""

import tensorflow as tf

from crossask.audio import frontends, resampling
from crossask.config import EventModelConfig, FeatureConfig, catalogue
from crossask.tracing import as_written

# A user's own tf.function may call this module; AutoGraph cannot translate an import.
_load = as_written(catalogue.load)


def clip_features(
    waveform: frontends.Waveform,
    sample_rate_hz: int | tf.Tensor,
    features: FeatureConfig,
    event_model: EventModelConfig | None = None,
) -> dict[str, tf.Tensor]:
    """Computes the log-mel of the scene branch and the patches of the event branch.

    Args:
      waveform: Waveforms [batch, samples, channels], amplitude from -1 to 1, clip_seconds long,
        with 1 or 2 channels.
      sample_rate_hz: One of `resampling.SAMPLE_RATES_HZ`: an integer, or a scalar int32 tensor in
        a served model.
      features: Sample rate of the scene branch, length of a clip, log-mel spectrogram.
      event_model: The event model whose patches are computed; None for a row without events.

    Returns:
      "log_mel": [batch, frames, mels, 2], or [batch, frames, mels, 1] with `features.mono`.
      "patches", with an event model that reads the recording: see `event_patches`.
    """
    scene = tf.transpose(waveform, [0, 2, 1])  # [batch, channels, samples]
    if features.mono:
        scene = tf.reduce_mean(scene, axis=1, keepdims=True)
    scene = _at_rate(scene, sample_rate_hz, features.sample_rate_hz, features.clip_seconds)
    scene = tf.transpose(scene, [0, 2, 1])  # [batch, samples, channels]
    log_mel = frontends.scene_log_mel(scene, features.sample_rate_hz, features.log_mel)
    if features.mono:
        # Both channels are the same.
        log_mel = log_mel[..., :1]
    result = {"log_mel": log_mel}
    if event_model is not None and catalogue.event_model(event_model.name).front_end:
        result["patches"] = event_patches(waveform, sample_rate_hz, features, event_model)
    return result


def event_patches(
    waveform: frontends.Waveform,
    sample_rate_hz: int | tf.Tensor,
    features: FeatureConfig,
    event_model: EventModelConfig,
) -> tf.Tensor:
    """Computes the patches of the event branch; arguments as `clip_features`.

    Returns:
      Patches [batch, patches, 96, 64]; for an event model that contains its own front-end, the
      waveform [batch, samples] at its rate.
    """
    entry = catalogue.front_end(catalogue.event_model(event_model.name).front_end)
    mono = frontends.mix_to_mono(waveform)
    event = _at_rate(mono, sample_rate_hz, event_rate_hz(event_model), features.clip_seconds)
    if event_model.level is not None:
        event = frontends.normalise_level(event, event_model.level)
    patches = _load(entry.patches)
    if entry.can_pad_end:
        return patches(event, pad_end=event_model.pad_end)
    return patches(event)


def event_rate_hz(event_model: EventModelConfig) -> int:
    """Returns the sample rate of the waveform that an event model reads in Hz; 0 if it has none."""
    front_end = catalogue.event_model(event_model.name).front_end
    if not front_end:
        return 0
    entry = catalogue.front_end(front_end)
    if entry.sample_rate_hz is None:
        return event_model.sample_rate_hz
    return entry.sample_rate_hz


def _at_rate(
    waveform: tf.Tensor, from_hz: int | tf.Tensor, to_hz: int, seconds: float
) -> tf.Tensor:
    """Resamples [..., samples], and pads or cuts to exactly round(seconds * to_hz) samples.

    With an exact length, all later shapes are static.
    """
    if isinstance(from_hz, int):
        waveform = resampling.resample(waveform, from_hz, to_hz)
    else:
        waveform = resampling.resample_from_any_rate(waveform, from_hz, to_hz)
    samples = round(seconds * to_hz)
    missing = tf.maximum(0, samples - tf.shape(waveform)[-1])
    waveform = frontends.pad_samples(waveform, 0, missing)[..., :samples]
    return tf.ensure_shape(waveform, waveform.shape[:-1] + [samples])
