"""Compares the probabilities of a run's Keras model, its SavedModel and crossask-predict.

  python benchmarks/served_probabilities.py RUN MODEL RECORDING...

RUN is a finished run, MODEL its export, and each RECORDING is as long as a clip. The SavedModel is
loaded in a process that cannot import crossask. Every recording is predicted at 16, 44.1 and 48
kHz, in mono and stereo (resampled by soxr into WAV files of floats).

The first two columns of figures are the largest differences of a probability from the Keras model.
The last column is the largest difference between a sound that the SavedModel resamples itself and
the same sound resampled by soxr to the model's own sample rate.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile
import soxr
import tensorflow as tf

from crossask import events
from crossask.audio import clip_features
from crossask.training import network, run_folder

RATES_HZ = (16000, 44100, 48000)
# Arguments: folder of the SavedModel, .npz of sounds whose names begin with their sample rates, and
# .npz to write.
SAVED_MODEL_ALONE = """
import sys
for name in ("crossask", "tf_keras", "tensorflow_hub", "official"):
    sys.modules[name] = None  # Importing it now raises ImportError.
import numpy as np
import tensorflow as tf
signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
sounds = np.load(sys.argv[2])
probabilities = {}
for name in sounds.files:
    rate_hz = tf.constant(int(name.split("_")[0]))
    output = signature(waveform=sounds[name][None], sample_rate_hz=rate_hz)
    probabilities[name] = output["probabilities"].numpy()[0]
np.savez(sys.argv[3], **probabilities)
"""

Probabilities = dict[str, np.ndarray]  # name of a sound -> [scenes]


@dataclasses.dataclass(frozen=True)
class Sound:
    """A recording at one sample rate, in mono or stereo.

    Attributes:
      recording: Number of the recording.
      rate_hz: The sample rate.
      waveform: float32 [samples, channels].
    """

    recording: int
    rate_hz: int
    waveform: np.ndarray

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.waveform.shape[1]

    @property
    def name(self) -> str:
        """A name that begins with the sample rate."""
        return f"{self.rate_hz}_{self.channels}_{self.recording}"


def compare(run_dir: str, model_dir: str, recordings: list[str]) -> None:
    """Prints the largest differences for each sample rate and number of channels.

    Args:
      run_dir: Folder of the run.
      model_dir: Folder of its export.
      recordings: Paths of sound files.
    """
    (run,) = run_folder.find_runs(run_dir)
    features = run.experiment().features
    sounds = _sounds(recordings, features.clip_seconds)
    by_soxr = _resampled_by_soxr(sounds, features.sample_rate_hz)
    with tempfile.TemporaryDirectory() as scratch:
        waveforms = {sound.name: sound.waveform for sound in sounds}
        of_keras = _predict_with_keras(run, sounds)
        of_saved_model = _predict_with_saved_model(model_dir, waveforms, Path(scratch))
        of_command = _predict_with_command(model_dir, sounds, Path(scratch))
        of_soxr = _predict_with_saved_model(model_dir, by_soxr, Path(scratch))

    print(f"{len(recordings)} recordings, {len(sounds)} sounds")
    print("| rate (Hz) | channels | SavedModel, Keras | predict, Keras | against soxr |")
    print("| --- | --- | --- | --- | --- |")
    for rate_hz in RATES_HZ:
        for channels in (1, 2):
            names = []
            for sound in sounds:
                if sound.rate_hz == rate_hz and sound.channels == channels:
                    names.append(sound.name)
            soxr_names = [f"{features.sample_rate_hz}_{name}" for name in names]
            saved_model = _largest_difference(of_keras, of_saved_model, names, names)
            command = _largest_difference(of_keras, of_command, names, names)
            resampler = _largest_difference(of_saved_model, of_soxr, names, soxr_names)
            print(
                f"| {rate_hz} | {channels} | {saved_model:.1e} | {command:.1e} | {resampler:.1e} |"
            )


def main() -> None:
    """Parses the command line and prints the differences."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="folder of a finished run")
    parser.add_argument("model", help="folder of its export")
    parser.add_argument("recordings", nargs="+", help="sound files as long as a clip")
    arguments = parser.parse_args()
    compare(arguments.run, arguments.model, arguments.recordings)


def _sounds(recordings: list[str], seconds: float) -> list[Sound]:
    sounds = []
    for number, path in enumerate(recordings):
        waveform, from_hz = soundfile.read(path, always_2d=True)
        for rate_hz in RATES_HZ:
            resampled = soxr.resample(waveform, from_hz, rate_hz, quality="VHQ")
            samples = round(seconds * rate_hz)
            stereo = resampled[:samples].astype(np.float32)
            mono = stereo.mean(1, keepdims=True)
            sounds.append(Sound(number, rate_hz, mono))
            sounds.append(Sound(number, rate_hz, stereo))
    return sounds


def _resampled_by_soxr(sounds: list[Sound], rate_hz: int) -> dict[str, np.ndarray]:
    """Returns the sounds at `rate_hz`, by the new rate and the sound's name."""
    resampled = {}
    for sound in sounds:
        waveform = soxr.resample(sound.waveform, sound.rate_hz, rate_hz, quality="VHQ")
        resampled[f"{rate_hz}_{sound.name}"] = waveform.astype(np.float32)
    return resampled


def _predict_with_keras(run: run_folder.Run, sounds: list[Sound]) -> Probabilities:
    """Predicts as crossask-evaluate does: front-ends, event model, scene model."""
    experiment = run.experiment()
    model = network.load(run)
    event_model = events.frozen(experiment)
    probabilities = {}
    for sound in sounds:
        stereo = np.broadcast_to(sound.waveform, (len(sound.waveform), 2))
        inputs = clip_features.clip_features(
            tf.constant(stereo[np.newaxis]),
            sound.rate_hz,
            experiment.features,
            experiment.event_model_read,
        )
        if event_model is not None:
            inputs["embedding"] = event_model(inputs.pop("patches"))
        probabilities[sound.name] = tf.nn.softmax(model(inputs)).numpy()[0]
    return probabilities


def _predict_with_saved_model(
    model_dir: str, waveforms: dict[str, np.ndarray], scratch: Path
) -> Probabilities:
    """Predicts in a process that cannot import crossask."""
    np.savez(scratch / "sounds.npz", **waveforms)
    files = [str(scratch / "sounds.npz"), str(scratch / "probabilities.npz")]
    command = [
        sys.executable,
        "-I",
        "-c",
        SAVED_MODEL_ALONE,
        str(Path(model_dir).resolve()),
        *files,
    ]
    subprocess.run(command, check=True, cwd=scratch)
    with np.load(scratch / "probabilities.npz") as file:
        return dict(file.items())


def _predict_with_command(model_dir: str, sounds: list[Sound], scratch: Path) -> Probabilities:
    """Predicts with crossask-predict."""
    name_of_file = {}
    for sound in sounds:
        path = scratch / f"{sound.name}.wav"
        soundfile.write(path, sound.waveform, sound.rate_hz, "FLOAT")
        name_of_file[str(path)] = sound.name
    command = [sys.executable, "-m", "crossask.cli.predict", f"--model={model_dir}"]
    process = subprocess.run(
        [*command, "--format=json", *name_of_file], check=True, capture_output=True, text=True
    )
    probabilities = {}
    for line in process.stdout.splitlines():
        prediction = json.loads(line)
        name = name_of_file[prediction["file"]]
        probabilities[name] = np.array(list(prediction["probabilities"].values()))
    return probabilities


def _largest_difference(
    one: Probabilities, other: Probabilities, names: Iterable[str], other_names: Iterable[str]
) -> float:
    """Returns the largest difference between sounds of `one` and `other`, paired in order."""
    differences = []
    for name, other_name in zip(names, other_names, strict=True):
        differences.append(np.abs(one[name] - other[other_name]).max())
    return float(max(differences))


if __name__ == "__main__":
    main()
