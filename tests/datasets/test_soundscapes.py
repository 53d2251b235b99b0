"""The generator: its grammar, its sounds and its rooms, held against what the corpus is for."""

import collections
import dataclasses

import numpy as np
import pytest

from crossask.datasets import soundscapes
from crossask.datasets.soundscapes import backgrounds, events, rendering, scenes, spaces
from crossask.errors import ConfigError

RATE = 16000
CITIES = ("helsinki", "lisbon")


@pytest.mark.parametrize("kind", soundscapes.EVENT_KINDS)
def test_every_kind_is_finite_fills_its_time_and_varies(kind):
    first, again, other = (
        events.synthesise(kind, np.random.default_rng(seed), RATE, 1.5) for seed in (1, 1, 2)
    )
    assert first.shape == (24000,)
    assert np.isfinite(first).all()
    frames = np.sqrt(np.mean(first.reshape(-1, 320) ** 2, axis=1))
    assert np.sqrt(np.mean(np.sort(frames)[::-1][:25] ** 2)) == pytest.approx(1, rel=1e-6)
    assert abs(first[0]) < 0.5 * np.abs(first).max()  # no click at the start
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


@pytest.mark.parametrize("kind", soundscapes.EVENT_KINDS)
def test_every_kind_stands_out_of_its_background_somewhere(kind):
    def level(with_event):
        room, bed, event, _ = rendering.event_setting(3, 0, kind, 2.9)
        event = dataclasses.replace(event, level_db=12.0, metres=4.0)
        plan = (event,) if with_event else ()
        wave = rendering._mix(np.random.default_rng(0), bed, room, plan, 2.9, RATE, 0.0, None)
        frames = np.diff(wave[: 320 * 145], axis=0, prepend=0).reshape(
            145, -1
        )  # the difference weakens the rumble
        return 10 * np.log10(np.mean(frames**2, axis=1))

    assert np.max(level(True) - level(False)) > 6


def test_a_clip_is_binaural_within_full_scale_and_repeats():
    wave, labels = soundscapes.render_scene_clip(
        0, "tram", "lisbon", 3, 1, seconds=4.0, sample_rate_hz=RATE
    )
    again, labels_again = soundscapes.render_scene_clip(
        0, "tram", "lisbon", 3, 1, seconds=4.0, sample_rate_hz=RATE
    )
    assert wave.shape == (64000, 2)
    assert wave.dtype == np.float32
    assert 0.001 < np.abs(wave).max() < 1
    assert np.abs(wave[:, 0] - wave[:, 1]).max() > 0.001
    np.testing.assert_array_equal(wave, again)
    assert labels == labels_again


def test_clips_of_a_location_share_the_place_and_not_the_events():
    plans = {scenes.plan_clip(0, "park", "lisbon", 3, clip, 10.0) for clip in range(8)}
    assert len(plans) == 8
    kinds = {kind for kind, _ in scenes.location_at(0, "park", "lisbon", 3).habits}
    assert {event.kind for plan in plans for event in plan} <= kinds
    keys = (
        (0, "park", "lisbon", 3),
        (0, "park", "lisbon", 4),
        (0, "park", "lyon", 3),
        (1, "park", "lisbon", 3),
    )
    places = {scenes.location_at(*key) for key in keys}
    assert len({place.room for place in places}) == len({place.bed for place in places}) == 4


def test_events_lie_within_the_clip_and_are_four_to_ten():
    for scene in soundscapes.SCENES:
        for clip in range(20):
            plan = scenes.plan_clip(5, scene, "lisbon", 7, clip, 10.0)
            assert 4 <= len(plan) <= 10
            assert all(
                0 <= event.onset_s < event.onset_s + event.seconds <= 10.0 + 1e-9 for event in plan
            )
            assert [event.onset_s for event in plan] == sorted(event.onset_s for event in plan)


def test_no_kind_of_event_belongs_to_one_scene_alone():
    owners = collections.Counter(kind for weights in scenes.WEIGHTS.values() for kind in weights)
    assert set(owners) == set(soundscapes.EVENT_KINDS)
    assert min(owners.values()) >= 2
    assert len(soundscapes.EVENT_KINDS) >= 16
    for scene, phrases in scenes.PHRASES.items():
        assert {kind for phrase, _ in phrases for kind in phrase} <= set(scenes.WEIGHTS[scene])


def test_a_louder_recording_is_bent_and_not_clipped():
    wave = np.array([-3.0, -0.7, -0.2, 0.0, 0.5, 0.9, 2.0], np.float32)
    bent = rendering.limit(wave)
    np.testing.assert_array_equal(bent[1:5], wave[1:5])
    assert np.abs(bent).max() < 1
    assert 0.7 < bent[5] < bent[6]


def test_a_source_on_the_right_comes_earlier_and_brighter_to_the_right_ear():
    room = spaces.Room(0.3, 0.2, 5.0, (), 0)
    room = dataclasses.replace(room, reflections=((0.02, 0.0, 0.0),))  # a reflection of no strength
    click = np.zeros(4800)
    click[0] = 1
    left, right = spaces.binaural(click, 48000, room, 4.0, np.pi / 2, np.pi / 2)
    arrival = [np.argmax(np.cumsum(ear**2) > 0.1 * np.sum(ear**2)) / 48000 for ear in (left, right)]
    # Woodworth: a / c (angle + sin angle) with a = 8.75 cm, c = 343 m/s, angle = 90 degrees
    assert arrival[0] - arrival[1] == pytest.approx(0.0875 / 343 * (np.pi / 2 + 1), abs=1.5e-4)
    assert np.sum(right**2) > 4 * np.sum(left**2)


def test_farther_sources_are_weaker_duller_and_more_reverberant():
    assert spaces.air_absorption(np.array([8000.0]), 10)[0] == pytest.approx(10 ** (-1 / 20))
    room = spaces.draw_room(np.random.default_rng(0), "hall")
    direct = [
        np.sum(spaces.binaural(np.r_[1.0, np.zeros(999)], 48000, room, m, 0.0, 0.0) ** 2)
        for m in (2, 8)
    ]
    assert direct[0] > direct[1]
    assert (
        spaces.late_field_gain(room, 8) / direct[1] ** 0.5
        > spaces.late_field_gain(room, 2) / direct[0] ** 0.5
    )


def test_the_late_field_decays_by_sixty_decibels_in_its_reverberation_time():
    room = spaces.Room(1.2, 1.2, 5.0, (), 11)
    tail = spaces.late_field(room, RATE)
    backward = 10 * np.log10(np.cumsum(np.sum(tail**2, axis=0)[::-1])[::-1])  # Schroeder's integral
    at = [np.argmax(backward < backward[0] - drop) / RATE for drop in (5, 25)]
    assert 3 * (at[1] - at[0]) == pytest.approx(1.2, rel=0.15)


def test_a_bed_has_its_level_and_its_ears_agree_at_low_frequencies_only():
    bed = dataclasses.replace(
        backgrounds.draw_bed(np.random.default_rng(0), "open"),
        breathing_db=0.0,
        level_db=-40.0,
        hums=(),
    )
    left, right = backgrounds.render_bed(np.random.default_rng(0), bed, 48000, 96000)
    spectra = np.fft.rfft(left), np.fft.rfft(right)
    hz = np.fft.rfftfreq(96000, 1 / 48000)
    power = 2 * np.sum(np.abs(spectra[0][hz >= 300]) ** 2) / 96000**2
    assert 10 * np.log10(power) == pytest.approx(-40, abs=0.5)

    def coherence(low, high):
        a, b = (spectrum[(hz >= low) & (hz < high)] for spectrum in spectra)
        return np.abs(np.vdot(a, b)) / np.sqrt(np.vdot(a, a).real * np.vdot(b, b).real)

    assert coherence(20, 100) > 0.8
    assert coherence(4000, 12000) < 0.2


def test_isolated_events_take_turns_and_share_no_place_with_the_scenes():
    count = len(soundscapes.EVENT_KINDS)
    places = [
        rendering.event_setting(0, index, soundscapes.EVENT_KINDS[index % count], 2.9)
        for index in range(4 * count)
    ]
    rooms, beds = {place[0] for place in places}, {place[1] for place in places}
    assert len(rooms) == len(beds) == 4 * count
    heard = [
        scenes.location_at(0, scene, city, number)
        for scene in soundscapes.SCENES
        for city in CITIES
        for number in range(10)
    ]
    assert not rooms & {place.room for place in heard}
    assert not beds & {place.bed for place in heard}
    assert not {place[2].seed for place in places} & {
        event.seed
        for scene in soundscapes.SCENES
        for clip in range(10)
        for event in scenes.plan_clip(0, scene, "lisbon", 0, clip, 10.0)
    }
    kinds = [
        soundscapes.render_event(0, index, ("horn", "voice"), 1.0, RATE)[1] for index in range(4)
    ]
    assert kinds == ["horn", "voice", "horn", "voice"]


def test_unknown_names_are_refused_with_those_that_exist():
    with pytest.raises(ConfigError, match="metro_station"):
        soundscapes.render_scene_clip(0, "harbour", "lisbon", 0, 0)
    with pytest.raises(ConfigError, match="tram_bell"):
        soundscapes.render_event(0, 0, ("whale",))


def nearest_centroid(features, labels, train):
    """Share of the rows outside `train` whose nearest class mean, in standardised features, is their own."""
    features = (features - features[train].mean(0)) / (features[train].std(0) + 1e-9)
    names = sorted(set(labels))
    centres = np.stack([features[train & (labels == name)].mean(0) for name in names])
    nearest = np.argmin(((features[:, np.newaxis] - centres) ** 2).sum(-1), axis=1)
    return np.mean(np.array(names)[nearest][~train] == labels[~train])


def test_colour_does_not_tell_scenes_of_a_family_apart_but_events_do():
    places = [(scene, number) for scene in soundscapes.SCENES for number in range(40)]
    labels, train = (
        np.array([scene for scene, _ in places]),
        np.array([number < 20 for _, number in places]),
    )
    grid = np.geomspace(50, 20000, 40)
    beds = [scenes.location_at(0, scene, "lisbon", number).bed for scene, number in places]
    colours = np.stack([backgrounds.colour_db(bed, grid) + bed.level_db for bed in beds])
    counts = np.zeros((len(places), len(soundscapes.EVENT_KINDS)))
    for row, (scene, number) in enumerate(places):
        for event in scenes.plan_clip(0, scene, "lisbon", number, 0, 10.0):
            counts[row, soundscapes.EVENT_KINDS.index(event.kind)] += 1
    for family in ("hall", "vehicle", "open"):
        within = np.array([backgrounds.FAMILIES[scene] == family for scene in labels])
        chance = 1 / len(set(labels[within]))
        assert nearest_centroid(colours[within], labels[within], train[within]) < chance + 0.15
        assert nearest_centroid(counts[within], labels[within], train[within]) > 0.8
    assert nearest_centroid(counts, labels, train) > 0.75
