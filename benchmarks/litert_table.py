"""Compares LiteRT files with the SavedModel of the same run: size, agreement, accuracy and time.

  python benchmarks/litert_table.py CLIPS.csv WORK name=RUN [name=RUN ...] [--json=OUT.json]

CLIPS.csv is the table of clips that the runs were trained on. Files that are missing in the folder
WORK are written; int8 is calibrated on clips of the run's training fold.

* Agreement is the share of all clips whose top scene is that of the SavedModel.
* Accuracy is measured on the clips of the run's evaluation fold.
* Time is the median over all clips. Two processes, one with one thread and one with two, take turns
  after each clip, and the models in a process take turns, too, so that a busy moment of the machine
  affects all of them alike.
"""

import argparse
import csv
import dataclasses
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossask import files

# The process that measures does not import TensorFlow before it exports.
if TYPE_CHECKING:
    import numpy as np

    from crossask.datasets import Corpus
    from crossask.training.run_folder import Run

THREADS = (1, 2)
PRECISIONS = ("float32", "float16", "int8")
KINDS = ("SavedModel", *PRECISIONS)

Figures = dict[str, Any]  # size, agreement, accuracy and time of one model


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What all models of one run predicted for the clips of a corpus, in the order of the clips.

    Attributes:
      scenes: For each clip, {kind of model: top scene}.
      seconds: Number of threads -> for each clip, {kind of model: seconds}.
    """

    scenes: list[dict[str, str]]
    seconds: dict[int, list[dict[str, float]]]


def measure(table: str, work: Path, run_folders: dict[str, str], json_path: str) -> None:
    """Writes missing files, prints the table and optionally writes it as JSON.

    Args:
      table: The table of clips.
      work: Folder for the models.
      run_folders: Name in the table -> folder of a run.
      json_path: JSON file to write; "" for none.
    """
    from crossask.datasets import read_corpus
    from crossask.training import run_folder

    corpus = read_corpus("folder", table)
    models = {}
    for name, folder in run_folders.items():
        (run,) = run_folder.find_runs(folder)
        _export(run, corpus, work / name)
        predictions = _predict(work / name, corpus)
        models[name] = _figures(work / name, corpus, run.fold, predictions)
    _print_table(models)
    if json_path:
        content = {"clips": len(corpus.clips), "models": models}
        files.write_json(json_path, content)


def serve_predictions(folder: Path, threads: int) -> None:
    """Predicts clips on request, in a process of its own.

    For each path on standard input it prints a line of JSON, {"scenes": {kind: top scene},
    "seconds": {kind: seconds}}.

    Args:
      folder: Folder of the models of one run.
      threads: Number of threads of each model.
    """
    import numpy as np
    import tensorflow as tf

    from crossask import config
    from crossask.serving import calibration

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    card = json.loads((folder / "float32.json").read_text())
    experiment = config.from_dict(config.Experiment, card["experiment"])
    models = {"SavedModel": _saved_model(_path(folder, "SavedModel"), card["sample_rate_hz"])}
    for precision in PRECISIONS:
        models[precision] = _litert_model(_path(folder, precision), threads)
    silence = np.zeros((card["samples"], card["channels"]), np.float32)
    for model in models.values():
        model(silence)  # The first call is slower.

    for number, line in enumerate(sys.stdin):
        clip = calibration.first_clip(line.strip(), experiment.features)
        scenes = {}
        seconds = {}
        # Each clip starts with another model, so that none is always measured first.
        for turn in range(len(KINDS)):
            kind = KINDS[(number + turn) % len(KINDS)]
            start = time.perf_counter()
            probabilities = models[kind](clip)
            seconds[kind] = time.perf_counter() - start
            scenes[kind] = card["scenes"][int(probabilities.argmax())]
        print(json.dumps({"scenes": scenes, "seconds": seconds}), flush=True)


def main() -> None:
    """Parses the command line and measures, or serves predictions to a process that measures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", help="table of the clips")
    parser.add_argument("work", type=Path, help="folder for the models")
    parser.add_argument("runs", nargs="*", help="name=folder of a run")
    parser.add_argument("--json", default="", help="JSON file to write")
    parser.add_argument("--threads", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.threads:
        serve_predictions(arguments.work, arguments.threads)
        return
    run_folders = {}
    for pair in arguments.runs:
        name, separator, folder = pair.partition("=")
        if not separator:
            parser.error(f"{pair} has no name: give NAME=FOLDER for each run")
        run_folders[name] = folder
    arguments.work.mkdir(parents=True, exist_ok=True)
    measure(arguments.table, arguments.work, run_folders, arguments.json)


def _export(run: "Run", corpus: "Corpus", folder: Path) -> None:
    """Writes the run's models that are missing in `folder`."""
    from crossask import serving

    saved_model = _path(folder, "SavedModel")
    if not saved_model.exists():
        serving.export_run(run, saved_model)
    calibration = folder / "calibration.csv"
    _write_training_clips(calibration, corpus, run.fold)
    for precision in PRECISIONS:
        path = _path(folder, precision)
        if not path.exists():
            recordings = calibration if precision == "int8" else None
            serving.export_litert(run, path, precision, recordings)


def _write_training_clips(path: Path, corpus: "Corpus", fold: str) -> None:
    training = set(corpus.fold(fold).train)
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["filename"])
        for clip in corpus.clips:
            if clip.id in training:
                table.writerow([Path(clip.path).resolve()])


def _predict(folder: Path, corpus: "Corpus") -> Predictions:
    """Predicts all clips with the models in `folder` and measures the time."""
    workers = {threads: _start(folder, threads) for threads in THREADS}
    predictions = Predictions([], {threads: [] for threads in THREADS})
    for clip in corpus.clips:
        for threads, process in workers.items():
            print(clip.path, file=process.stdin, flush=True)
            prediction = json.loads(process.stdout.readline())
            predictions.seconds[threads].append(prediction["seconds"])
            if threads == THREADS[0]:
                predictions.scenes.append(prediction["scenes"])
    for process in workers.values():
        process.stdin.close()
        process.wait()
    return predictions


def _start(folder: Path, threads: int) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, __file__, "-", str(folder), f"--threads={threads}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _figures(
    folder: Path, corpus: "Corpus", fold: str, predictions: Predictions
) -> dict[str, Figures]:
    """Returns {kind of model: its size, agreement, accuracy and time}."""
    evaluation = set(corpus.fold(fold).evaluation)
    figures = {}
    for kind in KINDS:
        agrees = []
        is_right = []
        for clip, scenes in zip(corpus.clips, predictions.scenes, strict=True):
            agrees.append(scenes[kind] == scenes["SavedModel"])
            if clip.id in evaluation:
                is_right.append(scenes[kind] == clip.scene)
        milliseconds = {}
        for threads, of_clips in predictions.seconds.items():
            median = statistics.median(seconds[kind] for seconds in of_clips)
            milliseconds[str(threads)] = 1000 * median
        figures[kind] = {
            "bytes": _size(_path(folder, kind)),
            "agreement": statistics.mean(agrees),
            "accuracy": statistics.mean(is_right),
            "median_ms": milliseconds,
        }
    return figures


def _path(folder: Path, kind: str) -> Path:
    """Returns the path of one model of a run."""
    if kind == "SavedModel":
        return folder / kind
    return folder / f"{kind}.tflite"


def _size(path: Path) -> int:
    """Returns the bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _print_table(models: dict[str, dict[str, Figures]]) -> None:
    header = ["model", "file", "size", "top scene as SavedModel", "accuracy"]
    for threads in THREADS:
        header.append(f"ms a clip, {threads} thread{'s' if threads > 1 else ''}")
    _print_line(header)
    _print_line(["---"] * len(header))
    for name, figures in models.items():
        for kind, of_kind in figures.items():
            cells = [name, kind, f"{of_kind['bytes'] / 1000:,.0f} kB"]
            cells.append(f"{of_kind['agreement']:.2%}")
            cells.append(f"{of_kind['accuracy']:.2%}")
            for threads in THREADS:
                cells.append(f"{of_kind['median_ms'][str(threads)]:.1f}")
            _print_line(cells)


def _print_line(cells: Sequence[str]) -> None:
    print(f"| {' | '.join(cells)} |")


def _saved_model(folder: Path, sample_rate_hz: int) -> Callable[["np.ndarray"], "np.ndarray"]:
    """Returns a function from a clip [samples, channels] to probabilities [scenes]."""
    import tensorflow as tf

    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    rate_hz = tf.constant(sample_rate_hz, tf.int32)

    def predict(clip: "np.ndarray") -> "np.ndarray":
        waveform = tf.constant(clip)[tf.newaxis]
        return signature(waveform=waveform, sample_rate_hz=rate_hz)["probabilities"].numpy()[0]

    return predict


def _litert_model(path: Path, threads: int) -> Callable[["np.ndarray"], "np.ndarray"]:
    """Returns a function from a clip [samples, channels] to probabilities [scenes]."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(str(path), num_threads=threads)
    signature = interpreter.get_signature_runner("serving_default")

    def predict(clip: "np.ndarray") -> "np.ndarray":
        return signature(waveform=clip[None])["probabilities"][0]

    return predict


if __name__ == "__main__":
    main()
