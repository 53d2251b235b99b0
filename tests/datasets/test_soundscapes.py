"""The generator: its scenes, its sounds and its rooms, compared with what the corpus is for."""

import collections
import dataclasses

import numpy as np
import pytest

from crossask.datasets import soundscapes
from crossask.datasets.soundscapes import (
    ClipKey,
    acoustics,
    backgrounds,
    composition,
    event_kinds,
    rendering,
    scenes,
)
from crossask.errors import ConfigError

RATE = 16000


def lisbon(scene, number, clip=0, seed=0):
    return ClipKey(seed, scene, "lisbon", number, clip)


def plan(scene, number, clip=0, seed=0):
    return composition.plan_clip(lisbon(scene, number, clip, seed), 10.0)


# ---- Events


def frame_rms(wave, frame):
    return np.sqrt(np.mean(wave.reshape(-1, frame) ** 2, axis=1))


@pytest.mark.parametrize("kind", soundscapes.EVENT_KINDS)
def test_every_kind_is_finite_at_unit_level_and_varies_with_the_seed(kind):
    first = event_kinds.synthesise(kind, np.random.default_rng(1), RATE, 1.5)
    again = event_kinds.synthesise(kind, np.random.default_rng(1), RATE, 1.5)
    other = event_kinds.synthesise(kind, np.random.default_rng(2), RATE, 1.5)
    assert first.shape == (24000,)
    assert np.isfinite(first).all()
    # A third of the 75 frames of 20 ms.
    loudest = np.sort(frame_rms(first, 320))[-25:]
    assert np.sqrt(np.mean(loudest**2)) == pytest.approx(1, rel=1e-6)
    # There is no click at the start.
    assert abs(first[0]) < 0.5 * np.abs(first).max()
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


@pytest.mark.parametrize("kind", soundscapes.EVENT_KINDS)
def test_every_kind_is_louder_than_its_background_somewhere(kind):
    location, event = rendering.event_setting(3, 0, kind, 2.9)
    location = dataclasses.replace(location, gain_db=0.0)
    event = dataclasses.replace(event, level_db=12.0, metres=4.0)

    def levels_db(events):
        rng = np.random.default_rng(0)
        wave = rendering._mix(rng, location, events, 2.9, RATE)
        # The difference of neighbouring samples weakens low frequencies.
        wave = np.diff(wave, axis=0, prepend=0)
        frames = wave[: 320 * 145].reshape(145, -1)
        return 10 * np.log10(np.mean(frames**2, axis=1))

    assert np.max(levels_db((event,)) - levels_db(())) > 6


# ---- Clips


def test_a_clip_is_binaural_inside_full_scale_and_reproducible():
    key = lisbon("tram", 3, 1)
    wave, events = soundscapes.render_scene_clip(key, seconds=4.0, sample_rate_hz=RATE)
    again, events_again = soundscapes.render_scene_clip(key, seconds=4.0, sample_rate_hz=RATE)
    assert wave.shape == (64000, 2)
    assert wave.dtype == np.float32
    assert 0.001 < np.abs(wave).max() < 1
    assert np.abs(wave[:, 0] - wave[:, 1]).max() > 0.001
    np.testing.assert_array_equal(wave, again)
    assert events == events_again


def test_clips_of_a_location_share_its_habits_and_not_the_events():
    plans = [plan("park", 3, clip) for clip in range(8)]
    assert len(set(plans)) == 8
    habits = {kind for kind, _ in composition.location_at(0, "park", "lisbon", 3).habits}
    for events in plans:
        assert {event.kind for event in events} <= habits


def test_every_location_has_a_room_and_a_background_of_its_own():
    locations = [
        composition.location_at(0, "park", "lisbon", 3),
        composition.location_at(0, "park", "lisbon", 4),
        composition.location_at(0, "park", "lyon", 3),
        composition.location_at(1, "park", "lisbon", 3),
    ]
    assert len({location.room for location in locations}) == 4
    assert len({location.background for location in locations}) == 4


@pytest.mark.parametrize("scene", soundscapes.SCENES)
def test_four_to_ten_events_lie_inside_the_clip_by_onset(scene):
    for clip in range(20):
        events = plan(scene, 7, clip, seed=5)
        assert 4 <= len(events) <= 10
        for event in events:
            assert 0 <= event.onset_s < event.offset_s <= 10.0 + 1e-9
        onsets = [event.onset_s for event in events]
        assert onsets == sorted(onsets)


def test_no_kind_of_event_belongs_to_one_scene_alone():
    owners = collections.Counter()
    for scene_kind in scenes.KINDS.values():
        owners.update(scene_kind.weights.keys())
    assert set(owners) == set(soundscapes.EVENT_KINDS)
    assert min(owners.values()) >= 2


@pytest.mark.parametrize("scene", soundscapes.SCENES)
def test_families_and_phrases_of_a_scene_exist(scene):
    scene_kind = scenes.KINDS[scene]
    assert scene_kind.family in backgrounds.FAMILIES
    assert scene_kind.family in acoustics.FAMILIES
    for phrase in scene_kind.phrases:
        assert set(phrase.kinds) <= set(scene_kind.weights)


def test_loud_amplitudes_are_bent_and_not_clipped():
    wave = np.array([-3.0, -0.7, -0.2, 0.0, 0.5, 0.9, 2.0], np.float32)
    bent = rendering.limit(wave)
    np.testing.assert_array_equal(bent[1:5], wave[1:5])
    assert np.abs(bent).max() < 1
    assert 0.7 < bent[5] < bent[6]


def test_unknown_names_are_errors_that_list_the_known_ones():
    with pytest.raises(ConfigError, match="metro_station"):
        soundscapes.render_scene_clip(lisbon("harbour", 0))
    with pytest.raises(ConfigError, match="tram_bell"):
        soundscapes.render_event(0, 0, ("whale",))


# ---- Isolated events


def test_isolated_events_take_turns():
    kinds = []
    for index in range(4):
        _, kind = soundscapes.render_event(0, index, ("horn", "voice"), 1.0, RATE)
        kinds.append(kind)
    assert kinds == ["horn", "voice", "horn", "voice"]


def test_isolated_events_of_every_kind_may_be_very_short():
    for number, kind in enumerate(soundscapes.EVENT_KINDS):
        wave, rendered = soundscapes.render_event(0, number, None, 0.1, RATE)
        assert rendered == kind
        assert wave.shape == (round(0.1 * RATE), 2)
        assert np.isfinite(wave).all()


def test_isolated_events_share_no_location_and_no_sound_with_the_scenes():
    kinds = soundscapes.EVENT_KINDS
    rooms = set()
    event_backgrounds = set()
    seeds = set()
    for index in range(4 * len(kinds)):
        location, event = rendering.event_setting(0, index, kinds[index % len(kinds)], 2.9)
        rooms.add(location.room)
        event_backgrounds.add(location.background)
        seeds.add(event.seed)
    assert len(rooms) == len(event_backgrounds) == 4 * len(kinds)
    for scene in soundscapes.SCENES:
        for number in range(10):
            for city in ("helsinki", "lisbon"):
                location = composition.location_at(0, scene, city, number)
                assert location.room not in rooms
                assert location.background not in event_backgrounds
            assert seeds.isdisjoint(event.seed for event in plan(scene, 0, number))


# ---- Rooms and ears


def test_a_source_on_the_right_is_earlier_and_louder_at_the_right_ear():
    silent = acoustics.Reflection(delay_s=0.02, gain=0.0, azimuth=0.0)
    room = acoustics.Room(0.3, 0.2, 5.0, (silent,), 0)
    click = np.zeros(4800)
    click[0] = 1
    left, right = acoustics.binaural(click, 48000, room, 4.0, np.pi / 2, np.pi / 2)

    def arrival_s(ear):
        energy = np.cumsum(ear**2)
        return np.argmax(energy > 0.1 * energy[-1]) / 48000

    # Woodworth: a / c (angle + sin angle) with a = 8.75 cm, c = 343 m/s, angle = 90 degrees.
    expected = 0.0875 / 343 * (np.pi / 2 + 1)
    assert arrival_s(left) - arrival_s(right) == pytest.approx(expected, abs=1.5e-4)
    assert np.sum(right**2) > 4 * np.sum(left**2)


def test_farther_sources_are_weaker_duller_and_more_reverberant():
    assert acoustics.air_absorption(np.array([8000.0]), 10)[0] == pytest.approx(10 ** (-1 / 20))
    room = acoustics.draw_room(np.random.default_rng(0), "hall")
    click = np.zeros(1000)
    click[0] = 1
    near = np.sum(acoustics.binaural(click, 48000, room, 2, 0.0, 0.0) ** 2)
    far = np.sum(acoustics.binaural(click, 48000, room, 8, 0.0, 0.0) ** 2)
    assert near > far
    near_reverberation = acoustics.late_field_gain(room, 2) / near**0.5
    far_reverberation = acoustics.late_field_gain(room, 8) / far**0.5
    assert far_reverberation > near_reverberation


def test_the_late_field_decays_by_sixty_decibels_in_its_reverberation_time():
    room = acoustics.Room(1.2, 1.2, 5.0, (), 11)
    tail = acoustics.late_field(room, RATE)
    energy = np.sum(tail**2, axis=0)
    # Schroeder's backward integral.
    level_db = 10 * np.log10(np.cumsum(energy[::-1])[::-1])
    at_5_db = np.argmax(level_db < level_db[0] - 5) / RATE
    at_25_db = np.argmax(level_db < level_db[0] - 25) / RATE
    assert 3 * (at_25_db - at_5_db) == pytest.approx(1.2, rel=0.15)


# ---- Backgrounds


def test_a_background_has_its_level_and_coherent_ears_at_low_frequencies_only():
    background = backgrounds.draw_background(np.random.default_rng(0), "open")
    background = dataclasses.replace(background, breathing_db=0.0, level_db=-40.0, hums=())
    rng = np.random.default_rng(0)
    left, right = backgrounds.render_background(rng, background, 48000, 96000)
    left = np.fft.rfft(left)
    right = np.fft.rfft(right)
    hz = np.fft.rfftfreq(96000, 1 / 48000)
    power = 2 * np.sum(np.abs(left[hz >= 300]) ** 2) / 96000**2
    assert 10 * np.log10(power) == pytest.approx(-40, abs=0.5)

    def coherence(low_hz, high_hz):
        band = (hz >= low_hz) & (hz < high_hz)
        powers = np.vdot(left[band], left[band]).real * np.vdot(right[band], right[band]).real
        return np.abs(np.vdot(left[band], right[band])) / np.sqrt(powers)

    assert coherence(20, 100) > 0.8
    assert coherence(4000, 12000) < 0.2


def nearest_centroid_accuracy(features, labels, train):
    """Returns the accuracy of the nearest class mean in standardised features, without `train`."""
    features = (features - features[train].mean(0)) / (features[train].std(0) + 1e-9)
    names = np.array(sorted(set(labels)))
    centres = np.stack([features[train & (labels == name)].mean(0) for name in names])
    distances = ((features[:, np.newaxis] - centres) ** 2).sum(-1)
    predicted = names[np.argmin(distances, axis=1)]
    return np.mean(predicted[~train] == labels[~train])


@pytest.fixture(scope="module")
def places():
    """Of 40 locations of each scene: scene, whether to train, background colour, event counts."""
    grid = np.geomspace(50, 20000, 40)
    labels = []
    train = []
    colours = []
    counts = []
    for scene in soundscapes.SCENES:
        for number in range(40):
            background = composition.location_at(0, scene, "lisbon", number).background
            count = np.zeros(len(soundscapes.EVENT_KINDS))
            for event in plan(scene, number):
                count[soundscapes.EVENT_KINDS.index(event.kind)] += 1
            labels.append(scene)
            train.append(number < 20)
            colours.append(backgrounds.colour_db(background, grid) + background.level_db)
            counts.append(count)
    return np.array(labels), np.array(train), np.stack(colours), np.stack(counts)


@pytest.mark.parametrize("family", backgrounds.FAMILIES)
def test_scenes_of_a_family_differ_in_their_events_and_not_in_their_colour(places, family):
    labels, train, colours, counts = places
    in_family = np.array([scenes.KINDS[scene].family == family for scene in labels])
    labels = labels[in_family]
    train = train[in_family]
    chance = 1 / len(set(labels))
    assert nearest_centroid_accuracy(colours[in_family], labels, train) < chance + 0.15
    assert nearest_centroid_accuracy(counts[in_family], labels, train) > 0.8


def test_all_scenes_differ_in_their_events(places):
    labels, train, _, counts = places
    assert nearest_centroid_accuracy(counts, labels, train) > 0.75
