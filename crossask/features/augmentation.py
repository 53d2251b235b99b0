"""Random changes of a training batch, in the graph; a pure function of a key.

Mixup (Zhang et al. 2018), masks in time and frequency (SpecAugment, Park et al. 2019), rolling in
time, exchanged channels, random crops, and label smoothing (Szegedy et al. 2016).
"""

from typing import Any

import tensorflow as tf

from crossask.config import AugmentationConfig
from crossask.models.target import Target

# Each change has a key of its own, so that switching one on changes no other.
ROLL_KEY = 0
CROP_KEY = 1
SWAP_KEY = 2
TIME_MASK_KEY = 3
FREQUENCY_MASK_KEY = 4
MIXUP_KEY = 6


def fold_in(key: tf.Tensor, number: int | tf.Tensor) -> tf.Tensor:
    """Returns a new random key, int64 [2], from a key and a number."""
    return tf.random.experimental.stateless_fold_in(key, number)


def augment(
    inputs: dict[str, tf.Tensor], target: Any, settings: AugmentationConfig, key: tf.Tensor
) -> tuple[dict[str, tf.Tensor], Any]:
    """Returns the inputs and the target of a batch with random changes.

    Args:
      inputs: {"log_mel": [B, T, mels, channels], any other: [B, ...]}; log_mel may be missing.
      target: Scenes [B] or probabilities [B, classes] (which mixup and smoothing need), or a
        `crossask.models.target.Target`.
      settings: The changes.
      key: int64 [2]; the same key gives the same changes.
    """
    inputs = dict(inputs)
    if "log_mel" in inputs:
        inputs["log_mel"] = _augment_log_mel(inputs["log_mel"], settings, key)
    if settings.label_smoothing:
        target = _smoothed(target, settings.label_smoothing)
    if settings.mixup_alpha:
        inputs, target = _mixed((inputs, target), settings.mixup_alpha, fold_in(key, MIXUP_KEY))
    return inputs, target


def _augment_log_mel(log_mel: tf.Tensor, settings: AugmentationConfig, key: tf.Tensor) -> tf.Tensor:
    """Returns the log-mel [B, T, mels, channels] rolled, cropped, exchanged and masked."""
    if settings.time_roll:
        log_mel = _rolled(log_mel, fold_in(key, ROLL_KEY))
    if settings.crop_frames:
        log_mel = _cropped(log_mel, settings.crop_frames, fold_in(key, CROP_KEY))
    if settings.swap_channels and log_mel.shape[3] > 1:
        log_mel = _exchanged(log_mel, fold_in(key, SWAP_KEY))
    if settings.time_masks or settings.frequency_masks:
        log_mel = _masked(log_mel, settings, key)
    return log_mel


def _rolled(log_mel: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Returns each clip from a random frame on, followed by the frames before it."""
    clips = tf.shape(log_mel)[0]
    frames = log_mel.shape[1]
    first = tf.random.stateless_uniform([clips], key, 0, frames, tf.int32)
    order = (first[:, tf.newaxis] + tf.range(frames)) % frames  # [B, T]
    return tf.gather(log_mel, order, axis=1, batch_dims=1)


def _cropped(log_mel: tf.Tensor, length: int, key: tf.Tensor) -> tf.Tensor:
    """Returns `length` frames of each clip from a random frame on."""
    clips = tf.shape(log_mel)[0]
    starts = log_mel.shape[1] - length + 1
    first = tf.random.stateless_uniform([clips], key, 0, starts, tf.int32)
    kept = first[:, tf.newaxis] + tf.range(length)  # [B, length]
    return tf.gather(log_mel, kept, axis=1, batch_dims=1)


def _exchanged(log_mel: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Returns the log-mel with left and right exchanged in half of the clips."""
    clips = tf.shape(log_mel)[0]
    is_exchanged = tf.random.stateless_uniform([clips, 1, 1, 1], key) < 0.5
    return tf.where(is_exchanged, log_mel[..., ::-1], log_mel)


def _masked(log_mel: tf.Tensor, settings: AugmentationConfig, key: tf.Tensor) -> tf.Tensor:
    """Returns the log-mel with spans of time and bands of frequency set to the clip's mean."""
    clips = tf.shape(log_mel)[0]
    frames = log_mel.shape[1]
    mels = log_mel.shape[2]
    is_masked = tf.zeros([clips, frames, mels], tf.bool)
    for number in range(settings.time_masks):
        span_key = fold_in(fold_in(key, TIME_MASK_KEY), number)
        span = _random_span(clips, frames, settings.time_mask_frames, span_key)
        is_masked |= span[:, :, tf.newaxis]
    for number in range(settings.frequency_masks):
        band_key = fold_in(fold_in(key, FREQUENCY_MASK_KEY), number)
        band = _random_span(clips, mels, settings.frequency_mask_bins, band_key)
        is_masked |= band[:, tf.newaxis, :]
    mean = tf.reduce_mean(log_mel, axis=[1, 2, 3], keepdims=True)
    return tf.where(is_masked[..., tf.newaxis], mean, log_mel)


def _random_span(clips: tf.Tensor, size: int, longest: int, key: tf.Tensor) -> tf.Tensor:
    """Returns booleans [clips, size], True in one random span of 0 to `longest` places a clip."""
    longest = min(longest, size)
    length = tf.random.stateless_uniform([clips], fold_in(key, 0), 0, longest + 1, tf.int32)
    share = tf.random.stateless_uniform([clips], fold_in(key, 1))
    starts = tf.cast(size - length + 1, tf.float32)
    start = tf.cast(tf.floor(share * starts), tf.int32)
    place = tf.range(size)[tf.newaxis]
    is_after_start = place >= start[:, tf.newaxis]
    is_before_end = place < (start + length)[:, tf.newaxis]
    return is_after_start & is_before_end


def _smoothed(target: Any, share: float) -> Any:
    """Returns probabilities of which `share` is spread over all scenes."""
    if isinstance(target, Target):
        return target._replace(scene=_smoothed(target.scene, share))
    classes = target.shape[-1]
    return (1 - share) * target + share / classes


def _mixed(values: Any, alpha: float, key: tf.Tensor) -> Any:
    """Returns each clip's arrays mixed with those of another clip of the batch.

    The clip's own share is l ~ Beta(alpha, alpha), or 1 - l where that is larger.
    """
    clips = tf.shape(tf.nest.flatten(values)[0])[0]
    # A ratio of gamma variables is a beta variable.
    one = tf.random.stateless_gamma([clips], fold_in(key, 0), alpha)
    other = tf.random.stateless_gamma([clips], fold_in(key, 1), alpha)
    both = one + other
    # With a small alpha both can underflow to 0.
    own = tf.where(both > 0, tf.maximum(one, other) / both, 1.0)
    partner = tf.argsort(tf.random.stateless_uniform([clips], fold_in(key, 2)))

    def mix(value: tf.Tensor) -> tf.Tensor:
        share = tf.reshape(own, [-1] + [1] * (value.shape.rank - 1))
        return share * value + (1 - share) * tf.gather(value, partner)

    return tf.nest.map_structure(mix, values)
