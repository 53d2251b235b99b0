"""Reading sound files, compared with soundfile and with what was written."""

import subprocess
import sys

import media_files
import numpy as np
import pytest
import soundfile

from crossask.audio import reading, wav_header
from crossask.config import FeatureConfig
from crossask.errors import AudioError

ONE_SECOND = FeatureConfig(clip_seconds=1.0, max_padding_seconds=0.1, max_cut_seconds=0.1)


def noise(samples, channels, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.1, (samples, channels)).astype(np.float32)


@pytest.mark.parametrize(
    ("suffix", "subtype", "step"),
    [
        ("wav", "PCM_16", 2**-15),
        ("wav", "PCM_24", 2**-23),
        ("wav", "PCM_32", 2**-23),
        ("wav", "FLOAT", 0),
        ("flac", "PCM_24", 2**-23),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_lossless_files_are_read_to_their_last_bit(tmp_path, suffix, subtype, step, channels):
    written = np.clip(noise(4000, channels), -0.9, 0.9)
    path = tmp_path / f"x.{suffix}"
    soundfile.write(path, written, 22050, subtype)
    waveform, rate = reading.read_audio(path)
    assert waveform.shape == (4000, channels)
    assert waveform.dtype == np.float32
    assert rate == 22050
    assert np.abs(waveform - written).max() <= step


@pytest.mark.parametrize("suffix", ["ogg", "mp3"])
def test_lossy_files_keep_the_frequency_of_a_tone(tmp_path, suffix):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    path = tmp_path / f"x.{suffix}"
    soundfile.write(path, tone, 44100)
    waveform, rate = reading.read_audio(path)
    spectrum = np.abs(np.fft.rfft(waveform[:40000, 0]))
    assert rate == 44100
    assert abs(np.argmax(spectrum) * rate / 40000 - 440) < 2


@pytest.mark.parametrize("name", ["text.wav", "text.mp3", "empty.wav", "nan.wav", "missing.wav"])
def test_unusable_files_are_errors_with_their_names(tmp_path, name):
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "text.mp3").write_text("no sound\n" * 500)
    soundfile.write(tmp_path / "empty.wav", np.zeros((0, 2)), 8000)
    soundfile.write(tmp_path / "nan.wav", np.full((10, 1), np.nan), 8000, "FLOAT")
    with pytest.raises(AudioError, match=name):
        reading.read_audio(tmp_path / name)


def test_blocks_and_parts_are_pieces_of_the_whole_file(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, noise(1000, 2), 8000, "FLOAT")
    whole, _ = reading.read_audio(path)
    blocks, rate = reading.read_blocks(path, seconds=0.05)
    blocks = list(blocks)
    assert rate == 8000
    assert [len(block) for block in blocks] == [400, 400, 200]
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    np.testing.assert_array_equal(reading.read_part(path, 150, 450), whole[150:450])


def test_sound_files_are_found_by_suffix_in_all_folders_below(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.WAV", "a.flac", "notes.txt", "deep/c.opus"):
        (tmp_path / name).write_bytes(b"any")
    names = [str(path.relative_to(tmp_path)) for path in reading.sound_files(tmp_path)]
    assert names == ["a.flac", "b.WAV", "deep/c.opus"]


def test_reading_needs_no_tensorflow():
    code = (
        "import crossask.audio, crossask.audio.reading, sys; crossask.audio.read_audio; "
        "print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(("samples", "change"), [(15200, "padded"), (16000, ""), (16800, "cut")])
def test_lengths_within_the_allowance_are_padded_or_cut(samples, change):
    given = noise(samples, 2)
    waveform, done = reading.fit_length(given, 16000, ONE_SECOND)
    assert len(waveform) == 16000
    assert done == change
    np.testing.assert_array_equal(waveform[:15200], given[:15200])
    assert not waveform[samples:].any()


@pytest.mark.parametrize(
    ("samples", "field"), [(14000, "max_padding_seconds"), (18000, "max_cut_seconds")]
)
def test_other_lengths_are_errors_with_file_and_field(samples, field):
    with pytest.raises(AudioError, match=field) as error:
        reading.fit_length(noise(samples, 1), 16000, ONE_SECOND, "some.wav")
    assert "some.wav" in error.value.problem


def test_a_file_without_permission_is_not_called_damaged(tmp_path, monkeypatch):
    path = tmp_path / "private.wav"
    soundfile.write(path, noise(1600, 1), 16000)
    # The administrator may read every file, whatever its permissions are.
    monkeypatch.setattr(reading.os, "access", lambda name, _: name != path)
    for read in (reading.read_audio, reading.facts_of):
        with pytest.raises(AudioError, match=r"private\.wav cannot be read: permission") as error:
            read(path)
        assert "permissions" in error.value.fix


@pytest.mark.parametrize("name", ["repaired", "remark_of"])
def test_a_file_that_is_removed_while_it_is_opened_is_an_error_of_its_own(
    tmp_path, monkeypatch, name
):
    # Files of a watched folder may be moved at any moment, and the others are read all the same.
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros((1600, 3)), 16000)
    found = getattr(wav_header, name)

    def remove(removed):
        path.unlink()
        return found(removed)

    monkeypatch.setattr(wav_header, name, remove)
    with pytest.raises(AudioError, match="There is no file"):
        reading.read_audio(path)
    with pytest.raises(AudioError, match="There is no file"):
        reading.read_audio(tmp_path / f"{'x' * 300}.wav")


def test_a_file_that_is_removed_after_it_was_opened_is_read(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, np.full((1600, 3), 0.25), 16000)
    blocks, _ = reading.read_blocks(path, 1.0)
    path.unlink()
    np.testing.assert_array_equal(np.concatenate(list(blocks)), np.full((1600, 1), 0.25))


@pytest.mark.parametrize("suffix", reading.SUFFIXES)
def test_text_with_the_suffix_of_any_sound_file_is_an_error(tmp_path, suffix):
    path = tmp_path / f"text{suffix}"
    path.write_text("<html>404: there is no sound here</html>\n" * 900)
    with pytest.raises(AudioError, match=rf"text{suffix}"):
        reading.read_audio(path)


def test_a_recording_of_another_format_is_no_samples_because_it_is_called_snd(tmp_path):
    waveform = noise(16000, 1).clip(-0.9, 0.9)
    path = media_files.write(tmp_path / "x.m4a", waveform, 16000, "alac")
    renamed = path.rename(tmp_path / "x.snd")
    read, rate = reading.read_audio(renamed)
    assert rate == 16000
    np.testing.assert_allclose(read[:16000], waveform, atol=1e-4)
