"""Runs as crossask-train writes them, made up so that every figure of a report can be computed."""

import json

import pandas as pd

from crossask import config

SCENES = ("bus", "park")
MACHINE = {"cores": 2, "cpu": "a model", "memory_gib": 7.8}


def write_run(
    root,
    name,
    hits,
    system="FA",
    strategy="from_scratch",
    corpus="demo",
    fold="1",
    seed=0,
    places=3,
    fields=None,
    finished=True,
    cities=("lyon",),
    training_cities=None,
    devices=None,
    training_devices=None,
    epochs=2,
    validation=20,
):
    """Writes a run with four clips at each location, and returns its folder.

    Args:
      root: Folder of the runs.
      name: Name of the row.
      hits: For each scene, the number of clips at each location that are predicted correctly.
      system: See `config.Experiment`.
      strategy: See `config.Experiment`.
      corpus: Name of the corpus.
      fold: Name of the fold.
      seed: Seed of the run.
      places: Number of locations of each scene.
      fields: Path of a field -> its value.
      finished: Whether the run has results and predictions.
      cities: Cities of the locations, in turn.
      training_cities: Cities of the training clips.
      devices: Devices of the four clips at each location; None: the clips have none.
      training_devices: Devices of the training clips.
      epochs: Number of epochs in history.csv.
      validation: Number of clips in the validation part; 0: the run has none.
    """
    experiment = config.to_dict(config.override(config.Experiment(name=name), fields or {}))
    experiment |= {"system": system, "strategy": strategy, "dataset": corpus}
    folder = root / name / f"fold{fold}" / f"seed{seed}"
    folder.mkdir(parents=True)
    corpus_json = {
        "name": corpus,
        "fingerprint": "f00d",
        "clips": 99,
        "training": 50,
        "validation": validation,
        "evaluation": 24,
    }
    if training_cities is not None:
        corpus_json["training_cities"] = training_cities
    if training_devices is not None:
        corpus_json["training_devices"] = training_devices
    write_json(
        folder / "config.json",
        {
            "experiment": experiment,
            "seed": seed,
            "fold": fold,
            "corpus": corpus_json,
            "versions": {"crossask": "0.1.0", "numpy": "2.4.6"},
            "machine": MACHINE,
        },
    )
    if not finished:
        return folder
    rows = []
    for scene, other, correct_clips in zip(SCENES, SCENES[::-1], hits, strict=True):
        for place in range(places):
            for clip in range(4):
                row = {
                    "clip": f"f{fold}/{scene}{place}{clip}",
                    "location": f"f{fold}-{scene}{place}",
                    "city": cities[place % len(cities)],
                    "truth": scene,
                }
                if devices:
                    row["device"] = devices[clip]
                of_truth = 0.9 if clip < correct_clips else 0.1
                rows.append(row | {scene: of_truth, other: round(1 - of_truth, 1)})
    columns = ["clip", "location", "city", "truth", *SCENES]
    if devices:
        columns.insert(3, "device")
    pd.DataFrame(rows)[columns].to_csv(folder / "predictions.csv", index=False)
    accuracies = pd.Series([0.5 + 0.3 * epoch / (epochs - 1) for epoch in range(epochs)])
    history = {
        "epoch": range(1, epochs + 1),
        "loss": 1.2 - accuracies,
        "macro_accuracy": accuracies,
    }
    result = {"best_epoch": epochs, "epochs": epochs}
    if validation:
        history["val_loss"] = 1.3 - accuracies
        history["val_macro_accuracy"] = accuracies - 0.1
        result["validation_macro_accuracy"] = 0.7 + seed / 100
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    result |= {"parameters": 1234567, "trainable_parameters": 1200000}
    write_json(folder / "result.json", result)
    return folder


def write_two_seeds(*arguments, **options):
    """Writes the runs of two seeds with the same predictions, and returns their folders.

    One seed has no verdict; arguments as `write_run`.
    """
    return [write_run(*arguments, **options, seed=seed) for seed in (0, 1)]


def write_json(path, content):
    path.write_text(json.dumps(content))


def change_json(path, **changes):
    """Changes entries of a JSON file."""
    write_json(path, json.loads(path.read_text()) | changes)
