"""Pre-trains event models on four folds of ESC-10 and scores them on the fifth, for each fold.

  python benchmarks/esc10_pretraining.py CLIPS.csv WORK [--json=OUT.json]

CLIPS.csv is the table that benchmarks/esc10_table.py wrote. All recordings of one source are in one
fold, so the test clips are of other sources. The weights begin at random, with the number of the
fold as seed. The command can be run again after it was killed: it goes on where it stopped.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from crossask import files

# {event model: share of the published channels}
MODELS = {"vggish": 0.25, "yamnet": 0.5}
EPOCHS = 30
CLIP_SECONDS = 5
SCORES = ("tag_accuracy", "map", "auc")  # of 0 to 1


def pretrain(table: Path, work: Path, model: str, fold: str) -> dict[str, Any]:
    """Pre-trains `model` on all folds but one, unless that is done, and returns the report.

    Args:
      table: The table of the clips.
      work: Folder for the weights.
      model: Name of the event model.
      fold: The fold of the test clips.
    """
    out = work / f"{model}_{fold}.npz"
    command = [sys.executable, "-m", "crossask.cli.main", "pretrain"]
    command += [f"--events={table}", f"--out={out}", f"--test_folds={fold}", f"--seed={fold}"]
    command += [f"--model={model}", f"--width={MODELS[model]}", f"--epochs={EPOCHS}"]
    command += [f"--clip_seconds={CLIP_SECONDS}", f"--features_dir={work / 'features'}"]
    report = out.with_suffix(".json")
    # The weights are written last.
    if not out.exists():
        subprocess.run(command, check=True)
    return json.loads(report.read_text(encoding="utf-8"))


def scores_of(reports: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Returns score -> its mean over the folds, and the lowest and highest fold.

    Args:
      reports: The report of each fold.
    """
    scores = {}
    for name in SCORES:
        of_folds = [report[f"test_{name}"] for report in reports]
        scores[name] = {
            "mean": statistics.mean(of_folds),
            "lowest": min(of_folds),
            "highest": max(of_folds),
        }
    return scores


def main() -> None:
    """Reads the command line, prints the table and optionally writes it as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path, help="table of the clips")
    parser.add_argument("work", type=Path, help="folder for the weights")
    parser.add_argument("--json", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    with open(arguments.table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    folds = sorted({row["fold"] for row in rows})
    content: dict[str, Any] = {
        "clips": len(rows),
        "sources": len({row["location"] for row in rows}),
        "classes": len({row["category"] for row in rows}),
        "folds": len(folds),
        "seeds": [int(fold) for fold in folds],
        "epochs": EPOCHS,
        "models": {},
    }
    for model, width in MODELS.items():
        reports = [pretrain(arguments.table, arguments.work, model, fold) for fold in folds]
        scores = scores_of(reports)
        content["models"][model] = {"width": width, "scores": scores}
        for name, score in scores.items():
            print(
                f"{model}: {name} {score['mean']:.3f} "
                f"({score['lowest']:.3f} to {score['highest']:.3f})"
            )
    if arguments.json:
        files.write_json(arguments.json, content)


if __name__ == "__main__":
    main()
