"""Files whose headers are wrong, and every format of libsndfile: read whole, or refused."""

import logging
import struct
import sys

import media_files
import numpy as np
import pytest
import soundfile

from crossask import system_errors
from crossask.audio import flac, mpeg, notices, ogg, reading, sndfile, wav_header
from crossask.config import FeatureConfig
from crossask.errors import AudioError, CrossaskError

RATE = 8000


@pytest.fixture
def logged(caplog):
    """Returns a function that returns the messages so far, from a new command on."""
    notices.forget()
    caplog.set_level(logging.INFO, "crossask")
    return lambda: [record.getMessage() for record in caplog.records]


def tones(seconds=3.0, channels=2, rate=RATE):
    """Returns a rising tone in each channel, [samples, channels] of 16 bits."""
    time = np.arange(round(seconds * rate)) / rate
    columns = [np.sin(2 * np.pi * (200 + 60 * time + 50 * number) * time) for number in (0, 1)]
    waveform = 0.3 * np.stack(columns[:channels], 1)
    return np.round(waveform * 32768).astype(np.float32) / 32768


def every_format():
    """Yields the format, the encoding and the channels of every kind of file of libsndfile."""
    for name in soundfile.available_formats():
        # RAW has no header, so that it cannot be read.
        encodings = [] if name == "RAW" else soundfile.available_subtypes(name)
        for encoding in encodings:
            for channels in (1, 2):
                if soundfile.check_format(name, encoding):
                    yield name, encoding, channels


@pytest.mark.parametrize(("name", "encoding", "channels"), every_format())
def test_every_format_of_libsndfile_is_read_alike_in_every_way(tmp_path, name, encoding, channels):
    path = tmp_path / f"x.{name.lower()}"
    try:
        soundfile.write(path, tones(channels=channels), RATE, encoding, format=name)
    except soundfile.LibsndfileError:
        pytest.skip("libsndfile does not write this combination.")
    whole, rate = reading.read_audio(path)
    assert whole.shape[1] == channels
    # Encodings in blocks fill the last one. XI has no sample rate, and MP3 starts with a delay.
    # FFmpeg decodes Opus at 48 kHz, whatever the rate was when it was written.
    written_rate = rate if encoding == "OPUS" else RATE
    expected = tones(channels=channels, rate=written_rate)
    assert len(expected) <= len(whole) < len(expected) + 1200
    correlation = np.corrcoef(whole[: len(expected), 0], expected[:, 0])[0, 1]
    assert correlation > 0.9
    blocks, block_rate = reading.read_blocks(path, 0.7)
    blocks = list(blocks)
    assert block_rate == rate
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    spans = [(0, 500), (9000, 17000), (3 * RATE - 5, 3 * RATE + 5000)]
    if name in ("PAF", "SDS"):
        # libsndfile does not read a part of the last block of these formats.
        spans.pop()
    for start, end in spans:
        part = reading.read_part(path, start, end)
        np.testing.assert_allclose(part, whole[start:end], atol=1e-3)
    with pytest.raises(AudioError, match="ends before"):
        reading.read_part(path, 30 * RATE, 31 * RATE)


def wav_with_sizes(path, riff, data, waveform, behind=b""):
    """Writes a WAV file of 16 bits with these sizes in its header."""
    samples = np.round(waveform * 32768).astype("<i2").tobytes()
    layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, RATE, RATE * 4, 4, 16)
    header = struct.pack("<4sI4s", b"RIFF", riff, b"WAVE") + layout
    path.write_bytes(header + struct.pack("<4sI", b"data", data) + samples + behind)


@pytest.mark.parametrize(
    ("riff", "data"),
    # A crash, a crash that libsndfile knows, a size before the last update, a pipe.
    [(36, 0), (8, 0), (0, 0), (36 + 5000, 5000), (0xFFFFFFFF, 0xFFFFFFFF), (36, 0x7FFFFFFF)],
)
def test_a_wav_file_whose_size_was_never_written_is_read_to_its_end(tmp_path, riff, data):
    path = tmp_path / "x.wav"
    wav_with_sizes(path, riff, data, tones())
    whole, _ = reading.read_audio(path)
    np.testing.assert_array_equal(whole, tones())
    blocks, _ = reading.read_blocks(path, 0.5)
    np.testing.assert_array_equal(np.concatenate(list(blocks)), whole)
    np.testing.assert_array_equal(reading.read_part(path, 9000, 9100), whole[9000:9100])
    assert reading.seconds_of(path) == 3.0


@pytest.mark.parametrize(
    "behind",
    [
        b"LIST\x04\x00\x00\x00abcd",
        b"ID3\x03" + bytes(40),
        b"TAGsong" + bytes(121),
        b"end",
        # The rest of the last chunk is missing.
        b"LIST\xff\x00\x00\x00abcd",
        # No zero follows a chunk of an odd size.
        b"LIST\x05\x00\x00\x00abcdeid3 \x08\x00\x00\x00abcdabcd",
        b"bext\x05\x00\x00\x00abcdeiXML\x08\x00\x00\x00abcdabcd",
    ],
)
def test_what_follows_the_samples_of_a_wav_file_is_no_sound(tmp_path, behind, logged):
    wav_with_sizes(tmp_path / "x.wav", 0, len(tones()) * 4, tones(), behind)
    whole, _ = reading.read_audio(tmp_path / "x.wav")
    np.testing.assert_array_equal(whole, tones())
    assert not logged()


def test_a_wav_file_of_more_than_4_gib_has_its_whole_length(tmp_path):
    path = tmp_path / "x.wav"
    # The size in the header is the rest of a division by 4 GiB. The file has holes, no blocks.
    wav_with_sizes(path, 0, 64000, tones(2.0))
    seconds = 5 * 2**30 / (4 * RATE)
    with open(path, "r+b") as file:
        file.truncate(44 + 5 * 2**30)
        file.seek(-4, 2)
        file.write(struct.pack("<2h", 1000, -1000))
    assert reading.seconds_of(path) == seconds
    part = reading.read_part(path, round(seconds * RATE) - 3, round(seconds * RATE) + 10)
    np.testing.assert_array_equal(part[-1] * 32768, [1000, -1000])


def test_a_repaired_file_ends_with_its_last_byte(tmp_path):
    wav_with_sizes(tmp_path / "x.wav", 0, 0, tones())
    file = wav_header.repaired(tmp_path / "x.wav")
    whole = file.read(10**6)
    assert len(whole) == 44 + len(tones()) * 4
    assert file.read(10) == b""
    file.seek(-2, 2)
    assert file.read(10) == whole[-2:]
    file.seek(40)
    assert file.read(8) == whole[40:48]


@pytest.mark.parametrize("bits", [18, 20, 24])
@pytest.mark.parametrize("is_extensible", [False, True])
def test_samples_of_24_bits_in_4_bytes_are_refused(tmp_path, is_extensible, bits):
    path = tmp_path / "x.wav"
    samples = np.round(tones(1.0, channels=1) * 2**31).astype("<i4")
    form = struct.pack("<HHIIHH", 0xFFFE if is_extensible else 1, 1, RATE, 4 * RATE, 4, bits)
    if is_extensible:
        # The number of valid bits, the channels, and the encoding, which is PCM.
        form += struct.pack("<HHIH", 22, bits, 4, 1)
        form += bytes.fromhex("000000001000800000aa00389b71")
    chunks = struct.pack("<4sI", b"fmt ", len(form)) + form
    chunks += struct.pack("<4sI", b"data", samples.nbytes) + samples.tobytes()
    path.write_bytes(struct.pack("<4sI4s", b"RIFF", 4 + len(chunks), b"WAVE") + chunks)
    with soundfile.SoundFile(path) as file:
        # libsndfile takes them for samples of 3 bytes.
        assert file.read().std() > 0.25
    with pytest.raises(AudioError, match="up to 24 bits in 4 bytes each"):
        reading.read_audio(path)


@pytest.mark.parametrize(
    ("name", "chunk", "offset", "bits"),
    [
        ("W64", b"fmt ", 38, b"\x18\0"),
        ("RF64", b"fmt ", 22, b"\x18\0"),
        ("RIFX", b"fmt ", 22, b"\0\x18"),
        ("CAF", b"desc", 40, b"\0\0\0\x18"),
    ],
)
def test_samples_of_24_bits_in_4_bytes_are_refused_in_any_format(
    tmp_path, name, chunk, offset, bits
):
    path = tmp_path / f"x.{name.lower()}"
    written = {"format": name}
    if name == "RIFX":
        written = {"format": "WAV", "endian": "BIG"}
    soundfile.write(path, tones(1.0), RATE, "PCM_32", **written)
    assert reading.read_audio(path)[0].shape == (RATE, 2)
    content = bytearray(path.read_bytes())
    # The number of bits in the format, with the bytes of a sample as they were.
    place = content.index(chunk) + offset
    content[place : place + len(bits)] = bits
    path.write_bytes(content)
    with pytest.raises(AudioError, match="up to 24 bits in 4 bytes each"):
        reading.read_audio(path)


def mp3_without_index(path, seconds):
    """Writes an MP3 file of a varying bit rate without its first frame, which has the length."""
    rng = np.random.default_rng(0)
    loud = tones(seconds, rate=44100) * np.linspace(0, 2, round(seconds * 44100))[:, np.newaxis]
    noise = rng.normal(0, 0.1, loud.shape) * (loud**2).cumsum(0) / (loud**2).sum(0)
    soundfile.write(path, loud + noise, 44100, format="MP3", bitrate_mode="VARIABLE")
    content = path.read_bytes()
    frame = mpeg._frame_at(content, 0, 3)
    assert b"Xing" in content[: frame.length] or b"Info" in content[: frame.length]
    path.write_bytes(content[frame.length :])


def test_an_mp3_file_without_an_index_is_read_whole_or_refused(tmp_path, monkeypatch):
    pytest.importorskip("av", reason="needs PyAV: pip install 'crossask[media]'")
    path = tmp_path / "x.mp3"
    mp3_without_index(path, 10.0)
    with soundfile.SoundFile(path) as file:
        assert file.frames / file.samplerate > 12 or file.frames / file.samplerate < 9
    waveform, rate = reading.read_audio(path)
    assert len(waveform) / rate == pytest.approx(10, abs=0.2)
    assert sum(mpeg.seconds_of(path, 3).values()) == pytest.approx(10, abs=0.2)
    monkeypatch.setitem(sys.modules, "av", None)
    if file.frames / file.samplerate < 9:
        with pytest.raises(AudioError, match="pip install"):
            reading.read_audio(path)


def test_mp3_files_that_were_joined_are_read_whole(tmp_path):
    pytest.importorskip("av", reason="needs PyAV: pip install 'crossask[media]'")
    path = tmp_path / "x.mp3"
    soundfile.write(path, tones(4.0), RATE, format="MP3")
    assert sum(mpeg.seconds_of(path, 3).values()) == pytest.approx(4, abs=mpeg.MOST_DELAY_SECONDS)
    path.write_bytes(path.read_bytes() * 2)
    waveform, rate = reading.read_audio(path)
    assert len(waveform) / rate == pytest.approx(8, abs=0.5)


@pytest.mark.parametrize("bit_rates", [(384_000, 64_000), (64_000, 384_000)])
def test_mp2_files_that_were_joined_are_read_whole(tmp_path, bit_rates, logged):
    # libsndfile would compute the length of both from the bit rate of the first.
    contents = []
    for bit_rate in bit_rates:
        waveform = tones(6.0, rate=48000)
        path = media_files.write(tmp_path / "x.mp2", waveform, 48000, "mp2", bit_rate=bit_rate)
        contents.append(path.read_bytes())
        assert sum(mpeg.seconds_of(path, 2).values()) == pytest.approx(
            6, abs=mpeg.MOST_DELAY_SECONDS
        )
    path.write_bytes(b"".join(contents))
    waveform, rate = reading.read_audio(path)
    seconds = len(waveform) / rate
    assert seconds == pytest.approx(12, abs=0.5)
    assert not logged()
    # A recording is cut into clips by this length.
    assert reading.seconds_of(path, decodes=True) == pytest.approx(seconds)
    part, _ = reading.read_seconds(path, 10.0, 11.0)
    np.testing.assert_allclose(part, waveform[10 * rate : 11 * rate], atol=1e-3)


@pytest.mark.parametrize(("rate", "channels"), [(32000, 2), (48000, 1)])
def test_joined_mp2_files_of_other_rates_and_channels_are_read_whole(
    tmp_path, rate, channels, logged
):
    # libsndfile would stop at the change, although it estimates the length of all of them.
    contents = []
    for form in ((48000, 2), (rate, channels)):
        waveform = tones(6.0, rate=form[0], channels=form[1])
        path = media_files.write(tmp_path / "x.mp2", waveform, form[0], "mp2", bit_rate=128_000)
        contents.append(path.read_bytes())
    path.write_bytes(b"".join(contents))
    waveform, read_rate = reading.read_audio(path)
    assert read_rate == 48000
    assert waveform.shape[1] == 2
    assert len(waveform) / read_rate == pytest.approx(12, abs=0.5)
    assert reading.seconds_of(path, decodes=True) == len(waveform) / read_rate
    assert not logged()


@pytest.mark.parametrize("seed", [3, 6, 15, 20])
def test_m4a_that_is_called_mp3_is_read_as_what_it_is(tmp_path, monkeypatch, seed):
    # Compressed sound contains headers of MPEG by chance, in these files two after each other.
    noise = np.random.default_rng(seed).normal(0, 0.1, (48000 * 6, 2)).clip(-0.9, 0.9)
    path = media_files.write(tmp_path / "x.m4a", noise, 48000, "aac")
    expected, _ = reading.read_audio(path)
    path = path.rename(tmp_path / "x.mp3")
    waveform, rate = reading.read_audio(path)
    assert rate == 48000
    np.testing.assert_array_equal(waveform, expected)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(AudioError, match="install PyAV"):
        reading.read_audio(path)


def test_a_short_mp3_file_is_read(tmp_path):
    for samples in (1, 500, 3000, 9000):
        soundfile.write(tmp_path / "x.mp3", np.full(samples, 0.1), 44100)
        waveform, _ = reading.read_audio(tmp_path / "x.mp3")
        assert len(waveform) >= samples


@pytest.mark.parametrize(
    ("header", "layer", "length", "seconds"),
    [
        # MPEG 1 at 44.1 kHz and 128 kbit/s, without padding, with it, and in slots of 4 bytes.
        ("fffb9000", 3, 417, 1152 / 44100),
        ("fffd8200", 2, 418, 1152 / 44100),
        ("ffff4000", 1, 136, 384 / 44100),
        # MPEG 2 at 24 kHz and 64 kbit/s.
        ("fff38400", 3, 192, 576 / 24000),
        ("fff58400", 2, 384, 1152 / 24000),
        ("fff74400", 1, 128, 384 / 24000),
    ],
)
def test_the_length_of_a_frame_of_mpeg_is_that_of_the_standard(header, layer, length, seconds):
    frame = mpeg._frame_at(bytes.fromhex(header), 0, layer)
    assert (frame.length, frame.seconds) == (length, seconds)
    for other in {1, 2, 3} - {layer}:
        assert mpeg._frame_at(bytes.fromhex(header), 0, other) is None


@pytest.mark.parametrize("encoding", ["VORBIS", "OPUS"])
def test_a_chain_of_ogg_streams_is_read_whole_or_an_error(tmp_path, monkeypatch, encoding):
    pytest.importorskip("av", reason="needs PyAV: pip install 'crossask[media]'")
    path = tmp_path / "x.ogg"
    contents = []
    for seconds in (3.0, 2.0):
        soundfile.write(path, tones(seconds), RATE, format="OGG", subtype=encoding)
        assert not ogg.is_chain(path)
        contents.append(path.read_bytes())
    path.write_bytes(b"".join(contents))
    assert ogg.is_chain(path)
    waveform, rate = reading.read_audio(path)
    assert len(waveform) / rate == pytest.approx(5, abs=0.1)
    # A recording is cut into clips by its length.
    assert reading.facts_of(path).seconds == 0
    assert reading.seconds_of(path, decodes=True) == len(waveform) / rate
    for start in (0, 1, 2.5, 3.5, 4.5):
        part, _ = reading.read_seconds(path, start, start + 0.5)
        whole = waveform[round(start * rate) :][: len(part)]
        assert len(part) > 0.4 * rate
        np.testing.assert_allclose(part, whole, atol=1e-3)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(AudioError, match="first of several streams"):
        reading.read_audio(path)


@pytest.mark.parametrize("between", [b"", b"junk\x04\0\0\0abcd"])
def test_a_wav_file_behind_another_one_is_a_warning(tmp_path, between, logged):
    path = tmp_path / "x.wav"
    soundfile.write(path, tones(1.0), RATE)
    content = path.read_bytes()
    path.write_bytes(content + between)
    assert not wav_header.remark_of(path)
    path.write_bytes(content + between + content)
    waveform, _ = reading.read_audio(path)
    np.testing.assert_array_equal(waveform, tones(1.0))
    (message,) = logged()
    assert "x.wav is followed by another WAV file" in message


def test_a_flac_file_behind_another_one_is_a_warning(tmp_path, logged):
    path = tmp_path / "x.flac"
    soundfile.write(path, tones(1.0), RATE)
    content = path.read_bytes()
    assert not flac.remark_of(path)
    path.write_bytes(content * 2)
    waveform, _ = reading.read_audio(path)
    np.testing.assert_array_equal(waveform, tones(1.0))
    (message,) = logged()
    assert "x.flac is followed by another FLAC file" in message


def test_a_file_without_samples_has_one_error_whether_it_is_cut_into_clips_or_not(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, tones(0.0), RATE)
    for read in (reading.read_audio, lambda path: reading.read_seconds(path, 0.0, 1.0)):
        with pytest.raises(AudioError, match=r"x\.wav contains no samples"):
            read(path)


def test_each_kind_of_warning_about_a_header_is_logged_once(tmp_path, logged):
    for number in range(2):
        for suffix in ("wav", "flac"):
            path = tmp_path / f"{number}.{suffix}"
            soundfile.write(path, tones(1.0), RATE)
            path.write_bytes(path.read_bytes() * 2)
            reading.read_audio(path)
    first, second = logged()
    assert "0.wav is followed by another WAV file" in first
    assert "0.flac is followed by another FLAC file" in second


@pytest.mark.parametrize("place", [0, 1, 7, 8])
def test_a_flac_file_behind_another_one_is_found_at_any_byte(tmp_path, monkeypatch, place):
    monkeypatch.setattr(flac, "_BLOCK_BYTES", 64)
    path = tmp_path / "x.flac"
    start = b"fLaC\x00\x00\x00\x22"
    path.write_bytes(start + bytes(64 - place) + start + bytes(100))
    assert "another FLAC file" in flac.remark_of(path)
    path.write_bytes(start + bytes(64 - place) + start[:-1])
    assert flac.remark_of(path) == ""


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("x.flac", lambda content: content * 2, "is followed by another FLAC file"),
        ("x.wav", lambda content: content * 2, "is followed by another WAV file"),
        ("x.wav", lambda content: content[: len(content) // 3 * 2], "ends after 2 s instead of"),
    ],
)
def test_a_recording_that_is_cut_into_clips_has_the_same_warnings(
    tmp_path, logged, name, damage, message
):
    path = tmp_path / name
    soundfile.write(path, tones(3.0), RATE)
    reading.read_seconds(path, 0.0, 1.0)
    reading.read_seconds(path, 1.0, 2.0)
    assert logged() == []
    path.write_bytes(damage(path.read_bytes()))
    reading.read_seconds(path, 1.0, 2.0)
    assert logged() == []
    reading.read_seconds(path, 0.0, 1.0)
    (warning,) = logged()
    assert f"{path} {message}" in warning


def test_a_flac_file_from_a_pipe_is_read_without_the_memory_of_its_header(tmp_path):
    path = tmp_path / "x.flac"
    soundfile.write(path, tones(), RATE)
    content = bytearray(path.read_bytes())
    # The number of samples is 36 bits of the first block; 0 is unknown.
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    whole, _ = reading.read_audio(path)
    np.testing.assert_array_equal(whole, tones())
    np.testing.assert_array_equal(reading.read_part(path, 9000, 9100), whole[9000:9100])
    assert reading.seconds_of(path) == 0
    assert reading.seconds_of(path, decodes=True) == 3.0
    # The largest length that a header can have: 68,719,476,735 samples, half a terabyte.
    content[21] |= 0x0F
    content[22:26] = bytes([255] * 4)
    path.write_bytes(content)
    np.testing.assert_array_equal(reading.read_audio(path)[0], tones())
    assert reading.seconds_of(path) == reading.facts_of(path).seconds == 0
    assert reading.seconds_of(path, decodes=True) == 3.0


def test_a_length_that_a_header_cannot_mean_is_counted(tmp_path):
    path = tmp_path / "x.webm"
    media_files.write(path, tones(rate=48000), 48000, "libopus")
    seconds = reading.seconds_of(path)
    content = bytearray(path.read_bytes())
    # The length of a Matroska file is a floating-point number, here of milliseconds.
    place = content.index(b"\x44\x89\x88") + 3
    content[place : place + 8] = struct.pack(">d", 1e18)
    path.write_bytes(content)
    assert reading.seconds_of(path) == reading.facts_of(path).seconds == 0
    assert abs(reading.seconds_of(path, decodes=True) - seconds) < 0.05


HALVES = [
    "x.wav",
    "x.aiff",
    "x.au",
    "x.w64",
    "x.caf",
    "x.flac",
    "x.ogg",
    "x.opus",
    "x.mp3",
    "x.m4a",
    "x.webm",
]


@pytest.mark.parametrize("name", HALVES)
def test_half_a_file_is_refused_or_warned_of(tmp_path, name, logged):
    path = tmp_path / name
    if name in ("x.m4a", "x.webm"):
        codec = {"x.m4a": "aac", "x.webm": "libopus"}[name]
        media_files.write(path, tones(10.0, rate=48000), 48000, codec)
    elif name == "x.opus":
        soundfile.write(path, tones(10.0), RATE, format="OGG", subtype="OPUS")
    else:
        soundfile.write(path, tones(10.0), RATE)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    if name in ("x.flac", "x.m4a"):
        # FLAC ends within a frame, and the index of m4a is at its end.
        with pytest.raises(AudioError, match=f"{name} cannot be read as sound"):
            reading.read_audio(path)
        return
    waveform, rate = reading.read_audio(path)
    assert 2 < len(waveform) / rate < 8
    # The length of a CAF file is not compared.
    if name in ("x.ogg", "x.opus"):
        # An Ogg file has no length, but its last page has a mark.
        (message,) = logged()
        assert (
            f"{name} ends without the last page of its Ogg stream: the rest is missing" in message
        )
    elif name != "x.caf":
        (message,) = logged()
        assert f"{name} ends after" in message
        assert "instead of the 10" in message


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_part_at_the_end_of_a_vorbis_file_is_where_it_is_in_the_whole(tmp_path, rate, channels):
    # The last page of 8 kHz is longer than the second before a part that is decoded.
    path = tmp_path / "x.ogg"
    for samples in range(5 * rate, 5 * rate + 900, 130):
        noise = np.random.default_rng(samples).normal(0, 0.1, (samples, channels)).clip(-0.9, 0.9)
        soundfile.write(path, noise, rate, format="OGG", subtype="VORBIS")
        whole, _ = reading.read_audio(path)
        for start in (samples - 20, samples - 500, samples - 1000, samples - rate // 2):
            part = reading.read_part(path, start, samples)
            np.testing.assert_allclose(part, whole[start:], atol=1e-5)
    # What comes before the last page is not known if that is the only one of the sound.
    soundfile.write(path, noise[:50], rate, format="OGG", subtype="VORBIS")
    whole, _ = reading.read_audio(path)
    np.testing.assert_allclose(reading.read_part(path, 20, 50), whole[20:], atol=1e-5)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_only_a_whole_ogg_file_has_its_end(tmp_path, subtype):
    path = tmp_path / "x.ogg"
    soundfile.write(path, tones(5.0), RATE, format="OGG", subtype=subtype)
    whole = path.read_bytes()
    ends = [0, 1, 26, 30, len(whole) - whole.rfind(b"OggS"), len(whole) // 2]
    for cut in ends:
        path.write_bytes(whole[: len(whole) - cut])
        assert bool(ogg.remark_of(path)) == (cut > 0), cut
    # Tags behind the last page, the letters of a page within the sound, and another format.
    for behind in (b"TAG" + bytes(125), b"OggS\xff" + bytes(30)):
        path.write_bytes(whole + behind)
        assert not ogg.remark_of(path)
    soundfile.write(tmp_path / "x.wav", tones(), RATE)
    assert not ogg.remark_of(tmp_path / "x.wav")


@pytest.mark.parametrize("name", ["x.flac", "x.ogg"])
def test_a_clip_of_hours_in_a_small_file_is_refused_after_its_first_seconds(
    tmp_path, monkeypatch, name
):
    with soundfile.SoundFile(tmp_path / name, "w", RATE, 2) as file:
        for _ in range(20):
            file.write(np.zeros((60 * RATE, 2)))
    read = []
    of_file = sndfile.SoundFile.read

    def counted(file, samples):
        waveform = of_file(file, samples)
        read.append(len(waveform))
        return waveform

    monkeypatch.setattr(sndfile.SoundFile, "read", counted)
    features = FeatureConfig(clip_seconds=10.0, max_cut_seconds=2.0)
    with pytest.raises(AudioError, match=f"{name} lasts more than 20 s instead of 10 s") as error:
        reading.read_clip(tmp_path / name, features)
    assert "raise features.max_cut_seconds (now 2)" in error.value.fix
    assert sum(read) == 20 * RATE


def test_a_clip_is_read_whole(tmp_path):
    soundfile.write(tmp_path / "x.wav", tones(3.0), RATE)
    features = FeatureConfig(clip_seconds=2.0, max_cut_seconds=1.0)
    waveform, rate = reading.read_clip(tmp_path / "x.wav", features)
    assert rate == RATE
    np.testing.assert_array_equal(waveform, tones(3.0))


def test_what_follows_a_clip_that_may_be_cut_anywhere_is_not_read(tmp_path):
    samples = np.arange(25 * 8000) / (25 * 8000)
    soundfile.write(tmp_path / "x.wav", samples, 8000, "FLOAT")
    features = FeatureConfig(clip_seconds=2.0, max_cut_seconds=reading.ANY_CUT_SECONDS)
    waveform, rate = reading.read_clip(tmp_path / "x.wav", features)
    assert 2 * rate <= len(waveform) < len(samples)
    clip, change = reading.fit_length(waveform, rate, features)
    assert change == "cut"
    np.testing.assert_array_equal(clip[:, 0], samples[: 2 * rate].astype(np.float32))


def test_names_and_folders_that_look_like_sound(tmp_path):
    soundfile.write(tmp_path / "x.wav", tones(), RATE)
    (tmp_path / "wav.raw").write_bytes((tmp_path / "x.wav").read_bytes())
    np.testing.assert_array_equal(reading.read_audio(tmp_path / "wav.raw")[0], tones())
    (tmp_path / "raw.raw").write_bytes(bytes(range(256)) * 100)
    (tmp_path / "folder.wav").mkdir()
    for name, message in (("raw.raw", "no header"), ("folder.wav", "is a folder")):
        with pytest.raises(AudioError, match=message) as error:
            reading.read_audio(tmp_path / name)
        assert name in error.value.problem


@pytest.mark.parametrize("rate", [1, 999, 2_000_000])
def test_a_sample_rate_that_no_recorder_has_is_refused(tmp_path, rate):
    soundfile.write(tmp_path / "x.wav", tones(), rate)
    with pytest.raises(AudioError, match=f"{rate} Hz"):
        reading.read_audio(tmp_path / "x.wav")
    assert reading.seconds_of(tmp_path / "x.wav") == 0


@pytest.mark.parametrize("encoding", ["PCM_16", "PCM_24"])
def test_a_written_wav_has_the_bytes_of_libsndfile(tmp_path, encoding):
    soundfile.write(tmp_path / "expected.wav", tones(), RATE, encoding, format="WAV")
    sndfile.write_wav(tmp_path / "written.wav", tones(), RATE, encoding)
    assert (tmp_path / "written.wav").read_bytes() == (tmp_path / "expected.wav").read_bytes()


def test_a_full_disk_is_reported_with_the_path_of_the_sound():
    refused = pytest.raises(CrossaskError, match="The disk is full: /dev/full")
    with refused as error, system_errors.translated():
        sndfile.write_wav("/dev/full", tones(), RATE, "PCM_16")
    assert "Free some space" in error.value.fix
