"""WAV files are decoded in the graph as libsndfile decodes them, and classified as waveforms."""

import io
import struct

import numpy as np
import pytest
import small_corpus
import soundfile
import tensorflow as tf

from crossask.audio import reading
from crossask.serving import wav_file, window_batches


@tf.function(input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([], tf.int32)])
def decode(files, entry):
    file = wav_file.open_wav(files, entry)
    return file.read(0, file.samples), file.sample_rate_hz


def noise(seconds, channels=2, rate=16000, seed=0):
    samples = round(seconds * rate)
    return np.random.default_rng(seed).normal(0, 0.2, (samples, channels)).clip(-0.99, 0.99)


def wav(waveform, rate=16000, subtype="PCM_16", form="WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, waveform, rate, subtype, format=form)
    return file.getvalue()


def read(file: bytes):
    return soundfile.read(io.BytesIO(file), dtype="float32", always_2d=True)


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def riff(*chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + sum(map(len, chunks))) + b"WAVE" + b"".join(chunks)


@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_samples_are_bit_equal_to_those_that_libsndfile_reads(subtype, channels, form):
    other = wav(noise(0.1, 1, seed=1), 8000)
    file = wav(noise(0.2, channels), 44100, subtype, form)
    expected, rate = read(file)
    found, found_rate = decode([other, file], 1)
    np.testing.assert_array_equal(found, expected)
    assert found_rate == rate == 44100


def test_a_part_is_read_without_the_rest():
    file = wav(noise(0.2), subtype="PCM_24")
    opened = wav_file.open_wav(tf.constant([file]), tf.constant(0))
    np.testing.assert_array_equal(opened.read(100, 250), read(file)[0][100:250])


def test_other_chunks_are_skipped():
    file = wav(noise(0.1))
    format_and_data = file[12:]
    of_odd_length = chunk(b"LIST", b"odd")
    found, _ = decode([riff(of_odd_length, chunk(b"junk", b""), format_and_data)], 0)
    np.testing.assert_array_equal(found, read(file)[0])


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_file_from_a_pipe_is_read_to_its_end(length):
    file = wav(noise(0.1))
    start = file.index(b"data") + 4
    streamed = file[:start] + struct.pack("<I", length) + file[start + 4 :]
    # Half a frame at the end is not a sample.
    found, _ = decode([streamed[:-2]], 0)
    np.testing.assert_array_equal(found, read(file)[0][:-1])


def with_size(size: int, behind: bytes = b"") -> bytes:
    """Returns a WAV file with this size of the samples in its header."""
    file = wav(noise(0.1))
    start = file.index(b"data") + 4
    return file[:start] + struct.pack("<I", size) + file[start + 4 :] + behind


SIZE = 1600 * 4
BEHIND = {
    "nothing": b"",
    "chunks": chunk(b"LIST", b"abcd") + chunk(b"id3 ", b"odd"),
    "id3": b"ID3\x04" + bytes(40),
    "tag": b"TAG\xe9" + bytes(124),
    "ape": b"APETAGEX" + bytes(24),
    "rest": b"end",
    "cut off": b"LIST\xff\x00\x00\x00abcd",
    "no zero": b"LIST\x05\x00\x00\x00abcdeid3 \x08\x00\x00\x00abcdabcd",
}


# A crash, a size before the last update, and the rest of a division by 4 GiB.
@pytest.mark.parametrize("size", [0, 400, 2000])
def test_a_file_that_was_not_finished_is_read_to_its_end_as_from_a_disk(tmp_path, size):
    file = with_size(size)
    (tmp_path / "x.wav").write_bytes(file)
    expected, rate = reading.read_audio(tmp_path / "x.wav")
    found, found_rate = decode([file], 0)
    assert len(found) == 1600
    np.testing.assert_array_equal(found, expected)
    assert found_rate == rate


@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND)
def test_what_follows_the_samples_is_no_sound_as_from_a_disk(tmp_path, behind):
    file = with_size(SIZE, behind)
    (tmp_path / "x.wav").write_bytes(file)
    expected, _ = reading.read_audio(tmp_path / "x.wav")
    found, _ = decode([file], 0)
    assert len(found) == 1600
    np.testing.assert_array_equal(found, expected)


def of_format(tag=1, channels=2, rate=16000, bits=16, block_bytes=None) -> bytes:
    block_bytes = block_bytes or channels * bits // 8
    fields = struct.pack("<HHIIHH", tag, channels, rate, 0, block_bytes, bits)
    return riff(chunk(b"fmt ", fields), chunk(b"data", bytes(400)))


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"", "not a WAV file"),
        (b"RIFF", "not a WAV file"),
        (b"fLaC" + bytes(100), "not a WAV file"),
        (riff(), "no format or no samples"),
        (riff(chunk(b"data", bytes(400))), "no format or no samples"),
        (of_format()[:36], "no format or no samples"),
        (riff(*[chunk(b"junk", b"")] * 2000, of_format()[12:]), "no format or no samples"),
        # The format is cut off.
        (riff(chunk(b"data", bytes(4)), b"fmt "), "no format or no samples"),
        (of_format(tag=7, bits=8), "neither PCM of 8"),
        (of_format(bits=20), "neither PCM of 8"),
        (of_format(bits=24, block_bytes=8), "24 bits in 4 bytes each"),
        (of_format(tag=3, bits=16), "neither PCM of 8"),
        (of_format(channels=0), "must have 1 or 2 channels"),
        (of_format(channels=6), "must have 1 or 2 channels"),
        (of_format(rate=12345), "must be one of 8000, 11025"),
        (of_format(rate=0xFFFFFFFF), "must be one of 8000, 11025"),
    ],
)
def test_another_file_is_an_error_with_its_entry(file, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message) as raised:
        decode([wav(noise(0.1)), file], 1)
    assert "counted from 0:] [1]" in " ".join(str(raised.value).split())


@pytest.fixture(scope="module", params=small_corpus.EXPORTED, ids=lambda row: row.name)
def signatures(request, exported):
    return tf.saved_model.load(str(exported(request.param).model)).signatures


def test_a_file_is_classified_as_its_waveform(signatures):
    # Longer than a window, shorter than one, and with more windows than are computed at once.
    files = [
        wav(noise(2.7), 16000, "PCM_24"),
        wav(noise(1.2, 1, 48000, seed=1), 48000, "FLOAT"),
        wav(noise(11.5, 2, 8000, seed=2), 8000),
    ]
    found = signatures["classify_wav"](wav_bytes=tf.constant(files))
    for number, file in enumerate(files):
        waveform, rate = read(file)
        expected = signatures["serving_default"](
            waveform=tf.constant(waveform[np.newaxis]), sample_rate_hz=tf.constant(rate)
        )
        assert set(found) == set(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name][number], value[0], err_msg=name)


def test_files_that_cannot_be_classified_are_errors_with_their_entry(signatures):
    usable = wav(noise(2.0))
    loud = noise(2.0)
    loud[7] = 9.0
    for file, message in (
        (b"no sound", "not a WAV file"),
        (wav(noise(0.99)), "at least 1 s"),
        (wav(noise(0.0)), "at least 1 s"),
        (wav(loud, subtype="FLOAT"), "samples that are not finite or of amplitude"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message) as raised:
            signatures["classify_wav"](wav_bytes=tf.constant([usable, usable, file]))
        assert "counted from 0:] [2]" in " ".join(str(raised.value).split())
    with pytest.raises(tf.errors.InvalidArgumentError, match="The batch is empty"):
        signatures["classify_wav"](wav_bytes=tf.constant([], tf.string))


def test_eight_windows_are_computed_at_once():
    sizes = []

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None], tf.float32),
            tf.TensorSpec([], tf.int32),
        ]
    )
    def compute(windows, _rate):
        tf.py_function(lambda shape: sizes.append(int(shape[0])), [tf.shape(windows)], [])
        return {"first": windows[:, 0, 0]}

    waveform = tf.reshape(tf.range(100.0), [100, 1])
    values, is_usable = window_batches.compute_windows(
        tf.constant(20), lambda number: waveform[number : number + 2], compute, tf.constant(8000)
    )
    assert sizes == [8, 8, 4]
    np.testing.assert_array_equal(values["first"], np.arange(20))
    np.testing.assert_array_equal(is_usable, np.arange(20) + 1 < 8)
