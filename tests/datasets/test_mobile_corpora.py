"""TAU 2020 Mobile and TAU 2022 Mobile in their official layout, and devices of own recordings."""

import collections

import numpy as np
import pytest
import soundfile

from crossask.audio import notices
from crossask.config import catalogue
from crossask.datasets import read_corpus
from crossask.errors import DataError

# Name of the file without its suffix, side of the fold; the 2022 edition has one more number.
CLIPS_2020 = [
    ("airport-lisbon-1000-40000-a", "train"),
    ("airport-lisbon-1000-40000-b", "train"),
    ("airport-lisbon-1000-40000-s1", "train"),
    ("bus-milan-1190-44598-a", "train"),
    ("airport-barcelona-203-6129-a", "evaluate"),
    ("airport-barcelona-203-6129-s4", "evaluate"),
    ("bus-paris-214-6518-c", "evaluate"),
    # Clips of s4 to s6 at locations of the training side are in neither side.
    ("airport-lisbon-1000-40000-s4", ""),
]
CLIPS_2022 = [
    ("airport-lisbon-1000-40000-0-a", "train"),
    ("airport-lisbon-1000-40000-1-a", "train"),
    ("bus-milan-1190-44598-9-s3", "train"),
    ("airport-barcelona-203-6129-0-s6", "evaluate"),
    ("bus-paris-214-6518-0-a", "evaluate"),
]
EDITIONS = pytest.mark.parametrize(
    ("name", "clips", "seconds"),
    [("tau2020_mobile", CLIPS_2020, 10), ("tau2022_mobile", CLIPS_2022, 1)],
)


def write_mobile(folder, clips, seconds=1):
    """Writes the official files: sound in mono with 24 bits, metadata, and the lists of the fold.

    The published lists of 2020 end their lines with a carriage return, too.
    """
    (folder / "audio").mkdir(parents=True)
    (folder / "evaluation_setup").mkdir()
    metadata = ["filename\tscene_label\tidentifier\tsource_label"]
    header = "filename\tscene_label"
    sides = {"train": [header], "test": ["filename"], "evaluate": [header]}
    for name, side in clips:
        scene, city, location, *_, device = name.split("-")
        file = f"audio/{name}.wav"
        soundfile.write(folder / file, np.zeros(seconds * 100), 100, subtype="PCM_24")
        metadata.append(f"{file}\t{scene}\t{city}-{location}\t{device}")
        if side:
            sides[side].append(f"{file}\t{scene}")
        if side == "evaluate":
            sides["test"].append(file)
    (folder / "meta.csv").write_text("\n".join(metadata))
    for side, lines in sides.items():
        path = folder / "evaluation_setup" / f"fold1_{side}.csv"
        path.write_text("\r\n".join(lines), newline="")


@EDITIONS
def test_both_editions_are_read_in_their_official_layout(tmp_path, name, clips, seconds):
    write_mobile(tmp_path, clips, seconds)
    corpus = read_corpus(name, tmp_path)
    fold = corpus.fold("1")
    assert fold.train == tuple(f"audio/{clip}.wav" for clip, side in clips if side == "train")
    assert fold.evaluation == tuple(
        f"audio/{clip}.wav" for clip, side in clips if side == "evaluate"
    )
    assert corpus.unused == [side for _, side in clips].count("")
    assert len(corpus.scenes) == 10
    for clip in corpus.clips:
        scene, city, location, *_, device = clip.id[len("audio/") : -len(".wav")].split("-")
        found = (clip.scene, clip.location, clip.city, clip.device)
        assert found == (scene, f"{city}-{location}", city, device)
        assert soundfile.info(clip.path).duration == seconds


def test_the_devices_of_the_training_clips_are_known(tmp_path):
    write_mobile(tmp_path, CLIPS_2020)
    corpus = read_corpus("tau2020_mobile", tmp_path, need_audio=False)
    assert corpus.training_devices("1") == ["a", "b", "s1"]
    devices = {clip.id: clip.device for clip in corpus.clips}
    evaluated = {devices[clip_id] for clip_id in corpus.fold("1").evaluation}
    assert evaluated == {"a", "c", "s4"}


@pytest.mark.parametrize(
    ("device", "found"), [("s7", "'s7'"), ("A", "'A'"), ("", "''")], ids=["s7", "A", "none"]
)
def test_an_unknown_device_is_an_error_with_its_line(tmp_path, device, found):
    write_mobile(tmp_path, CLIPS_2020)
    meta = tmp_path / "meta.csv"
    text = meta.read_text()
    meta.write_text(text.replace("barcelona-203\ts4", f"barcelona-203\t{device}"))
    with pytest.raises(
        DataError, match=rf"Line 7 of .*meta.csv has the unknown device {found}"
    ) as e:
        read_corpus("tau2020_mobile", tmp_path)
    assert "a, b, c, s1, s2, s3, s4, s5, s6" in e.value.fix


@pytest.mark.parametrize("name", ["tau2019", "soundscapes"])
def test_recordings_of_several_devices_are_no_corpus_of_one(tmp_path, name):
    write_mobile(tmp_path, CLIPS_2020)
    with pytest.raises(
        DataError, match=rf"meta\.csv has the devices a, b, c, .*, but {name} has o"
    ):
        read_corpus(name, tmp_path)


def test_recordings_of_one_device_may_be_those_of_another_corpus(tmp_path, caplog):
    write_mobile(tmp_path, [clip for clip in CLIPS_2020 if clip[0].endswith("-a")])
    notices.forget()
    corpus = read_corpus("tau2020_mobile", tmp_path)
    assert len(corpus.clips) == 3
    (message,) = [record.getMessage() for record in caplog.records]
    assert "All recordings of tau2020_mobile in" in message
    assert "are of the device a, as those of TAU 2019" in message


def test_metadata_without_devices_is_an_error(tmp_path):
    write_mobile(tmp_path, CLIPS_2022)
    meta = tmp_path / "meta.csv"
    lines = [line.rpartition("\t")[0] for line in meta.read_text().splitlines()]
    meta.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"meta\.csv has no column 'source_label'"):
        read_corpus("tau2022_mobile", tmp_path)


def test_a_fold_with_an_absent_clip_is_an_error_with_its_name(tmp_path):
    write_mobile(tmp_path, CLIPS_2020)
    with (tmp_path / "evaluation_setup" / "fold1_evaluate.csv").open("a") as file:
        file.write("\naudio/tram-paris-1-2-a.wav\ttram\n")
    with pytest.raises(DataError, match=r"lists 'audio/tram-paris-1-2-a.wav', which is not in"):
        read_corpus("tau2020_mobile", tmp_path)


def test_a_location_of_two_devices_on_both_sides_is_an_error(tmp_path):
    write_mobile(tmp_path, [*CLIPS_2020, ("airport-lisbon-1000-40000-c", "evaluate")])
    with pytest.raises(DataError, match="Location 'lisbon-1000' is on both sides"):
        read_corpus("tau2020_mobile", tmp_path)


@EDITIONS
def test_missing_recordings_are_an_error_with_a_remedy(tmp_path, name, clips, seconds):
    write_mobile(tmp_path, clips, seconds)
    (tmp_path / "audio" / f"{clips[0][0]}.wav").unlink()
    with pytest.raises(DataError, match=r"1 of \d+ sound files .*" + clips[0][0]) as error:
        read_corpus(name, tmp_path)
    advice = f"crossask-prepare --dataset={name} --data_dir={tmp_path} --download"
    assert error.value.fix.endswith(advice)


@EDITIONS
def test_the_archives_have_the_sizes_of_the_catalogue_and_different_sums(name, clips, seconds):
    entry = catalogue.dataset(name)
    archives = catalogue.load(entry.archives)
    year = name[3:7]
    names = [url.rpartition("/")[2] for url, _, _ in archives]
    parts = ["doc", "meta", *(f"audio.{number}" for number in range(1, 17))]
    start = f"TAU-urban-acoustic-scenes-{year}-mobile-development"
    assert names == [f"{start}.{part}.zip" for part in parts]
    total = sum(size for _, size, _ in archives)
    assert total / 1e9 == pytest.approx(entry.download_gigabytes, abs=0.05)
    sums = [md5 for _, _, md5 in archives]
    assert len(set(sums)) == len(sums)
    assert all(len(md5) == 32 and int(md5, 16) for md5 in sums)


def test_the_nine_real_clips_are_read_with_their_devices(real_data, tmp_path):
    paths = sorted(real_data("tau_mobile").glob("*.flac"))
    clips = [(path.stem, "train") for path in paths]
    # A fold needs both sides; public_square-stockholm-121 was recorded by two devices.
    clips = [
        (name, "evaluate" if name.startswith("public_square") else side) for name, side in clips
    ]
    write_mobile(tmp_path, clips)
    for path in paths:
        (tmp_path / "audio" / f"{path.stem}.wav").unlink()
        (tmp_path / "audio" / path.name).symlink_to(path)
    corpus = read_corpus("tau2020_mobile", tmp_path)
    assert collections.Counter(clip.device for clip in corpus.clips) == {"a": 7, "b": 1, "c": 1}
    assert corpus.training_devices("1") == ["a", "c"]
    for clip in corpus.clips:
        info = soundfile.info(clip.path)
        assert (info.samplerate, info.channels, info.subtype) == (44100, 1, "PCM_24")
        assert info.duration == 10
    assert len(corpus.fingerprint) == 32


def test_a_table_of_own_recordings_may_have_devices(tmp_path):
    lines = ["filename,scene,device"]
    for number in range(4):
        scene = ("bus", "park")[number % 2]
        lines.append(f"{number}.wav,{scene},{('phone', 'recorder')[number // 2]}")
    table = tmp_path / "clips.csv"
    table.write_text("\n".join(lines))
    corpus = read_corpus("folder", table, need_audio=False)
    assert [clip.device for clip in corpus.clips] == ["phone", "phone", "recorder", "recorder"]
    assert corpus.training_devices("1") is not None
    # If the device of one training clip is unknown, no device is certain to be unseen.
    table.write_text("\n".join(lines).replace("recorder", "", 1))
    corpus = read_corpus("folder", table, need_audio=False)
    known = {fold.name: corpus.training_devices(fold.name) for fold in corpus.folds}
    assert None in known.values()
