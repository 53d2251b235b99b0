"""One recording down every road: the run's Keras model, its SavedModel where crossask is not, and crossask-predict.

python benchmarks/served_probabilities.py RUN MODEL RECORDING...

RUN is a finished run, MODEL its export, each RECORDING as long as a clip. Every recording is heard at 16, 44.1 and 48 kHz, mono and
stereo (resampled by soxr into float WAVs). Printed: the largest difference of a probability between the roads, and between what the
model makes of a rate itself and what it makes of the same sound brought to its own rate by soxr.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr
import tensorflow as tf

from crossask import events
from crossask.audio import clip_features
from crossask.training import network, run_folder

RATES_HZ = (16000, 44100, 48000)
ALONE = """
import sys
sys.modules.update(dict.fromkeys(("crossask", "tf_keras", "tensorflow_hub", "official")))  # an import of these fails
import numpy as np, tensorflow as tf
answer = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
sounds = np.load(sys.argv[2])
found = {name: answer(waveform=sounds[name][None], sample_rate_hz=tf.constant(int(name.split("/")[0]))) for name in sounds.files}
np.savez(sys.argv[3], **{name: value["probabilities"].numpy()[0] for name, value in found.items()})
"""


def main(run_dir: str, model_dir: str, recordings: list[str]):
    (run,) = run_folder.find_runs(run_dir)
    with tempfile.TemporaryDirectory() as scratch:
        sounds = variants(recordings, Path(scratch), run.experiment().features.clip_seconds)
        roads = {
            "Keras": keras(run, sounds),
            "SavedModel alone": alone(model_dir, sounds, Path(scratch)),
        }
        roads["crossask-predict"] = command(model_dir, sounds, Path(scratch))
        own_rate = run.experiment().features.sample_rate_hz
        by_soxr = {
            name: soxr.resample(sound, int(name.split("/")[0]), own_rate, quality="VHQ")
            for name, sound in sounds.items()
        }
        by_soxr = {
            f"{own_rate}/{name}": sound.astype(np.float32) for name, sound in by_soxr.items()
        }
        resampled = alone(model_dir, by_soxr, Path(scratch))
    print(
        f"{len(recordings)} recordings, {len(sounds)} sounds; largest differences of a probability"
    )
    print(
        "| rate (Hz) | channels | SavedModel, Keras | predict, Keras | against soxr |\n| --- | --- | --- | --- | --- |"
    )
    for rate in RATES_HZ:
        for channels in (1, 2):
            names = [name for name in sounds if name.startswith(f"{rate}/{channels}/")]
            cells = [
                largest(roads["Keras"], roads[other], names)
                for other in ("SavedModel alone", "crossask-predict")
            ]
            against = max(
                np.abs(roads["SavedModel alone"][name] - resampled[f"{own_rate}/{name}"]).max()
                for name in names
            )
            print(f"| {rate} | {channels} | {cells[0]:.1e} | {cells[1]:.1e} | {against:.1e} |")


def variants(recordings, scratch: Path, seconds: float) -> dict[str, np.ndarray]:
    """{"rate/channels/number": waveform [samples, channels]}, each also as a float WAV."""
    sounds = {}
    for number, path in enumerate(recordings):
        waveform, rate = soundfile.read(path, always_2d=True)
        for wanted in RATES_HZ:
            resampled = soxr.resample(waveform, rate, wanted, quality="VHQ")[
                : round(seconds * wanted)
            ].astype(np.float32)
            for channels, sound in ((1, resampled.mean(1, keepdims=True)), (2, resampled)):
                name = f"{wanted}/{channels}/{number}"
                sounds[name] = sound
                soundfile.write(scratch / f"{name.replace('/', '_')}.wav", sound, wanted, "FLOAT")
    return sounds


def keras(run: run_folder.Run, sounds) -> dict[str, np.ndarray]:
    """The road of the feature cache: front-ends of a known rate, event model, scene model."""
    experiment, model = run.experiment(), network.load(run)
    event_model, front_end = events.frozen(experiment), events.front_end_of(experiment)
    found = {}
    for name, sound in sounds.items():
        rate = int(name.split("/")[0])
        stereo = (
            np.repeat(sound, 2, 1)[np.newaxis, :, :2] if sound.shape[1] == 1 else sound[np.newaxis]
        )
        values = clip_features.clip_features(
            tf.constant(stereo),
            rate,
            experiment.features,
            front_end,
            experiment.event_model.pad_end,
        )
        if event_model is not None:
            values["embedding"] = event_model(values.pop("patches"))
        found[name] = tf.nn.softmax(model(values)).numpy()[0]
    return found


def alone(model_dir: str, sounds, scratch: Path) -> dict[str, np.ndarray]:
    np.savez(scratch / "sounds.npz", **sounds)
    subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            ALONE,
            model_dir,
            scratch / "sounds.npz",
            scratch / "found.npz",
        ],
        check=True,
        cwd=scratch,
    )
    with np.load(scratch / "found.npz") as file:
        return {name: file[name] for name in file.files}


def command(model_dir: str, sounds, scratch: Path) -> dict[str, np.ndarray]:
    files = {str(scratch / f"{name.replace('/', '_')}.wav"): name for name in sounds}
    asked = [
        sys.executable,
        "-m",
        "crossask.cli.predict",
        f"--model={model_dir}",
        "--format=json",
        *files,
    ]
    lines = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.splitlines()
    answers = [json.loads(line) for line in lines]
    return {
        files[answer["file"]]: np.array(list(answer["probabilities"].values()))
        for answer in answers
    }


def largest(one, other, names) -> float:
    return max(float(np.abs(one[name] - other[name]).max()) for name in names)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
