"""A training batch varied anew in every step, in the graph; a pure function of its key.

Mixup (Zhang et al. 2018), masks in time and frequency (SpecAugment, Park et al. 2019), log-mel turned round in time, left and
right exchanged, a stretch of the clip, smoothed labels (Szegedy et al. 2016).
"""

import tensorflow as tf

from crossask.config import AugmentationConfig


def augment(inputs: dict, target, settings: AugmentationConfig, key):
    """The varied batch, (inputs, target).

    Args:
      inputs: {"log_mel": [B, T, mels, channels], any other: [B, ...]}; log_mel may be missing.
      target: [B] scenes, or [B, classes] probabilities (which mixup and smoothing need).
      key: int64 [2]; the same key gives the same batch.
    """
    inputs = dict(inputs)
    if "log_mel" in inputs:
        inputs["log_mel"] = _vary_log_mel(inputs["log_mel"], settings, key)
    if settings.label_smoothing:
        target = (1 - settings.label_smoothing) * target + settings.label_smoothing / target.shape[
            -1
        ]
    if settings.mixup_alpha:
        inputs, target = _mixed((inputs, target), settings.mixup_alpha, _fold(key, 6))
    return inputs, target


def _vary_log_mel(log_mel, settings: AugmentationConfig, key):
    clips, frames, mels, channels = tf.shape(log_mel)[0], *log_mel.shape[1:]
    # each variation has a number of its own, so that switching one on changes no other
    if settings.time_roll:
        log_mel = _turned(
            log_mel, tf.random.stateless_uniform([clips], _fold(key, 0), 0, frames, tf.int32)
        )
    if settings.crop_frames and settings.crop_frames < frames:
        start = tf.random.stateless_uniform(
            [clips], _fold(key, 1), 0, frames - settings.crop_frames + 1, tf.int32
        )
        log_mel = tf.gather(
            log_mel, start[:, tf.newaxis] + tf.range(settings.crop_frames), axis=1, batch_dims=1
        )
        frames = settings.crop_frames
    if settings.swap_channels and channels > 1:
        swapped = tf.random.stateless_uniform([clips, 1, 1, 1], _fold(key, 2)) < 0.5
        log_mel = tf.where(swapped, log_mel[..., ::-1], log_mel)
    masked = tf.zeros([clips, frames, mels], tf.bool)
    for number in range(settings.time_masks):
        masked |= _stretch(clips, frames, settings.time_mask_frames, _fold(_fold(key, 3), number))[
            :, :, tf.newaxis
        ]
    for number in range(settings.frequency_masks):
        masked |= _stretch(clips, mels, settings.frequency_mask_bins, _fold(_fold(key, 4), number))[
            :, tf.newaxis, :
        ]
    if settings.time_masks or settings.frequency_masks:
        mean = tf.reduce_mean(log_mel, axis=[1, 2, 3], keepdims=True)
        log_mel = tf.where(masked[..., tf.newaxis], mean, log_mel)
    return log_mel


def _turned(x, shift):
    """Each clip of x [B, T, ...] from frame `shift` [B] on, what is before it put at the end."""
    frames = x.shape[1]
    return tf.gather(x, (shift[:, tf.newaxis] + tf.range(frames)) % frames, axis=1, batch_dims=1)


def _stretch(clips, size: int, longest: int, key):
    """[clips, size] booleans: in each clip one stretch of 0 to `longest` places, anywhere."""
    longest = min(longest, size)
    length = tf.random.stateless_uniform([clips], _fold(key, 0), 0, longest + 1, tf.int32)
    share = tf.random.stateless_uniform([clips], _fold(key, 1))
    start = tf.cast(tf.floor(share * tf.cast(size - length + 1, tf.float32)), tf.int32)
    place = tf.range(size)[tf.newaxis]
    return (place >= start[:, tf.newaxis]) & (place < (start + length)[:, tf.newaxis])


def _mixed(values, alpha: float, key):
    """Each clip's arrays with a share of another clip's: share l ~ Beta(alpha, alpha) of its own, turned so that l >= 1/2."""
    clips = tf.shape(tf.nest.flatten(values)[0])[0]
    one, other = (
        tf.random.stateless_gamma([clips], _fold(key, number), alpha) for number in (0, 1)
    )
    both = one + other
    own = tf.where(
        both > 0, tf.maximum(one, other) / both, 1.0
    )  # with a small alpha both can underflow
    partner = tf.argsort(tf.random.stateless_uniform([clips], _fold(key, 2)))

    def mix(value):
        share = tf.reshape(own, [-1] + [1] * (value.shape.rank - 1))
        return share * value + (1 - share) * tf.gather(value, partner)

    return tf.nest.map_structure(mix, values)


def _fold(key, number: int):
    return tf.random.experimental.stateless_fold_in(key, number)
