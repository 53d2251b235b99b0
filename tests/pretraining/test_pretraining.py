"""Event pre-training: labelled files in, weights that an event model loads out; a killed run goes
on.
"""

import csv
import dataclasses
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from pretraining.stopping import stop_at_epoch

from crossask import config, events, pretraining
from crossask.errors import CrossaskError, DataError
from crossask.features import records
from crossask.features.cache import prepare_features
from crossask.pretraining import examples, training
from crossask.training import loop

RATE = 16000
SETTINGS = pretraining.PretrainingConfig(
    config.EventModelConfig(width=0.0625),
    clip_seconds=1.0,
    epochs=12,
    batch_size=8,
    learning_rate=3e-3,
    validation_share=0.2,
)


def interrupted(*_):
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """Returns a folder as ESC-50's: clips of three pitches, one second each, and their CSV."""
    folder = tmp_path_factory.mktemp("events")
    (folder / "audio").mkdir()
    rng = np.random.default_rng(1)
    lines = ["filename,fold,target,category"]
    for number in range(60):
        kind, hertz = (("hum", 150), ("tone", 900), ("whistle", 4000))[number % 3]
        time = np.arange(RATE) / RATE
        tone = np.sin(2 * np.pi * hertz * rng.uniform(0.9, 1.1) * time)
        wave = 0.3 * tone + rng.normal(0, 0.01, RATE)
        soundfile.write(folder / "audio" / f"{number}.wav", wave, RATE)
        lines.append(f"{number}.wav,{number // 12 + 1},{number % 3},{kind}")
    (folder / "esc.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def clips(collection):
    return pretraining.read_labelled_clips(collection / "esc.csv")


@pytest.fixture(scope="module")
def trained(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("weights") / "event_model.npz"
    training = [c for c in clips if c.fold != "5"]
    test = [c for c in clips if c.fold == "5"]
    return out, pretraining.pretrain(SETTINGS, training, test, out)


def test_it_learns_the_kinds_and_scores_a_fold_it_never_saw(trained):
    out, report = trained
    assert report["kinds"] == ["hum", "tone", "whistle"]
    assert (report["training_clips"], report["validation_clips"], report["test_clips"]) == (
        39,
        9,
        12,
    )
    assert report["test_tag_accuracy"] > 0.8
    assert json.loads(out.with_suffix(".json").read_text()) == json.loads(json.dumps(report))


def test_the_weights_are_an_event_model_whose_embeddings_separate_the_kinds(trained, clips):
    from crossask.audio import vggish_patches

    layer = events.build(config.EventModelConfig(width=0.0625, weights=str(trained[0])))
    waves = [soundfile.read(clip.path, dtype="float32")[0] for clip in clips]
    embeddings = np.stack([layer(vggish_patches(wave)).numpy()[0] for wave in waves])
    kinds = np.array([clip.labels[0] for clip in clips])
    middles = {kind: embeddings[:30][kinds[:30] == kind].mean(0) for kind in set(kinds)}
    nearest = [
        min(middles, key=lambda kind: np.linalg.norm(e - middles[kind])) for e in embeddings[30:]
    ]
    assert np.mean(np.array(nearest) == kinds[30:]) > 0.8


def test_lines_of_one_file_are_one_clip(collection):
    lines = ["filename,labels", "0.wav,hum", "1.wav,tone;hum", "0.wav,engine", "0.wav,hum"]
    (collection / "strong.csv").write_text("\n".join(lines) + "\n")
    first, second = pretraining.read_labelled_clips(collection / "strong.csv")
    assert (first.labels, second.labels) == (("hum", "engine"), ("tone", "hum"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"filename,labels\n0.wav\n", "Line 2 of .* has no label"),
        (b"labels,filename\nhum\n", "Line 2 of .* lists '', which does not exist"),
        (
            b"filename,labels,fold\n0.wav,hum,1\n0.wav,tone,2\n",
            "'0.wav' is in fold '1', and in line 3",
        ),
        ("filename,labels\n0.wav,caf\u00e9\n".encode("latin-1"), r"no table in UTF-8 \(line 2"),
    ],
)
def test_lines_that_cannot_be_used_are_named(collection, content, words):
    (collection / "wrong.csv").write_bytes(content)
    with pytest.raises(DataError, match=words):
        pretraining.read_labelled_clips(collection / "wrong.csv")


def test_recordings_of_any_rate_give_the_same_patches(tmp_path):
    clips = []
    for rate in (16000, 12345, 12345 * 4):
        time = np.arange(rate) / rate
        wave = 0.3 * np.sin(2 * np.pi * 700 * time) * time
        path = tmp_path / f"{rate}.wav"
        soundfile.write(path, wave, rate, "FLOAT")
        clips.append(pretraining.LabelledClip(str(path), ("hum",)))
    cache = prepare_features(
        examples.corpus_of(clips), examples.row(SETTINGS.event_model, 1.0), tmp_path / "features"
    )
    found = dict(records.read_clips(cache.shards("patches")))
    expected = found[str(tmp_path / "16000.wav")]
    # In the bands of the tone, the patches are equal.
    loud = expected > -3
    assert loud.any()
    for patches in found.values():
        assert np.abs(patches - expected)[loud].max() < 0.01


def test_all_sounds_that_cannot_be_used_are_one_error(clips, tmp_path):
    (tmp_path / "odd.wav").write_text("no sound")
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    wrong = [
        pretraining.LabelledClip(str(tmp_path / name), ("hum",), "")
        for name in ("odd.wav", "broken.wav")
    ]
    with pytest.raises(DataError, match=r"2 of \d+ files cannot be used: .*broken\.wav.*odd\.wav"):
        pretraining.pretrain(SETTINGS, clips, wrong, tmp_path / "event_model.npz")
    assert not (tmp_path / "event_model.npz").exists()


@pytest.mark.trains
def test_stopped_and_gone_on_with_gives_the_same_weights(clips, tmp_path, monkeypatch):
    short = dataclasses.replace(SETTINGS, epochs=3)
    pretraining.pretrain(short, clips, [], tmp_path / "whole.npz")
    stop_at_epoch(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        pretraining.pretrain(short, clips, [], tmp_path / "stopped.npz")
    monkeypatch.undo()
    assert not (tmp_path / "stopped.npz").exists()
    seen = []
    pretraining.pretrain(
        short,
        clips,
        [],
        tmp_path / "stopped.npz",
        options=pretraining.Options(clip_progress=lambda *done: seen.append(done)),
    )
    assert seen == []  # the patches were there
    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "stopped.npz") as stopped:
        assert whole.files == stopped.files
        for name in whole.files:
            np.testing.assert_array_equal(whole[name], stopped[name])


@pytest.mark.trains
def test_several_labels_a_clip_are_read_and_trained(collection, clips, tmp_path):
    lines = [["filename", "labels"]] + [
        [c.path, "tone;whistle" if "tone" in c.labels else c.labels[0]] for c in clips
    ]
    with open(tmp_path / "audioset.csv", "w", newline="") as file:
        csv.writer(file).writerows(lines)
    several = pretraining.read_labelled_clips(tmp_path / "audioset.csv")
    assert several[1].labels == ("tone", "whistle")
    report = pretraining.pretrain(SETTINGS, several, [], tmp_path / "w.npz")
    assert report["validation_tag_accuracy"] > 0.8


@pytest.mark.parametrize(
    ("column", "expected"),
    [("category", ("sea, waves; surf",)), ("labels", ("sea", "waves", "surf"))],
)
def test_a_category_is_one_label_also_with_a_comma_in_it(tmp_path, column, expected):
    (tmp_path / "0.wav").write_bytes(b"sound")
    (tmp_path / "labels.csv").write_text(f'filename,{column}\n0.wav,"sea, waves; surf"\n')
    (clip,) = pretraining.read_labelled_clips(tmp_path / "labels.csv")
    assert clip.labels == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name,category\na.wav,x\n", "columns"),
        ("filename,category,Fold\n0.wav,x,1\n", "column 'Fold', .* only 'fold' is"),
        ("filename\n0.wav\n", "columns"),
        ("filename,category\nnone.wav,x\n", "Line 2"),
        ("filename,category\n0.wav,x\n1.wav,\n", "Line 3"),
        ("filename,category\n0.wav,dog\n1.wav,Dog\n", "labels 'dog' and 'Dog'"),
        ("filename,category\n0.wav,x\n../audio/0.wav,y\n", "the same file"),
    ],
)
def test_a_csv_that_cannot_be_used_is_named_with_its_line(collection, text, problem):
    path = collection / "bad.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=problem):
        pretraining.read_labelled_clips(path)


def test_what_does_not_fit_is_refused(trained, clips, tmp_path):
    strange = [pretraining.LabelledClip(clips[0].path, ("thunder",))]
    with pytest.raises(DataError, match="thunder"):
        pretraining.pretrain(SETTINGS, clips, strange, tmp_path / "w.npz")
    with pytest.raises(DataError, match="too few"):
        pretraining.pretrain(SETTINGS, clips[:6], [], tmp_path / "w.npz")
    with pytest.raises(CrossaskError, match="another pre-training"):
        pretraining.pretrain(SETTINGS, clips, [], trained[0])


def test_a_copy_of_a_training_clip_among_the_test_clips_is_an_error(clips, tmp_path):
    copy = tmp_path / "copy.wav"
    shutil.copy(clips[0].path, copy)
    test = [pretraining.LabelledClip(str(copy), clips[0].labels)]
    with pytest.raises(DataError, match=r"copy\.wav contains the same bytes as .*0\.wav"):
        pretraining.pretrain(SETTINGS, clips, test, tmp_path / "w.npz")


def test_a_training_clip_in_another_format_among_the_test_clips_is_an_error(clips, tmp_path):
    waveform, rate = soundfile.read(clips[0].path)
    copy = tmp_path / "copy.flac"
    soundfile.write(copy, waveform, rate)
    test = [pretraining.LabelledClip(str(copy), clips[0].labels)]
    with pytest.raises(DataError, match=r"copy\.flac contains the same samples as .*0\.wav"):
        pretraining.pretrain(SETTINGS, clips, test, tmp_path / "w.npz")


def test_a_sound_that_changed_is_another_pretraining(collection, tmp_path, monkeypatch):
    folder = tmp_path / "events"
    shutil.copytree(collection, folder)
    clips = pretraining.read_labelled_clips(folder / "esc.csv")
    monkeypatch.setattr(loop, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pretraining.pretrain(SETTINGS, clips, [], tmp_path / "w.npz")
    soundfile.write(folder / "audio" / "0.wav", np.full(RATE, 0.1), RATE)
    with pytest.raises(CrossaskError, match="another pre-training"):
        pretraining.pretrain(SETTINGS, clips, [], tmp_path / "w.npz")


def test_a_damaged_file_of_patches_is_named(clips, tmp_path, monkeypatch):
    out = tmp_path / "w.npz"
    with monkeypatch.context() as patch:
        patch.setattr(loop, "fit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pretraining.pretrain(SETTINGS, clips, [], out)
    shard = next((tmp_path / "w.npz.training" / "features").rglob("*.tfrecord"))
    content = bytearray(shard.read_bytes())
    content[-100] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match=r"00000\.tfrecord has a corrupt record of clip"):
        pretraining.pretrain(SETTINGS, clips, [], out)


@pytest.mark.parametrize("is_exclusive", [True, False])
def test_logits_of_exclusive_kinds_are_compared_as_probabilities(is_exclusive):
    # Every clip is recognised, but one number is added to all logits of a clip.
    labels = np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]
    offsets = np.array([[0], [9], [0], [9]], np.float32)
    batch = ({"logits": tf.constant(3 * labels + offsets)}, tf.constant(labels), tf.ones(4))
    data = SimpleNamespace(batches=lambda: [batch])
    found = training._test_scores(lambda inputs, training: inputs["logits"], data, is_exclusive)
    assert found["test_tag_accuracy"] == 1
    assert (found["test_map"] == 1) == is_exclusive


def test_events_that_are_not_validated_are_named(caplog):
    clips = []
    # Of six clips, a validation part has none, and of seven one.
    for label, count in {"dog": 7, "rain": 6, "wind": 6}.items():
        for number in range(count):
            clips.append(pretraining.LabelledClip(f"{label}{number}.wav", (label,)))
    settings = pretraining.PretrainingConfig(batch_size=4)
    with caplog.at_level("WARNING", "crossask"):
        fitted, validation = training._split(clips, settings)
    assert (len(fitted), [clip.labels for clip in validation]) == (18, [("dog",)])
    assert caplog.messages == [
        "The validation part has 1 of 19 clips, and none of rain, wind: the best epoch is chosen "
        "without these events."
    ]
    caplog.clear()
    for number in range(7):
        clips.append(pretraining.LabelledClip(f"{number}.wav", ("storm", "rain", "wind")))
    training._split(clips, settings)
    assert not caplog.messages


def test_embeddings_that_are_all_the_same_have_no_pca(tmp_path, caplog):
    rng = np.random.default_rng(0)
    path = tmp_path / "model_pca.npz"
    batch = ({"patches": tf.zeros([9, 5, 96, 64])}, None, tf.ones(9))
    data = SimpleNamespace(batches=lambda: [batch], clip_ids=range(9))

    class Model:
        embedding_size = 3

        def __call__(self, patches):
            return tf.constant(self.offset + self.deviation * noise)

    noise = rng.normal(size=(9, 5, 3)).astype(np.float32)
    model = Model()
    model.offset = np.array([0.1, -7.3, 2], np.float32)
    for deviation, is_written in ((1e-3, True), (0, False)):
        model.deviation = deviation
        training._fit_pca(model, data, path)
        assert path.is_file() == is_written
        assert ("are the same" in caplog.text) != is_written


@pytest.mark.trains
def test_two_devices_learn_what_one_learns(clips, tmp_path, two_devices):
    several = []
    for clip in clips:
        labels = ("tone", "whistle") if "tone" in clip.labels else clip.labels
        several.append(dataclasses.replace(clip, labels=labels))
    short = dataclasses.replace(SETTINGS, epochs=2, mixup_alpha=0.5, is_balanced=True)
    reports = []
    for number, distribution in enumerate((None, two_devices)):
        options = pretraining.Options(distribution=distribution, features_dir=tmp_path / "features")
        out = tmp_path / f"{number}.npz"
        reports.append(pretraining.pretrain(short, several[:48], several[48:], out, options))
    for name in ("validation_loss", "validation_map", "test_map", "test_auc"):
        assert reports[1][name] == pytest.approx(reports[0][name], rel=0.02), name
