"""Runs verbs as a user does, and each of them once on a small corpus."""

import importlib
from pathlib import Path

import small_corpus


def call(verb: str, *arguments) -> int:
    return importlib.import_module(f"crossask.cli.{verb}").main(
        [f"crossask-{verb}", *map(str, arguments)]
    )


def run_every_verb(folder: Path) -> None:
    data = small_corpus.write(folder / "corpus")
    rows = small_corpus.write_rows(folder / "rows.py", "FA", "FEATURE_BASED")
    runs = folder / "runs"
    common = (
        f"--experiment={rows}",
        f"--data_dir={data}",
        "--params_override=training.epochs=1",
    )
    assert call("prepare", "--dataset=folder", *common) == 0
    with small_corpus.without_graphs():
        assert (
            call("train", *common, f"--model_dir={runs}", "--seeds=0,1", "--preflight=never") == 0
        )
    assert call("evaluate", f"--model_dir={runs}") == 0
    assert call("report", f"--model_dir={runs}", f"--out={folder}/report") == 0
    one = runs / "fa" / "fold1" / "seed1"
    assert call("export", f"--model_dir={one}", f"--out={folder}/model") == 0
