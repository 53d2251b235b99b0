"""Each variation against a plain reading of what it says; nothing varies unless asked to."""

import numpy as np
import pytest
import tensorflow as tf

from crossask.config import AugmentationConfig, settings
from crossask.features.augmentation import augment

RANDOM = np.random.default_rng(0)
LOG_MEL = RANDOM.normal(size=(64, 50, 16, 2)).astype(np.float32)
EMBEDDING = RANDOM.normal(size=(64, 3, 5)).astype(np.float32)
SCENES = np.eye(4, dtype=np.float32)[np.arange(64) % 4]
KEY = tf.constant([1, 2], tf.int64)


def varied(key=KEY, **choices):
    inputs, target = augment(
        {"log_mel": tf.constant(LOG_MEL), "embedding": tf.constant(EMBEDDING)},
        tf.constant(SCENES),
        AugmentationConfig(**choices),
        key,
    )
    return inputs["log_mel"].numpy(), inputs["embedding"].numpy(), target.numpy()


ALL = {
    "mixup": {"mixup_alpha": 0.4},
    "time masks": {"time_masks": 2, "time_mask_frames": 10},
    "frequency masks": {"frequency_masks": 2, "frequency_mask_bins": 4},
    "roll": {"time_roll": True},
    "swap": {"swap_channels": True},
    "crop": {"crop_frames": 20},
    "smoothing": {"label_smoothing": 0.2},
}


def test_without_choices_a_batch_stays_as_it_is():
    for value, before in zip(varied(), (LOG_MEL, EMBEDDING, SCENES), strict=True):
        np.testing.assert_array_equal(value, before)


@pytest.mark.parametrize("choices", ALL.values(), ids=ALL)
def test_a_key_gives_one_batch_and_another_key_another(choices):
    first = varied(**choices)
    again = varied(**choices)
    other = varied(tf.constant([1, 3], tf.int64), **choices)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    if "label_smoothing" not in choices:
        assert any(not np.array_equal(one, two) for one, two in zip(first, other, strict=True))


def test_a_mono_clip_has_no_channels_to_exchange():
    mono = LOG_MEL[..., :1]
    choices = AugmentationConfig(swap_channels=True)
    inputs, _ = augment({"log_mel": tf.constant(mono)}, SCENES, choices, KEY)
    np.testing.assert_array_equal(inputs["log_mel"], mono)
    field = settings.fields(AugmentationConfig)["swap_channels"]
    assert "no effect on mono" in settings.facts_of(field).description


@pytest.mark.parametrize(
    "choices", [c for name, c in ALL.items() if name not in ("mixup", "smoothing")]
)
def test_what_varies_the_sound_leaves_events_and_labels_alone(choices):
    _, embedding, target = varied(**choices)
    np.testing.assert_array_equal(embedding, EMBEDDING)
    np.testing.assert_array_equal(target, SCENES)


def test_a_roll_moves_the_end_before_the_start():
    rolled, _, _ = varied(time_roll=True)
    shifts = set()
    for clip, before in zip(rolled, LOG_MEL, strict=True):
        same = [shift for shift in range(50) if np.array_equal(clip, np.roll(before, -shift, 0))]
        shifts.add(same[0])
    assert len(shifts) > 20


def test_a_crop_is_a_stretch_of_the_clip():
    cropped, _, _ = varied(crop_frames=20)
    starts = []
    for clip, before in zip(cropped, LOG_MEL, strict=True):
        same = [start for start in range(31) if np.array_equal(clip, before[start : start + 20])]
        starts.append(same[0])
    assert min(starts) < 5
    assert max(starts) > 25


def test_left_and_right_change_places_in_half_of_the_clips():
    swapped, _, _ = varied(swap_channels=True)
    exchanged = [
        np.array_equal(clip, before[..., ::-1])
        for clip, before in zip(swapped, LOG_MEL, strict=True)
    ]
    kept = [np.array_equal(clip, before) for clip, before in zip(swapped, LOG_MEL, strict=True)]
    assert all(a != b for a, b in zip(exchanged, kept, strict=True))
    assert 16 < sum(exchanged) < 48


@pytest.mark.parametrize(
    ("axis", "choices", "longest"),
    [
        (1, {"time_masks": 1, "time_mask_frames": 10}, 10),
        (2, {"frequency_masks": 1, "frequency_mask_bins": 4}, 4),
    ],
)
def test_a_mask_sets_one_stretch_to_the_clips_mean(axis, choices, longest):
    masked, _, _ = varied(**choices)
    lengths = []
    for clip, before in zip(masked, LOG_MEL, strict=True):
        changed = np.flatnonzero((clip != before).any(axis=tuple({0, 1, 2} - {axis - 1})))
        lengths.append(len(changed))
        if len(changed):
            assert changed[-1] - changed[0] + 1 == len(changed)
            np.testing.assert_allclose(np.take(clip, changed, axis - 1), before.mean(), atol=1e-6)
    assert set(lengths) == set(range(longest + 1))


def test_mixup_takes_one_share_for_sound_events_and_label():
    log_mel, embedding, target = varied(mixup_alpha=0.4)
    np.testing.assert_allclose(target.sum(1), 1, rtol=1e-6)
    shares = []
    for number in range(64):
        # the partner and the share that explain the log-mel explain the rest
        apart = LOG_MEL - LOG_MEL[number]
        way = log_mel[number] - LOG_MEL[number]
        lengths = (apart**2).sum((1, 2, 3))
        share = np.divide(
            (apart * way).sum((1, 2, 3)), lengths, out=np.zeros(64), where=lengths > 0
        )
        partner = int(np.argmin(((way - share[:, None, None, None] * apart) ** 2).sum((1, 2, 3))))
        shares.append(share[partner])
        for values, before in ((log_mel, LOG_MEL), (embedding, EMBEDDING), (target, SCENES)):
            np.testing.assert_allclose(
                values[number],
                (1 - share[partner]) * before[number] + share[partner] * before[partner],
                rtol=1e-3,
                atol=1e-5,
            )
    assert 0 <= min(shares) < 0.01
    assert 0.3 < max(shares) <= 0.5


def test_smoothing_spreads_a_share_over_all_scenes():
    _, _, target = varied(label_smoothing=0.2)
    np.testing.assert_allclose(target, 0.8 * SCENES + 0.05, rtol=1e-6)
