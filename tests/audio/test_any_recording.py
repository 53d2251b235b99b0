"""Recordings of other formats, and of any number of channels."""

import logging
import struct
import sys

import media_files
import numpy as np
import pytest
import soundfile

from crossask.audio import media, notices, reading, sndfile
from crossask.errors import AudioError

RATE = 48000


@pytest.fixture
def logged(caplog):
    """Returns a function that returns the messages so far, from a new command on."""
    notices.forget()
    caplog.set_level(logging.INFO, "crossask")
    return lambda: [record.getMessage() for record in caplog.records]


def chirp(seconds=2.0, rate=RATE):
    """Returns two rising tones of 16 bits, [samples, 2]."""
    time = np.arange(round(seconds * rate)) / rate
    left = np.sin(2 * np.pi * (200 + 300 * time) * time)
    right = np.sin(2 * np.pi * (500 + 100 * time) * time)
    return np.round(0.3 * np.stack([left, right], 1) * 32768).astype(np.float32) / 32768


def test_a_lossless_codec_in_m4a_is_read_to_its_last_bit(tmp_path):
    path = media_files.write(tmp_path / "x.m4a", chirp(), RATE, "alac")
    waveform, rate = reading.read_audio(path)
    assert rate == RATE
    np.testing.assert_array_equal(waveform, chirp())


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("x.m4a", "aac"),
        ("x.webm", "libopus"),
        ("x.mp4", "aac"),
        ("x.mov", "aac"),
        ("x.3gp", "aac"),
        ("x.mka", "libopus"),
        ("x.opus", "libopus"),
    ],
)
def test_lossy_formats_keep_the_waveform_and_its_length(tmp_path, name, codec):
    path = media_files.write(tmp_path / name, chirp(), RATE, codec)
    waveform, rate = reading.read_audio(path)
    assert rate == RATE
    # The last frame of AAC, of 1,024 samples, is longer than the recording.
    assert 0 <= len(waveform) - len(chirp()) < 1024
    for channel in (0, 1):
        pair = waveform[: len(chirp()), channel], chirp()[:, channel]
        assert np.corrcoef(*pair)[0, 1] > 0.999


def test_amr_and_bare_aac_are_read(tmp_path):
    mono = chirp(rate=8000)[:, :1]
    amr = media_files.write(tmp_path / "x.amr", mono, 8000, "libopencore_amrnb")
    waveform, rate = reading.read_audio(amr)
    assert (rate, waveform.shape[1]) == (8000, 1)
    assert 2.0 <= len(waveform) / rate < 2.1
    aac = media_files.write(tmp_path / "x.aac", chirp(), RATE, "aac")
    waveform, rate = reading.read_audio(aac)
    # A bare stream does not say that its first frame only starts the decoder.
    assert 2.0 <= len(waveform) / rate < 2.1


def test_the_length_of_a_file_without_a_header_is_counted(tmp_path):
    path = media_files.write(tmp_path / "x.aac", chirp(), RATE, "aac")
    waveform, _ = reading.read_audio(path)
    assert reading.seconds_of(path, decodes=True) == len(waveform) / RATE
    assert reading.seconds_of(path) == pytest.approx(2.0, rel=0.2)
    (tmp_path / "x.aac").write_text("no sound")
    assert reading.seconds_of(path, decodes=True) == 0


@pytest.mark.parametrize(
    ("name", "codec"), [("x.mkv", "flac"), ("x.avi", "pcm_s16le"), ("x.wmv", "wmav2")]
)
def test_the_sound_of_a_longer_video_has_its_own_length(tmp_path, logged, name, codec):
    av = pytest.importorskip("av", reason="needs PyAV: pip install 'crossask[media]'")
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        sound = container.add_stream(codec, rate=RATE, layout="stereo", bit_rate=128000)
        video = container.add_stream("mpeg4", rate=10, width=64, height=64)
        samples = np.round(chirp() * 32768).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate = RATE
        frame.pts = 0
        container.mux([*sound.encode(frame), *sound.encode(None)])
        for number in range(60):
            image = np.full((64, 64, 3), number, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
    waveform, rate = reading.read_audio(path)
    assert len(waveform) / rate == pytest.approx(2.0, abs=0.1)
    assert reading.seconds_of(path, decodes=True) == len(waveform) / rate
    assert not [message for message in logged() if "rest is missing" in message]


def test_blocks_and_parts_of_a_media_file_are_pieces_of_the_whole(tmp_path):
    path = media_files.write(tmp_path / "x.m4a", chirp(), RATE, "alac")
    blocks, rate = reading.read_blocks(path, 0.3)
    blocks = list(blocks)
    assert rate == RATE
    assert [len(block) for block in blocks] == [14400] * 6 + [9600]
    np.testing.assert_array_equal(np.concatenate(blocks), chirp())
    np.testing.assert_array_equal(reading.read_part(path, 50000, 70000), chirp()[50000:70000])
    assert reading.seconds_of(path) == pytest.approx(2.0)


@pytest.mark.parametrize(("name", "codec"), [("x.m4a", "aac"), ("x.webm", "libopus")])
@pytest.mark.parametrize("start", [10, RATE + 5, 3 * RATE + 17])
def test_a_part_of_a_lossy_file_is_where_it_is_in_the_whole(tmp_path, name, codec, start):
    path = media_files.write(tmp_path / name, chirp(4.0), RATE, codec)
    whole, _ = reading.read_audio(path)
    part = reading.read_part(path, start, start + 20000)
    np.testing.assert_allclose(part, whole[start : start + 20000], atol=1e-3)


@pytest.mark.parametrize("name", ["x.oga", "x.mka", "x.mp4"])
def test_a_part_of_flac_in_a_container_is_where_it_is_in_the_whole(tmp_path, name):
    waveform = np.random.default_rng(0).normal(0, 0.1, (20 * RATE, 1)).clip(-0.9, 0.9)
    path = media_files.write(tmp_path / name, waveform, RATE, "flac")
    whole, rate = reading.read_audio(path)
    for start in (0, 3.4, 8.5, 10.2, 17, 19.4):
        part, _ = reading.read_seconds(path, start, start + 0.5)
        np.testing.assert_array_equal(part, whole[round(start * rate) :][: len(part)])


@pytest.mark.parametrize(
    ("name", "codec"), [("x.wav", "adpcm_yamaha"), ("x.wav", "g726"), ("x.mov", "adpcm_ima_qt")]
)
def test_a_part_of_adpcm_is_where_it_is_in_the_whole(tmp_path, name, codec):
    # A sample is the difference from the one before, so the decoder needs all of them.
    path = media_files.write(tmp_path / name, chirp(20.0, 8000)[:, :1], 8000, codec)
    whole, rate = reading.read_audio(path)
    for start in (3.7, 11.3, 17):
        part, _ = reading.read_seconds(path, start, start + 0.5)
        np.testing.assert_array_equal(part, whole[round(start * rate) :][: len(part)])


@pytest.mark.parametrize(("name", "options"), [("x.m4a", {}), ("x.mp4", {"movflags": "dash"})])
def test_a_part_behind_a_pause_is_where_it_is_in_the_whole(tmp_path, logged, name, options):
    path = tmp_path / name
    media_files.write(path, chirp(20.0), RATE, "alac", pause_seconds=3.0, **options)
    whole, rate = reading.read_audio(path)
    assert len(whole) == len(chirp(20.0))
    for start in (5, 9.5, 10.5, 14, 18):
        part, _ = reading.read_seconds(path, start, start + 0.5)
        np.testing.assert_array_equal(part, whole[round(start * rate) :][: len(part)])
    if not options:
        # The length in the header contains the pause.
        assert reading.seconds_of(path, decodes=True) == len(whole) / rate
        assert not logged()


def test_the_length_of_a_matroska_file_with_a_pause_is_that_of_its_samples(tmp_path):
    path = media_files.write(tmp_path / "x.mka", chirp(10.0), RATE, "flac", pause_seconds=3.0)
    whole, rate = reading.read_audio(path)
    assert reading.seconds_of(path) == pytest.approx(13)
    assert reading.seconds_of(path, decodes=True) == len(whole) / rate == 10


@pytest.mark.parametrize(
    ("name", "codec", "count"), [("x.m4a", "aac", 0), ("x.webm", "libopus", 1)]
)
def test_a_long_file_that_is_decoded_from_its_start_is_logged(
    tmp_path, monkeypatch, logged, name, codec, count
):
    monkeypatch.setattr(media, "_LONG_SECONDS", 3)
    path = media_files.write(tmp_path / name, chirp(6.0), RATE, codec)
    for start in (0, 2, 4, 5):
        reading.read_part(path, start * RATE, (start + 1) * RATE)
    messages = [message for message in logged() if "decoded from its start" in message]
    assert len(messages) == count


def test_a_part_behind_the_end_is_an_error(tmp_path):
    media_files.write(tmp_path / "x.m4a", chirp(), RATE, "aac")
    soundfile.write(tmp_path / "x.wav", chirp(), RATE)
    for name in ("x.m4a", "x.wav"):
        with pytest.raises(AudioError, match=rf"{name} ends before 5\.0 s"):
            reading.read_part(tmp_path / name, 5 * RATE, 6 * RATE)


def test_media_files_are_decoded_as_they_are_read(tmp_path, monkeypatch):
    path = media_files.write(tmp_path / "x.webm", chirp(20.0), RATE, "libopus")
    converted = media.MediaFile._converted
    frames = []

    def counting(self, frame):
        frames.append(frame.samples)
        return converted(self, frame)

    monkeypatch.setattr(media.MediaFile, "_converted", counting)
    blocks, _ = reading.read_blocks(path, 1.0)
    next(blocks)
    # A frame of Opus lasts 20 ms.
    assert 50 <= len(frames) <= 52


def test_bad_media_files_are_each_one_error_with_their_name(tmp_path):
    whole = media_files.write(tmp_path / "whole.m4a", chirp(), RATE, "aac").read_bytes()
    (tmp_path / "cut.m4a").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "zero.m4a").touch()
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "list.m4a").write_text("#EXTM3U\n#EXTINF:1,\nwhole.m4a\n#EXT-X-ENDLIST\n")
    media_files.write_silent_video(tmp_path / "video.mp4")
    for name, message in (
        ("cut.m4a", "cannot be read as sound"),
        ("zero.m4a", "is empty"),
        ("folder.wav", "is a folder"),
        ("list.m4a", "cannot be read as sound"),
        ("video.mp4", "contains no sound"),
    ):
        with pytest.raises(AudioError, match=message) as error:
            reading.read_audio(tmp_path / name)
        assert name in error.value.problem
        assert error.value.fix


def test_a_file_whose_end_is_missing_is_an_error_where_its_header_comes_first(tmp_path):
    path = tmp_path / "x.m4a"
    media_files.write(path, chirp(), RATE, "aac", movflags="faststart")
    path.write_bytes(path.read_bytes()[:-8000])
    with pytest.raises(AudioError, match=r"x\.m4a cannot be read"):
        reading.read_audio(path)


def _refuse(*_):
    raise soundfile.LibsndfileError(3)


def test_opus_is_read_by_pyav_because_libsndfile_fails_on_some_files(tmp_path, monkeypatch):
    path = media_files.write(tmp_path / "x.opus", chirp(), RATE, "libopus")
    monkeypatch.setattr(sndfile.SoundFile, "read", _refuse)
    waveform, _ = reading.read_audio(path)
    assert len(waveform) >= len(chirp())
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(AudioError) as error:
        reading.read_audio(path)
    assert "crossask[media]" in error.value.fix


def test_without_pyav_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    for name, title in (("x.m4a", "MPEG-4 audio"), ("x.webm", "WebM"), ("x.xyz", "libsndfile")):
        (tmp_path / name).write_bytes(b"no sound" * 100)
        with pytest.raises(AudioError) as error:
            reading.read_audio(tmp_path / name)
        assert name in error.value.problem
        assert title in error.value.problem
        assert "pip install 'crossask[media]'" in error.value.fix


def write_with_mask(path, waveform, mask):
    """Writes a WAV file of floats with a channel mask."""
    channels = waveform.shape[1]
    data = waveform.astype("<f4").tobytes()
    layout = struct.pack(
        "<HHIIHHHHI", 0xFFFE, channels, RATE, RATE * 4 * channels, 4 * channels, 32, 22, 32, mask
    )
    layout += struct.pack("<H", 3) + bytes.fromhex("000000001000800000aa00389b71")
    chunks = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout
    chunks += b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(chunks)) + chunks)


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_more_than_two_unknown_channels_are_averaged(tmp_path, logged, name):
    waveform = np.random.default_rng(0).integers(-3000, 3000, (1000, 4)) / 32768
    soundfile.write(tmp_path / name, waveform, RATE)
    soundfile.write(tmp_path / f"b{name}", waveform, RATE)
    for read in (tmp_path / name, tmp_path / f"b{name}"):
        found, _ = reading.read_audio(read)
        np.testing.assert_allclose(found, waveform.mean(1, keepdims=True), atol=1e-6)
    (message,) = logged()
    assert "has 4 channels: their mean is read" in message


def test_front_left_and_right_of_a_surround_file_are_read(tmp_path, logged):
    waveform = np.random.default_rng(0).normal(0, 0.1, (1000, 6)).astype(np.float32)
    write_with_mask(tmp_path / "surround.wav", waveform, 0x3F)
    found, _ = reading.read_audio(tmp_path / "surround.wav")
    np.testing.assert_array_equal(found, waveform[:, :2])
    (message,) = logged()
    assert "has 6 channels: front left and front right are read" in message
    # A mask without both of them does not help.
    write_with_mask(tmp_path / "array.wav", waveform, 0)
    found, _ = reading.read_audio(tmp_path / "array.wav")
    assert found.shape == (1000, 1)


def test_front_left_and_right_of_a_media_file_are_read(tmp_path):
    silence = np.zeros((len(chirp()), 4), np.float32)
    surround = np.concatenate([chirp(), silence], 1)
    path = media_files.write(tmp_path / "x.m4a", surround, RATE, "aac", layout="5.1")
    found, _ = reading.read_audio(path)
    assert found.shape[1] == 2
    assert np.corrcoef(found[: len(silence), 1], chirp()[:, 1])[0, 1] > 0.999


def test_channels_in_an_order_that_would_end_the_process_are_an_error(tmp_path):
    waveform = np.tile(chirp(), (1, 4))
    path = media_files.write(tmp_path / "x.mov", waveform, RATE, "pcm_s16le", layout="7.1")
    np.testing.assert_array_equal(reading.read_audio(path)[0], chirp())
    content = bytearray(path.read_bytes())
    # A mask is replaced by the number of an order, as Apple's programs write it.
    place = content.index(b"chan") + 8
    content[place : place + 8] = struct.pack(">II", 128 << 16 | 8, 0)
    path.write_bytes(content)
    with pytest.raises(
        AudioError, match=r"x\.mov has the channels FL, FR, FC, LFE, SL, SR, BL, BR"
    ):
        reading.read_audio(path)


def test_sound_without_a_decoder_is_an_error(tmp_path):
    path = media_files.write(tmp_path / "x.mka", chirp(), RATE, "flac")
    path.write_bytes(path.read_bytes().replace(b"A_FLAC", b"A_XLAC"))
    with pytest.raises(AudioError, match=r"x\.mka cannot be read as sound"):
        reading.read_audio(path)


@pytest.mark.parametrize(("dead", "side"), [(0, "left"), (1, "right")])
@pytest.mark.parametrize("kind", ["zeros", "a constant", "noise of one step"])
def test_a_silent_channel_is_warned_of_once(tmp_path, logged, dead, side, kind):
    rng = np.random.default_rng(0)
    waveform = rng.normal(0, 0.1, (8000, 2))
    soundfile.write(tmp_path / "whole.wav", waveform, 8000)
    silent = {
        "zeros": np.zeros(8000),
        "a constant": np.full(8000, 0.25),
        "noise of one step": np.round(rng.triangular(-1, 0, 1, 8000)) / 32768,
    }
    waveform[:, dead] = silent[kind]
    soundfile.write(tmp_path / "dead.wav", waveform, 8000)
    soundfile.write(tmp_path / "dead2.wav", waveform, 8000)
    for name in ("whole.wav", "dead.wav", "dead2.wav"):
        reading.read_audio(tmp_path / name)
    (message,) = logged()
    assert f"dead.wav has a silent {side} channel" in message
    notices.forget()
    blocks, _ = reading.read_blocks(tmp_path / "dead2.wav", 0.01)
    list(blocks)
    assert "dead2.wav" in logged()[1]


@pytest.mark.parametrize("right", [-1.0, -0.9])
def test_channels_of_opposite_polarity_are_warned_of_once(tmp_path, logged, right):
    rng = np.random.default_rng(0)
    left = rng.normal(0, 0.1, 8000)
    soundfile.write(tmp_path / "equal.wav", np.stack([left, left], 1), 8000)
    soundfile.write(tmp_path / "half.wav", np.stack([left, -0.5 * left], 1), 8000)
    soundfile.write(tmp_path / "far.wav", np.stack([left, rng.normal(0, 0.1, 8000)], 1), 8000)
    # A constant offset does not count.
    opposite = np.stack([left + 0.2, right * left], 1)
    soundfile.write(tmp_path / "opposite.wav", opposite, 8000)
    for name in ("equal.wav", "half.wav", "far.wav", "opposite.wav"):
        reading.read_audio(tmp_path / name)
    (message,) = logged()
    assert "opposite.wav has channels of opposite polarity" in message
    notices.forget()
    reading.read_seconds(tmp_path / "opposite.wav", 0.5, 0.9)
    assert "opposite.wav (from 0.5 s) has channels of opposite polarity" in logged()[1]


def test_silence_is_warned_of_once(tmp_path, logged):
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, np.zeros((8000, 2)), 8000)
        reading.read_audio(tmp_path / name)
    (message,) = logged()
    assert "a.wav is silent (level -200 dBFS)" in message
