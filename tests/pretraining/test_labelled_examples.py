"""Labelled clips as examples: labels in batches, mixtures, balanced epochs, and their scores."""

import collections
import json
import math
import shutil
import unicodedata

import numpy as np
import pytest
import soundfile
from sklearn.metrics import average_precision_score, roc_auc_score

from crossask import config, pretraining
from crossask.errors import DataError
from crossask.features.batches import MOST_REPETITIONS, ends_of_repetitions
from crossask.features.cache import prepare_features
from crossask.pretraining import examples
from crossask.pretraining.scores import tagging_scores

RATE = 16000
EVENT_MODEL = config.EventModelConfig(width=0.0625)
BATCH = 8


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Examples of 48 clips: `common` in all but three, `rare` in those, `tone` in a quarter."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    clips = []
    for number in range(48):
        path = folder / f"{number:02d}.wav"
        soundfile.write(path, rng.normal(0, 0.1, RATE), RATE)
        labels = ("rare",) if number in (3, 20, 41) else ("common",)
        if number % 4 == 0:
            labels += ("tone",)
        clips.append(pretraining.LabelledClip(str(path), labels))
    corpus = examples.corpus_of(clips)
    cache = prepare_features(corpus, examples.row(EVENT_MODEL, 1.0), folder / "features")
    labels = examples.labels_of(clips, ["common", "rare", "tone"])
    return clips, examples.Examples(corpus, cache, labels, BATCH)


def epoch_of(batches, steps):
    """Returns the inputs and targets of the first epoch, joined."""
    parts = [
        (inputs["patches"].numpy(), target.numpy()) for inputs, target, _ in batches.take(steps)
    ]
    patches, targets = zip(*parts, strict=True)
    return np.concatenate(patches), np.concatenate(targets)


def test_every_clip_has_its_labels_and_is_read_once(data):
    clips, tagged = data
    training = tagged.training(clips, seed=0)
    patches, targets = epoch_of(training.batches(), training.steps)
    assert training.steps == 6
    assert len(np.unique(patches.reshape(48, -1), axis=0)) == 48
    assert targets.sum(axis=0).tolist() == [45, 3, 12]
    evaluation = tagged.evaluation(clips[:11])
    in_order = {clip.path: clip for clip in clips}
    expected = []
    for path in evaluation.ordered_clip_ids:
        expected.append([float(kind in in_order[path].labels) for kind in tagged.labels.names])
    found = np.concatenate([target.numpy() for _, target, _ in evaluation.batches()])
    np.testing.assert_array_equal(found[:11], expected)


def test_the_order_depends_on_seed_and_epoch_alone(data):
    clips, tagged = data
    training = tagged.training(clips, seed=1, mixup_alpha=0.4, is_balanced=True)
    first = epoch_of(training.batches(first_epoch=1), training.steps)
    again = epoch_of(training.batches().skip(training.steps), training.steps)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    other = epoch_of(training.batches(first_epoch=2), training.steps)
    assert not np.array_equal(first[1], other[1])


def test_mixed_clips_have_the_labels_of_both_in_their_shares(data):
    clips, tagged = data
    training = tagged.training(clips, seed=0, mixup_alpha=1.0)
    _, targets = epoch_of(training.batches(), training.steps)
    # Each clip keeps its share of its own labels, so the sums over an epoch stay what they are.
    np.testing.assert_allclose(targets.sum(axis=1).mean(), 60 / 48, rtol=0.1)
    is_mixed = (targets > 0) & (targets < 1)
    assert is_mixed.any()


def test_a_balanced_epoch_has_as_many_clips_and_more_of_rare_labels(data):
    clips, tagged = data
    training = tagged.training(clips, seed=0, is_balanced=True)
    assert training.steps == 6
    counts = collections.Counter()
    epochs = 20
    for epoch in range(epochs):
        _, targets = epoch_of(training.batches(epoch), training.steps)
        counts.update(dict(enumerate(targets.sum(axis=0))))
    # Frequencies: 1/45 of a common clip, 1/3 of a rare one, and 1/12 more of a tone; they add up to
    # 3 in 48 clips, so that a frequency of 1/16 is one reading. One of the rare clips has a tone.
    assert counts[1] == pytest.approx(16 * (1 / 3 + 1 / 3 + 5 / 12) * epochs, rel=0.05)
    assert counts[2] == pytest.approx(16 * (11 * (1 / 45 + 1 / 12) + 5 / 12) * epochs, rel=0.05)


@pytest.mark.parametrize(
    ("frequencies", "means"),
    [
        ([1, 1, 1], [1, 1, 1]),
        ([3, 0, 1], [1.5, 0, 0.5]),
        ([100] + [1] * 15, [MOST_REPETITIONS] + [8 / 15] * 15),
    ],
)
def test_mean_repetitions_are_proportional_up_to_a_limit(frequencies, means):
    ends = ends_of_repetitions(frequencies)
    assert ends[-1] == np.count_nonzero(frequencies)
    np.testing.assert_allclose(np.diff(ends, prepend=0), means, atol=1e-5)


def test_scores_are_those_of_scikit_learn_over_the_events_that_can_be_scored():
    rng = np.random.default_rng(0)
    labels = (rng.uniform(size=(200, 6)) < 0.2).astype(float)
    labels[:, 4] = 0
    labels[:, 5] = 1
    scores = labels + rng.normal(0, 1, labels.shape)
    found = tagging_scores(labels, scores)
    precisions = [average_precision_score(labels[:, n], scores[:, n]) for n in range(4)]
    areas = [roc_auc_score(labels[:, n], scores[:, n]) for n in range(4)]
    assert found["map"] == pytest.approx(np.mean(precisions))
    assert found["auc"] == pytest.approx(np.mean(areas))
    # An AUC of 0.76 is a d' of 1: the distance of two normal distributions.
    assert math.erf(found["d_prime"] / 2) == pytest.approx(2 * found["auc"] - 1)
    assert tagging_scores(np.zeros((5, 2)), np.zeros((5, 2))) == {}


@pytest.mark.parametrize("auc", [0, 1])
def test_scores_of_perfectly_sorted_clips_are_json(auc):
    labels = np.array([[0], [1], [1]])
    found = tagging_scores(labels, labels * (2 * auc - 1.0))
    assert (found["auc"], found["d_prime"]) == (auc, None)
    json.dumps(found, allow_nan=False)


SEGMENTS = """# Segments csv created Sun Mar  5 10:54:31 2017
# num_ytids=4, num_segs=4, num_unique_labels=3, num_positive_labels=5
# YTID, start_seconds, end_seconds, positive_labels
--4gqARaEJE, 30.000, 40.000, "/m/09x0r,/m/05zppz"
Y0123456789, 0.000, 10.000, "/m/05zppz"
abcdefghijk, 0.000, 10.000, "/m/0jbk"
zzzzzzzzzzz, 0.000, 10.000, "/m/0jbk"
"""
NAMES = """index,mid,display_name
0,/m/09x0r,"Speech"
1,/m/05zppz,"Male speech, man speaking"
2,/m/0jbk,"Animal"
"""


@pytest.fixture
def audioset(tmp_path):
    """A folder with the files of AudioSet and sounds in three ways of naming them."""
    (tmp_path / "segments.csv").write_text(SEGMENTS)
    (tmp_path / "names.csv").write_text(NAMES)
    (tmp_path / "sounds" / "part").mkdir(parents=True)
    for name in ("Y--4gqARaEJE", "Y0123456789_0_10000", "part/abcdefghijk", "other"):
        soundfile.write(tmp_path / "sounds" / f"{name}.wav", np.zeros(100), RATE)
    return tmp_path


def test_segments_of_audioset_are_read_with_the_names_of_their_labels(audioset, caplog):
    path = audioset / "segments.csv"
    assert pretraining.is_segments_file(path)
    assert not pretraining.is_segments_file(audioset / "names.csv")
    with caplog.at_level("INFO", "crossask"):
        clips = pretraining.read_segments(path, audioset / "sounds", audioset / "names.csv")
    sounds = audioset / "sounds"
    assert clips == (
        pretraining.LabelledClip(
            str(sounds / "Y--4gqARaEJE.wav"), ("Speech", "Male speech, man speaking")
        ),
        pretraining.LabelledClip(
            str(sounds / "Y0123456789_0_10000.wav"), ("Male speech, man speaking",)
        ),
        pretraining.LabelledClip(str(sounds / "part" / "abcdefghijk.wav"), ("Animal",)),
    )
    assert "3 of 4 segments have a sound file" in caplog.text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("abc, 0.0, 10.0", "Line 8 of .* has 3 cells instead of 4"),
        ('abc, 0.0, 10.0, "/m/1"', "Line 8 of .* has the label '/m/1', which is not in"),
        ('abc, soon, 10.0, "/m/0jbk"', "Line 8 of .* has the start 'soon'"),
        ('zzzzzzzzzzz, 0.0, 10.0, "/m/0jbk"', "'zzzzzzzzzzz' is in line 7 and in line 8"),
    ],
)
def test_lines_of_segments_that_cannot_be_used_are_named(audioset, line, words):
    (audioset / "segments.csv").write_text(SEGMENTS + line + "\n")
    with pytest.raises(DataError, match=words):
        pretraining.read_segments(
            audioset / "segments.csv", audioset / "sounds", audioset / "names.csv"
        )


def test_of_several_segments_of_a_video_the_one_that_begins_where_the_line_says_is_read(audioset):
    paths = (audioset / "segments.csv", audioset / "sounds", audioset / "names.csv")
    sounds = audioset / "sounds"
    for times in ("0_10000", "30000_40000"):
        shutil.copy(sounds / "other.wav", sounds / f"Y--4gqARaEJE_{times}.wav")
    first, *_ = pretraining.read_segments(*paths)
    assert first.path == str(sounds / "Y--4gqARaEJE_30000_40000.wav")
    shutil.copy(sounds / "other.wav", sounds / "Y--4gqARaEJE_30000_40000.flac")
    with pytest.raises(DataError, match="both may be the segment of '--4gqARaEJE'"):
        pretraining.read_segments(*paths)


def test_the_sound_of_another_segment_of_a_video_does_not_get_the_labels(audioset, caplog):
    sounds = audioset / "sounds"
    (sounds / "Y--4gqARaEJE.wav").rename(sounds / "Y--4gqARaEJE_70000_80000.wav")
    clips = pretraining.read_segments(audioset / "segments.csv", sounds, audioset / "names.csv")
    assert [clip.path for clip in clips] == [
        str(sounds / "Y0123456789_0_10000.wav"),
        str(sounds / "part" / "abcdefghijk.wav"),
    ]
    (message,) = [line for line in caplog.messages if "begin at another time" in line]
    assert message.startswith("1 sound files begin at another time than the segment of their video")
    assert message.endswith("Y--4gqARaEJE_70000_80000.wav.")
    # A file without times is of the segment, also if its identifier ends like times.
    shutil.copy(sounds / "other.wav", sounds / "Y--4gqARaEJE.wav")
    shutil.copy(sounds / "other.wav", sounds / "abcdef_12_3.wav")
    line = 'abcdef_12_3, 30.000, 40.000, "/m/0jbk"\n'
    (audioset / "segments.csv").write_text(SEGMENTS + line)
    clips = pretraining.read_segments(audioset / "segments.csv", sounds, audioset / "names.csv")
    assert clips[0].path == str(sounds / "Y--4gqARaEJE.wav")
    assert clips[-1].path == str(sounds / "abcdef_12_3.wav")


def test_a_folder_without_the_sounds_of_the_segments_is_an_error(audioset):
    (audioset / "empty").mkdir()
    with pytest.raises(DataError, match="the sound of none of the 4 segments"):
        pretraining.read_segments(
            audioset / "segments.csv", audioset / "empty", audioset / "names.csv"
        )


@pytest.mark.parametrize("written", ["NFC", "NFD"])
@pytest.mark.parametrize("listed", ["NFC", "NFD"])
def test_names_with_accents_are_found_in_the_folder_audio(tmp_path, written, listed):
    # On macOS, an accent is a character of its own in the names of files.
    audio = tmp_path / "audio"
    audio.mkdir()
    path = audio / unicodedata.normalize(written, "café.wav")
    soundfile.write(path, np.zeros(RATE), RATE)
    table = tmp_path / "labels.csv"
    name = unicodedata.normalize(listed, "café.wav")
    table.write_text(f"filename,category\n{name},cup\n", encoding="utf-8")
    (clip,) = pretraining.read_labelled_clips(table)
    assert clip.path == str(path)
