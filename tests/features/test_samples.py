"""One recording in two files, of any containers, is recognised when its features are computed."""

import media_files
import numpy as np
import pytest
import soundfile
from datasets.two_folds import ROWS, write

from crossask import config
from crossask.audio import reading
from crossask.datasets import read_corpus
from crossask.errors import DataError
from crossask.features import samples
from crossask.features.cache import prepare_features


def as_wav(subtype="PCM_16", **options):
    return lambda path, waveform: soundfile.write(path, waveform, 8000, subtype, **options)


def with_a_title(path, waveform):
    with soundfile.SoundFile(path, "w", 8000, waveform.shape[1], "PCM_16") as file:
        file.title = "another"
        file.write(waveform)


def in_two_channels(path, waveform):
    soundfile.write(path, np.repeat(waveform, 2, axis=1), 8000, "PCM_16")


def in_alac(path, waveform):
    media_files.write(path, waveform, 8000, "alac")


def longer_by_silence(path, waveform):
    soundfile.write(path, np.pad(waveform, ((0, 9), (0, 0))), 8000, "PCM_16")


def longer_by_noise(path, waveform):
    more = np.random.default_rng(9).uniform(-0.5, 0.5, (80, waveform.shape[1]))
    soundfile.write(path, np.concatenate([waveform, more]), 8000, "PCM_16")


def one_louder_sample(path, waveform):
    changed = waveform.copy()
    changed[samples.PERIOD_SAMPLES] *= 1.01
    soundfile.write(path, changed, 8000, "PCM_16")


# How the samples of a mono WAV file of 16 bits are in another file, and the file's suffix.
SAME_SAMPLES = {
    "flac": as_wav(),
    "aiff": as_wav(),
    "caf": as_wav(),
    "au": as_wav(),
    "w64": as_wav(format="W64"),
    "m4a": in_alac,
    "24.wav": as_wav("PCM_24"),
    "32.wav": as_wav("PCM_32"),
    "float.wav": as_wav("FLOAT"),
    "double.wav": as_wav("DOUBLE"),
    "big_endian.wav": as_wav(endian="BIG"),
    "extensible.wav": as_wav(format="WAVEX"),
    "24.flac": as_wav("PCM_24"),
    "title.wav": with_a_title,
    "stereo.wav": in_two_channels,
    "silence_after.wav": longer_by_silence,
    "noise_after.wav": longer_by_noise,
}
# A row that reads 0.1 s, of files of up to 0.01 s more.
TENTH = config.Experiment(
    "tenth",
    dataset="folder",
    features=config.FeatureConfig(
        sample_rate_hz=8000, clip_seconds=0.1, max_padding_seconds=0.02, max_cut_seconds=0.01
    ),
)


def sixteen_bits(seed, channels=1):
    numbers = np.random.default_rng(seed).integers(-16000, 16000, (800, channels))
    return numbers / 32768


def clip_hash(path):
    waveform, rate = reading.read_clip(path, TENTH.features)
    fitted, _ = reading.fit_length(waveform, rate, TENTH.features)
    return samples.hash_of(fitted, rate)


@pytest.mark.parametrize("name", SAME_SAMPLES)
def test_the_same_samples_in_another_file_have_one_hash(tmp_path, name):
    as_wav()(tmp_path / "one.wav", sixteen_bits(0))
    SAME_SAMPLES[name](tmp_path / f"other.{name}", sixteen_bits(0))
    expected = clip_hash(tmp_path / "one.wav")
    assert len(expected) == 32
    assert clip_hash(tmp_path / f"other.{name}") == expected


def test_other_samples_have_another_hash(tmp_path):
    one_louder_sample(tmp_path / "louder.wav", sixteen_bits(0))
    as_wav()(tmp_path / "one.wav", sixteen_bits(0))
    assert clip_hash(tmp_path / "louder.wav") != clip_hash(tmp_path / "one.wav")
    stereo = sixteen_bits(0, channels=2).astype(np.float32)
    hashes = {
        samples.hash_of(stereo, 8000),
        samples.hash_of(stereo[:, ::-1], 8000),
        samples.hash_of(stereo[:, :1], 8000),
        samples.hash_of(stereo[:, 1:], 8000),
        samples.hash_of(stereo[:-1], 8000),
        samples.hash_of(stereo, 16000),
    }
    assert len(hashes) == 6
    assert "" not in hashes


@pytest.mark.parametrize("value", [0.0, -0.0, 0.25])
def test_silence_has_no_hash_because_it_says_nothing(value):
    assert samples.hash_of(np.full((800, 2), value, np.float32), 8000) == ""


def test_minus_zero_is_zero():
    waveform = sixteen_bits(0).astype(np.float32)
    waveform[250:300] = 0
    negative = np.where(waveform == 0, np.float32(-0.0), waveform)
    assert negative.tobytes() != waveform.tobytes()
    assert samples.hash_of(negative, 8000) == samples.hash_of(waveform, 8000)


def corpus_with(folder, name, cells, make):
    """Returns the corpus of ROWS in 16 bits and one more file that `make` writes of a.wav."""
    for seed, row in enumerate(ROWS):
        (folder / "audio").mkdir(exist_ok=True)
        as_wav()(folder / row, sixteen_bits(seed))
    make(folder / name, sixteen_bits(0))
    return read_corpus("folder", write(folder, {**ROWS, name: cells}))


def test_the_same_samples_in_two_folds_are_an_error_when_features_are_computed_or_used(tmp_path):
    corpus = corpus_with(tmp_path, "audio/other.flac", "bus,p5,2", in_two_channels)
    for _ in range(2):
        with pytest.raises(DataError, match=r"other\.flac' .* 'audio/a\.wav' .* the same samples"):
            prepare_features(corpus, TENTH, tmp_path / "features")


def test_silent_clips_and_a_sample_that_differs_are_no_copies(tmp_path):
    corpus = corpus_with(tmp_path, "audio/other.flac", "bus,p5,2", one_louder_sample)
    prepare_features(corpus, TENTH, tmp_path / "features")
    # One in each fold, in two formats so that their bytes differ.
    as_wav(format="FLAC")(tmp_path / "audio" / "a.wav", np.zeros((800, 1)))
    as_wav()(tmp_path / "audio" / "c.wav", np.zeros((800, 1)))
    prepare_features(read_corpus("folder", tmp_path), TENTH, tmp_path / "features")


def test_features_of_earlier_versions_are_read_without_hashes(tmp_path):
    corpus = corpus_with(tmp_path, "audio/other.flac", "bus,p5,2", as_wav())
    with pytest.raises(DataError, match="the same samples"):
        prepare_features(corpus, TENTH, tmp_path / "features")
    (hashes,) = (tmp_path / "features").rglob("*.samples.json")
    hashes.unlink()
    cache = prepare_features(corpus, TENTH, tmp_path / "features")
    assert cache.hashes_of_samples("log_mel") == {}


def test_damaged_hashes_are_computed_again(tmp_path, caplog):
    corpus = corpus_with(tmp_path, "audio/other.flac", "bus,p1,1", as_wav())
    prepare_features(corpus, TENTH, tmp_path / "features")
    (hashes,) = (tmp_path / "features").rglob("*.samples.json")
    whole = hashes.read_text()
    for damaged in ("", whole[:-9], "[]", whole.replace("a.wav", "b.wav")):
        hashes.write_text(damaged)
        caplog.clear()
        prepare_features(corpus, TENTH, tmp_path / "features")
        assert hashes.read_text() == whole
        assert "damaged hashes of samples beside it" in caplog.text


def test_equal_embeddings_of_another_toolkit_in_two_folds_are_an_error(tmp_path):
    corpus = read_corpus("folder", write(tmp_path, ROWS))
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(2, 8)).astype(np.float32) for name in ROWS}
    arrays["audio/c.wav"] = arrays["audio/a.wav"]
    np.savez(tmp_path / "given.npz", **arrays)
    row = config.Experiment(
        "given",
        system="VEM",
        strategy="feature_based",
        dataset="folder",
        features=config.FeatureConfig(sample_rate_hz=8000, clip_seconds=0.1),
        event_model=config.EventModelConfig(
            name="precomputed", embeddings=str(tmp_path / "given.npz")
        ),
    )
    with pytest.raises(DataError, match="have the same embeddings, but in fold '1'"):
        prepare_features(corpus, row, tmp_path / "features")
