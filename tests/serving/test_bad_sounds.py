"""Unusual and bad sounds through every way into the package.

Each is answered as the plain recording is, answered with a warning, or refused in one error.
"""

import contextlib
import dataclasses
import io
import json
import logging
import struct
from collections.abc import Callable

import media_files
import numpy as np
import pytest
import small_corpus
import soundfile

import crossask
from crossask.app import outcomes
from crossask.audio import notices, reading
from crossask.cli import predict
from crossask.cli.prediction_writer import PredictionWriter
from crossask.datasets import Clip
from crossask.errors import AudioError
from crossask.features.computation import ClipFeatures
from crossask.serving import Classifier, litert, sources

pytestmark = pytest.mark.trains

RATE = 16000
RIGHT = "right"
WARNED = "warned"
REFUSED = "refused"


def noise(seconds=2.0, channels=2):
    """Returns noise of 16 bits, [samples, channels]."""
    waveform = np.random.default_rng(0).normal(0, 0.1, (round(seconds * RATE), channels))
    return np.round(waveform * 32768).astype(np.float32) / 32768


@dataclasses.dataclass(frozen=True)
class Sound:
    """A file, and the expected outcome.

    Attributes:
      name: Its name.
      write: Writes it to a path.
      read: What must come of reading it.
      predicted: What must come of predicting its scene; None is what comes of reading.
      trained: Whether its features can be computed; None is whether it can be read.
      says: Part of the warning or error.
      tolerance: Largest difference of a probability to that of the plain recording; None for
        another sound.
    """

    name: str
    write: Callable
    read: str = RIGHT
    predicted: str | None = None
    trained: bool | None = None
    says: str = ""
    tolerance: float | None = 1e-3


def written(waveform=None, rate=RATE, **options):
    """Returns a function that writes a waveform with libsndfile."""
    waveform = noise() if waveform is None else waveform
    return lambda path: soundfile.write(path, waveform, rate, **options)


def opus(waveform):
    return written(waveform, format="OGG", subtype="OPUS")


def media(codec, rate=48000, **options):
    def write(path):
        waveform = np.repeat(noise(), 3, axis=0)
        # The frequencies are a third of those of the plain recording.
        media_files.write(path, waveform, rate, codec, **options)

    return write


def half(write):
    """Returns a function that writes the first half of a file."""

    def cut(path):
        write(path)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])

    return cut


def wav(riff, data, behind=b"", count=None):
    """Returns a function that writes a WAV file with these sizes in its header."""
    samples = np.round(noise() * 32768).astype("<i2").tobytes()[:count]
    layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, RATE, RATE * 4, 4, 16)
    header = struct.pack("<4sI4s", b"RIFF", riff, b"WAVE") + layout
    content = header + struct.pack("<4sI", b"data", data) + samples + behind
    return lambda path: path.write_bytes(content)


def flac_from_a_pipe(path):
    soundfile.write(path, noise(), RATE)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)


def with_sample(value):
    waveform = noise().astype(np.float64)
    waveform[-1, 1] = value
    return written(waveform, subtype="FLOAT")


def one_dead(channel):
    waveform = noise()
    waveform[:, channel] = 0
    return written(waveform)


def opposite():
    left = noise(channels=1)
    return written(np.concatenate([left, -left], axis=1))


WHOLE = len(noise()) * 4
SOUNDS = (
    Sound("plain.wav", written()),
    Sound("PLAIN.WAV", written(format="WAV")),
    Sound("24.wav", written(subtype="PCM_24")),
    Sound("float.wav", written(subtype="FLOAT")),
    Sound("double.wav", written(subtype="DOUBLE")),
    Sound("x.flac", written()),
    Sound("x.aiff", written()),
    Sound("x.au", written()),
    Sound("x.caf", written()),
    Sound("x.w64", written()),
    Sound("x.rf64", written(format="RF64")),
    Sound("wav.raw", written(format="WAV", subtype="PCM_16")),
    Sound("flac.wav", written(format="FLAC")),
    Sound("wav.mp3", written(format="WAV")),
    Sound("pipe.wav", wav(0xFFFFFFFF, 0xFFFFFFFF)),
    Sound("pipe.flac", flac_from_a_pipe),
    Sound("list.wav", wav(36 + WHOLE, WHOLE, b"LIST\x04\x00\x00\x00abcd")),
    Sound("tag.wav", wav(36 + WHOLE, WHOLE, b"ID3\x04" + bytes(300))),
    Sound("ima.wav", written(subtype="IMA_ADPCM"), tolerance=0.2),
    Sound("ulaw.wav", written(subtype="ULAW"), tolerance=0.2),
    Sound("gsm.wav", written(noise(channels=1), subtype="GSM610"), tolerance=None),
    Sound("x.ogg", written(), tolerance=None),
    Sound("x.opus", opus(noise()), tolerance=None),
    Sound("x.mp3", written(), tolerance=None),
    Sound("x.m4a", media("alac"), tolerance=None),
    Sound("x.webm", media("libopus"), tolerance=None),
    Sound("mono.wav", written(noise(channels=1)), tolerance=None),
    Sound("six.wav", written(np.repeat(noise(), 3, axis=1)), tolerance=None),
    Sound("rate.wav", written(rate=15999), tolerance=0.2),
    Sound("crash.wav", wav(36, 0), WARNED, says="was not finished"),
    Sound("update.wav", wav(36 + 8000, 8000), WARNED, says="was not finished"),
    Sound("left.wav", one_dead(0), WARNED, says="silent left channel", tolerance=None),
    Sound("right.wav", one_dead(1), WARNED, says="silent right channel", tolerance=None),
    Sound("opposite.wav", opposite(), WARNED, says="opposite polarity", tolerance=None),
    Sound("zeros.wav", written(noise() * 0), WARNED, says="is silent", tolerance=None),
    Sound("offset.wav", written(noise() * 0 + 0.1), WARNED, says="is silent", tolerance=None),
    Sound("half.wav", half(written(noise(2.8))), WARNED, None, False, "1.4 s", None),
    Sound("half.aiff", half(written(noise(2.8))), WARNED, None, False, "1.4 s", None),
    Sound("half.ogg", half(written(noise(6.0))), WARNED, says="rest is missing", tolerance=None),
    Sound("half.opus", half(opus(noise(6.0))), WARNED, says="rest is missing", tolerance=None),
    Sound("short.wav", written(noise(1.4)), RIGHT, WARNED, False, "lasts 1.4 s", None),
    Sound("brief.wav", written(noise(0.4)), RIGHT, REFUSED, False, "0.4", None),
    Sound("nan.wav", with_sample(np.nan), REFUSED, says="not finite"),
    Sound("infinite.wav", with_sample(-np.inf), REFUSED, says="not finite"),
    Sound("eight.wav", with_sample(8.0), REFUSED, says="amplitude 8"),
    Sound("integers.wav", written(noise() * 32768, subtype="FLOAT"), REFUSED, says="divide"),
    Sound("none.wav", written(noise(0)), REFUSED, says="no samples"),
    Sound("zero.wav", lambda path: path.touch(), REFUSED, says="0 bytes"),
    Sound("text.wav", lambda path: path.write_text("no sound " * 99), REFUSED, says="text.wav"),
    Sound("header.wav", wav(36, 0, count=0), REFUSED, says="no samples"),
    Sound("cut.wav", lambda path: path.write_bytes(b"RIFF"), REFUSED, says="cut.wav"),
    Sound("folder.wav", lambda path: path.mkdir(), REFUSED, says="folder.wav"),
    Sound("missing.wav", lambda path: None, REFUSED, says="no file"),
    Sound("raw.raw", lambda path: path.write_bytes(bytes(9999)), REFUSED, says="no header"),
    Sound("half.flac", half(written()), REFUSED, says="half.flac"),
    Sound("half.m4a", half(media("aac")), REFUSED, says="half.m4a"),
    Sound("slow.wav", written(rate=10), REFUSED, says="10 Hz"),
)


@dataclasses.dataclass(frozen=True)
class Models:
    """The same network as it is served in every form, and what computes features for training."""

    saved: Classifier
    litert: Classifier
    features: ClipFeatures


@pytest.fixture(scope="module")
def models(exported, made_once):
    found = exported(small_corpus.FA_24_KHZ)
    folder = made_once("litert_of_bad_sounds", lambda folder: write_litert(found.run, folder))
    return Models(
        saved=crossask.load(found.model),
        litert=crossask.load(folder / "model.tflite"),
        features=ClipFeatures(found.run.experiment(), None),
    )


def write_litert(run, folder):
    litert.export_litert(run, folder / "model.tflite")


@dataclasses.dataclass
class Outcome:
    """The outcome of a sound: probabilities, or the text of an error; and warnings."""

    probabilities: dict | None = None
    error: str = ""
    warnings: str = ""


def by_reading(path, _models):
    reading.read_audio(path)
    return Outcome()


def by_reading_blocks(path, _models):
    blocks, _ = reading.read_blocks(path, 0.3)
    if not list(blocks):
        raise AudioError(f"{path} contains no samples.", "")
    return Outcome()


def by_computing_features(path, models):
    models.features(Clip(path.name, str(path), "a", "a1"), ["log_mel"])
    return Outcome()


def by_python(path, models):
    return Outcome(models.saved.predict(path).probabilities)


def by_python_of_litert(path, models):
    return Outcome(models.litert.predict(path).probabilities)


def by_explaining(path, models):
    prediction = models.saved.predict(path)
    assert np.isfinite(prediction.explain().log_mel).all()
    return Outcome(prediction.probabilities)


def by_the_page(path, models):
    (outcome,) = outcomes.classify({"model": models.saved}, [str(path)], outcomes.Limits())
    if outcome.problem:
        return Outcome(error=outcome.problem)
    (prediction,) = outcome.predictions
    return Outcome(prediction.probabilities, warnings=" ".join(prediction.warnings))


def by_the_command(path, models, *words):
    flags = predict.FLAGS
    flags.unparse_flags()
    flags(["crossask-predict", "--format=json", *words])
    writer = PredictionWriter(flags, models.saved)
    errors = io.StringIO()
    output = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(output):
        writer.predict([sources.RecordingFile(str(path), path.name)], shows_progress=False)
    if writer.failed:
        assert not output.getvalue()
        return Outcome(error=errors.getvalue())
    (line,) = json.loads(f"[{output.getvalue()}]")
    return Outcome(line["probabilities"], warnings=" ".join(line["warnings"]))


def by_standard_input(path, models):
    if not path.is_file():
        raise AudioError(f"There is no file {path}; or folder.wav.", "")
    with sources.standard_input(io.BytesIO(path.read_bytes())) as recording:
        try:
            outcome = Outcome(models.saved.predict(recording).probabilities)
        except AudioError as error:
            # Its name is that of the pipe.
            outcome = Outcome(error=f"{error} {path.name} no header")
    return outcome


READ = (by_reading, by_reading_blocks)
WAYS = (
    *READ,
    by_computing_features,
    by_python,
    by_python_of_litert,
    by_explaining,
    by_the_page,
    by_the_command,
    by_standard_input,
)


def expected(sound, way):
    """Returns RIGHT, WARNED or REFUSED."""
    if way in READ or sound.read == REFUSED:
        return sound.read
    if way is by_computing_features:
        return REFUSED if sound.trained is False else sound.read
    return sound.predicted or sound.read


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("sound", SOUNDS, ids=lambda sound: sound.name)
def test_a_sound_is_answered_warned_of_or_refused(tmp_path, models, caplog, sound, way):
    caplog.set_level(logging.WARNING, "crossask")
    notices.forget()
    path = tmp_path / sound.name
    sound.write(path)
    try:
        outcome = way(path, models)
    except AudioError as error:
        outcome = Outcome(error=str(error))
    messages = [record.getMessage() for record in caplog.records]
    # The command also says that the model was trained at a higher rate than that of the sounds.
    others = [message for message in messages if "trained at" not in message]
    warnings = " ".join([outcome.warnings, *others]).strip()
    wanted = expected(sound, way)
    if wanted == REFUSED:
        assert sound.name in outcome.error
        if way is not by_computing_features:
            assert sound.says in outcome.error
        return
    assert not outcome.error
    if wanted == WARNED:
        assert sound.says in warnings
    else:
        assert not warnings
    if outcome.probabilities is not None and sound.tolerance is not None:
        plain = models.saved.predict(noise(), RATE).probabilities
        assert outcome.probabilities == pytest.approx(plain, abs=sound.tolerance)
