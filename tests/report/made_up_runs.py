"""Runs as crossask-train leaves them, made up so that every figure of a report can be worked by hand."""

import json

import pandas as pd

from crossask import config

SCENES = ("bus", "park")


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
    epochs=2,
):
    """A run with `places` locations a scene and four clips at each; the first `hits[scene]` clips of each are right.

    The locations lie in `cities` in turn.
    """
    experiment = config.to_dict(config.override(config.Experiment(name=name), fields or {}))
    experiment |= {"system": system, "strategy": strategy, "dataset": corpus}
    folder = root / name / f"fold{fold}" / f"seed{seed}"
    folder.mkdir(parents=True)
    corpus = {
        "name": corpus,
        "fingerprint": "f00d",
        "clips": 99,
        "training": 50,
        "validation": 20,
        "evaluation": 24,
    }
    corpus |= {"training_cities": training_cities} if training_cities is not None else {}
    versions = {"crossask": "0.1.0", "numpy": "2.4.6"}
    config_json = {
        "experiment": experiment,
        "seed": seed,
        "fold": fold,
        "corpus": corpus,
        "versions": versions,
    }
    (folder / "config.json").write_text(json.dumps(config_json))
    if not finished:
        return folder
    rows = []
    for scene, other in (SCENES, SCENES[::-1]):
        for place in range(places):
            for clip in range(4):
                row = {
                    "clip": f"f{fold}/{scene}{place}{clip}",
                    "location": f"f{fold}-{scene}{place}",
                    "city": cities[place % len(cities)],
                    "truth": scene,
                }
                right = clip < hits[SCENES.index(scene)]
                rows.append(row | {scene: 0.9 if right else 0.1, other: 0.1 if right else 0.9})
    pd.DataFrame(rows)[["clip", "location", "city", "truth", *SCENES]].to_csv(
        folder / "predictions.csv", index=False
    )
    rising = [0.5 + 0.3 * epoch / (epochs - 1) for epoch in range(epochs)]
    columns = {
        "epoch": range(1, epochs + 1),
        "loss": [1.2 - value for value in rising],
        "macro_accuracy": rising,
    }
    columns |= {
        "val_loss": [1.3 - value for value in rising],
        "val_macro_accuracy": [value - 0.1 for value in rising],
    }
    pd.DataFrame(columns).to_csv(folder / "history.csv", index=False)
    result = {
        "best_epoch": epochs,
        "epochs": epochs,
        "validation_macro_accuracy": 0.7 + seed / 100,
        "parameters": 1234567,
        "trainable_parameters": 1200000,
    }
    (folder / "result.json").write_text(json.dumps(result))
    return folder
