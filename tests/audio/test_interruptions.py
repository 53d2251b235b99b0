"""Ctrl-C and SIGTERM while libsndfile calls Python: nothing is lost, and the command ends."""

import errno
import io
import os
import signal
import struct
import threading

import numpy as np
import pytest
import soundfile

from crossask.audio import interruptions, reading, sndfile, wav_header
from crossask.errors import AudioError

NOISE = np.random.default_rng(0).normal(0, 0.1, (16000 * 3, 2))


class StoppedError(Exception):
    """SIGTERM has arrived."""


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def number(request):
    """The number of a signal whose handler raises `StoppedError`."""

    def stop(_number, _frame):
        raise StoppedError

    before = signal.signal(request.param, stop)
    yield request.param
    signal.signal(request.param, before)


@pytest.fixture
def unfinished(tmp_path):
    """A WAV file in whose header the size of the samples was never written."""
    path = tmp_path / "unfinished.wav"
    soundfile.write(path, NOISE, 16000, "PCM_16")
    content = bytearray(path.read_bytes())
    content[40:44] = struct.pack("<I", 0)
    path.write_bytes(content)
    return path


def interrupting(function, number, call):
    """Returns a function that sends a signal to this process in one of its calls."""
    calls = 0

    def called(*arguments):
        nonlocal calls
        calls += 1
        if calls == call:
            os.kill(os.getpid(), number)
        return function(*arguments)

    return called


@pytest.mark.parametrize("call", [1, 20])
def test_an_unfinished_file_stops_being_read(unfinished, monkeypatch, capfd, number, call):
    read = interrupting(wav_header.RepairedFile.read, number, call)
    monkeypatch.setattr(wav_header.RepairedFile, "read", read)
    with pytest.raises(StoppedError):
        reading.read_audio(unfinished)
    # The next one is read whole.
    assert len(reading.read_audio(unfinished)[0]) == len(NOISE)
    assert "ignored" not in capfd.readouterr().err


def test_an_error_of_the_disk_is_no_end_of_an_unfinished_file(unfinished, monkeypatch, capfd):
    read = wav_header.RepairedFile._read
    calls = 0

    def broken(file, count):
        nonlocal calls
        calls += 1
        if calls > 20:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(file, count)

    monkeypatch.setattr(wav_header.RepairedFile, "_read", broken)
    with pytest.raises(AudioError, match="Input/output error"):
        reading.read_audio(unfinished)
    assert "ignored" not in capfd.readouterr().err


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch, capfd, number):
    class Content(io.BytesIO):
        write = interrupting(io.BytesIO.write, number, 3)

    monkeypatch.setattr(sndfile.io, "BytesIO", Content)
    with pytest.raises(StoppedError):
        sndfile.write_wav(tmp_path / "a.wav", NOISE, 16000, "PCM_16")
    assert not (tmp_path / "a.wav").exists()
    assert "ignored" not in capfd.readouterr().err


def test_the_handlers_are_those_of_before(number):
    before = signal.getsignal(number)
    with interruptions.deferred():
        assert signal.getsignal(number) is not before
    assert signal.getsignal(number) is before


def test_other_threads_read_without_handlers(unfinished):
    found = []
    thread = threading.Thread(target=lambda: found.append(reading.read_audio(unfinished)))
    thread.start()
    thread.join()
    assert len(found[0][0]) == len(NOISE)
