"""Compares two ways to fill a sound that is shorter than a training clip: silence and repetition.

  python benchmarks/short_sounds.py ESC10_FOLDER WORK [--folds=1,2] [--json=OUT.json]

A small FA and a small CMAM are trained on the clips of ESC-10 (5 s) for each fold, in the folder
WORK; runs that are finished are used again. Then the clips of the evaluation fold are cut to their
loudest window of 1, 2 and 3 s (many clips end with digital silence), filled up to 5 s in both ways,
and classified. The table has the accuracies, and how many clips one way alone classifies correctly.

All five folds take about ten minutes on two CPU cores.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from esc10_table import write_table

from crossask import config, files, training
from crossask.audio import fill_window, reading
from crossask.config import EventModelConfig, Experiment
from crossask.datasets import Corpus, read_corpus
from crossask.features.cache import prepare_features
from crossask.serving.litert import ClipModel
from crossask.training import run_folder

SECONDS = (1, 2, 3)
ESC10 = Path(__file__).parents[1] / "experiments" / "esc10.py"
(ESC10_FA,) = config.read_experiments(f"{ESC10}:fa")
FA = config.override(
    ESC10_FA,
    {
        "name": "short_fa",
        # ESC-10 is mono.
        "features.mono": True,
        "model.encoder_channels": (8, 16, 32, 64),
        "model.pooling_dim": 128,
        "model.attention_dim": 128,
        "training.learning_rate": 1e-3,
    },
)
CMAM = dataclasses.replace(
    FA, name="short_cmam", system="CMAM", event_model=EventModelConfig(width=0.125)
)


def measure(folder: Path, work: Path, folds: list[str], json_path: str) -> None:
    """Trains the models that are missing, prints the table and optionally writes it as JSON.

    Args:
      folder: The folder of ESC-10.
      work: Folder for features and runs.
      folds: Folds to train and evaluate.
      json_path: JSON file to write; "" for none.
    """
    work.mkdir(parents=True, exist_ok=True)
    table = work / "clips.csv"
    write_table(folder, table)
    corpus = read_corpus("folder", str(table))
    figures = {}
    for row in (FA, CMAM):
        outcomes = []
        for fold in folds:
            model = _trained(row, fold, corpus, work)
            outcomes.extend(_outcomes(model, corpus, fold))
        figures[row.system] = _figures(outcomes)
    _print_table(figures)
    if json_path:
        files.write_json(json_path, figures)


def loudest_window(waveform: np.ndarray, samples: int) -> np.ndarray:
    """Returns the stretch of `samples` samples with the largest energy.

    Args:
      waveform: Waveform [samples, channels].
      samples: Length of the stretch.
    """
    power = np.square(waveform.astype(np.float64)).sum(axis=1)
    energy_before = np.concatenate([[0.0], np.cumsum(power)])
    energies = energy_before[samples:] - energy_before[:-samples]
    start = int(np.argmax(energies))
    return waveform[start : start + samples]


def _trained(row: Experiment, fold: str, corpus: Corpus, work: Path) -> ClipModel:
    """Returns the model of a row on one fold, and trains it if that is not done."""
    cache = prepare_features(corpus, row, work / "features")
    run = run_folder.run_at(work, row.name, fold, 0)
    training.train(run, row, corpus, cache)
    return ClipModel.from_run(run)


def _outcomes(model: ClipModel, corpus: Corpus, fold: str) -> list[dict[str, bool]]:
    """Returns for each clip of the evaluation fold {"padded 1 s": whether it was right, ...}."""
    evaluation = set(corpus.fold(fold).evaluation)
    outcomes = []
    for clip in corpus.clips:
        if clip.id not in evaluation:
            continue
        waveform, rate = reading.read_audio(clip.path)
        whole, _ = reading.fit_length(waveform, rate, model.features, clip.path)
        versions = {"whole": whole}
        for seconds in SECONDS:
            short = loudest_window(waveform, seconds * rate)
            versions[f"padded {seconds} s"] = fill_window(short, len(whole), len(whole))
            versions[f"repeated {seconds} s"] = fill_window(short, len(whole), 0)
        predicted = model.predict(list(versions.values())).argmax(axis=1)
        scene = corpus.scenes.index(clip.scene)
        is_right = [bool(number == scene) for number in predicted]
        outcomes.append(dict(zip(versions, is_right, strict=True)))
    return outcomes


def _figures(outcomes: list[dict[str, bool]]) -> dict[str, Any]:
    """Returns the accuracies of one system, as JSON values."""
    is_right_whole = [outcome["whole"] for outcome in outcomes]
    figures = {"clips": len(outcomes), "whole": float(np.mean(is_right_whole))}
    for seconds in SECONDS:
        is_right_padded = np.array([outcome[f"padded {seconds} s"] for outcome in outcomes])
        is_right_repeated = np.array([outcome[f"repeated {seconds} s"] for outcome in outcomes])
        figures[f"{seconds} s"] = {
            "padded": float(is_right_padded.mean()),
            "repeated": float(is_right_repeated.mean()),
            "only_padded": int((is_right_padded & ~is_right_repeated).sum()),
            "only_repeated": int((is_right_repeated & ~is_right_padded).sum()),
        }
    return figures


def _print_table(figures: dict[str, dict[str, Any]]) -> None:
    print("| system | clips | sound | silence | repeated | only silence | only repeated |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for system, of_system in figures.items():
        clips = of_system["clips"]
        for seconds in SECONDS:
            values = of_system[f"{seconds} s"]
            print(
                f"| {system} | {clips} | {seconds} s | {values['padded']:.1%} | "
                f"{values['repeated']:.1%} | {values['only_padded']} | {values['only_repeated']} |"
            )
        print(f"| {system} | {clips} | whole clip | {of_system['whole']:.1%} | | | |")


def main() -> None:
    """Parses the command line and measures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of ESC-10")
    parser.add_argument("work", type=Path, help="folder for features and runs")
    parser.add_argument("--folds", default="1", help="folds, separated by commas")
    parser.add_argument("--json", default="", help="JSON file to write")
    arguments = parser.parse_args()
    measure(arguments.folder, arguments.work, arguments.folds.split(","), arguments.json)


if __name__ == "__main__":
    main()
